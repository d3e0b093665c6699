"""A user's own images, with annotations of any kind."""

import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seg_training.datasets.annotation_kinds.annotation_reader import AnnotationReader, Place
from seg_training.datasets.annotation_kinds.annotation_registry import ANNOTATIONS
from seg_training.datasets.annotation_kinds.joined_annotations import joined
from seg_training.datasets.annotation_kinds.named_values import joined_classes, with_background
from seg_training.datasets.annotations import Annotation, LabelMap, MaskSet
from seg_training.datasets.presence_index import default_cache_dir
from seg_training.datasets.segmentation_dataset import ImageFiles, Pairing, SegmentationDataset
from seg_training.datasets.split_lists import list_of_split, listed_images, lists_elsewhere
from seg_training.errors import UserError
from seg_training.files.file_suffixes import IMAGE_SUFFIXES
from seg_training.files.found_files import is_system_name
from seg_training.files.user_paths import is_hub_name
from seg_training.pictures.picture_reading import image_size
from seg_training.settings import check_keys, choose, choose_with_options, name_of, with_name
from seg_training.tasks import LabelClasses

__all__ = ["Folder"]

_log = logging.getLogger(__name__)

_UNANNOTATED = dict.fromkeys(["error", "empty", "leave_out"])
_OF_FURTHER = ("annotation", "labels", "label_suffix")  # settings of further annotations


@dataclass(frozen=True)
class _Annotated:
    """An image, and what annotates it: places of readers, and what they call the annotation."""

    image: str
    parts: tuple[tuple[int, str], ...]


