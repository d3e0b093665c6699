"""What SceneNet RGB-D's protobufs and its WordNet table say about the instances of a trajectory."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.proto import parse_length_prefixed
from numpy.typing import NDArray

from multitask_segmentation.scenenet_pb2 import Instance, Trajectory
from seg_training.errors import UserError, suggest
from seg_training.tasks import LabelClasses

__all__ = ["INSTANCE_IDS", "TrajectoryLabels", "read_trajectories", "read_wordnet_classes"]

INSTANCE_IDS = range(2**16)
"""What a picture of 16 bit can show."""

_TRAJECTORY_TAG = b"\x0a"  # field 1 of Trajectories, length-delimited
_CLASS_COLUMN = "13_classes"


class TrajectoryLabels(NamedTuple):
    """What is kept of a trajectory: small arrays, so that forked workers share them.

    Attributes:
        protobuf: the file that describes it.
        frames: (V,) int32, the number of each view.
        values: (I,) uint8, label value of each instance id; the ids from I on have none.
    """

    protobuf: Path
    frames: NDArray[np.int32]
    values: NDArray[np.uint8]


def read_trajectories(
    protobuf: Path, value_of_wordnet_id: Mapping[str, int]
) -> Iterator[tuple[str, TrajectoryLabels]]:
    """Read a protobuf of 300 MB one trajectory at a time.

    Args:
        protobuf: the file.
        value_of_wordnet_id: as :func:`read_wordnet_classes` gave it.

    Yields:
        Each trajectory's render path, and what is kept of it.

    Raises:
        UserError: if the file cannot be read or holds something else.
    """
    for trajectory in _stream(protobuf):
        yield trajectory.render_path, _compact(protobuf, trajectory, value_of_wordnet_id)


class _AllOfIt:
    """Reads what there is of a file: Python takes the memory first that a length asks for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, number: int) -> bytes:
        return self._file.read(min(number, self._size - self.tell()))

    def tell(self) -> int:
        return self._file.tell()


def _stream(path: Path) -> Iterator[Trajectory]:
    try:
        with path.open("rb") as opened:
            file = _AllOfIt(opened, path.stat().st_size)
            while tag := file.read(1):
                if tag != _TRAJECTORY_TAG:
                    raise ValueError("something that is no trajectory stands in it")
                # Typed as BytesIO, but whatever can be read will do.
                trajectory = parse_length_prefixed(Trajectory, file)  # type: ignore[arg-type]
                if trajectory is None:
                    raise ValueError("it ends in the middle of a trajectory")
                if not trajectory.render_path:
                    raise ValueError("a trajectory in it has no render_path")
                yield trajectory
    except (OSError, ValueError, DecodeError, OverflowError) as error:
        raise UserError(
            f"cannot read {path} as trajectories of SceneNet RGB-D: {error}. Download or unpack it "
            "again"
        ) from error


def _compact(
    protobuf: Path, trajectory: Trajectory, value_of_wordnet_id: Mapping[str, int]
) -> TrajectoryLabels:
    values = np.zeros(len(INSTANCE_IDS), np.uint8)
    for instance in trajectory.instances:
        labelled = instance.instance_type != Instance.BACKGROUND
        if labelled and instance.instance_id in INSTANCE_IDS:
            wordnet_id = instance.semantic_wordnet_id.zfill(8)
            values[instance.instance_id] = value_of_wordnet_id.get(wordnet_id, 0)
    frames = np.array([view.frame_num for view in trajectory.views], np.int32)
    return TrajectoryLabels(protobuf, frames, np.trim_zeros(values, "b").copy())


def read_wordnet_classes(path: Path, classes: LabelClasses) -> dict[str, int]:
    """Read the table ``wnid_to_classes.txt``, whichever its separator is.

    Args:
        path: the table; its first line names the columns.
        classes: label values and their names.

    Returns:
        The label value of each WordNet id, padded to eight digits.

    Raises:
        UserError: if the file is missing, has no such column, or names an unknown class.
    """
    lines = _read_lines(path)
    separator = next((mark for mark in "\t,;" if mark in lines[0]), None)
    try:
        rows = list(csv.reader(lines, delimiter=separator) if separator else map(str.split, lines))
    except csv.Error as error:
        raise UserError(f"cannot read {path} as a table: {error}. Download it again") from error
    header = [name.strip() for name in rows[0]]
    if _CLASS_COLUMN not in header:
        raise UserError(
            f"{path} has no column '{_CLASS_COLUMN}' (its first line names: {', '.join(header)}). "
            "Is it SceneNet RGB-D's own table?"
        )
    class_column = header.index(_CLASS_COLUMN)
    id_column = next((i for i, name in enumerate(header) if "wn" in name.lower()), 0)
    value_of_class = {name: value for value, name in classes.names.items()}
    value_of_class |= {"unknown": 0, "": 0}
    value_of_wordnet_id = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) <= max(class_column, id_column):
            raise UserError(
                f"line {number} of {path} has {len(row)} columns, its first line {len(header)}; "
                "complete or remove it"
            )
        name = row[class_column].strip().lower()
        if name not in value_of_class:
            raise UserError(
                f"line {number} of {path} has class '{name}'{suggest(name, value_of_class)} "
                f"(known: {', '.join(classes.names.values())}, unknown)"
            )
        value_of_wordnet_id[row[id_column].strip().zfill(8)] = value_of_class[name]
    return value_of_wordnet_id


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        near = suggest(path.name, sorted(file.name for file in path.parent.glob("*.txt")))
        raise UserError(
            f"{path}, the table from WordNet ids to the 13 classes, does not exist (see "
            f"DATASET_PREPARATION.md){near}"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} as a table: {error}. Download it again") from error
    if not lines:
        raise UserError(f"{path} is empty; expected the table from WordNet ids to the 13 classes")
    return lines
