"""The files that one picture's result consists of."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from torch.nn import functional as F

from seg_training.drawing import distinct_colours, legend_picture, tinted
from seg_training.file_names import file_name
from seg_training.prediction.label_map import LabelMap
from seg_training.prediction.result_files import KINDS, LABEL_MAP, OVERLAY, RESULT, UNFINISHED
from seg_training.report import write_text

__all__ = ["PictureResult", "outline"]

_SHOWN_WIDTH = 1200  # at which the names of a larger overlay can be read
_MOST_NAME_BYTES = 200  # of a class in a file's name
_LEAST_WIDTH = 240  # of an overlay, so that names in its legend can be read


class PictureResult:
    """Writes one picture's result, class by class; it is in its place only once it is whole."""

    def __init__(
        self,
        folder: Path,
        source: Path,
        picture: NDArray[np.uint8],
        threshold: float,
        settings: Mapping[str, Any],
    ) -> None:
        """Start.

        Args:
            folder: of the result.
            source: the picture's file.
            picture: (H, W, 3) uint8 RGB.
            threshold: probabilities from it on are the class.
            settings: what the result depends on besides, to be kept with it.
        """
        self._settings = dict(settings)
        self._folder = folder
        self._unfinished = folder.with_name(folder.name + UNFINISHED)
        self._source = source
        self._picture = picture
        height, width = picture.shape[:2]
        self._label_map = LabelMap((height, width), threshold)
        self._classes: list[dict[str, Any]] = []
        self._names: dict[int, str] = {}

    def __enter__(self) -> "PictureResult":
        """Start in a folder beside the result's."""
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(parents=True)
        return self

    def __exit__(self, *_error: object) -> None:
        """Leave nothing of an unfinished result."""
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def add(
        self, task_id: int, name: str, probability: NDArray[np.float32], write_empty: bool
    ) -> None:
        """Write one class's mask and probabilities.

        Args:
            task_id: of the network.
            name: the task's.
            probability: (H, W) float32 in [0, 1].
            write_empty: write files of an empty mask, too.
        """
        mask = self._label_map.add(task_id, probability)
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
                "share_percent": round(100 * float(mask.mean()), 4),
                "confidence": round(float(probability[mask].mean()), 4) if found else None,
                **outline(mask),
                **files,
            }
        )

    def finish(self, num_tasks: int) -> None:
        """Write the label map, the overlay and the list of classes, and put it into its place.

        Args:
            num_tasks: K of the network, for colours that are the same in every picture.
        """
        colours = distinct_colours(num_tasks)
        labels = self._label_map.labels
        label_map = Image.fromarray(labels, mode="P")
        label_map.putpalette([0, 0, 0, *(part for colour in colours for part in colour)])
        label_map.save(self._unfinished / LABEL_MAP)
        shown = {label: colours[label - 1] for label in self._names}
        painted = tinted(self._picture, labels, shown)
        legend = [(name, colours[label - 1]) for label, name in self._names.items()]
        overlay = torch.from_numpy(painted).permute(2, 0, 1)
        if legend:
            missing = max(0, _LEAST_WIDTH - overlay.shape[2])
            overlay = F.pad(overlay, (0, missing), value=255)
            scale = max(1, overlay.shape[2] / _SHOWN_WIDTH)
            names = legend_picture(legend, overlay.shape[2], scale, numbers=list(self._names))
            overlay = torch.cat([overlay, names], dim=1)
        Image.fromarray(overlay.permute(1, 2, 0).numpy()).save(self._unfinished / OVERLAY)
        height, width = self._picture.shape[:2]
        content = json.dumps(
            {
                "image": str(self._source),
                "width": width,
                "height": height,
                "threshold": self._label_map.threshold,
                "settings": self._settings,
                "label_map": {"0": None, **{str(k): v for k, v in self._names.items()}},
                "classes": self._classes,
            },
            ensure_ascii=False,
        )
        write_text(content, self._unfinished / RESULT)
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._unfinished.rename(self._folder)


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
