"""How a recogniser is trained on classes that may overlap: a channel each, on masks."""

from collections.abc import Mapping
from typing import Any

from seg_training.datasets.data_module import build_dataset
from seg_training.errors import UserError

__all__ = ["MASKS_PER_IMAGE", "trained_on_masks"]

MASKS_PER_IMAGE = 8
"""Of each image: those of classes that are there, and, where they are fewer, of absent ones."""


def trained_on_masks(config: Mapping[str, Any]) -> dict[str, Any]:
    """Let a plain SegFormer learn masks where classes of the data may overlap.

    A step shows as many images as with label maps, each with several masks.

    Args:
        config: of its training on whole label maps, as plain dicts.

    Returns:
        The same config where all data have label maps.
    """
    data = config["data"]
    sections = data.get("datasets") or {"": data}
    if not any(map(_overlap, sections.values())):
        return dict(config)
    on_masks = {**_more_masks(data), "prompts_per_image": MASKS_PER_IMAGE}
    if "datasets" in data:
        on_masks["datasets"] = {name: _more_masks(own) for name, own in data["datasets"].items()}
    model = {**config["model"], "other_channel": False, "overlapping": True}
    return {**config, "model": model, "data": on_masks}


def _overlap(section: Mapping[str, Any]) -> bool:
    try:
        return build_dataset(section).classes_overlap
    except UserError:  # said where the data are built, with the dataset's name
        return False


def _more_masks(section: Mapping[str, Any]) -> dict[str, Any]:
    own = {"batch_size": section["batch_size"] * MASKS_PER_IMAGE} if "batch_size" in section else {}
    return {**section, **own}
