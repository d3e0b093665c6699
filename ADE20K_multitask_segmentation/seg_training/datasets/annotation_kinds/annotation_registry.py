"""The kinds of annotation by the names that configs use."""

from seg_training.datasets.annotation_kinds.annotation_reader import AnnotationReader
from seg_training.datasets.annotation_kinds.value_maps import LabelMaps

__all__ = ["ANNOTATIONS"]

ANNOTATIONS: dict[str, type[AnnotationReader]] = {
    "label_maps": LabelMaps,
}
"""Kinds by their names; other packages add theirs."""
