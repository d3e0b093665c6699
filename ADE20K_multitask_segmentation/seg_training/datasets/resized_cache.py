"""Resized images and annotations, kept on disk: decoding is most of what a training item costs.

One file per split and crop size, made as a whole before the training starts: a record per image,
read by mapping the file into memory, which the processes of the loaders then share.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from seg_training.commands.one_at_a_time import one_at_a_time
from seg_training.datasets.annotations import IGNORE, Annotation, LabelMap, MaskSet
from seg_training.datasets.image_and_labels import read_resized_pair
from seg_training.datasets.presence_index import (
    PresenceIndex,
    cache_name,
    default_cache_dir,
    usable_cores,
)
from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.files.atomic_writes import remove_abandoned, unfinished_folder

__all__ = ["ResizedCache", "resized_cache"]

_log = logging.getLogger(__name__)

_VERSION = "3"  # part of a file's name: raise it when the content changes its meaning
_SUFFIX = ".records"
_AT_ONCE = 64  # images that are resized before they are written

_Bytes = NDArray[np.uint8]


class _Records:
    """How images with label maps lie in a file, one after the other."""

    def __init__(self, index: PresenceIndex, crop_size: tuple[int, int]) -> None:
        self._index = index
        self._size = crop_size
        self._num_pixels = crop_size[0] * crop_size[1]

    def __str__(self) -> str:
        return f"{self._label_type}"

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """(N,) byte after the last one of each record."""
        return np.cumsum(3 * self._num_pixels + self._annotation_sizes)

    @cached_property
    def _label_type(self) -> np.dtype[np.unsignedinteger]:
        return np.min_scalar_type(int(self._index.values.max(initial=0)))

    @property
    def _annotation_sizes(self) -> NDArray[np.int64]:
        each = self._num_pixels * self._label_type.itemsize
        return np.full(len(self._index), each, np.int64)

    def packed(self, image: int, pixels: NDArray[np.uint8], annotation: Annotation) -> bytes:
        """Make a record."""
        return pixels.tobytes() + self._packed(image, annotation)

    def unpacked(self, image: int, file: _Bytes) -> tuple[NDArray[np.uint8], Annotation]:
        """Read a record."""
        record = file[self.ends[image - 1] if image else 0 : self.ends[image]]
        pixels, labels = record[: 3 * self._num_pixels], record[3 * self._num_pixels :]
        return pixels.reshape(*self._size, 3), self._unpacked(image, labels)

    def _packed(self, image: int, annotation: Annotation) -> bytes:
        return annotation.values.astype(self._label_type).tobytes()

    def _unpacked(self, image: int, labels: _Bytes) -> Annotation:
        return LabelMap(labels.view(self._label_type).reshape(self._size))


class _MaskRecords(_Records):
    """Of sets of masks: a bit per pixel for what is unlabelled, and two for each class's mask.

    Which classes have one, the index says.
    """

    def __init__(
        self, index: PresenceIndex, crop_size: tuple[int, int], ignored: frozenset[int]
    ) -> None:
        super().__init__(index, crop_size)
        self._ignored = ignored

    def __str__(self) -> str:
        return "masks"

    @property
    def _annotation_sizes(self) -> NDArray[np.int64]:
        return (1 + 2 * np.diff(self._index.offsets)) * -(-self._num_pixels // 8)

    def _packed(self, image: int, annotation: Annotation) -> bytes:
        masks = cast(MaskSet, annotation).leaving_out(self._ignored)
        own = masks.masks[np.isin(masks.values, self._index.labels_of(image).values)]
        unlabelled = np.zeros((1, *self._size), np.bool_)
        if masks.unlabelled is not None:
            unlabelled[0] = masks.unlabelled
        planes = np.concatenate([unlabelled, own == 1, own == IGNORE])
        return np.packbits(planes.reshape(len(planes), -1), axis=1).tobytes()

    def _unpacked(self, image: int, labels: _Bytes) -> Annotation:
        known = self._index.labels_of(image)
        packed = labels.reshape(1 + 2 * len(known.values), -1)
        planes = np.unpackbits(packed, axis=1, count=self._num_pixels).reshape(-1, *self._size)
        shown, hidden = np.split(planes[1:], 2)
        absent = None if known.absent is None else frozenset(known.absent.tolist())
        masks = shown + IGNORE * hidden
        return MaskSet(known.values, masks, planes[0].astype(np.bool_), absent)


class ResizedCache:
    """Images and annotations at crop size, from one file. Pickled, it does not take them along."""

    def __init__(self, file: Path, records: _Records) -> None:
        """Open a finished file.

        Args:
            file: it; its length says how many records it has.
            records: how they lie in it.
        """
        self._file = file
        self._records = records
        self._bytes = np.memmap(file, np.uint8, mode="r")

    def __len__(self) -> int:
        """The first so many images of the split are there."""
        return int(np.searchsorted(self._records.ends, len(self._bytes), side="right"))

    def __getitem__(self, image: int) -> tuple[NDArray[np.uint8], Annotation]:
        """Give (H, W, 3) uint8 RGB and the annotation; arrays of the file are read-only."""
        return self._records.unpacked(image, self._bytes)

    def __reduce__(self) -> "tuple[type[ResizedCache], tuple[Path, _Records]]":
        """A copy, in a process of a loader say, maps the file anew."""
        return type(self), (self._file, self._records)


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

    Of several processes one makes it, and the others wait for that.

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
        UserError: if an image or an annotation cannot be read; names it.
    """
    height, width = crop_size
    records = (
        _MaskRecords(index, crop_size, dataset.classes.ignore)
        if dataset.classes_overlap
        else _Records(index, crop_size)
    )
    number = int(np.searchsorted(records.ends, most_bytes, side="right"))
    if number < len(index):
        _log.warning(
            "data.resized_cache_gib has room for %d of %d images; all of them need %.3g GiB",
            *(number, len(index), records.ends[-1] / 2**30),
        )
    if number == 0:
        return None

    def make(image: int) -> bytes:
        return records.packed(image, *read_resized_pair(dataset, index, image, crop_size))

    state = hashlib.sha256(f"{_VERSION}|{index.fingerprint}|{records}".encode()).hexdigest()[:12]
    folder = (cache_dir or default_cache_dir()) / "resized"
    stem = f"{cache_name(dataset, split)}-{height}x{width}"
    file = folder / f"{stem}-{state}{_SUFFIX}"
    with one_at_a_time(file, f"resizes the images of split '{split}' of {dataset.root}"):
        if file.exists() and file.stat().st_size >= records.ends[number - 1]:
            return ResizedCache(file, records)
        try:
            _make(file, make, number, f"Resizing to {height}x{width}" if progress else None)
        except OSError as error:  # a full or read-only disk costs time, not the run
            _log.warning("could not keep resized images in %s: %s", folder, error)
            return None
        for other in folder.glob(f"{stem}-*{_SUFFIX}"):
            if other != file:  # of files that have changed since
                other.unlink(missing_ok=True)
    _log.info("kept %d resized images: %s (%.3g GiB)", number, file, file.stat().st_size / 2**30)
    return ResizedCache(file, records)


def _make(file: Path, make: Callable[[int], bytes], number: int, description: str | None) -> None:
    """Write so many records beside the target and rename: no half-written cache is ever read.

    They are made on all cores. Threads are enough: decoding releases the interpreter.
    """
    remove_abandoned(file.parent)
    with (
        unfinished_folder(file) as folder,
        Progress(transient=True, disable=not description) as bar,
        ThreadPoolExecutor(usable_cores()) as threads,
    ):
        task = bar.add_task(description or "", total=number)
        with (folder / file.name).open("wb") as written:
            for first in range(0, number, _AT_ONCE):
                some = range(first, min(first + _AT_ONCE, number))
                written.writelines(threads.map(make, some))
                os.utime(folder)  # not abandoned
                bar.advance(task, len(some))
            written.flush()
            os.fsync(written.fileno())
        (folder / file.name).replace(file)
