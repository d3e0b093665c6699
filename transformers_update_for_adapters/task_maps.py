"""A map per class, learned (``emb``) or fixed and random (``vsa_emb``)."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from .plain_modules import DrawsItself

if TYPE_CHECKING:
    from .configuration_tasformer import TASFormerConfig

__all__ = ["TaskMaps"]


class TaskMaps(DrawsItself, nn.Module):
    """Look up each task's map, of C channels at the decoder's resolution."""

    weight: Tensor
    """(N, C, h, w) float: trained, or a buffer of unit vectors."""

    def __init__(self, config: "TASFormerConfig", number: int, seed: int | None = None) -> None:
        """Build the maps.

        Args:
            config: the model's configuration.
            number: N of maps; the tasks from N on have the last one, too.
            seed: that fixed ones are drawn from; None for trained ones.
        """
        super().__init__()
        self.seed = seed
        self.resize = config.resize_embedding
        maps = torch.empty(number, *config.task_map_shape)
        if seed is None:
            self.weight = nn.Parameter(maps)
        else:
            self.register_buffer("weight", maps)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the maps: N(0, 0.13^2), or random unit vectors that depend on the seed alone."""
        if self.weight.is_meta:
            return
        if self.seed is None:
            init.normal_(self.weight, std=0.13)
            return
        generator = torch.Generator(device="cpu").manual_seed(self.seed)
        vectors = torch.randn(self.weight.shape, generator=generator, device="cpu")
        init.copy_(self.weight, vectors / vectors.flatten(1).norm(dim=1)[:, None, None, None])

    def check_size(self, size: tuple[int, int], image_size: tuple[int, int] | None = None) -> None:
        """Refuse a decoder map of another size, unless maps are to be resized.

        Args:
            size: (height, width) of the decoder's map.
            image_size: (height, width) of the image, for the message.

        Raises:
            ValueError: if the sizes differ; the message names them.
        """
        height, width = self.weight.shape[-2:]
        if self.resize or tuple(size) == (height, width):
            return
        image = "" if image_size is None else f"the image is {image_size[0]}x{image_size[1]}: "
        raise ValueError(
            f"{image}the decoder's map would be {size[0]}x{size[1]}, but the task maps are "
            f"{height}x{width}, made for images of {4 * height}x{4 * width}; use that size, or "
            "set resize_embedding=true to resize the task maps"
        )

    def forward(self, task_ids: Tensor, size: tuple[int, int]) -> Tensor:
        """Look up the maps.

        Args:
            task_ids: (B,) int64, each in [0, num_tasks).
            size: (height, width) of the decoder's map.

        Returns:
            (B, C, height, width) float.
        """
        self.check_size(size)
        if self.seed is not None:
            # As published: the first class has a vector of its own and the others share one.
            task_ids = task_ids.clamp(max=len(self.weight) - 1)
        maps = self.weight[task_ids]
        # An export to any size must not take this one's branch.
        if torch.compiler.is_exporting() or maps.shape[-2:] != tuple(size):
            maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        return maps
