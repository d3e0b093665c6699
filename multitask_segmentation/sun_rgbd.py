"""SUN RGB-D: 37 classes of rooms and their furniture, label 0 is other."""

import re

from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses

__all__ = ["SunRgbd"]

# The label maps of both splits are numbered as one series, the 5,050 test images first; the
# images of each split start at 1.
_NUM_TEST_IMAGES = 5050


class SunRgbd(SegmentationDataset):
    """``{train,test}/images/*.jpg`` and ``{train,test}/labels/*.png``.

    In train, ``img-000001.jpg`` has the label map ``img-005051.png``; in test the names agree.
    """

    default_images = "{split}/images"
    default_labels = "{split}/labels"

    @property
    def classes(self) -> LabelClasses:
        """Values 1 to 37; 0, unlabelled, is other as published."""
        return LabelClasses.from_package("multitask_segmentation", "classes/sun_rgbd.yaml")

    def label_stem(self, image_stem: str, split: str) -> str:
        """Count on from the test images in train, keep the name elsewhere.

        Args:
            image_stem: ``img-000001``.
            split: which part of the dataset.

        Raises:
            UserError: if an image of train is not named by a number.
        """
        if split != "train":
            return image_stem
        number = re.fullmatch(r"img-(\d+)", image_stem)
        if number is None:
            raise UserError(
                f"image '{image_stem}' of split 'train' in {self.root} has no number; expected "
                "names like img-000001, whose label map is img-005051 (the number + "
                f"{_NUM_TEST_IMAGES}). Rename the image or remove it"
            )
        return f"img-{int(number[1]) + _NUM_TEST_IMAGES:06d}"
