"""A network that is evaluated as pictures are predicted: at their own size, by several looks."""

from typing import Any

import torch
from torch import Tensor, nn

from seg_training.networks import Network
from seg_training.networks.network import Recognition
from seg_training.prediction.averaged_probabilities import (
    Looks,
    class_probabilities,
    recognitions,
)

__all__ = ["LookingNetwork"]


class LookingNetwork(nn.Module):
    """Looks in the place of a network, for evaluation: all but the masks is that network's."""

    def __init__(self, network: Network, looks: Looks) -> None:
        """Wrap a network.

        Args:
            network: in evaluation mode.
            looks: how it looks at a picture.
        """
        super().__init__()
        self.network = network
        self._looks = looks

    def __getattr__(self, name: str) -> Any:
        """Give what the network has."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "network":
                raise
            return getattr(self.network, name)

    def part_of_picture(self, maps: Tensor, picture: object) -> Tensor:
        """Leave maps as they are: they are of the picture alone."""
        return maps

    def recognise(self, pixel_values: Tensor) -> Recognition | None:
        """Ask what is in a picture, as :func:`recognitions` does.

        Args:
            pixel_values: (1, 3, H, W) uint8, at its own size.

        Returns:
            That of the plainest look, with the presence of all.
        """
        if not self.network.recognises:
            return None
        return next(iter(recognitions(self.network, _pixels(pixel_values), self._looks).values()))

    def task_logits(
        self, pixel_values: Tensor, task_ids: Tensor, recognition: Recognition | None = None
    ) -> Tensor:
        """Ask classes of a picture in all looks.

        Args:
            pixel_values: (1, 3, H, W) uint8, at its own size.
            task_ids: (T,) int64.
            recognition: what :meth:`recognise` gave.

        Returns:
            (1, T, H, W) float32: log-odds of the probabilities' mean.
        """
        plain = self._looks.plainest(*pixel_values.shape[-2:])
        known = None if recognition is None else {plain: recognition}
        asked = class_probabilities(
            self.network, _pixels(pixel_values), task_ids.tolist(), self._looks, known
        )
        return torch.stack([likely for _, likely in asked]).logit()[None]


def _pixels(pixel_values: Tensor) -> Any:
    [picture] = pixel_values
    return picture.permute(1, 2, 0).cpu().numpy()
