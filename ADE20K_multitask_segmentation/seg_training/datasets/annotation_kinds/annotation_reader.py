"""What a kind of annotation is: which files it has, what its values mean, how it is read."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from seg_training.datasets.annotation_kinds.named_values import NamedValues
from seg_training.datasets.annotations import Annotation
from seg_training.errors import UserError
from seg_training.files.file_suffixes import LABEL_MAP_SUFFIXES
from seg_training.pictures.picture_reading import read_header
from seg_training.tasks import LabelClasses

__all__ = ["AnnotationReader", "Found", "PictureReader", "Place", "check_size"]


@dataclass(frozen=True)
class Place:
    """Where annotations are.

    Attributes:
        root: the dataset's folder.
        labels: folder or file of the annotations below it; ``{split}`` is the split's name.
        label_suffix: end of their names, which the images' names do not have.
        files_by_stem: takes a folder below the root, suffixes of files, a pattern of their names
            and files to leave out; gives files relative to the root, by their names without suffix.
        missing: says, for a message, which folder on the way to a path is not there.
        setting: what the config calls it: ``data``, or ``data.also[0]``.
        image_suffix: end of the images' file names that their names do not have.
        splits: lists the splits that are there.
        images: gives the images of a split's folder, by their names.
        cache: says where something may be kept.
        hub_name: of a dataset on the Hugging Face hub; None where it is a folder.
    """

    root: Path
    labels: str
    label_suffix: str
    files_by_stem: Callable[[str, tuple[str, ...], str, Collection[str]], dict[str, str]]
    missing: Callable[[Path], str]
    setting: str = "data"
    image_suffix: str = ""
    splits: Callable[[], Sequence[str]] = lambda: [""]
    images: Callable[[str], Mapping[str, str]] = lambda split: {}
    cache: Callable[[], Path] = Path
    hub_name: str | None = None

    def below(self, split: str) -> str:
        """Name the folder or file of a split."""
        return self.labels.replace("{split}", split)

    def of_any_split(self) -> list[Path]:
        """List the folders or files of all splits that are there."""
        if "{split}" not in self.labels:
            path = self.root / self.labels
            return [path] if path.exists() else []
        return sorted(self.root.glob(self.labels.replace("{split}", "*")))

    def by_name(
        self, split: str, suffixes: tuple[str, ...], images: Mapping[str, str]
    ) -> dict[str, str]:
        """List the files of a split by the names of their images.

        Args:
            split: which part of the dataset.
            suffixes: of the files, in lower case.
            images: files by their names; they may be in the same folder.
        """
        end = self.label_suffix
        pattern = f"*{_literal(end)}.*" if end else "*"
        found = self.files_by_stem(self.below(split), suffixes, pattern, set(images.values()))
        return {stem.removesuffix(end): file for stem, file in found.items()}


class Found(NamedTuple):
    """The annotations of a split.

    Attributes:
        keys: what each is called, by the name of its image.
        without_image: those of no image.
        expected: says what the annotation of an image, given by its name, would be called.
    """

    keys: Mapping[str, str]
    without_image: Sequence[str]
    expected: Callable[[str], str]


class AnnotationReader(ABC):
    """Reads annotations of one kind. Options of a kind are the parameters of its constructor.

    Attributes:
        overlap: whether they are sets of masks, of classes that may overlap; else label maps.
        suffixes: of the pictures among them; empty where there are none.
        place: where they are.
    """

    overlap: ClassVar[bool] = False
    suffixes: ClassVar[tuple[str, ...]] = LABEL_MAP_SUFFIXES

    def __init__(self, place: Place) -> None:
        """Take where they are."""
        self.place = place
        self._values: NamedValues | None = None

    def own_classes(self) -> LabelClasses | None:
        """Give the classes that the annotations name themselves; None where they name none."""
        return None

    def completed(self, classes: LabelClasses) -> LabelClasses:
        """Add to the dataset's classes the values that this kind needs: of background, say."""
        return classes

    def looked_for(self) -> frozenset[int]:
        """List the values of the classes that an annotation of this kind would show: all of them.

        A kind that names its classes itself shows those.
        """
        own = self.own_classes()
        if own is None:
            return frozenset(self.values.classes.names)
        values = (self.values.value(name, self.place.labels) for name in own.names.values())
        return frozenset(value for value in values if value is not None)

    def use(self, classes: LabelClasses) -> None:
        """Take what the dataset's values mean; called before anything is read."""
        self._values = NamedValues(classes)

    @property
    def values(self) -> NamedValues:
        """From names of classes to the dataset's values."""
        if self._values is None:
            raise RuntimeError("AnnotationReader.use was not called")
        return self._values

    def beside_images(self, files: Sequence[Path]) -> set[Path]:
        """Tell the annotations among the pictures of a folder that they share with images.

        By the end of their names; else they are those beside a JPEG or WebP of the same name.

        Args:
            files: pictures of the folder.
        """
        if not self.suffixes:
            return set()
        if self.place.label_suffix:
            return {file for file in files if file.stem.endswith(self.place.label_suffix)}
        photos = {
            file.with_suffix("") for file in files if file.suffix.lower() not in LABEL_MAP_SUFFIXES
        }
        return {
            file
            for file in files
            if file.suffix.lower() in LABEL_MAP_SUFFIXES and file.with_suffix("") in photos
        }

    def own_images(self, split: str) -> dict[str, str] | None:
        """Give the images of a split, where they come with the annotations; else None.

        Args:
            split: which part of the dataset.

        Returns:
            Files by their names, absolute or relative to the root.
        """
        return None

    @abstractmethod
    def find(self, split: str, images: Mapping[str, str]) -> Found:
        """Find the annotations of a split.

        Args:
            split: which part of the dataset.
            images: all files of its folder of images, relative to the root, by their names.
        """

    def sources(self, key: str) -> list[Path]:
        """List the files that an annotation is read from.

        Args:
            key: as :meth:`find` gave it.
        """
        return [self.place.root / key]

    @abstractmethod
    def read(self, key: str, image: Path) -> Annotation:
        """Read an annotation.

        Args:
            key: as :meth:`find` gave it.
            image: the file of its image.

        Raises:
            UserError: if it is missing, damaged or of another form; names the file.
        """

    def settings(self) -> dict[str, Any]:
        """Give options that replace those given, so that a checkpoint stands alone."""
        return {}


class PictureReader(AnnotationReader):
    """Reads annotations that are a picture for each image."""

    def find(self, split: str, images: Mapping[str, str]) -> Found:
        """Find the picture of each image, by its name."""
        found = self.place.by_name(split, self.suffixes, images)
        folder, end = self.place.below(split), self.place.label_suffix
        return Found(
            {name: file for name, file in found.items() if name in images},
            sorted(file for name, file in found.items() if name not in images),
            lambda name: f"{folder}/{name}{end}.png",
        )


def _literal(text: str) -> str:
    """Write a text as a pattern that it alone fits."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def check_size(path: object, found: tuple[int, int], image: Path, size: tuple[int, int]) -> None:
    """Refuse an annotation of another size than its image.

    Args:
        path: of the annotation.
        found: its (height, width).
        image: the image's file.
        size: its (height, width).

    Raises:
        UserError: if they differ.
    """
    if found != size:
        cure = ". Make them the same size, or remove it"
        raise UserError(
            f"{path} is {found[1]}x{found[0]} pixels, its image {image.name} {size[1]}x{size[0]} "
            f"(width x height){read_header(image).before_turning(found) or cure}"
        )
