"""What is known of an image, against a plain loop over classes and pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytorch_lightning.utilities import move_data_to_device
from torch.utils.data._utils.pin_memory import pin_memory

from seg_training.datasets.annotations import Annotation, LabelMap, MaskSet
from seg_training.datasets.batches import EvaluationBatch, EvaluationSample
from seg_training.datasets.truths import Truth, ignored_label, label_type
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses, TaskTable

CLASSES = LabelClasses(
    {1: "person", 2: "jacket", 3: "sleeve", 70_000: "hat"},
    other=frozenset({0, 5}),
    ignore=frozenset({9}),
)
TASKS = TaskTable(CLASSES, {"clothes": ["jacket", "sleeve"], "person": ["person"], "hat": ["hat"]})
GROUPS = [{2, 3}, {1}, {70_000}]
ALL = torch.arange(3)

labels = arrays(np.uint32, (4, 5), elements=st.sampled_from([0, 1, 2, 3, 5, 9, 70_000]))
one_mask = arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 255]))


@given(labels)
def test_a_label_map_gives_each_task_its_pixels(raw: np.ndarray) -> None:
    truth = TASKS.truth(LabelMap(raw))
    for task_id, mask in enumerate(truth.masks(ALL).numpy()):
        for (row, column), value in np.ndenumerate(raw):
            wanted = 255 if value == 9 else int(int(value) in GROUPS[task_id])
            assert mask[row, column] == wanted
        assert np.array_equal(truth.mask(task_id), mask)
    assert truth.known.all()
    there = {task: int(np.isin(raw, list(own)).sum()) for task, own in enumerate(GROUPS)}
    assert truth.task_pixels() == {task: pixels for task, pixels in there.items() if pixels}


@given(
    objects=st.lists(st.tuples(st.sampled_from([1, 2, 3, 9]), one_mask), max_size=5),
    unlabelled=st.none() | arrays(np.bool_, (4, 5)),
    absent=st.none() | st.frozensets(st.sampled_from([1, 2, 3, 70_000])),
)
def test_a_set_of_masks_gives_each_task_all_of_its_masks(
    objects: list[tuple[int, np.ndarray]],
    unlabelled: np.ndarray | None,
    absent: frozenset[int] | None,
) -> None:
    truth = TASKS.truth(MaskSet.of_objects(objects, (4, 5), unlabelled, absent))
    masks = truth.masks(ALL).numpy()
    for task_id, own in enumerate(GROUPS):
        nobodys = np.zeros((4, 5), np.bool_) if unlabelled is None else unlabelled.copy()
        for value, mask in objects:
            if value == 9:
                nobodys |= mask == 1
        wanted = np.zeros((4, 5), np.uint8)
        for value, mask in objects:
            if value in own:
                wanted[(mask == 255) & (wanted == 0)] = 255
                wanted[mask == 1] = 1
        shown = (wanted[~nobodys] == 1).any()
        only_unlabelled = (wanted[~nobodys] == 255).any()
        mentioned = {value for value, _ in objects}
        looked_for = absent is None or own <= (absent | mentioned)
        if own & mentioned and not looked_for:  # perhaps a class that nobody looked for is there
            wanted[wanted == 0] = 255
        wanted[nobodys] = 255
        known = shown or (looked_for and not only_unlabelled)
        assert bool(truth.known[task_id]) == known
        assert np.array_equal(truth.mask(task_id), wanted)
        assert np.array_equal(masks[task_id], wanted if known else np.full((4, 5), 255))


@pytest.mark.parametrize(
    "annotation",
    [
        LabelMap(np.array([[1, 2], [9, 70_000]], np.uint32)),
        MaskSet.of_objects([(1, np.eye(2)), (2, np.ones((2, 2)))], (2, 2)),
    ],
    ids=["label map", "masks"],
)
def test_resizing_before_and_after_is_the_same(annotation: Annotation) -> None:
    for size in ((5, 3), (1, 2)):
        resized = TASKS.truth(annotation).resized(size)
        assert resized.size == size
        assert torch.equal(resized.masks(ALL), TASKS.truth(annotation.resized(size)).masks(ALL))
    moved = TASKS.truth(annotation).to("cpu")
    assert torch.equal(moved.masks(ALL), TASKS.truth(annotation).masks(ALL))


def test_masks_that_overlap_are_no_label_map() -> None:
    truth = TASKS.truth(MaskSet.of_objects([(1, np.eye(2))], (2, 2)))
    with pytest.raises(UserError, match=r"may overlap.*Use another method"):
        _ = truth.label_map


@pytest.mark.parametrize(
    "annotation",
    [
        LabelMap(np.array([[1, 2], [9, 70_000]], np.uint32)),
        MaskSet.of_objects([(1, np.eye(2))], (2, 2), np.ones((2, 2), np.bool_)),
    ],
    ids=["label map", "masks"],
)
def test_lightning_moves_truths_and_loaders_pin_them(
    annotation: Annotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(truth: Truth) -> EvaluationSample:
        return EvaluationSample(torch.zeros(3, 2, 2), ALL, truth, "name", 0, 0)

    truths = [TASKS.truth(annotation), TASKS.truth(annotation)]
    batch = EvaluationBatch.collate([sample(truth) for truth in truths])
    moved = move_data_to_device(batch, torch.device("meta"))
    tensors: list[torch.Tensor] = []
    for truth in moved.truths:
        truth._each(lambda own: tensors.append(own) or own)
    number = 2 * (2 if isinstance(annotation, LabelMap) else 4)
    assert [own.device.type for own in tensors] == ["meta"] * number

    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda own: pinned.append(own) or own)
    again = pin_memory(batch)
    assert [torch.equal(own.masks(ALL), truths[0].masks(ALL)) for own in again.truths] == [True] * 2
    assert any(own is truths[0].known for own in pinned)
    assert len(pinned) == 1 + 2 + number  # beside the images and each one's task ids


@pytest.mark.parametrize(
    ("num_tasks", "kind"),
    [(254, np.uint8), (255, np.uint16), (65_534, np.uint16), (65_535, np.uint32)],
)
def test_a_label_map_has_the_smallest_type_that_holds_other_all_tasks_and_ignored(
    num_tasks: int, kind: type
) -> None:
    assert label_type(num_tasks) is kind


def test_1203_tasks_of_16_bit_labels() -> None:
    classes = LabelClasses({10 * k: f"class {k}" for k in range(1, 1204)}, ignore=frozenset({3}))
    tasks = TaskTable(classes)
    truth = tasks.truth(LabelMap(np.array([[12_030, 10], [3, 0]], np.uint16)))
    assert truth.label_map.tolist() == [[1203, 1], [ignored_label(truth.label_map), 0]]
    asked = torch.tensor([1202, 0, 600])
    assert truth.masks(asked).tolist() == [
        [[1, 0], [255, 0]],
        [[0, 1], [255, 0]],
        [[0, 0], [255, 0]],
    ]


def test_a_task_that_another_dataset_labels_is_not_known() -> None:
    tasks = TaskTable(CLASSES, ["person"], vocabulary=["glass", "person"])
    truth = tasks.truth(LabelMap(np.array([[1, 0]], np.uint8)))
    assert truth.masks(torch.tensor([0, 1])).tolist() == [[[255, 255]], [[1, 0]]]
