"""The kinds of annotation by the names that configs use."""

from seg_training.datasets.annotation_kinds.annotation_reader import AnnotationReader
from seg_training.datasets.annotation_kinds.coco_masks import Coco
from seg_training.datasets.annotation_kinds.colour_maps import Colours
from seg_training.datasets.annotation_kinds.labelme_shapes import LabelMe
from seg_training.datasets.annotation_kinds.mask_files import ClassMasks
from seg_training.datasets.annotation_kinds.object_masks import ObjectMasks
from seg_training.datasets.annotation_kinds.panoptic_maps import Panoptic
from seg_training.datasets.annotation_kinds.parquet_rows import Parquet
from seg_training.datasets.annotation_kinds.soft_masks import Binary
from seg_training.datasets.annotation_kinds.value_maps import LabelMaps
from seg_training.datasets.annotation_kinds.voc_maps import Voc
from seg_training.datasets.annotation_kinds.yolo_polygons import Yolo

__all__ = ["ANNOTATIONS"]

ANNOTATIONS: dict[str, type[AnnotationReader]] = {
    "label_maps": LabelMaps,
    "colours": Colours,
    "binary": Binary,
    "voc": Voc,
    "coco": Coco,
    "class_masks": ClassMasks,
    "object_masks": ObjectMasks,
    "yolo": Yolo,
    "labelme": LabelMe,
    "panoptic": Panoptic,
    "parquet": Parquet,
}
"""Kinds by their names; other packages add theirs."""
