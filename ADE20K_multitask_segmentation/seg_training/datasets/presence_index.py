"""The presence index: which labels occur in which image, with pixel counts.

Built once per split from every annotation, cached, and shared by all choices of tasks.
"""

import getpass
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import platformdirs
from numpy.typing import NDArray
from rich.markup import escape
from rich.progress import track

from seg_training.commands.one_at_a_time import one_at_a_time
from seg_training.datasets.annotations import Annotation, MaskSet
from seg_training.datasets.segmentation_dataset import (
    ImageFiles,
    SegmentationDataset,
    common_folder,
)
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError
from seg_training.files.atomic_writes import replacing
from seg_training.files.file_names import file_name
from seg_training.pictures.picture_reading import check_image
from seg_training.tasks import TaskTable

__all__ = [
    "CountedLabels",
    "PresenceIndex",
    "cache_name",
    "counted_labels",
    "default_cache_dir",
    "presence_index",
    "usable_cores",
]

_log = logging.getLogger(__name__)

_VERSION = "4"  # part of the fingerprint: raise it when the content changes its meaning
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
    """Name what is kept of a split: readable, and different for every dataset's folder."""
    identity = hashlib.sha256(os.fsencode(f"{dataset.root}|{split}")).hexdigest()[:12]
    return f"{type(dataset).__name__.lower()}-{file_name(split, 80)}-{identity}"


def usable_cores() -> int:
    """Count the cores that this process may use: fewer than there are, on many a cluster."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CountedLabels(NamedTuple):
    """What is known of the labels of one image.

    Attributes:
        values: (P,) int64, raw label values, in order.
        pixels: (P,) int64, how many pixels show each; 0 where that is not known.
        absent: (Q,) int64, values that were looked for and are not there; None: all others.
    """

    values: NDArray[np.int64]
    pixels: NDArray[np.int64]
    absent: NDArray[np.int64] | None = None


def counted_labels(annotation: Annotation, ignored: Collection[int]) -> CountedLabels:
    """Count the labels of one image.

    Args:
        annotation: in the dataset's own values.
        ignored: values of pixels that nobody labelled; in a set of masks they cover the others.
    """
    if not isinstance(annotation, MaskSet):
        return CountedLabels(*annotation.counts())
    annotation = annotation.leaving_out(ignored)
    values, pixels = annotation.counts()
    if annotation.absent is None:
        return CountedLabels(values, pixels)
    looked_for = np.union1d(np.array(sorted(annotation.absent), np.int64), annotation.values)
    return CountedLabels(values, pixels, np.setdiff1d(looked_for, values))


@dataclass(frozen=True)
class PresenceIndex:
    """Which raw labels occur in which image: compact arrays, so that workers share them.

    Attributes:
        images: (N,) str, image files relative to the dataset's root.
        label_maps: (N,) str, label map files, likewise.
        offsets: (N + 1,) int64; image i owns the entries offsets[i] to offsets[i + 1].
        values: (M,) uint16, or uint32 where that is too small: raw label values.
        pixels: (M,) int64, how many pixels show this value; 0 where that is not known.
        absent_offsets: (N + 1,) int64, likewise, into ``absent``.
        absent: (L,) uint16 or uint32, values that were looked for and are not there.
        lists_absent: (N,) bool: of the image's values, those that are neither there nor listed in
            ``absent`` are unknown; else they are absent.
        fingerprint: hash of the files' names, sizes and times.
    """

    images: NDArray[np.str_]
    label_maps: NDArray[np.str_]
    offsets: NDArray[np.int64]
    values: NDArray[Any]
    pixels: NDArray[np.int64]
    absent_offsets: NDArray[np.int64]
    absent: NDArray[Any]
    lists_absent: NDArray[np.bool_]
    fingerprint: str

    @classmethod
    def of_counts(
        cls, files: Sequence[ImageFiles], counts: Sequence[CountedLabels], fingerprint: str = ""
    ) -> "PresenceIndex":
        """Put the images' counts one after the other.

        Args:
            files: N images and label maps.
            counts: of each.
            fingerprint: see the class.
        """
        nothing = np.zeros(0, np.int64)
        absent = [nothing if own.absent is None else own.absent for own in counts]
        return cls(
            images=np.array([pair.image for pair in files]),
            label_maps=np.array([pair.label_map for pair in files]),
            offsets=_offsets([own.values for own in counts]),
            values=_compact(np.concatenate([nothing, *(own.values for own in counts)])),
            pixels=np.concatenate([nothing, *(own.pixels for own in counts)]),
            absent_offsets=_offsets(absent),
            absent=_compact(np.concatenate([nothing, *absent])),
            lists_absent=np.array([own.absent is not None for own in counts], np.bool_),
            fingerprint=fingerprint,
        )

    def __len__(self) -> int:
        """How many images there are: N."""
        return len(self.images)

    def name(self, image: int) -> str:
        """Name an image: its path without suffix below the folder that holds all of them."""
        path = Path(str(self.images[image])).with_suffix("")
        return path.relative_to(self._folder).as_posix()

    def labels_of(self, image: int) -> CountedLabels:
        """Give the counts of an image."""
        own = slice(*self.offsets[image : image + 2])
        absent = self.absent[slice(*self.absent_offsets[image : image + 2])].astype(np.int64)
        return CountedLabels(
            self.values[own].astype(np.int64),
            self.pixels[own],
            absent if self.lists_absent[image] else None,
        )

    @cached_property
    def content(self) -> str:
        """A hash of the names of the files and of what the annotations hold, wherever they lie."""
        names = "\n".join([*self.images, *self.label_maps])
        digest = hashlib.sha256(names.encode(errors="surrogateescape"))  # no UTF-8, some of them
        arrays = [self.offsets, self.values, self.pixels]
        if self.lists_absent.any():  # of no label map
            arrays += [self.absent_offsets, self.absent, self.lists_absent]
        for array in arrays:
            digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def _folder(self) -> str:
        return common_folder(self.images.tolist())

    def task_presence(self, tasks: TaskTable) -> TaskPresence:
        """Say which tasks are in which image, which are not, and of which nobody knows.

        The pixels of a task that groups several classes are the sum of theirs: more than it has
        where they overlap.

        Raises:
            UserError: if a label value occurs that the classes do not name; says in which file.
        """
        if unknown := tasks.unknown_values(np.unique(self.values)):
            raise UserError(self._unknown_message(unknown))
        return self.presence_of_named(tasks)

    def presence_of_named(self, tasks: TaskTable) -> TaskPresence:
        """As :meth:`task_presence`; label values without a name are left out."""
        number, num_tasks = len(self), tasks.num_tasks
        places, entries = self._places(tasks, self.offsets, self.values)
        pairs, first = np.unique(places, return_inverse=True)
        pixels = np.zeros(len(pairs), np.int64)
        np.add.at(pixels, first, self.pixels[entries])
        shown, hidden = pairs[pixels > 0], pairs[pixels == 0]
        listed = hidden[~self.lists_absent[hidden // num_tasks]]
        if self.lists_absent.any():  # a task is absent if all of its classes are known to be
            not_there, _ = self._places(tasks, self.absent_offsets, self.absent)
            absent, classes = np.unique(not_there, return_counts=True)
            absent = absent[classes == tasks.classes_per_task[absent % num_tasks]]
            listed = np.union1d(listed, absent)
        images = np.arange(number + 1) * num_tasks
        return TaskPresence(
            num_tasks=num_tasks,
            own=(np.array(tasks.task_ids, np.int64),),
            sources=np.zeros(number, np.int64),
            offsets=np.searchsorted(shown, images),
            task_ids=shown % num_tasks,
            pixels=pixels[pixels > 0],
            listed_offsets=np.searchsorted(listed, images),
            listed=listed % num_tasks,
            lists_absent=self.lists_absent,
        )

    def _places(
        self, tasks: TaskTable, offsets: NDArray[np.int64], values: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the entries that are of a task, and the pair of each: image times K plus task."""
        labels = tasks.remap(values).astype(np.int64)
        entries = np.flatnonzero((labels > 0) & (labels <= tasks.num_tasks))
        images = np.searchsorted(offsets, entries, side="right") - 1
        return images * tasks.num_tasks + labels[entries] - 1, entries

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

    It is renewed when a file was added, removed or changed (by size or time). Of several processes
    one builds it, and the others wait for that.

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
    with one_at_a_time(cache, f"indexes split '{split}' of {dataset.root}"):
        cached = _load(cache)
        if cached is not None and cached.fingerprint == fingerprint:
            return cached
        description = f"Indexing {escape(split)}" if progress else None
        index = _build(dataset, files, fingerprint, description)
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
            if dataset.classes_overlap:  # the folder says of which class it is
                digest.update(os.fsencode(f"{path}\n"))
    if dataset.classes_overlap:  # they say what the values are, and whose pixels do not count
        digest.update(f"{dataset.classes.to_mapping()}\n".encode())
    digest.update(dataset.reading().encode(errors="surrogateescape"))
    return digest.hexdigest()


