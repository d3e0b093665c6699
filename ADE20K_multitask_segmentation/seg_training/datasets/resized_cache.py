"""Resized images and label maps, kept on disk: decoding is most of what a training item costs.

One file per split and crop size, made as a whole before the training starts: a record per image,
read by mapping the file into memory, which the processes of the loaders then share.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from seg_training.datasets.image_and_labels import read_resized_pair
from seg_training.datasets.presence_index import (
    PresenceIndex,
    cache_name,
    default_cache_dir,
    usable_cores,
)
from seg_training.datasets.segmentation_dataset import SegmentationDataset

__all__ = ["ResizedCache", "resized_cache"]

_log = logging.getLogger(__name__)

_VERSION = "2"  # part of a file's name: raise it when the content changes its meaning
_SUFFIX = ".records"
_UNFINISHED = ".unfinished"
_ABANDONED_SECONDS = 24 * 3600
_AT_ONCE = 64  # images that are resized before they are written


class ResizedCache:
    """Images and label maps at crop size, from one file. Pickled, it is the file's name alone."""

    def __init__(self, file: Path, record: np.dtype[Any]) -> None:
        """Open a finished file.

        Args:
            file: it; its length says how many records it has.
            record: the type of a record: ``image`` and ``label_map``.
        """
        self._file = file
        self._record = record
        self._records = np.memmap(file, record, mode="r")

    def __len__(self) -> int:
        """The first so many images of the split are there."""
        return len(self._records)

    def __getitem__(self, image: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Give (H, W, 3) uint8 RGB and the (H, W) label map's own values; both are read-only."""
        record = self._records[image]
        return record["image"], record["label_map"]

    def __reduce__(self) -> "tuple[type[ResizedCache], tuple[Path, np.dtype[Any]]]":
        """A copy, in a process of a loader say, maps the file anew."""
        return type(self), (self._file, self._record)


def resized_cache(
    dataset: SegmentationDataset,
    index: PresenceIndex,
    split: str,
    crop_size: tuple[int, int],
    most_bytes: int,
    cache_dir: Path | None = None,
    progress: bool = True,
) -> ResizedCache | None:
    """Open a split's cache; it is made where it is missing, too short, or older than the files.

    Several processes may do so at once: each writes a file of its own, and the last one stays.

    Args:
        dataset: whose images to keep.
        index: of the split.
        split: its name.
        crop_size: (H, W).
        most_bytes: that may be taken of the disk; images beyond are left out.
        cache_dir: where caches are kept; the user's cache folder by default.
        progress: show a progress bar while it is made.

    Returns:
        The cache, or None where not one image fits or the disk refuses it.

    Raises:
        UserError: if an image or a label map cannot be read; names it.
    """
    height, width = crop_size
    label_type = np.uint16 if index.values.max(initial=0) > np.iinfo(np.uint8).max else np.uint8
    record = np.dtype(
        [("image", np.uint8, (height, width, 3)), ("label_map", label_type, (height, width))]
    )
    number = min(len(index), most_bytes // record.itemsize)
    if number < len(index):
        _log.warning(
            "data.resized_cache_gib has room for %d of %d images; all of them need %.3g GiB",
            *(number, len(index), len(index) * record.itemsize / 2**30),
        )
    if number == 0:
        return None
    state = hashlib.sha256(f"{_VERSION}|{index.fingerprint}|{record}".encode()).hexdigest()[:12]
    folder = (cache_dir or default_cache_dir()) / "resized"
    stem = f"{cache_name(dataset, split)}-{height}x{width}"
    file = folder / f"{stem}-{state}{_SUFFIX}"
    if not file.exists() or file.stat().st_size < number * record.itemsize:
        try:
            _make(file, record, dataset, index, number, progress)
        except OSError as error:  # a full or read-only disk costs time, not the run
            _log.warning("could not keep resized images in %s: %s", folder, error)
            return None
        for other in folder.glob(f"{stem}-*{_SUFFIX}"):
            if other != file:  # of files that have changed since
                other.unlink(missing_ok=True)
        _log.info(
            "kept %d resized images: %s (%.3g GiB)", number, file, file.stat().st_size / 2**30
        )
    return ResizedCache(file, record)


def _make(
    file: Path,
    record: np.dtype[Any],
    dataset: SegmentationDataset,
    index: PresenceIndex,
    number: int,
    progress: bool,
) -> None:
    """Write beside the target and rename, so that no half-written cache is ever read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(file.parent)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=_UNFINISHED, delete=False) as written:
        try:
            for one in _records(record, dataset, index, number, progress):
                written.write(one)
            written.flush()
            os.fsync(written.fileno())
            Path(written.name).replace(file)
        finally:
            Path(written.name).unlink(missing_ok=True)


def _records(
    record: np.dtype[Any],
    dataset: SegmentationDataset,
    index: PresenceIndex,
    number: int,
    progress: bool,
) -> Iterator[bytes]:
    """Resize images on all cores. Threads are enough: decoding releases the interpreter."""
    height, width = record["image"].shape[:2]

    def make(image: int) -> bytes:
        one = np.zeros((), record)
        pair = read_resized_pair(dataset, index, image, (height, width))
        one["image"], one["label_map"] = pair
        return one.tobytes()

    with (
        Progress(transient=True, disable=not progress) as bar,
        ThreadPoolExecutor(usable_cores()) as threads,
    ):
        task = bar.add_task(f"Resizing to {height}x{width}", total=number)
        for first in range(0, number, _AT_ONCE):
            for one in threads.map(make, range(first, min(first + _AT_ONCE, number))):
                yield one
                bar.advance(task)


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed have left: it may be large."""
    for unfinished in folder.glob(f"*{_UNFINISHED}"):
        with suppress(OSError):  # another process removes it, too
            if time.time() - unfinished.stat().st_mtime > _ABANDONED_SECONDS:
                unfinished.unlink()
