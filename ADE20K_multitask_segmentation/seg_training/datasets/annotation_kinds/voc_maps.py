"""Pascal VOC: palettes whose indices are the classes, with a border of 255 that is ignored."""

from dataclasses import replace

from seg_training.datasets.annotation_kinds.value_maps import LabelMaps
from seg_training.tasks import LabelClasses

__all__ = ["Voc"]

_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_BACKGROUND, _BORDER = 0, 255


class Voc(LabelMaps):
    """``SegmentationClass/a.png``; where no classes file says otherwise, the 20 of Pascal VOC."""

    def own_classes(self) -> LabelClasses:
        """Name VOC's classes."""
        return LabelClasses(dict(enumerate(_NAMES, start=1)))

    def completed(self, classes: LabelClasses) -> LabelClasses:
        """Let 0 be background and 255 the border, where they are no classes."""
        taken = {*classes.names, *classes.other, *classes.ignore}
        return replace(
            classes,
            other=classes.other | ({_BACKGROUND} - taken),
            ignore=classes.ignore | ({_BORDER} - taken),
        )
