"""Pictures to try a network on."""

import logging
from pathlib import Path

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.errors import UserError
from seg_training.prediction.pictures_to_paint import find_pictures, spread

__all__ = ["pictures_of_folder", "validation_pictures"]

_MOST = 4

_log = logging.getLogger(__name__)


def pictures_of_folder(folder: str) -> list[Path]:
    """Choose a few pictures of a folder.

    Args:
        folder: searched with all that is below it.

    Raises:
        UserError: if there is none.
    """
    files = list(find_pictures([folder]))
    return [files[place] for place in spread(len(files), _MOST)]


def validation_pictures(ckpt: str) -> list[Path]:
    """Choose a few validation pictures of the data that a network was trained on.

    Args:
        ckpt: a checkpoint, a run's folder or a model folder.

    Returns:
        Nothing where the data are not where they were.

    Raises:
        UserError: if the checkpoint cannot be read.
    """
    # Here alone: a page that shows other pictures needs no datasets.
    from seg_training.datasets.data_module import build_data_module

    settings = read_checkpoint(ckpt)["hyper_parameters"]
    config = settings["config"]
    try:
        data = build_data_module(config["data"], config["tasks"], 0, settings["task_names"])
        source = next(iter(data.sources().values()))
        pairing = source.dataset.pair(source.splits["validate"])
    except UserError as error:
        _log.info("no example pictures: %s", error)
        return []
    images = [source.dataset.root / files.image for files in pairing.files]
    return [images[place] for place in spread(len(images), _MOST)]