class Folder(SegmentationDataset):
    """Any folder of images and annotations; of which kind these are, ``annotation`` says.

    What an image and its annotation are called may end differently (``a_img.jpg``, ``a_mask.png``),
    they may share a folder, and splits may be folders or lists.
    """

    cure_of_unlabelled = (
        "Add the label map or remove the image, or say by data.unannotated what such an image is: "
        "empty (nothing is there) or leave_out"
    )

    def __init__(
        self,
        root: str | Path,
        classes: str | Path | Mapping[str, Any],
        images: str = "images/{split}",
        labels: str = "annotations/{split}",
        image_suffix: str = "",
        label_suffix: str = "",
        split_list: str | None = None,
        annotation: str | Mapping[str, Any] = "label_maps",
        unannotated: str = "error",
        also: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Say where the files are and what their labels mean.

        Args:
            root: the dataset's folder.
            classes: the classes file, or what it holds: ``classes: {value: name}``,
                ``other: [values]``, ``ignore: [values]``. Empty: those that the annotations name
                themselves, where their kind does.
            images: folder of the images below the root; ``{split}`` is the split's name.
            labels: folder of the annotations, or the file that has all of them, likewise.
            image_suffix: end of the images' file names, without ``.jpg``, that is not part of the
                name of image and annotation.
            label_suffix: likewise, of the annotations.
            split_list: file that lists the images of a split, below the root or anywhere; by
                default a split is its folder of images.
            annotation: one of :data:`ANNOTATIONS`, or a mapping with its name and its options.
            unannotated: what an image without annotation is: an error, ``empty``, so that nothing
                of any class is there, or ``leave_out``.
            also: further annotations of the same images, each with ``annotation``, ``labels`` and
                ``label_suffix``; all of them join to one set of masks.

        Raises:
            UserError: if the classes file is missing or has another form, or if a setting has no
                such value.
        """
        super().__init__(root, images, labels)
        on_hub = name_of(annotation) == "parquet" and is_hub_name(str(root))
        self._hub_name = str(root) if on_hub else None
        choose(unannotated, _UNANNOTATED, "data.unannotated")
        self._image_suffix = image_suffix
        self._split_list = split_list
        self._annotation = annotation
        self._unannotated = unannotated
        self._also = [dict(each) for each in also]
        first = {"annotation": annotation, "labels": self._labels, "label_suffix": label_suffix}
        self._readers = [self._reader(first, "data")]
        for number, each in enumerate(self._also):
            setting = f"data.also[{number}]"
            check_keys(each, _OF_FURTHER, setting)
            if "annotation" not in each:
                raise UserError(f"{setting} needs annotation: one of {', '.join(ANNOTATIONS)}")
            self._readers.append(self._reader({**first, "label_suffix": "", **each}, setting))
        if len(self._readers) > 1 or self._readers[0].overlap:
            self.classes_overlap = True
        self._given: LabelClasses | None = None
        if not isinstance(classes, Mapping):
            self._given = LabelClasses.from_file(classes)
        elif classes or not any(map(_names_classes, self._readers)):
            self._given = LabelClasses.from_mapping(classes, "data.classes")
        self._known: LabelClasses | None = None
        self._annotated: dict[str, _Annotated] = {}
        self._looked_for: list[frozenset[int]] = []  # of each reader

    @property
    def _is_plain(self) -> bool:
        """Whether an annotation is just a label map, which :meth:`read_label_map` reads."""
        is_map = name_of(self._annotation) == "label_maps"
        return is_map and not self._also and self._unannotated != "empty"

    def _reader(self, settings: Mapping[str, Any], setting: str) -> AnnotationReader:
        if Path(settings["labels"]).is_absolute():
            raise UserError(
                f"{setting}.labels={settings['labels']} is absolute; give a path below data.root"
            )
        place = Place(
            root=self.root,
            labels=settings["labels"],
            label_suffix=settings["label_suffix"],
            files_by_stem=self._labels_by_stem,
            missing=self._missing_folder,
            setting=setting,
            image_suffix=self._image_suffix,
            splits=partial(self._splits_there, settings["labels"]),
            images=self._all_images,
            cache=self._cache_folder,
            hub_name=self._hub_name,
        )
        made = choose_with_options(
            settings["annotation"], ANNOTATIONS, f"{setting}.annotation", positional=1
        )
        return made(place)

    @property
    def classes(self) -> LabelClasses:
        """What the classes file says, or what the annotations name themselves."""
        if self._known is None:
            known = self._given
            if known is None:
                own = [reader.own_classes() for reader in self._readers]
                known = joined_classes([each for each in own if each is not None])
            for reader in self._readers:
                known = reader.completed(known)
            if self._unannotated == "empty" and not self.classes_overlap:
                known = with_background(known)
            for reader in self._readers:
                reader.use(known)
            self._known = known
        return self._known

    def settings(self) -> dict[str, Any]:
        """Replace the paths of what says what values mean by its content."""
        settings = {**super().settings(), "classes": self.classes.to_mapping()}
        if options := self._readers[0].settings():
            settings["annotation"] = _with_options(self._annotation, options)
        further = [reader.settings() for reader in self._readers[1:]]
        if any(further):
            settings["also"] = [
                {**given, "annotation": _with_options(given["annotation"], options)}
                for given, options in zip(self._also, further, strict=True)
            ]
        if self._hub_name:
            settings["root"] = self._hub_name
        if self._split_list and lists_elsewhere(self.root, self._split_list):
            settings["split_list"] = str(Path(self._split_list).absolute())
        return settings

    def pair(self, split: str) -> Pairing:
        """Find the annotations of every image of a split.

        Raises:
            UserError: if a folder is missing or empty, if two files have the same name, or if the
                list of the split names an image that is not there.
        """
        _ = self.classes  # what values mean is known before anything is read
        images = self._all_images(split)
        found = [reader.find(split, images) for reader in self._readers]
        if len(found) > 1:
            self._looked_for = [reader.looked_for() for reader in self._readers]
        files, without_label_map, left_out = [], [], 0
        for name in self._names_of(split, images):
            parts = tuple(
                (place, own.keys[name]) for place, own in enumerate(found) if name in own.keys
            )
            key = " + ".join(part for _, part in parts)
            if not parts and self._unannotated == "error":
                without_label_map.append(ImageFiles(images[name], found[0].expected(name)))
                continue
            if not parts and self._unannotated == "leave_out":
                left_out += 1
                continue
            pair = ImageFiles(images[name], key or f"{images[name]}#nothing")
            self._annotated[pair.label_map] = _Annotated(pair.image, parts)
            files.append(pair)
        of_other_splits = "{split}" not in self._images and any(
            "{split}" in reader.place.labels for reader in self._readers
        )
        if left_out and not of_other_splits:
            _log.info("%d images of split '%s' without annotation are left out", left_out, split)
        if not files and not without_label_map:
            raise UserError(f"no image of split '{split}' of {self.root} has an annotation")
        without_image = {
            label
            for reader, own in zip(self._readers, found, strict=True)
            if "{split}" in reader.place.labels or "{split}" not in self._images or self._is_plain
            for label in own.without_image  # of other splits' images, where they are together
        }
        return Pairing(files, without_label_map, sorted(without_image))

    def label_sources(self, label_map: str) -> list[Path]:
        """List the files that an image's annotations are read from."""
        if self._is_plain:
            return super().label_sources(label_map)
        parts = self._annotated[label_map].parts
        return [source for place, key in parts for source in self._readers[place].sources(key)]

    def reading(self) -> str:
        """Say which kinds of annotations there are, and what their values mean."""
        if self._is_plain:
            return ""  # the files say all
        own = self.settings()  # as a checkpoint has them: the index of its data is this one, too
        annotation, also = own.get("annotation", self._annotation), own.get("also", self._also)
        return f"{annotation}|{also}|{own['classes']}|{self._unannotated}"

    def read_annotation(self, label_map: str) -> Annotation:
        """Read an image's annotations, and join them where there are several.

        Raises:
            UserError: if one cannot be read, or is of another size than its image.
        """
        if self._is_plain:
            return super().read_annotation(label_map)
        annotated = self._annotated[label_map]
        image = self.root / annotated.image
        parts = [(place, self._readers[place].read(key, image)) for place, key in annotated.parts]
        if not parts:
            return self._nothing(image)
        if len(self._readers) == 1:
            return parts[0][1]
        looked_for = None
        if len(parts) < len(self._readers):
            looked_for = frozenset[int]().union(*(self._looked_for[place] for place, _ in parts))
        return joined([each for _, each in parts], self.classes, looked_for)

    def _nothing(self, image: Path) -> Annotation:
        size = image_size(image)
        if self.classes_overlap:
            return MaskSet.of_objects([], size)
        background = min(self.classes.other)
        return LabelMap(np.full(size, background, np.min_scalar_type(background)))

    def _cache_folder(self) -> Path:
        return self.cache_dir or default_cache_dir()

    def _splits_there(self, labels: str) -> list[str]:
        """List the splits that have a folder of images and one of annotations."""
        for pattern in (labels, self._images):
            if "{split}" not in pattern:
                continue
            first, *others = map(re.escape, pattern.split("{split}"))
            form = re.compile(first + "([^/]+)" + r"\1".join(others))
            there = self.root.glob(pattern.replace("{split}", "*"))
            below = [path.relative_to(self.root) for path in there]
            matches = [form.fullmatch(path.as_posix()) for path in sorted(below)]
            splits = [match[1] for match in matches if match and not is_system_name(match[1])]
            return [
                split
                for split in splits
                if (self.root / self._images.replace("{split}", split)).is_dir()
            ]
        return [""]

    def _all_images(self, split: str) -> dict[str, str]:
        """List the images of a split's folder by their names; annotations beside them are none."""
        if (own := self._readers[0].own_images(split)) is not None:
            return own
        folder = self._images.replace("{split}", split)
        files = self._files_in(folder, IMAGE_SUFFIXES)
        labels: set[Path] = set()
        own_folder = os.path.normpath(self.root / folder)
        for reader in self._readers:
            if os.path.normpath(self.root / reader.place.below(split)) == own_folder:
                labels |= reader.beside_images(files)
                continue
            others = [os.path.normpath(each) for each in reader.place.of_any_split()]
            below = tuple(f"{each}{os.sep}" for each in others if each.startswith(own_folder))
            labels.update(file for file in files if os.path.normpath(file).startswith(below))
        end = self._image_suffix
        kept = [file for file in files if file not in labels and file.stem.endswith(end)]
        stems = self._named(folder, kept, IMAGE_SUFFIXES)
        return {stem.removesuffix(end): file for stem, file in stems.items()}

    def _names_of(self, split: str, images: Mapping[str, str]) -> list[str]:
        if not self._split_list:
            return sorted(images)
        path = list_of_split(self.root, self._split_list, split)
        return listed_images(path, images, self._image_suffix)

    def _labels_by_stem(
        self, folder: str, suffixes: tuple[str, ...], pattern: str, images: Collection[str]
    ) -> dict[str, str]:
        files = self._files_in(folder, suffixes)
        if folder == "." or any(image.startswith(f"{folder}/") for image in images):
            files = [file for file in files if file.relative_to(self.root).as_posix() not in images]
        if not files and folder in {Path(image).parent.as_posix() for image in images}:
            raise UserError(
                f"all pictures in {self.root / folder} are images: nothing tells annotations in "
                "the same folder apart. Set data.label_suffix (_mask, say)"
            )
        return self._named(folder, files, suffixes, pattern)


def _names_classes(reader: AnnotationReader) -> bool:
    return type(reader).own_classes is not AnnotationReader.own_classes


def _with_options(setting: str | Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    given = with_name(setting)
    return {**given, **options}
