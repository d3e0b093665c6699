"""Hugging Face datasets in a folder: parquet files with a column of images, one of label maps."""

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.folder_contents import FolderContents
from seg_training.dataset_description.picture_sides import Key, Side
from seg_training.dataset_description.split_words import split_stem
from seg_training.errors import UserError, listed

__all__ = ["parquet_candidates"]

_SHARD = re.compile(r"-\d{5}-of-\d{5}")
_IMAGES = ("image", "images", "img", "pixel_values", "picture", "photo")
_LABELS = (
    *("label", "labels", "label_map", "annotation", "annotations", "mask", "masks"),
    *("segmentation", "segmentation_mask", "semantic_segmentation", "seg", "gt"),
)


def parquet_candidates(contents: FolderContents) -> Iterator[Candidate]:
    """Find parquet files of images and label maps, those of several splits together.

    Args:
        contents: of the dataset's folder.

    Raises:
        UserError: if they cannot be read, or have no such columns.
    """
    by_pattern: dict[str, dict[str, list[PurePosixPath]]] = {}
    for path in contents.documents_of(".parquet"):
        stem, split = split_stem(_SHARD.sub("-*", path.stem))
        pattern = path.with_name(f"{stem}{path.suffix}").as_posix()
        by_pattern.setdefault(pattern, {}).setdefault(split, []).append(path)
    for pattern, splits in by_pattern.items():
        rows: dict[Key, PurePosixPath] = {}
        annotated: dict[str, frozenset[Key]] = {}
        options: Mapping[str, str] = {}
        for split, files in splits.items():
            number, options = _rows_of(contents, files)
            keys = [Key(split, f"{row:06d}") for row in range(number)]
            rows |= {key: PurePosixPath(key.name) for key in keys}
            annotated[split] = frozenset(keys)
        images = Side(".", "", "image", rows)
        about = "a Hugging Face dataset in parquet files"
        yield Candidate("parquet", images, pattern, annotated, options, about=about)


def _rows_of(
    contents: FolderContents, files: Sequence[PurePosixPath]
) -> tuple[int, Mapping[str, str]]:
    """Count rows, and say what the columns are called where it is not what is expected."""
    try:
        library = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f"{contents.root / files[0]} is read by the library 'datasets': "
            "pip install 'tasformer[hub]'"
        ) from error
    number, columns = 0, []
    for file in files:
        try:
            metadata: Any = library.read_metadata(contents.root / file)
            columns = list(library.read_schema(contents.root / file).names)
        except Exception as error:  # of many kinds
            raise UserError(
                f"cannot read {contents.root / file}: {error}. Download it again"
            ) from error
        number += metadata.num_rows
    found = {}
    for option, names in (("image", _IMAGES), ("label_map", _LABELS)):
        there = [name for name in names if name in columns]
        if not there:
            what = "images" if option == "image" else "label maps"
            raise UserError(
                f"{contents.root / files[0]} has no column of {what}: there is "
                f"{listed(columns, 8)}; expected one of {listed(names, 8)}. Rename it, or write a "
                "config with data.annotation={name: parquet, image: ..., label_map: ...}"
            )
        if there[0] != names[0]:
            found[option] = there[0]
    return number, found
