"""SegFormer's decode head, fusing before upsampling.

The stock head projects each stage to D channels, resizes them to the first stage's resolution,
concatenates and fuses them with a 1x1 convolution. Bilinear resizing acts on each channel with
weights that sum to one, so linear layers commute with it: here each stage's projection is
multiplied by its slice of the fuse weight, applied at the stage's own resolution, resized and
added. The function and its gradients are the same, the parameters too; more than half of the
network's multiply-adds and the map of 4 D channels disappear.

That reads weights past their layers, and so only where these are what they were built as. Where a
library has put something else in their place, they are called in the stock order.
"""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SegformerDecodeHead
from transformers.models.segformer.modeling_segformer import SegformerMLP

from .configuration_tasformer import TASFormerConfig
from .plain_modules import DrawsItself, is_plain
from .task_maps import TaskMaps

__all__ = ["DefaultConv2d", "FusedDecodeHead", "is_pointwise"]


class DefaultConv2d(DrawsItself, nn.Conv2d):
    """A convolution that keeps PyTorch's own initialisation in a Transformers model."""


def is_pointwise(layer: nn.Module) -> bool:
    """Tell whether a layer is a plain convolution of single positions: a matrix."""
    return (
        isinstance(layer, nn.Conv2d)
        and is_plain(layer, nn.Conv2d, DefaultConv2d)
        and layer.kernel_size == layer.stride == (1, 1)
        and layer.padding == (0, 0)
        and layer.groups == 1
    )


def _is_linear(layer: Any) -> bool:
    return is_plain(layer, nn.Linear) and layer.bias is not None


