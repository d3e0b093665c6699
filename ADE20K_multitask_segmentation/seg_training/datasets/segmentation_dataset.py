"""What a dataset is: where its files are, what its labels mean, how an annotation is read."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from numpy.typing import NDArray

from seg_training.datasets.annotations import (
    Annotation,
    AnnotationError,
    LabelMap,
    check_annotation,
)
from seg_training.errors import UserError, listed, suggest
from seg_training.files.file_names import in_one_form
from seg_training.files.file_suffixes import IMAGE_SUFFIXES, LABEL_MAP_SUFFIXES
from seg_training.files.found_files import find_files
from seg_training.files.user_paths import user_path
from seg_training.pictures.picture_reading import read_label_map
from seg_training.tasks import LabelClasses

__all__ = ["ImageFiles", "OfficialCounts", "Pairing", "SegmentationDataset", "common_folder"]

_log = logging.getLogger(__name__)


class ImageFiles(NamedTuple):
    """An image and its annotation: paths relative to the root, or what the dataset calls it by."""

    image: str
    label_map: str


class Pairing(NamedTuple):
    """Which images of a split have an annotation, called ``label_map`` of whatever kind it is.

    Attributes:
        files: the pairs, in the order that seeds count on.
        without_label_map: images without one, with the label map that was looked for.
        without_image: label maps without an image.
    """

    files: list[ImageFiles]
    without_label_map: list[ImageFiles]
    without_image: list[str]

    def near(self, label_map: str) -> str:
        """Name the label map that differs from an expected one in case alone, for a message."""
        expected = Path(label_map).with_suffix("").as_posix().casefold()
        for file in self.without_image:
            if Path(file).with_suffix("").as_posix().casefold() == expected:
                return f" (there is {file}: upper and lower case count)"
        return ""


class OfficialCounts(NamedTuple):
    """What a published split holds, to compare a copy of it with.

    Attributes:
        images: how many images.
        per_value: label value to the number of images that show it.
    """

    images: int
    per_value: Mapping[int, int]


def common_folder(images: Iterable[str]) -> str:
    """Find the deepest folder that holds all images; below it their names are unique.

    Args:
        images: files relative to a dataset's root.
    """
    listed = list(images)
    # What the first and the last have in common, all between them have.
    return os.path.commonpath([os.path.dirname(min(listed)), os.path.dirname(max(listed))])  # noqa: PTH120


class SegmentationDataset(ABC):
    """Images with annotations. A new dataset overrides what differs, often ``classes`` alone.

    An annotation is a label map, which :meth:`read_label_map` reads, or, where classes may
    overlap, a set of masks, which :meth:`read_annotation` does.

    Attributes:
        root: the dataset's folder.
        labelled: whether there are label maps; without them there is only prediction.
        classes_overlap: whether annotations are sets of masks.
        cache_dir: where a dataset may keep what it makes; None for the user's cache folder.
        cure_of_unlabelled: what to do about an image without annotation, for messages.
        label_files: which files of the folder of label maps are some, as a pattern of their names.
        default_images: folder of the images below the root; ``{split}`` is the split's name.
        default_labels: folder of the label maps, likewise.
    """

    labelled: ClassVar[bool] = True
    classes_overlap: bool = False
    cache_dir: Path | None = None
    cure_of_unlabelled: str = "Add the label map or remove the image"
    label_files: ClassVar[str] = "*"
    default_images: ClassVar[str] = "images/{split}"
    default_labels: ClassVar[str] = "annotations/{split}"

    def __init__(
        self, root: str | Path, images: str | None = None, labels: str | None = None
    ) -> None:
        """Say where the dataset is.

        Args:
            root: the dataset's folder.
            images: another folder of the images than the default.
            labels: another folder of the label maps.

        Raises:
            UserError: if one of the two is no folder below the root.
        """
        images, labels = images or self.default_images, labels or self.default_labels
        for key, folder in (("images", images), ("labels", labels)):
            if Path(folder).is_absolute():
                raise UserError(f"data.{key}={folder} is absolute; give a folder below data.root")
        self.root = user_path(root).absolute()
        self._images = images
        self._labels = labels

    @property
    @abstractmethod
    def classes(self) -> LabelClasses:
        """What the values of the label maps mean."""

    def prepare(self) -> None:  # noqa: B027 - most datasets have nothing to do
        """Make the files, where a dataset makes its own. Called once, by one process."""

    def official_counts(self, split: str) -> OfficialCounts | None:
        """Say what the published split holds, where that is known.

        Args:
            split: which part of the dataset.
        """
        return None

    def settings(self) -> dict[str, Any]:
        """Give settings that replace those given, so that a checkpoint stands alone."""
        return {"root": str(self.root)}

    def label_stem(self, image_stem: str, split: str) -> str:
        """Name the label map of an image; both names are without suffix, with folders below theirs.

        Args:
            image_stem: the image's name below the folder of images.
            split: which part of the dataset.
        """
        return image_stem

    def pair(self, split: str) -> Pairing:
        """Find the label map of every image, by :meth:`label_stem`.

        Args:
            split: which part of the dataset.

        Raises:
            UserError: if a folder is missing or empty, or if two files have the same name.
        """
        labels_folder = self._labels.replace("{split}", split)
        images = self._by_stem(self._images.replace("{split}", split), IMAGE_SUFFIXES)
        labels = self._by_stem(labels_folder, LABEL_MAP_SUFFIXES, self.label_files)
        files, without_label_map = [], []
        for stem in sorted(images):
            label_stem = self.label_stem(stem, split)
            if label_stem in labels:
                files.append(ImageFiles(images[stem], labels.pop(label_stem)))
            else:
                expected = f"{labels_folder}/{label_stem}.png"
                without_label_map.append(ImageFiles(images[stem], expected))
        return Pairing(files, without_label_map, sorted(labels.values()))

    def files(self, split: str) -> list[ImageFiles]:
        """List images with their label maps.

        Args:
            split: which part of the dataset.

        Raises:
            UserError: if a folder is missing or empty, or if an image has no label map.
        """
        pairing = self.pair(split)
        files, without_label_map, without_image = pairing
        if without_label_map:
            first = without_label_map[0]
            raise UserError(
                f"{len(without_label_map)} of {len(files) + len(without_label_map)} images have no "
                f"label map; the first is {self.root / first.image}: expected "
                f"{self.root / first.label_map}{pairing.near(first.label_map)}. "
                f"{self.cure_of_unlabelled}"
            )
        if without_image:
            _log.warning(
                "%d label maps of split '%s' have no image and are left out, '%s' for one",
                len(without_image),
                split,
                without_image[0],
            )
        return files

    def unread_pictures(self, split: str) -> list[str]:
        """List files among the images that are pictures of kinds that are not read."""
        folder = self.root / self._images.replace("{split}", split)
        unread = find_files(folder, IMAGE_SUFFIXES).unread
        return [path.relative_to(self.root).as_posix() for path in unread]

    def label_sources(self, label_map: str) -> list[Path]:
        """List the files that a label map is made from: itself, for most datasets.

        When one of them changes, the presence index is built anew.

        Args:
            label_map: as :meth:`pair` gave it.
        """
        return [self.root / label_map]

    def reading(self) -> str:
        """Say what annotations' values depend on besides the files; then the index is built anew.

        Nothing, for most datasets.
        """
        return ""

    def annotation(self, label_map: str) -> Annotation:
        """Give what is known of one image: what :meth:`read_annotation` reads, checked.

        Args:
            label_map: as :meth:`pair` gave it.

        Raises:
            UserError: if it is no annotation; names it.
        """
        try:
            annotation = self.read_annotation(label_map)
            check_annotation(annotation, self.classes_overlap)
        except AnnotationError as error:
            raise UserError(
                f"read_annotation of dataset {type(self).__name__}, {label_map}: {error}"
            ) from error
        return annotation

    def read_annotation(self, label_map: str) -> Annotation:
        """Read what is known of one image: a label map, unless classes may overlap.

        Args:
            label_map: as :meth:`pair` gave it.
        """
        return LabelMap(self.read_label_map(label_map))

    def read_label_map(self, label_map: str) -> NDArray[Any]:
        """Read one label map's raw values.

        Args:
            label_map: path relative to the root, as :meth:`pair` gave it.

        Returns:
            (H, W) integers of 8, 16 or 32 bits.
        """
        return read_label_map(self.root / label_map)

    def _by_stem(
        self, folder: str, suffixes: tuple[str, ...], pattern: str = "*"
    ) -> dict[str, str]:
        """Map file names without suffix to paths relative to the root.

        Of the two forms that Unicode has for ``é`` and its like, names have the composed one:
        copying between systems changes it.
        """
        files = self._files_in(folder, suffixes)
        return self._named(folder, files, suffixes, pattern)

    def _named(
        self, folder: str, files: Iterable[Path], suffixes: tuple[str, ...], pattern: str = "*"
    ) -> dict[str, str]:
        """Map files of a folder so; those whose names the pattern does not fit are left out."""
        path = self.root / folder
        found: dict[str, str] = {}
        for file in files:
            if not fnmatchcase(file.with_suffix(file.suffix.lower()).name, pattern):
                continue
            stem = file.relative_to(path).with_suffix("").as_posix()
            composed = in_one_form(stem)
            if composed in found:
                first = self.root / found[composed]
                same = first.relative_to(path).with_suffix("").as_posix() == stem
                forms = "" if same else ", in two Unicode forms"
                raise UserError(f"{first} and {file} have the same name{forms}; keep one")
            found[composed] = file.relative_to(self.root).as_posix()
        if not found:
            named = f" named {pattern}" if pattern != "*" else ""
            raise UserError(f"folder {path} holds no file of {', '.join(suffixes)}{named}")
        return found

    def _files_in(self, folder: str, suffixes: tuple[str, ...]) -> list[Path]:
        path = self.root / folder
        try:
            is_folder = path.is_dir()
        except OSError as error:
            raise UserError(
                f"cannot look into {path}: {error.strerror}. Is data.root={self.root} right, and "
                "the folders' names (data.images, data.labels)?"
            ) from error
        if not is_folder:
            raise UserError(self._missing_folder(path))
        # Two folders of images may share label maps.
        there = find_files(path, suffixes, once=suffixes == IMAGE_SUFFIXES)
        if there.unreachable:
            hidden, reason = min(there.unreachable.items())
            raise UserError(
                f"{len(there.unreachable)} folders or links cannot be looked into; the first is "
                f"{hidden}: {reason}. Mount, copy or unlock what is behind it, or remove it"
            )
        if suffixes == IMAGE_SUFFIXES and there.unread:
            _log.warning("%s", there.unread_in_words())
        if suffixes == IMAGE_SUFFIXES and there.not_followed:
            _log.warning("%s", there.not_followed_in_words())
        return there.files

    def _missing_folder(self, path: Path) -> str:
        """Say which part of the path is not there, and what is there instead."""
        if not self.root.is_dir():
            below = path.relative_to(self.root)
            content = f"{below}" if below.parts else "the images"
            lack = "is no folder" if self.root.exists() else "does not exist"
            near, _, _ = _close_folders(self.root)
            set_root = " Set" if near else "; set"
            return (
                f"dataset folder {self.root} {lack}{near}{set_root} data.root to the folder that "
                f"holds {content} (see DATASET_PREPARATION.md)"
            )
        near, parent, there = _close_folders(path)
        hint = near or (f"; in {parent} there is: {listed(there, 8)}." if there else ".")
        return (
            f"folder {path} does not exist{hint} Is data.root={self.root} right, and the folders' "
            "names (data.images, data.labels)? DATASET_PREPARATION.md shows the expected tree"
        )


def _close_folders(path: Path) -> tuple[str, Path, list[str]]:
    """Suggest names for the first folder on a path that is not there.

    Returns:
        The suggestion, or an empty string; where that folder should be; which folders are there.
    """
    parent, name = path.absolute().parent, path.absolute().name
    while not parent.is_dir():
        parent, name = parent.parent, parent.name
    there = sorted(folder.name for folder in parent.glob("*/"))
    return suggest(name, there), parent, there
