"""Whether a recogniser was trained on images that are held out of the training beside it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.errors import UserError
from seg_training.files.user_paths import is_hub_name, user_path

__all__ = ["tell_trained_images"]

_log = logging.getLogger(__name__)


def tell_trained_images(config: Mapping[str, Any]) -> None:
    """Warn where the recogniser's training held out other images of the same data.

    Which images are held out follows from the seed and the share, and of several datasets from the
    place among them.

    Args:
        config: of a training, as plain dicts.
    """
    source = config["model"].get("recogniser")
    ours = {place: chosen for place, chosen in _held_out(config).items() if chosen.share}
    trained = _training_of(source) if source and ours else None
    if trained is None:
        return
    theirs = _held_out(trained)
    others = [
        theirs[place]
        for place, chosen in ours.items()
        if place in theirs and theirs[place] != chosen
    ]
    if not others:
        return
    _log.warning(
        "model.recogniser=%s was trained with seed=%s data.calibration_share=%s, so on images that "
        "are held out here: thresholds and presence will be too sure of themselves. The same two "
        "in both trainings, and of several datasets the same place among them, hold out the same "
        "images",
        source,
        others[0].seed,
        others[0].share,
    )


class _Chosen(NamedTuple):
    """What decides which images of a dataset are held out."""

    seed: Any
    share: Any
    position: int | None
    """Among several datasets, of which each has a seed of its own; None for one alone."""


def _held_out(config: Mapping[str, Any]) -> dict[tuple[Any, Path], _Chosen]:
    """Say how images are held out, by what the datasets are and where they lie."""
    data = config["data"]
    several = data.get("datasets")
    sections = list(several.values()) if isinstance(several, Mapping) else [data]
    chosen = {}
    for position, section in enumerate(sections):
        if root := section.get("root"):
            share = section.get("calibration_share", data.get("calibration_share", 0))
            place = section.get("dataset"), user_path(root).resolve()
            chosen[place] = _Chosen(config.get("seed"), share, position if several else None)
    return chosen


def _training_of(source: str) -> Mapping[str, Any] | None:
    """Read the config of a recogniser's training; None where it is none of ours."""
    if is_hub_name(source):
        return None
    try:
        content = read_checkpoint(find_checkpoint(user_path(source)))
    except UserError:
        return None
    config = content.get("hyper_parameters", {}).get("config")
    return config if isinstance(config, Mapping) and "data" in config else None