class FusedDecodeHead(SegformerDecodeHead):
    """The stock head's parameters and function, computed at each stage's own resolution.

    Where there are task maps, the fuse layer also reads them, as its first channels.
    """

    def __init__(self, config: TASFormerConfig, task_maps: TaskMaps | None = None) -> None:
        """Build the stock head, with a wider fuse layer where there are task maps.

        Args:
            config: the model's configuration.
            task_maps: what maps it will be given, if any.
        """
        super().__init__(config)
        self.num_map_channels = 0 if task_maps is None else task_maps.weight.shape[1]
        if self.num_map_channels:
            # The published emb and vsa_emb add these two layers beside Transformers' classes.
            width = config.decoder_hidden_size
            in_channels = self.num_map_channels + self.linear_fuse.in_channels
            self.linear_fuse = DefaultConv2d(in_channels, width, kernel_size=1, bias=False)
            self.classifier = DefaultConv2d(width, 1, kernel_size=1)
        channels = config.method_class.head_channels(config)
        # Of rounds that came later, apart: another number of channels may round otherwise.
        rounds = config.rounds or [config.num_tasks]
        later = rounds[1:] if channels >= config.num_tasks else []
        first = channels - sum(later)
        if first != config.num_labels:
            self.classifier = nn.Conv2d(config.decoder_hidden_size, first, kernel_size=1)
        self.later_classifiers = nn.ModuleList(
            nn.Conv2d(config.decoder_hidden_size, own, kernel_size=1) for own in later
        )
        self.channels_of_rounds = [first, *later]  # not asked of layers, which others may wrap

    def fuse(self, stages: Sequence[Tensor]) -> Tensor:
        """Project, fuse and add the encoder's maps; only for a head that ``may_fuse``.

        Args:
            stages: per stage (B, C_i, h_i, w_i) float, the finest first.

        Returns:
            (B, D, h_0, w_0) float, before the normalisation.
        """
        _, *slices = self.fuse_slices()
        linears = [cast(nn.Linear, linear.proj) for linear in self.linear_projections]
        # The fuse layer reads the coarsest stage first.
        fused, *coarser = [
            F.conv2d(stage, (fuse @ linear.weight)[:, :, None, None], fuse @ linear.bias)
            for stage, linear, fuse in zip(stages, linears, reversed(slices), strict=True)
        ]
        for update in coarser:
            fused = fused + F.interpolate(
                update, size=fused.shape[-2:], mode="bilinear", align_corners=False
            )
        return fused

    def fuse_task_maps(self, task_maps: Tensor) -> Tensor:
        """Apply the fuse layer's first channels to task maps.

        Args:
            task_maps: (B, C, h_0, w_0) float.

        Returns:
            (B, D, h_0, w_0) float, to be added to what ``fuse`` gives.
        """
        weight, *_ = self.fuse_slices()
        return F.conv2d(task_maps, weight[:, :, None, None])

    def classify(self, fused: Tensor) -> Tensor:
        """Normalise and classify.

        Args:
            fused: (B, D, h, w) float.

        Returns:
            (B, num_labels, h, w) float logits.
        """
        return self.classify_features(self.features(fused))

    def classify_features(self, hidden_states: Tensor) -> Tensor:
        """Apply the last layer, of each round of classes.

        Args:
            hidden_states: (B, D, h, w) float, from :meth:`features`.

        Returns:
            (B, num_labels, h, w) float logits.
        """
        logits = [each(hidden_states) for each in (self.classifier, *self.later_classifiers)]
        return torch.cat(logits, dim=1) if len(logits) > 1 else cast(Tensor, logits[0])

    def features(self, fused: Tensor) -> Tensor:
        """Give what is classified: of each position, what the last layer is linear in.

        Args:
            fused: (B, D, h, w) float.

        Returns:
            (B, D, h, w) float.
        """
        return cast(Tensor, self.dropout(self.activation(self.batch_norm(fused))))

    def fused(self, stages: Sequence[Tensor]) -> Tensor:
        """Fuse the encoder's maps, past the layers where these are plain; without task maps.

        Args:
            stages: per stage (B, C_i, h_i, w_i) float, the finest first.

        Returns:
            (B, D, h_0, w_0) float, before the normalisation.
        """
        return self.fuse(stages) if self.may_fuse() else self._fuse_by_layers(stages, None)

    def forward(  # type: ignore[override]  # the stock annotation is wrong: it iterates
        self, stages: Sequence[Tensor], task_maps: Tensor | None = None
    ) -> Tensor:
        """Turn the encoder's maps into logits.

        Args:
            stages: per stage (B, C_i, h_i, w_i) float, the finest first.
            task_maps: (B, C, h_0, w_0) float, where the head was built for such.

        Returns:
            (B, num_labels, h_0, w_0) float logits.
        """
        if not self.may_fuse():
            return self.classify(self._fuse_by_layers(stages, task_maps))
        fused = self.fuse(stages)
        if task_maps is not None:
            fused = fused + self.fuse_task_maps(task_maps)
        return self.classify(fused)

    def may_fuse(self) -> bool:
        """Tell whether projections and fuse layer are layers whose weights say what they do."""
        fuse = self.linear_fuse
        return (
            is_pointwise(fuse)
            and fuse.bias is None
            and all(
                is_plain(linear, SegformerMLP) and _is_linear(linear.proj)
                for linear in self.linear_projections
            )
        )

    def _fuse_by_layers(self, stages: Sequence[Tensor], task_maps: Tensor | None) -> Tensor:
        """Call the layers, as the stock head does: (B, D, h_0, w_0), before the normalisation."""
        size = stages[0].shape[-2:]
        maps = [
            F.interpolate(
                linear(stage).mT.unflatten(-1, stage.shape[-2:]),
                size=size,
                mode="bilinear",
                align_corners=False,
            )
            for stage, linear in zip(stages, self.linear_projections, strict=True)
        ]
        first = [] if task_maps is None else [task_maps]
        fused: Tensor = self.linear_fuse(torch.cat(first + maps[::-1], dim=1))
        return fused

    def fuse_slices(self) -> list[Tensor]:
        """Split the fuse weight by what it reads.

        Returns:
            (D, C) for the task map, then (D, D) per stage, the coarsest first.
        """
        weight = self.linear_fuse.weight.flatten(1)
        width = self.config.decoder_hidden_size
        return list(
            weight.split([self.num_map_channels] + [width] * len(self.linear_projections), 1)
        )
