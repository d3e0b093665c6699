"""A user's own images, with a folder of masks for each class: classes may overlap."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.annotations import MaskSet
from seg_training.datasets.segmentation_dataset import ImageFiles, Pairing, SegmentationDataset
from seg_training.errors import UserError, suggest
from seg_training.files.file_names import in_one_form
from seg_training.files.file_suffixes import IMAGE_SUFFIXES, LABEL_MAP_SUFFIXES
from seg_training.files.found_files import find_files, is_system_name
from seg_training.pictures.picture_reading import image_size, read_binary_mask
from seg_training.tasks import LabelClasses

__all__ = ["MaskFolders"]

_UNLABELLED = "unlabelled"  # the folder of masks of what nobody labelled


class _Files(NamedTuple):
    image: str
    masks: dict[str, str]  # by the folder's name


class MaskFolders(SegmentationDataset):
    """``images/{split}/a.jpg`` and ``masks/{split}/<class>/a.png``: 255 where the class is, else 0.

    A class without a mask of an image is not in it. ``masks/{split}/unlabelled/a.png`` is 255 where
    nobody labelled.
    """

    classes_overlap = True

    def __init__(
        self,
        root: str | Path,
        classes: str | Path | Mapping[str, Any] = MappingProxyType({}),
        images: str = "images/{split}",
        labels: str = "masks/{split}",
    ) -> None:
        """Say where the files are.

        Args:
            root: the dataset's folder.
            classes: a classes file, or what it holds; by default a class for each folder of masks
                of any split, in the order of their names.
            images: folder of the images below the root; ``{split}`` is the split's name.
            labels: folder of the classes' folders, likewise.

        Raises:
            UserError: if the classes file is missing or has another form.
        """
        super().__init__(root, images, labels)
        self._given = classes
        self._known: LabelClasses | None = None
        self._files: dict[str, _Files] = {}

    @property
    def classes(self) -> LabelClasses:
        """What the classes file says, or the names of the folders."""
        if self._known is None:
            if isinstance(self._given, str | Path):
                known = LabelClasses.from_file(self._given)
            else:
                splits = self.root.glob(self._labels.replace("{split}", "*"))
                there = {name for split in splits for name in _folders_in(split)}
                names = sorted(there - {_UNLABELLED})
                if not self._given and not names:
                    raise UserError(self._no_masks())
                content = self._given or {"classes": dict(enumerate(names, start=1))}
                known = LabelClasses.from_mapping(content, "data.classes")
            if _UNLABELLED in known.short_names().values():
                raise UserError(
                    f"a class is called '{_UNLABELLED}', as the folder of masks of what nobody "
                    "labelled; give it another name in data.classes, or leave it out"
                )
            self._known = known
        return self._known

    def settings(self) -> dict[str, Any]:
        """Replace the path of the classes file by its content."""
        return {**super().settings(), "classes": self.classes.to_mapping()}

    def pair(self, split: str) -> Pairing:
        """Find the masks of every image; one without any shows no class.

        Raises:
            UserError: if a folder is missing or empty, or is of no class.
        """
        images = self._by_stem(self._images.replace("{split}", split), IMAGE_SUFFIXES)
        folder = self._labels.replace("{split}", split)
        if not (self.root / folder).is_dir():
            raise UserError(self._missing_folder(self.root / folder))
        of_stem: dict[str, dict[str, str]] = {stem: {} for stem in sorted(images)}
        without_image = []
        known = {in_one_form(name): name for name in self.classes.short_names().values()}
        known[_UNLABELLED] = _UNLABELLED
        for composed, path in _folders_in(self.root / folder).items():
            if not find_files(path).files:
                continue
            if composed not in known:
                raise UserError(
                    f"folder {path} is of no class{suggest(composed, known)}; name it in "
                    "data.classes, or remove it"
                )
            name, below = known[composed], path.relative_to(self.root).as_posix()
            for stem, file in self._by_stem(below, LABEL_MAP_SUFFIXES).items():
                if stem in of_stem:
                    of_stem[stem][name] = file
                else:
                    without_image.append(file)
        named = {stem: f"{folder}#{stem}" for stem in of_stem}
        self._files |= {named[stem]: _Files(images[stem], own) for stem, own in of_stem.items()}
        files = [ImageFiles(images[stem], name) for stem, name in named.items()]
        return Pairing(files, [], sorted(without_image))

    def label_sources(self, label_map: str) -> list[Path]:
        """List the masks of an image."""
        return [self.root / file for file in self._files[label_map].masks.values()]

    def read_annotation(self, label_map: str) -> MaskSet:
        """Read the masks of an image.

        Raises:
            UserError: if one cannot be read, is of another size, or has a value but 0 and 255.
        """
        image, files = self._files[label_map]
        size = image_size(self.root / image)
        masks = {name: self._mask(file, image, size) for name, file in files.items()}
        unlabelled = masks.pop(_UNLABELLED, None)
        values = {name: value for value, name in self.classes.short_names().items()}
        return MaskSet.of_objects(
            [(values[name], mask) for name, mask in masks.items()], size, unlabelled
        )

    def _no_masks(self) -> str:
        if not self.root.is_dir():
            return self._missing_folder(self.root / self._labels.replace("/{split}", ""))
        return (
            f"there is no folder of masks in {self.root}: expected {self._labels}/<class> (see "
            "DATASET_PREPARATION.md)"
        )

    def _mask(self, file: str, image: str, size: tuple[int, int]) -> NDArray[np.bool_]:
        mask = read_binary_mask(self.root / file)
        if mask.shape != size:
            (height, width), (own_height, own_width) = size, mask.shape
            raise UserError(
                f"mask {self.root / file} is {own_width}x{own_height} pixels, its image {image} "
                f"is {width}x{height} (width x height); make them the same size or remove the mask"
            )
        is_there: NDArray[np.bool_] = mask == 255
        wrong = mask[(mask != 0) & ~is_there]
        if len(wrong):
            raise UserError(
                f"mask {self.root / file} has the value {wrong.min()}; expected 0 where the class "
                "is not and 255 where it is"
            )
        return is_there


def _folders_in(path: Path) -> dict[str, Path]:
    """List the folders of classes, and of what is unlabelled, by their composed names.

    Raises:
        UserError: if two folders have one name in two Unicode forms.
    """
    found: dict[str, Path] = {}
    for each in sorted(path.glob("*/")):
        if is_system_name(each.name):
            continue
        first = found.setdefault(in_one_form(each.name), each)
        if first != each:
            raise UserError(
                f"{first} and {each} have the same name, in two Unicode forms; keep one"
            )
    return found