def _build(
    dataset: SegmentationDataset,
    files: list[ImageFiles],
    fingerprint: str,
    description: str | None,
) -> PresenceIndex:
    """Decode every annotation once. Threads are enough: decoding releases the interpreter."""
    # Others' annotations do not depend on it, and reading a classes file takes its time.
    ignored = dataset.classes.ignore if dataset.classes_overlap else ()

    def count(pair: ImageFiles) -> CountedLabels | UserError:
        try:
            return _count_labels(dataset, pair, ignored)
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
    return PresenceIndex.of_counts(files, labels, fingerprint)


def _count_labels(
    dataset: SegmentationDataset, pair: ImageFiles, ignored: Collection[int]
) -> CountedLabels:
    annotation = dataset.annotation(pair.label_map)
    header = check_image(dataset.root / pair.image)
    if header.size != annotation.size:
        (height, width), (own_height, own_width) = header.size, annotation.size
        raise UserError(
            f"{dataset.root / pair.label_map} is {own_width}x{own_height} pixels, "
            f"but its image {pair.image} is {width}x{height} (width x height)"
            f"{header.before_turning(annotation.size) or _SAME_SIZE}"
        )
    return counted_labels(annotation, ignored)


def _offsets(parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)


def _compact(values: NDArray[np.int64]) -> NDArray[Any]:
    is_small = values.max(initial=0) <= np.iinfo(np.uint16).max
    return values.astype(np.uint16 if is_small else np.uint32)


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
