"""Building a class-prompted network on a recogniser that is trained already."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Mapping, Sequence
from typing import Any, cast

from seg_training.errors import UserError
from seg_training.networks.network import Network
from seg_training.networks.network_building import OF_A_TRAINING, SIZES, as_plain, build_network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters.backbones import backbone_of
from transformers_update_for_adapters.encoder import TASFormerModel
from transformers_update_for_adapters.recogniser import Recogniser, copy_into_head

__all__ = ["build_painted_network"]


def build_painted_network(
    recogniser: TASFormerForSemanticSegmentation,
    channels: Sequence[Sequence[int]],
    model: Mapping[str, Any],
    *,
    labels: Sequence[str],
    source: str,
    license: str | None = None,
    shared_backbone: bool = True,
    overlapping: bool = False,
    **options: Any,
) -> Network:
    """Build a network whose logits are the recogniser's margins, before its first step to the bit.

    Args:
        recogniser: of method ``segformer``.
        channels: per task its channels, as ``match_labels`` finds them.
        model: the config's model section; sizes are those of the recogniser.
        labels: names of the recogniser's channels.
        source: where it comes from, for the reader.
        license: of its weights, where that is known.
        shared_backbone: hold the backbone still and share it; else the class-prompted path has a
            copy of its own, which is trained.
        overlapping: the recogniser's labels may be on the same pixel.
        **options: further ones of :func:`build_network`, such as ``num_tasks``.

    Returns:
        The network, in training mode; its recogniser is held still.

    Raises:
        UserError: if settings disagree with the recogniser's sizes.
    """
    backbone = model.get("backbone")
    if backbone is not None and backbone != backbone_of(recogniser.config):
        raise UserError(
            f"model.backbone={backbone}, but the recogniser {source} is of another "
            f"({backbone_of(recogniser.config) or 'of no known name'}); leave it out"
        )
    sizes = {name: getattr(recogniser.config, name) for name in SIZES}
    for name, value in sizes.items():
        if name in model and as_plain(model[name]) != as_plain(value):
            raise UserError(
                f"model.{name}={model[name]}, but that of the recogniser {source} is {value}; "
                "leave it out"
            )
    recognition = {
        "num_labels": len(recogniser.config.id2label or ()),
        "channels": [list(own) for own in channels],
        "overlapping": overlapping,
        "shared_backbone": shared_backbone,
        "labels": list(labels),
        "source": source,
        "license": license,
    }
    if recogniser.config.rounds:  # classes that were added are compared with the first ones
        first, *later = recogniser.config.rounds
        recognition["rounds"] = [first + int(recogniser.config.other_channel), *later]
    own = {name: value for name, value in model.items() if name not in OF_A_TRAINING}
    network = build_network(**own | sizes | options, recognition=recognition)
    within = cast(Recogniser, network.model.recogniser)
    encoders: list[TASFormerModel] = [network.model.segformer]
    if within.segformer is not None:
        encoders.append(within.segformer)
    for encoder in encoders:
        encoder.stages.load_state_dict(recogniser.segformer.stages.state_dict())
    within.decode_head.load_state_dict(recogniser.decode_head.state_dict())
    copy_into_head(network.model.decode_head, recogniser.decode_head)
    return network.train()
