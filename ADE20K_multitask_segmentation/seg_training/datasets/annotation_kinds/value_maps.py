"""Label maps: grey of 8, 16 or 32 bit, or palettes, whose values are the classes' own."""

from pathlib import Path

from seg_training.datasets.annotation_kinds.annotation_reader import PictureReader
from seg_training.datasets.annotations import LabelMap
from seg_training.pictures.picture_reading import read_label_map

__all__ = ["LabelMaps"]


class LabelMaps(PictureReader):
    """``annotations/train/a.png``; what its values mean the classes file says."""

    def read(self, key: str, image: Path) -> LabelMap:
        """Read the values."""
        return LabelMap(read_label_map(self.place.root / key))
