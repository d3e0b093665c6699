"""The presence index: which labels occur in which image, with pixel counts.

Built once per split from every label map, cached, and shared by all choices of tasks.
"""

import getpass
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray
from rich.markup import escape
from rich.progress import track

from seg_training.datasets.segmentation_dataset import (
    ImageFiles,
    SegmentationDataset,
    common_folder,
)
from seg_training.errors import UserError
from seg_training.files.file_names import file_name
from seg_training.files.whole_files import replacing
from seg_training.pictures.picture_reading import check_image
from seg_training.tasks import TaskTable

__all__ = ["PresenceIndex", "cache_name", "default_cache_dir", "presence_index", "usable_cores"]

_log = logging.getLogger(__name__)

_VERSION = "3"  # part of the fingerprint: raise it when the content changes its meaning
_SAME_SIZE = "; make them the same size or remove the pair"
_MOST_NAMED = 5  # files that one error message names


def default_cache_dir() -> Path:
    """The user's cache folder: caches never lie in the data's own folder."""
    try:
        folder = Path(platformdirs.user_cache_dir("tasformer", appauthor=False))
    except RuntimeError:  # no home, as in containers whose user has no account
        return _cache_without_home()
    return folder if folder.is_absolute() else _cache_without_home()


@cache
def _cache_without_home() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"tasformer-{user}"
    _log.warning(
        "no home folder is known: caches are kept in %s; HOME or data.cache_dir says where else",
        folder,
    )
    return folder


def cache_name(dataset: SegmentationDataset, split: str) -> str:
    """Name what is kept of a split: readable, and different for every dataset's folder.

    Args:
        dataset: which dataset.
        split: which part of it.
    """
    identity = hashlib.sha256(os.fsencode(f"{dataset.root}|{split}")).hexdigest()[:12]
    return f"{type(dataset).__name__.lower()}-{file_name(split, 80)}-{identity}"


