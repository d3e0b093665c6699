"""The files of a result, as predict.py writes them, in one archive."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from seg_training.files.cleaning_up import scratch_folder
from seg_training.files.file_names import folder_name
from seg_training.prediction.picture_prediction import (
    result_settings,
    settings_for_picture,
    write_result,
)
from seg_training.web_app.painters import Painter
from seg_training.web_app.uploaded_pictures import read_upload
from transformers_update_for_adapters import asks_for_all

__all__ = ["write_archive"]


def write_archive(
    painters: Sequence[Painter],
    picture: Path,
    asked: Sequence[str] | None,
    threshold: float,
    folder: Path,
) -> Path:
    """Write masks, probabilities, label map, overlay and list of classes at the picture's own size.

    Args:
        painters: whose results; those that know none of the classes are left out.
        picture: the file.
        asked: names or synonyms, or ``all`` alone; None for every class.
        threshold: as :meth:`Painter.thresholds` takes it.
        folder: where the archive goes.

    Returns:
        A zip file with a folder named as the picture; of several networks one in each one's folder.
    """
    pixels, frames = read_upload(picture)
    with scratch_folder(folder) as unpacked:
        for painter in painters:
            tasks = painter.understand(asked).tasks
            if not tasks:
                continue
            write_empty = asked is not None and not asks_for_all(asked, painter.network.config)
            own = unpacked
            if len(painters) > 1:
                own /= folder_name(painter.name.replace("/", "_"))
            chosen = painter.thresholds(tasks, threshold, painter.answer(picture, list(tasks)))
            settings = result_settings(
                painter.ckpt, painter.network, tasks, write_empty, chosen, painter.looks
            )
            with painter.network.kept():  # as predict.py does: the same to the last digit
                write_result(
                    own / folder_name(picture.stem),
                    Path(picture.name),
                    pixels,
                    painter.network,
                    tasks,
                    painter.looks,
                    settings_for_picture(settings, picture),
                    frames,
                )
        return Path(shutil.make_archive(str(folder / folder_name(picture.stem)), "zip", unpacked))
