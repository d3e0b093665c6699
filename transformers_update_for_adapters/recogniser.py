"""The recogniser: a plain SegFormer, trained before and then held still, that says what there is.

The class-prompted path adds to it what it knows of the class that is asked for.
"""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Sequence
from inspect import get_annotations
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import SegformerConfig

from .configuration_tasformer import TASFormerConfig
from .encoder import TASFormerModel
from .fused_head import FusedDecodeHead
from .task_channels import TaskChannels

__all__ = ["Recogniser", "channels_of_tasks", "copy_into_head", "recogniser_config"]


def recogniser_config(config: TASFormerConfig) -> TASFormerConfig:
    """Describe the plain SegFormer within a network.

    Args:
        config: of the whole network, with a ``recognition``.

    Returns:
        Of the same sizes, with a channel for each of the recogniser's labels.
    """
    fields = (*get_annotations(SegformerConfig), "fan_out_convolutions", "fan_in_linears")
    sizes = {name: getattr(config, name) for name in fields if not name.startswith("_")}
    recognition = cast(dict[str, Any], config.recognition)
    own = TASFormerConfig(
        **sizes,
        method="segformer",
        num_tasks=recognition["num_labels"],
        other_channel=False,
        rounds=recognition.get("rounds"),
    )
    own._attn_implementation = config._attn_implementation
    return own


def channels_of_tasks(config: TASFormerConfig) -> TaskChannels | None:
    """Say which channels are which task; None where nothing labels every pixel.

    Args:
        config: of a network: of ``segformer``, or with a recogniser.
    """
    if not config.method_class.prompted:
        first = int(config.other_channel)
        own = [[first + task] for task in range(config.num_tasks)]
        num_first = first + config.rounds[0] if config.rounds else None
        return TaskChannels(own, first + config.num_tasks, config.overlapping, num_first=num_first)
    if config.recognition is None:
        return None
    recognition = config.recognition
    rounds = recognition.get("rounds")
    return TaskChannels(
        recognition["channels"],
        recognition["num_labels"],
        recognition["overlapping"],
        recognition.get("stand_ins"),
        rounds[0] if rounds else None,
    )


@torch.no_grad()
def copy_into_head(head: FusedDecodeHead, source: FusedDecodeHead) -> None:
    """Let a class-prompted head begin as a recogniser's that paints nothing: its logits are 0.

    Args:
        head: changed: of one channel; its channels for task maps stay as they are.
        source: of the same width; its statistics are copied, too.
    """
    fuse, own_maps = head.linear_fuse.weight, head.num_map_channels
    weights = {
        name: tensor
        for name, tensor in source.state_dict().items()
        if not name.startswith(("classifier.", "later_classifiers.", "linear_fuse."))
    }
    head.load_state_dict(weights, strict=False)
    fuse[:, own_maps:].copy_(source.linear_fuse.weight)
    head.classifier.weight.zero_()
    cast(Tensor, head.classifier.bias).zero_()


class Recogniser(nn.Module):
    """Says of every pixel which label it has: held still, whatever is done to what it is in.

    Attributes:
        segformer: its own encoder; None where it reads the features of the network's.
        decode_head: its head.
    """

    def __init__(self, config: TASFormerConfig) -> None:
        """Build it.

        Args:
            config: of the whole network.
        """
        super().__init__()
        own = recogniser_config(config)
        recognition = cast(dict[str, Any], config.recognition)
        self.segformer = None if recognition["shared_backbone"] else TASFormerModel(own)
        self.decode_head = FusedDecodeHead(own)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: no dropout, and batch normalisation keeps its statistics."""
        return super().train(False)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Label every pixel.

        Args:
            stages: the encoder's maps, per stage (B, D, h, w) float, the finest first.

        Returns:
            (B, C, h, w) float logits.
        """
        logits: Tensor = self.decode_head(stages)
        return logits
