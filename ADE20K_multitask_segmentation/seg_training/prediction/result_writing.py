"""The files that one picture's result consists of."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from torch.nn import functional as F

from seg_training.errors import UserError
from seg_training.files.atomic_writes import unfinished_folder
from seg_training.files.file_names import file_name
from seg_training.files.text_files import finite, write_text
from seg_training.pictures.channel_order import channels_first, channels_last
from seg_training.prediction.existing_results import (
    KINDS,
    LABEL_MAP,
    OVERLAY,
    PARTS,
    RESULT,
    containing_result,
    files_of_result,
)
from seg_training.prediction.joint_label_map import JointLabelMap
from seg_training.prediction.picture_sources import Picture
from seg_training.results.overlays import distinct_colours, legend_picture, tinted

__all__ = ["PictureResult", "check_place", "outline"]

_SHOWN_WIDTH = 1200  # at which the names of a larger overlay can be read
_MOST_NAME_BYTES = 200  # of a class in a file's name
_MOST_IN_LEGEND = 80
_WHITE = (255, 255, 255)
_LEAST_WIDTH = 240  # of an overlay, so that names in its legend can be read


class PictureResult:
    """Writes one picture's result, class by class; it is in its place only once it is whole."""

    def __init__(
        self,
        folder: Path,
        file: Picture,
        picture: NDArray[np.uint8],
        threshold: float | str | Mapping[str, float],
        settings: Mapping[str, Any],
        frames: int = 1,
        presence: Sequence[float | None] | None = None,
        unknown: Sequence[int] = (),
    ) -> None:
        """Start.

        Args:
            folder: of the result.
            file: where the picture is.
            picture: (H, W, 3) uint8 RGB.
            threshold: probabilities from it on are the class; of all classes, or by their names; or
                the name of a rule, which says it of each class as that is added.
            settings: what the result depends on besides, to be kept with it.
            frames: of the file, of which the first is painted.
            presence: per class of the network how likely it is there, None where that is not known;
                None where the network does not tell.
            unknown: classes that the label map has where no other is.
        """
        self._settings = dict(settings)
        self._folder = folder
        self._file = file
        self._picture = picture
        self._frames = frames
        height, width = picture.shape[:2]
        self._label_map = JointLabelMap((height, width))
        self._threshold = threshold
        self._presence = presence
        self._unknown = unknown
        self._classes: list[dict[str, Any]] = []
        self._left_out: list[dict[str, Any]] = []
        self._names: dict[int, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "PictureResult":
        """Start in a folder beside the result's."""
        check_place(self._folder)
        self._unfinished = self._stack.enter_context(unfinished_folder(self._folder))
        return self

    def __exit__(self, *_error: object) -> None:
        """Leave nothing of an unfinished result."""
        self._stack.close()

    def add(
        self,
        task_id: int,
        name: str,
        probability: NDArray[np.float32],
        write_empty: bool,
        scores: Mapping[str, float] | None = None,
        least: float | None = None,
        words: Callable[[NDArray[np.bool_]], Mapping[str, Any]] | None = None,
    ) -> None:
        """Write one class's mask and probabilities.

        Args:
            task_id: of the network.
            name: the task's.
            probability: (H, W) float32 in [0, 1].
            write_empty: write files of an empty mask, too.
            scores: of the class in the picture, by :data:`SCORES`' names.
            least: probabilities from it on are the class, where a rule says it.
            words: what is said of its name, from its mask, (H, W) bool.
        """
        threshold = self._threshold
        if isinstance(threshold, float):
            least = threshold
        elif not isinstance(threshold, str):
            least = threshold[name]
        assert least is not None
        competes = task_id not in self._unknown
        mask = self._label_map.add(task_id, probability, least, competes)
        found = bool(mask.any())
        if found:
            self._names[task_id + 1] = name
        files = {}
        if found or write_empty:
            stem = f"{task_id:03d}_{file_name(name, _MOST_NAME_BYTES)}"
            files = {kind: f"{stem}_{kind}.png" for kind in KINDS}
            Image.fromarray(mask.astype(np.uint8) * 255).save(self._unfinished / files["mask"])
            sixteen_bit = (probability * np.iinfo(np.uint16).max).round().astype(np.uint16)
            Image.fromarray(sixteen_bit).save(self._unfinished / files["probability"])
        self._classes.append(
            {
                "class": name,
                "task_id": task_id,
                **({} if isinstance(threshold, float) else {"threshold": least}),
                **self._presence_of(task_id),
                "share_percent": round(100 * float(mask.mean()), 4),
                "confidence": round(float(probability[mask].mean()), 4) if found else None,
                **outline(mask),
                **({"scores": finite(dict(scores))} if scores else {}),
                **(words(mask) if words else {}),
                **files,
            }
        )

    def leave_out(self, task_id: int, name: str) -> None:
        """List a class as not found because it is probably not there; it was not asked.

        Args:
            task_id: of the network.
            name: the task's.
        """
        self._left_out.append({"class": name, "task_id": task_id, **self._presence_of(task_id)})

    def _presence_of(self, task_id: int) -> dict[str, float | None]:
        if self._presence is None:
            return {}
        score = self._presence[task_id]
        return {"presence": None if score is None else round(score, 4)}

    def finish(self, num_tasks: int) -> None:
        """Write the label map, the overlay and the list of classes, and put it into its place.

        Args:
            num_tasks: K of the network, for colours that are the same in every picture. Of more
                than 255 the label map is grey of 16 bit: a PNG's palette has no more colours.

        Raises:
            UserError: if there are more than 65535, or if something else is in the place.
            OSError: if it cannot be written.
        """
        if num_tasks > np.iinfo(np.uint16).max:
            raise UserError(f"a label map of {num_tasks} classes: a PNG holds at most 65535")
        colours = distinct_colours(num_tasks)
        labels = self._label_map.labels
        if num_tasks > np.iinfo(np.uint8).max:
            label_map = Image.fromarray(labels.astype(np.uint16))
        else:
            label_map = Image.fromarray(labels, mode="P")
            label_map.putpalette([0, 0, 0, *(part for colour in colours for part in colour)])
        label_map.save(self._unfinished / LABEL_MAP)
        shown = {label: colours[label - 1] for label in self._names}
        painted = tinted(self._picture, labels, shown)
        overlay = channels_first(painted)
        if named := self._most_seen():
            legend = [(self._names[label], colours[label - 1]) for label in named]
            numbers = list(named)
            if more := len(self._names) - len(named):
                legend.append((f"and {more} more: {RESULT}", _WHITE))
                numbers.append(0)
            missing = max(0, _LEAST_WIDTH - overlay.shape[2])
            overlay = F.pad(overlay, (0, missing), value=255)
            scale = max(1, overlay.shape[2] / _SHOWN_WIDTH)
            names = legend_picture(legend, overlay.shape[2], scale, numbers=numbers)
            overlay = torch.cat([overlay, names], dim=1)
        Image.fromarray(channels_last(overlay)).save(self._unfinished / OVERLAY)
        height, width = self._picture.shape[:2]
        content = json.dumps(
            {
                "image": str(self._file),
                "width": width,
                "height": height,
                "frames": self._frames,
                "threshold": self._threshold if isinstance(self._threshold, float) else None,
                "settings": self._settings,
                "label_map": {"0": None, **{str(k): v for k, v in self._names.items()}},
                "classes": self._classes,
                **({"not_found": self._left_out} if self._left_out else {}),
            },
            ensure_ascii=False,
        )
        write_text(content, self._unfinished / RESULT)
        if self._folder.exists() and any(self._folder.iterdir()):
            self._replace()
        else:
            self._unfinished.rename(self._folder)

    def _most_seen(self) -> list[int]:
        """Choose the labels that a legend has room for: of many those of the most pixels."""
        if len(self._names) <= _MOST_IN_LEGEND:
            return list(self._names)
        pixels = np.bincount(self._label_map.labels.ravel(), minlength=max(self._names) + 1)
        ranked = sorted(self._names, key=lambda label: -pixels[label])[:_MOST_IN_LEGEND]
        return [label for label in self._names if label in set(ranked)]

    def _replace(self) -> None:
        """Take the place of an older result, file by file: what else lies there is not ours.

        Its list is replaced first, and by the new one last: in between it is no whole result.
        """
        old = files_of_result(self._folder) or frozenset()
        new = {file.name for file in self._unfinished.iterdir()}
        for name in sorted(new - old):
            if (self._folder / name).exists():
                raise UserError(f"{name} in it is no file of the result that was there; move it")
        write_text(json.dumps({PARTS: sorted(old | new)}), self._folder / RESULT)
        for name in new - {RESULT}:
            (self._unfinished / name).replace(self._folder / name)
        for name in old - new:
            (self._folder / name).unlink(missing_ok=True)
        (self._unfinished / RESULT).replace(self._folder / RESULT)


def check_place(folder: Path) -> None:
    """Refuse a place for a result where something else is, or of which it would become a part.

    Raises:
        UserError: if something is there that is no result of ours, or if the folder lies in one.
    """
    cure = "choose another --output"
    if (above := containing_result(folder)) is not None:
        raise UserError(f"it lies in the result of another picture, {above}; {cure}")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"it is a file; {cure}")
    if folder.is_dir() and any(folder.iterdir()) and files_of_result(folder) is None:
        raise UserError(
            f"something else is there, which is left as it is: no {RESULT} of predict.py; {cure}"
        )


def outline(mask: NDArray[np.bool_]) -> Mapping[str, Any]:
    """Give box, outlines and run lengths of a mask, as COCO writes them.

    Args:
        mask: (H, W) bool.

    Returns:
        ``box``: left, top, width and height in pixels, or None for an empty mask; ``polygons``:
        per part x and y in turn, through the middles of its outermost pixels, holes filled, none
        for parts of fewer than three corners; ``rle``: the exact mask.
    """
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    rle = {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}
    if not mask.any():
        return {"box": None, "polygons": [], "rle": rle}
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    return {
        "box": [
            int(columns[0]),
            int(rows[0]),
            int(columns[-1] - columns[0]) + 1,
            int(rows[-1] - rows[0]) + 1,
        ],
        "polygons": [contour.ravel().tolist() for contour in contours if len(contour) >= 3],
        "rle": rle,
    }
