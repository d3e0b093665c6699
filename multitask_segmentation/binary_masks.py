"""What the datasets of one concept have in common: masks that are 255 where it is, 0 elsewhere."""

from typing import Any, ClassVar

from numpy.typing import NDArray

from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.pictures.picture_reading import read_binary_mask
from seg_training.tasks import LabelClasses

__all__ = ["BinaryMasks"]


class BinaryMasks(SegmentationDataset):
    """``{split}/image/*`` and ``{split}/mask/*.png``; an empty mask is a mask too.

    Attributes:
        concept: name of the one class.
    """

    concept: ClassVar[str]

    default_images = "{split}/image"
    default_labels = "{split}/mask"

    @property
    def classes(self) -> LabelClasses:
        """255 is the concept, 0 is other; any further value in a mask is an error."""
        return LabelClasses({255: self.concept}, other=frozenset({0}))

    def read_label_map(self, label_map: str) -> NDArray[Any]:
        """Read a mask, whether it was saved as grey, 1 bit, RGB or a palette.

        Returns:
            (H, W) uint8, 0 or 255.

        Raises:
            UserError: if the file is missing, unreadable, or not grey.
        """
        return read_binary_mask(self.root / label_map)
