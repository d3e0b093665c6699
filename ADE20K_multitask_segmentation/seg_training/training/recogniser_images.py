"""Whether a recogniser was trained on images that are held out of the training beside it."""

import logging
from collections.abc import Mapping
from typing import Any

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.errors import UserError
from seg_training.files.user_paths import is_hub_name, user_path

__all__ = ["tell_trained_images"]

_log = logging.getLogger(__name__)


def tell_trained_images(config: Mapping[str, Any]) -> None:
    """Warn where the recogniser's training held out other images of the same data.

    Which images are held out follows from the seed and the share.

    Args:
        config: of a training, as plain dicts.
    """
    source, share = config["model"].get("recogniser"), config["data"].get("calibration_share")
    trained = _training_of(source) if source and share else None
    if trained is None or not _are_the_same(config["data"], trained["data"]):
        return
    theirs = (trained.get("seed"), trained["data"].get("calibration_share", 0))
    if theirs == (config["seed"], share):
        return
    _log.warning(
        "model.recogniser=%s was trained with seed=%s data.calibration_share=%s, so on images that "
        "are held out here: thresholds and presence will be too sure of themselves. The same two "
        "in both trainings hold out the same images",
        source,
        *theirs,
    )


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


def _are_the_same(data: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if data.get("dataset") != other.get("dataset") or not (data.get("root") and other.get("root")):
        return False
    return user_path(data["root"]).resolve() == user_path(other["root"]).resolve()
