"""The files of a result, as predict.py writes them, in one archive."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from seg_training.datasets.images import read_image
from seg_training.prediction.probabilities import class_probabilities
from seg_training.prediction.writing import PictureResult
from seg_training.web.painters import Painter
from transformers_update_for_adapters import ALL

__all__ = ["write_archive"]


def write_archive(
    painters: Sequence[Painter],
    picture: Path,
    asked: Sequence[str],
    threshold: float,
    folder: Path,
) -> Path:
    """Write masks, probabilities, label map, overlay and list of classes at the picture's own size.

    Args:
        painters: whose results; those that know none of the classes are left out.
        picture: the file.
        asked: names or synonyms, or ``all`` alone.
        threshold: probabilities from it on are the class.
        folder: where the archive goes.

    Returns:
        A zip file with a folder named as the picture; of several networks one in each one's folder.
    """
    pixels = read_image(picture)
    write_empty = list(asked) != [ALL]
    with TemporaryDirectory(dir=folder) as unpacked:
        for painter in painters:
            tasks = painter.understand(asked).tasks
            if not tasks:
                continue
            settings = {
                "ckpt": str(painter.ckpt.absolute()),
                "classes": list(tasks.values()),
                "only_found": not write_empty,
                "threshold": threshold,
                "flip": painter.looks.flip,
                "scales": list(painter.looks.scales),
                "window": painter.looks.window,
            }
            own = Path(unpacked)
            if len(painters) > 1:
                own /= painter.name.replace("/", "_")
            target, source = own / picture.stem, Path(picture.name)
            # Class by class: all of a large picture could be too much for the memory.
            with PictureResult(target, source, pixels, threshold, settings) as result:
                for task_id, probability in class_probabilities(
                    painter.network, pixels, list(tasks), painter.looks
                ):
                    result.add(task_id, tasks[task_id], probability.cpu().numpy(), write_empty)
                result.finish(painter.network.num_tasks)
        return Path(shutil.make_archive(str(folder / picture.stem), "zip", unpacked))