def usable_cores() -> int:
    """Count the cores that this process may use: fewer than there are, on many a cluster."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class PresenceIndex:
    """Which raw labels occur in which image: compact arrays, so that workers share them.

    Attributes:
        images: (N,) str, image files relative to the dataset's root.
        label_maps: (N,) str, label map files, likewise.
        offsets: (N + 1,) int64; image i owns the entries offsets[i] to offsets[i + 1].
        values: (M,) uint16, raw label values.
        pixels: (M,) int64, how many pixels of the label map have this value.
        fingerprint: hash of the files' names, sizes and times.
    """

    images: NDArray[np.str_]
    label_maps: NDArray[np.str_]
    offsets: NDArray[np.int64]
    values: NDArray[np.uint16]
    pixels: NDArray[np.int64]
    fingerprint: str

    def __len__(self) -> int:
        """How many images there are: N."""
        return len(self.images)

    def name(self, image: int) -> str:
        """Name an image: its path without suffix below the folder that holds all of them."""
        path = Path(str(self.images[image])).with_suffix("")
        return path.relative_to(self._folder).as_posix()

    @cached_property
    def content(self) -> str:
        """A hash of the names of the files and of what the label maps hold, wherever they lie."""
        names = "\n".join([*self.images, *self.label_maps])
        digest = hashlib.sha256(names.encode(errors="surrogateescape"))  # no UTF-8, some of them
        for array in (self.offsets, self.values, self.pixels):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def _folder(self) -> str:
        return common_folder(self.images.tolist())

    def task_pixels(self, tasks: TaskTable) -> NDArray[np.int64]:
        """Count the pixels of each task in each image.

        Returns:
            (N, K) int64.

        Raises:
            UserError: if a label value occurs that the classes do not name; says in which file.
        """
        if unknown := tasks.unknown_values(np.unique(self.values)):
            raise UserError(self._unknown_message(unknown))
        label = tasks.lookup[self.values]
        image = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        is_task = (label > 0) & (label <= tasks.num_tasks)
        counts = np.zeros((len(self), tasks.num_tasks), np.int64)
        np.add.at(
            counts, (image[is_task], label[is_task].astype(np.int64) - 1), self.pixels[is_task]
        )
        return counts

    def _unknown_message(self, unknown: list[int]) -> str:
        parts = []
        for value in unknown[:_MOST_NAMED]:
            entry = int(np.flatnonzero(self.values == value)[0])
            image = int(np.searchsorted(self.offsets, entry, side="right")) - 1
            parts.append(f"{value} (in {self.label_maps[image]}, {self.pixels[entry]} pixels)")
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        return (
            f"label values without a name: {', '.join(parts)}{more}. Mend the files, or name the "
            "values in the classes file of your own data: under 'classes', 'other' (background for "
            "every task) or 'ignore' (left out)"
        )


def presence_index(
    dataset: SegmentationDataset,
    split: str,
    cache_dir: Path | None = None,
    progress: bool = True,
) -> PresenceIndex:
    """Read the index of a split from the cache, or build and cache it.

    It is renewed when a file was added, removed or changed (by size or time).

    Args:
        dataset: whose label maps to index.
        split: which part of it.
        cache_dir: where indexes are kept; the user's cache folder by default.
        progress: show a progress bar while building.

    Raises:
        UserError: if files are missing or unreadable, or if sizes of image and label map differ.
    """
    files = dataset.files(split)
    fingerprint = _fingerprint(dataset, files)
    cache = (cache_dir or default_cache_dir()) / "index" / f"{cache_name(dataset, split)}.npz"
    cached = _load(cache)
    if cached is not None and cached.fingerprint == fingerprint:
        return cached
    index = _build(dataset, files, fingerprint, f"Indexing {escape(split)}" if progress else None)
    _save(index, cache)
    return index


def _fingerprint(dataset: SegmentationDataset, files: list[ImageFiles]) -> str:
    digest = hashlib.sha256(_VERSION.encode())
    states: dict[Path, str] = {}  # one file may hold the label maps of many images
    for image, label_map in files:
        digest.update(os.fsencode(f"{image}|{label_map}\n"))
        for path in (dataset.root / image, *dataset.label_sources(label_map)):
            if path not in states:
                status = path.stat() if path.exists() else None  # building says what is missing
                states[path] = f"{status.st_size}|{status.st_mtime_ns}" if status else ""
            digest.update(f"{states[path]}\n".encode())
    return digest.hexdigest()


def _build(
    dataset: SegmentationDataset,
    files: list[ImageFiles],
    fingerprint: str,
    description: str | None,
) -> PresenceIndex:
    """Decode every label map once. Threads are enough: decoding releases the interpreter."""

    def count(pair: ImageFiles) -> tuple[NDArray[Any], NDArray[Any]] | UserError:
        try:
            return _count_labels(dataset, pair)
        except UserError as error:
            return error

    with ThreadPoolExecutor(max_workers=usable_cores()) as threads:
        results = threads.map(count, files)
        bar = track(results, description or "", len(files), transient=True, disable=not description)
        counted = list(bar)

    if errors := [str(result) for result in counted if isinstance(result, UserError)]:
        more = f"\n... and {len(errors) - _MOST_NAMED} more" if len(errors) > _MOST_NAMED else ""
        raise UserError("\n".join(errors[:_MOST_NAMED]) + more)
    labels = [result for result in counted if not isinstance(result, UserError)]
    sizes = [len(values) for values, _ in labels]
    return PresenceIndex(
        images=np.array([pair.image for pair in files]),
        label_maps=np.array([pair.label_map for pair in files]),
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        values=np.concatenate([values for values, _ in labels]).astype(np.uint16),
        pixels=np.concatenate([pixels for _, pixels in labels]).astype(np.int64),
        fingerprint=fingerprint,
    )


def _count_labels(
    dataset: SegmentationDataset, pair: ImageFiles
) -> tuple[NDArray[Any], NDArray[Any]]:
    label_map = dataset.read_label_map(pair.label_map)
    header = check_image(dataset.root / pair.image)
    if header.size != label_map.shape:
        height, width = header.size
        raise UserError(
            f"{dataset.root / pair.label_map} is {label_map.shape[1]}x{label_map.shape[0]} pixels, "
            f"but its image {pair.image} is {width}x{height} (width x height)"
            f"{header.before_turning(label_map.shape) or _SAME_SIZE}"
        )
    counts = np.bincount(label_map.ravel())
    values = np.flatnonzero(counts)
    return values, counts[values]


def _save(index: PresenceIndex, cache: Path) -> None:
    """Write beside the target and rename, so that no half-written cache is ever read."""
    try:
        with replacing(cache) as unfinished:
            arrays = {field.name: getattr(index, field.name) for field in fields(index)}
            np.savez(unfinished, **arrays)
    except UserError as error:  # a full or read-only disk costs time, not the run
        _log.warning("could not cache the presence index: %s", error)


def _load(cache: Path) -> PresenceIndex | None:
    """Read a cached index; a missing or damaged one is built anew."""
    load: Callable[..., Any] = np.load
    try:
        # Opened here: np.load itself leaves a damaged archive open.
        with cache.open("rb") as file, load(file, allow_pickle=False) as arrays:
            content = {field.name: arrays[field.name] for field in fields(PresenceIndex)}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # whatever a damaged archive raises
        _log.warning("the cached presence index %s is damaged and is built anew: %s", cache, error)
        return None
    return PresenceIndex(**{**content, "fingerprint": str(content["fingerprint"])})
