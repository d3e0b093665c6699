"""Synthetic scenes for the demo, in ADE20K's layout, drawn where they are not there yet."""

from pathlib import Path

from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.datasets.synthetic_scenes import SCENE_CLASSES, generate_scenes
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses

__all__ = ["Synthetic"]

_SYNONYMS = {
    "house": ("building",),
    "car": ("auto", "automobile"),
    "rug": ("carpet",),
}


class Synthetic(SegmentationDataset):
    """Textured, overlapping things of named classes; label 0 is other."""

    def __init__(
        self,
        root: str | Path,
        num_training: int = 800,
        num_validation: int = 100,
        scene_seed: int = 0,
    ) -> None:
        """Say where the scenes are or shall be."""
        super().__init__(root)
        self._num_training = num_training
        self._num_validation = num_validation
        self._scene_seed = scene_seed

    @property
    def classes(self) -> LabelClasses:
        """Value k + 1 is the k-th class of the scenes."""
        names = [";".join([name, *_SYNONYMS.get(name, ())]) for name in SCENE_CLASSES]
        return LabelClasses(dict(enumerate(names, start=1)), other=frozenset({0}))

    def prepare(self) -> None:
        """Draw the scenes, unless the same ones are there."""
        try:
            generate_scenes(self.root, self._num_training, self._num_validation, self._scene_seed)
        except OSError as error:
            raise UserError(
                f"cannot draw scenes into {self.root}: {error}; set data.root"
            ) from error
