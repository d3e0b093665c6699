"""What may be the annotations of the images in a folder: one way to read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from seg_training.dataset_description.picture_sides import Key, Side

__all__ = ["Candidate"]


@dataclass(frozen=True)
class Candidate:
    """Annotations of one kind, as the settings of a dataset of one's own name them.

    Attributes:
        kind: the annotation's name in configs.
        images: the images that they may be of.
        labels: their folder or file, with ``{split}`` where it names the split.
        annotated: the images that have one, by split, as folders or files call it; of the split
            ``""`` where they name none.
        options: of the kind.
        class_name: of the one class that masks show; empty for other kinds.
        label_ending: of their names.
        unannotated: what an image without annotation is taken for.
        about: what they are, in words, for the report.
        notes: what was chosen about them, each a sentence.
        files: some of them that are pictures, in order; empty where they are documents.
    """

    kind: str
    images: Side
    labels: str
    annotated: Mapping[str, frozenset[Key]] = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    class_name: str = ""
    label_ending: str = ""
    unannotated: Literal["leave_out", "empty"] = "leave_out"
    about: str = ""
    notes: tuple[str, ...] = ()
    files: tuple[PurePosixPath, ...] = field(default=(), repr=False)

    @property
    def number(self) -> int:
        """How many images have an annotation."""
        return sum(map(len, self.annotated.values()))
