"""The files of a result, as predict.py writes them, in one archive."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from seg_training.files.cleaning_up import scratch_folder
from seg_training.files.file_names import folder_name
from seg_training.prediction.picture_prediction import (
    chosen_thresholds,
    result_settings,
    settings_for_picture,
    write_result,
)
from seg_training.web_app.painters import Painter
from seg_training.web_app.uploaded_pictures import read_upload
from transformers_update_for_adapters.class_thresholds import USUAL

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
            tasks, _, every = painter.understand(asked)
            if not tasks:
                continue
            only_present = every and painter.network.tells_presence
            own = unpacked
            if len(painters) > 1:
                own /= folder_name(painter.name.replace("/", "_"))
            if threshold == USUAL:  # to the last digit what predict.py paints
                chosen = chosen_thresholds(painter.network, tasks)
            else:
                answer = painter.answer(picture, list(tasks), only_present=every)
                chosen = painter.thresholds(tasks, threshold, answer)
            settings = result_settings(
                painter.ckpt,
                painter.network,
                tasks,
                write_empty=not every,
                threshold=chosen,
                looks=painter.looks,
                only_present=only_present,
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
