"""Decoding the files of a split, in threads, and what an audit keeps of each."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from seg_training.audit.audit_findings import Size
from seg_training.datasets.annotations import MaskSet
from seg_training.datasets.presence_index import CountedLabels, counted_labels, usable_cores
from seg_training.datasets.segmentation_dataset import ImageFiles, Pairing, SegmentationDataset
from seg_training.errors import UserError
from seg_training.files.file_suffixes import LABEL_MAP_SUFFIXES
from seg_training.pictures.picture_reading import PictureHeader, image_mode, read_header, read_image

__all__ = ["ReadImage", "ReadLabelMap", "ReadPair", "read_pairs"]


@dataclass(frozen=True)
class ReadImage:
    """What reading an image gave.

    Attributes:
        file: its path, relative to the dataset's root.
        size: upright; None where it could not be read.
        header: what its file says of it; None where it could not be read.
        darkest, brightest: of its values, 0 to 255.
        digest: hash of the file's bytes.
        fault: why it could not be read; empty where it could.
    """

    file: str
    size: Size | None = None
    header: PictureHeader | None = None
    darkest: int = 0
    brightest: int = 255
    digest: str = ""
    fault: str = ""


@dataclass(frozen=True)
class ReadLabelMap:
    """What reading a label map gave.

    Attributes:
        file: what the dataset calls it.
        size: None where it could not be read.
        modes: how the pictures that it is made from store their pixels.
        is_turned: whether EXIF data turns one of them, as it turns the image.
        pixels: label value to its number of pixels; only values that occur.
        counted: likewise, as the presence index has it; None where it could not be read.
        fault: why it cannot be used; empty where it can.
    """

    file: str
    size: Size | None = None
    modes: Sequence[str] = ()
    is_turned: bool = False
    pixels: Mapping[int, int] = field(default_factory=dict)
    counted: CountedLabels | None = None
    fault: str = ""


class ReadPair(NamedTuple):
    """An image and its label map; None where it has none."""

    image: ReadImage
    label_map: ReadLabelMap | None


def read_pairs(dataset: SegmentationDataset, pairing: Pairing, title: str) -> list[ReadPair]:
    """Decode every image and label map of a split, behind a progress bar on a terminal.

    Args:
        dataset: where the files are.
        pairing: the split's files.
        title: what to write beside the bar.

    Returns:
        The pairs, then the images that lack their label map.
    """

    def read(pair: ImageFiles) -> ReadPair:
        image = _read_image(dataset, pair.image)
        if pair not in labelled:
            return ReadPair(image, None)
        is_turned = image.header is not None and image.header.orientation != 1
        return ReadPair(image, _read_label_map(dataset, pair.label_map, is_turned, ignored))

    ignored = dataset.classes.ignore if dataset.labelled else ()
    labelled = set(pairing.files) if dataset.labelled else set()
    files = [*pairing.files, *pairing.without_label_map]
    console = Console(stderr=True)
    with ThreadPoolExecutor(usable_cores()) as threads:  # decoding releases the interpreter
        results = threads.map(read, files)
        hidden = not console.is_terminal
        shown = escape(title)  # the split's name is in it
        bar = track(results, shown, len(files), console=console, transient=True, disable=hidden)
        return list(bar)


def _read_image(dataset: SegmentationDataset, file: str) -> ReadImage:
    path = dataset.root / file
    try:
        header = read_header(path)
        pixels = read_image(path)
    except UserError as error:
        return ReadImage(file, fault=_below_root(error, dataset.root))
    digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    size = Size(*pixels.shape[:2])
    return ReadImage(file, size, header, int(pixels.min()), int(pixels.max()), digest)


def _read_label_map(
    dataset: SegmentationDataset, file: str, image_is_turned: bool, ignored: Collection[int]
) -> ReadLabelMap:
    pictures = [
        path for path in dataset.label_sources(file) if path.suffix.lower() in LABEL_MAP_SUFFIXES
    ]
    modes = []
    is_turned = False
    for path in pictures:
        with suppress(UserError):  # reading the label map says what is wrong
            modes.append(image_mode(path))
            is_turned |= image_is_turned and read_header(path).orientation != 1
    try:
        annotation = dataset.annotation(file)
    except UserError as error:
        return ReadLabelMap(file, modes=modes, fault=_below_root(error, dataset.root))
    counted = CountedLabels(*annotation.counts())
    pixels = dict(zip(counted.values.tolist(), counted.pixels.tolist(), strict=True))
    if isinstance(annotation, MaskSet):  # whose ignored classes cover the others
        counted = counted_labels(annotation, ignored)
    return ReadLabelMap(
        file,
        Size(*annotation.size),
        modes,
        is_turned,
        pixels,
        counted,
    )


def _below_root(error: UserError, root: Path) -> str:
    """Write the paths in a message as all other files of an audit."""
    return str(error).replace(f"{root}/", "")
