"""How likely each pixel of a picture is to be of a class, averaged over several looks at it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seg_training.networks import Network
from seg_training.networks.network import Recognition
from seg_training.pictures.channel_order import channels_first
from seg_training.pictures.resizing import resize_image
from transformers_update_for_adapters.views import Shown, padded, shown

__all__ = ["Look", "Looks", "class_probabilities", "recognitions", "shown_image"]

_MOST_BYTES = 2**29  # of what is kept of several classes at a time


class Look(NamedTuple):
    """A part of a picture, shown to the network in one way.

    Attributes:
        top: first row of the part.
        left: first column of the part.
        height: of the part.
        width: of the part.
        shown: the size that the part is resized to, and padded to.
        flipped: whether left and right are exchanged.
    """

    top: int
    left: int
    height: int
    width: int
    shown: Shown
    flipped: bool

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of the part."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


@dataclass(frozen=True)
class Looks:
    """How a picture is looked at.

    Attributes:
        crop_size: (h, w) that the network was trained with.
        flip: look at the mirrored picture, too.
        scales: of the crop size; several look several times.
        window: side of square windows in the picture's own pixels, each of which is looked at;
            None for the picture as a whole.
        view: how the picture, or each window, comes before the network.
    """

    crop_size: tuple[int, int]
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    window: int | None = None
    view: str = "squeeze"

    @classmethod
    def of_network(
        cls,
        network: Network,
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
        window: int | None = None,
    ) -> "Looks":
        """Look as a network was trained to.

        Args:
            network: with crop size and view.
            flip: see the class.
            scales: likewise.
            window: likewise.
        """
        return cls(network.crop_size, flip, tuple(scales), window, network.config.view)

    def plainest(self, height: int, width: int) -> Look:
        """Give the one that the network was trained to: of the picture as a whole."""
        [look] = Looks(self.crop_size, view=self.view).at(height, width)
        return look

    def at_what_is_there(self, height: int, width: int) -> list[Look]:
        """List the looks that tell which classes are there: the plainest, mirrored where asked."""
        plain = self.plainest(height, width)
        return [plain, plain._replace(flipped=True)] if self.flip else [plain]

    def at(self, height: int, width: int) -> list[Look]:
        """List all looks at a picture.

        Windows overlap by half, and together reach every pixel.
        """
        rows, columns = _starts(height, self.window), _starts(width, self.window)
        part = (min(height, self.window or height), min(width, self.window or width))
        return [
            Look(top, left, *part, shown(self.view, part, self.crop_size, scale), flipped)
            for top in rows
            for left in columns
            for scale in self.scales
            for flipped in ((False, True) if self.flip else (False,))
        ]


def class_probabilities(
    network: Network,
    picture: NDArray[np.uint8],
    task_ids: Sequence[int],
    looks: Looks,
    known: Mapping[Look, Recognition] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Ask classes of a picture.

    Logits are resized to the picture's own size, bilinear; their probabilities are averaged over
    the looks at each pixel. With one look a probability above one half is a positive logit. A
    window counts most in its middle and hardly at its edges, where it would leave straight cuts.

    Args:
        network: in evaluation mode.
        picture: (H, W, 3) uint8 RGB.
        task_ids: which classes.
        looks: how to look at it.
        known: what :meth:`Network.recognise` gave in some of these looks, if it was asked.

    Yields:
        A task id and (H, W) float32 in [0, 1], on the network's device, one after the other: all
        of them at once could be too much for the memory.
    """
    if not task_ids:
        return
    height, width = picture.shape[:2]
    all_looks = looks.at(height, width)
    pixels = [math.prod(look.shown.size) for look in all_looks]
    # Of few looks at a large picture their logits take less room, of many, windows above all, the
    # sum of what they say at the picture's size. Either way the numbers are the same.
    pixels_of_sum = height * width + max(pixels)
    keep_logits = sum(pixels) <= pixels_of_sum
    at_once = max(1, _MOST_BYTES // (4 * min(sum(pixels), pixels_of_sum)))
    weight = torch.ones((), device=network.mean.device)
    if looks.window is not None:
        weight = _hat(all_looks[0].height, all_looks[0].width).to(weight)
    weights = torch.zeros(height, width, device=weight.device)
    for look in all_looks:
        weights[look.part] += weight
    for ids in torch.split(torch.tensor(list(task_ids)), at_once):
        seen = (
            (look, _logits(network, picture, ids, look, (known or {}).get(look)))
            for look in all_looks
        )
        if keep_logits:
            kept = list(seen)
            for position, task_id in enumerate(ids.tolist()):
                total = torch.zeros_like(weights)
                for look, logits in kept:
                    _add(total, look, logits[position], weight)
                yield task_id, total / weights
        else:
            totals = [torch.zeros_like(weights) for _ in ids]
            for look, logits in seen:
                for total, own in zip(totals, logits, strict=True):
                    _add(total, look, own, weight)
            for task_id in ids.tolist():
                yield task_id, totals.pop(0) / weights


@torch.inference_mode()
def recognitions(
    network: Network, picture: NDArray[np.uint8], looks: Looks
) -> dict[Look, Recognition]:
    """Ask what is in a picture as a whole.

    Args:
        network: in evaluation mode, with a recogniser.
        picture: (H, W, 3) uint8 RGB.
        looks: at the picture; what is there is seen in the plainest of them and, with flip, in its
            mirror image.

    Returns:
        Of each of these looks, the plainest first; all with the mean of their presence.
    """
    at = looks.at_what_is_there(*picture.shape[:2])
    seen = [network.recognise(shown_image(network, picture, look)[None]) for look in at]
    told = [each for each in seen if each is not None]
    presence = torch.stack([each.presence for each in told]).mean(dim=0)
    return {look: each._replace(presence=presence) for look, each in zip(at, told, strict=True)}


def _add(total: Tensor, look: Look, logits: Tensor, weight: Tensor) -> None:
    """Add what a look says of a class, (h, w) logits, to the (H, W) sum of all looks."""
    resized = F.interpolate(
        logits[None, None], size=(look.height, look.width), mode="bilinear", align_corners=False
    )
    total[look.part] += weight * resized[0, 0].sigmoid()


@torch.inference_mode()
def _logits(
    network: Network,
    picture: NDArray[np.uint8],
    task_ids: Tensor,
    look: Look,
    recognition: Recognition | None = None,
) -> Tensor:
    """Give (T, h, w) float32 logits, turned back where the look is mirrored."""
    image = shown_image(network, picture, look)
    logits = network.task_logits(image[None], task_ids, recognition)[0].float()
    height, width = look.shown.picture
    return (logits.flip(-1) if look.flipped else logits)[..., :height, :width]


def shown_image(network: Network, picture: NDArray[np.uint8], look: Look) -> Tensor:
    """Bring a part of a picture to where and how the network is shown it.

    Args:
        network: on the device to use.
        picture: (H, W, 3) uint8 RGB.
        look: at which part, and how.

    Returns:
        (3, h, w) uint8.
    """
    resized = resize_image(picture[look.part], look.shown.picture)
    image = channels_first(padded(resized, look.shown.size)).to(network.mean.device)
    return image.flip(-1) if look.flipped else image


def _hat(height: int, width: int) -> Tensor:
    """Rise from the edges of a window to its middle: (height, width), above 0.

    Windows that overlap by half add up to 1 along an axis.
    """
    rows, columns = (
        1 - (2 * (torch.arange(side) + 0.5) / side - 1).abs() for side in (height, width)
    )
    return rows[:, None] * columns


def _starts(length: int, window: int | None) -> list[int]:
    """Where windows that overlap by half start along one axis; the last ends at its end."""
    if window is None or window >= length:
        return [0]
    number = math.ceil((length - window) / (window / 2)) + 1
    return [round(place) for place in np.linspace(0, length - window, number)]
