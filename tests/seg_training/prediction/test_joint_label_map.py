import numpy as np
from numpy.typing import NDArray

from seg_training.prediction.joint_label_map import JointLabelMap


def row(*values: float) -> NDArray[np.float32]:
    return np.array([values], np.float32)


def test_the_larger_probability_wins_and_masks_may_overlap() -> None:
    label_map = JointLabelMap((1, 4))
    assert label_map.labels.tolist() == [[0, 0, 0, 0]]
    first = label_map.add(2, row(0.9, 0.5, 0.6, 0.1), 0.5)
    second = label_map.add(0, row(0.6, 0.5, 0.8, 0.4), 0.5)
    assert first.tolist() == [[True, True, True, False]]
    assert second.tolist() == [[True, True, True, False]]
    # Of two that are equally probable the first one stays.
    assert label_map.labels.tolist() == [[3, 3, 1, 0]]


def test_labels_grow_with_the_classes() -> None:
    label_map = JointLabelMap((1, 3))
    label_map.add(254, row(0.9, 0.1, 0.1), 0.5)
    assert label_map.labels.dtype == np.uint8
    label_map.add(255, row(0.1, 0.9, 0.1), 0.5)
    label_map.add(70_000, row(0.1, 0.1, 0.9), 0.5)
    label_map.add(0, row(0.1, 0.95, 0.1), 0.5)
    assert label_map.labels.tolist() == [[255, 1, 70_001]]


def test_each_class_has_its_own_threshold() -> None:
    label_map = JointLabelMap((1, 3))
    assert label_map.add(0, row(0.3, 0.3, 0.1), 0.2).tolist() == [[True, True, False]]
    assert label_map.add(1, row(0.6, 0.8, 0.6), 0.7).tolist() == [[False, True, False]]
    # The larger probability wins where it is enough for its class.
    assert label_map.labels.tolist() == [[1, 2, 0]]


def test_a_class_that_competes_with_none_is_where_no_other_is() -> None:
    for order in ((0, 1, 2), (2, 1, 0)):
        label_map = JointLabelMap((1, 4))
        rows = {0: row(0.6, 0.1, 0.1, 0.1), 1: row(0.9, 0.9, 0.4, 0.6), 2: row(0.9, 0.8, 0.1, 1.0)}
        for task in order:
            label_map.add(task, rows[task], 0.5, competes=task == 0)
        # The more probable of two such wins.
        assert label_map.labels.tolist() == [[1, 2, 0, 3]]
