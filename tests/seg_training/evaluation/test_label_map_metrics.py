import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
from two_processes import answers_of_two

from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.truths import LabelMapTruth
from seg_training.evaluation.label_map_metrics import LabelMapResult, label_map_metrics
from seg_training.evaluation.pair_counting import PairCounter, predicted_tasks
from seg_training.evaluation.pair_table import PairTable
from seg_training.tasks import TaskTable

Image = tuple[NDArray[Any], NDArray[Any]]
"""Predicted tasks (-1 for none) and a label map (0 other, 255 ignore)."""


def count(images: Sequence[tuple[int, int, Image]], num_tasks: int = 4) -> PairTable:
    """Count images that have the ids of their dataset and their own."""
    counter = PairCounter({}, num_tasks)
    for dataset, position, (predicted, label_map) in images:
        labels = torch.from_numpy(np.asarray(label_map, np.uint8))
        counter.update(
            torch.zeros(num_tasks, *predicted.shape),
            LabelMapTruth(labels, torch.ones(num_tasks, dtype=torch.bool)),
            torch.arange(num_tasks),
            dataset,
            position,
            torch.from_numpy(np.asarray(predicted, np.int64)),
        )
    return counter.table()


def measure(*images: Image, num_tasks: int = 4) -> LabelMapResult:
    numbered = [(0, position, image) for position, image in enumerate(images)]
    result = label_map_metrics(count(numbered, num_tasks))
    assert result is not None
    return result


def test_by_hand() -> None:
    # Task 0: 2 true, 1 right, predicted twice where something is true: IoU 1/3, recall 1/2.
    # Task 1: 1 true, 0 right, predicted once: IoU 0, recall 0. Task 2: 1 true and right: 1 and 1.
    # Task 3 is never true: its prediction counts as wrong for task 0 alone.
    predicted = [[0, 3, 0, 2, 1, 1]]
    label_map = [[1, 1, 2, 3, 0, 255]]
    result = measure((np.array(predicted), np.array(label_map)))
    assert result.mIoU == pytest.approx(100 * (1 / 3 + 0 + 1) / 3)
    assert result.fwIoU == pytest.approx(100 * (2 / 3 + 0 + 1) / 4)
    assert result.mACC == pytest.approx(100 * (1 / 2 + 0 + 1) / 3)
    assert result.pACC == pytest.approx(100 * 2 / 4)


def test_other_is_a_class_by_hand() -> None:
    """Answers are "other" where no logit is positive, whatever mIoU takes there."""
    label_map = torch.tensor([[0, 0, 0, 1, 1, 2, 255]], dtype=torch.uint8)
    first = torch.tensor([[2.0, -1.0, -1.0, 2.0, -1.0, 3.0, 9.0]])
    logits = torch.stack([first, torch.tensor([[1.0, -2.0, 1.0, 1.0, -3.0, 1.0, 0.0]])])
    counter, ids = PairCounter({}, 2), torch.arange(2)
    truth = LabelMapTruth(label_map, torch.ones(2, dtype=torch.bool))
    counter.update(logits, truth, ids, joint=predicted_tasks(logits, ids))
    result = label_map_metrics(counter.table())
    assert result is not None
    # Answers: 0, other, 1, 0, other, 0. Other: 1 of 3 found, 1 too many: 1/4. Task 0: 1 of 2, 2 too
    # many: 1/4. Task 1: not found.
    assert result.mIoU_with_other == pytest.approx(100 * (1 / 4 + 1 / 4 + 0) / 3)
    assert result.mIoU == pytest.approx(100 * (2 / 3 + 0) / 2)  # wins without being positive


def test_without_other_in_truth_it_is_no_class() -> None:
    label_map = torch.tensor([[1, 1, 2, 255]], dtype=torch.uint8)
    logits = torch.tensor([[[1.0, -1.0, -1.0, 1.0]], [[-1.0, -2.0, 1.0, 1.0]]])
    counter, ids = PairCounter({}, 2), torch.arange(2)
    truth = LabelMapTruth(label_map, torch.ones(2, dtype=torch.bool))
    counter.update(logits, truth, ids, joint=predicted_tasks(logits, ids))
    result = label_map_metrics(counter.table())
    assert result is not None
    assert (result.mIoU_with_other, result.mIoU) == (75.0, 100.0)


def plain_with_other(logits: Tensor, label_map: NDArray[Any]) -> float:
    """A confusion matrix of tasks and, last, other."""
    num_tasks = len(logits)
    matrix = np.zeros((num_tasks + 1, num_tasks + 1))
    for place, label in np.ndenumerate(label_map):
        here = logits[(slice(None), *place)]
        answer = int(here.argmax()) if here.max() > 0 else num_tasks
        if label != 255:
            matrix[label - 1 if label else num_tasks, answer] += 1
    truth, right = matrix.sum(1), matrix.diagonal()
    union = truth + matrix.sum(0) - right
    there = truth > 0
    return float(100 * (right[there] / union[there]).mean()) if there.any() else math.nan


@given(seed=st.integers(0, 2**32 - 1), num_tasks=st.integers(2, 6))
@settings(max_examples=100, deadline=None)
def test_with_other_it_equals_a_plain_confusion_matrix(seed: int, num_tasks: int) -> None:
    random = np.random.default_rng(seed)
    label_map = random.choice([*range(num_tasks + 1), 255], (5, 6)).astype(np.uint8)
    logits = torch.from_numpy(random.standard_normal((num_tasks, 5, 6)) - 1)
    counter, ids = PairCounter({}, num_tasks), torch.arange(num_tasks)
    truth = LabelMapTruth(torch.from_numpy(label_map), torch.ones(num_tasks, dtype=torch.bool))
    for unsure_is_miss in (False, True):  # changes the other four alone
        joint = predicted_tasks(logits, ids, unsure_is_miss)
        counter.update(logits, truth, ids, joint=joint)
        result = label_map_metrics(counter.table())
        assert result is not None
        expected = plain_with_other(logits, label_map)
        assert result.mIoU_with_other == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_the_largest_logit_wins_and_unsure_pixels_may_be_misses() -> None:
    logits = torch.tensor([[[2.0, -1.0, 0.5]], [[1.0, -2.0, 0.7]]])
    task_ids = torch.tensor([3, 5])
    assert predicted_tasks(logits, task_ids).tolist() == [[3, 3, 5]]
    assert predicted_tasks(logits, task_ids, unsure_is_miss=True).tolist() == [[3, -1, 5]]


def test_a_task_that_the_recogniser_does_not_know_wins_where_it_is_found_and_no_other_is() -> None:
    """Its logit is compared with nothing: a constant, and what is painted."""
    task_ids = torch.tensor([2, 0, 1])
    logits = torch.tensor([[0.1, -3.0, -3.0, -2.0], [9.0, 9.0, -1.0, 5.0], [-1, -2.0, -2.0, 6.0]])
    logits = logits[:, None]
    assert predicted_tasks(logits, task_ids, unknown=(0,)).tolist() == [[2, 0, 1, 1]]
    unsure = predicted_tasks(logits, task_ids, unsure_is_miss=True, unknown=(0,))
    assert unsure.tolist() == [[2, 0, -1, 1]]
    assert predicted_tasks(logits[1:2], task_ids[1:2], unknown=(0,)).tolist() == [[0, 0, 0, 0]]


def test_a_pixel_without_prediction_is_a_miss_of_its_class_alone() -> None:
    result = measure((np.array([[0, -1]]), np.array([[1, 1]])))
    assert (result.mIoU, result.mACC, result.pACC) == (50.0, 50.0, 50.0)


def random_maps(seed: int, num_tasks: int) -> list[Image]:
    random = np.random.default_rng(seed)
    maps = []
    for _ in range(random.integers(1, 5)):
        height, width = random.integers(2, 9, 2)
        label_map = random.choice([*range(num_tasks + 1), 255], (height, width))
        maps.append((random.integers(0, num_tasks, (height, width)), label_map))
    return maps


def plain(maps: list[Image], num_tasks: int) -> list[float]:
    """detectron2's rules on one confusion matrix, (true, predicted)."""
    matrix = np.zeros((num_tasks, num_tasks))
    for predicted, label_map in maps:
        for task, label in zip(predicted.ravel(), label_map.ravel(), strict=True):
            if 0 < label < 255:
                matrix[label - 1, task] += 1
    truth, right = matrix.sum(1), matrix.diagonal()
    union = truth + matrix.sum(0) - right
    present = [task for task in range(num_tasks) if truth[task]]
    if not present:
        return [math.nan] * 4
    iou = {task: right[task] / union[task] for task in present}
    return [
        100 * sum(iou.values()) / len(present),
        100 * sum(iou[task] * truth[task] for task in present) / truth.sum(),
        100 * sum(right[task] / truth[task] for task in present) / len(present),
        100 * right.sum() / truth.sum(),
    ]


@given(seed=st.integers(0, 2**32 - 1), num_tasks=st.integers(2, 6))
@settings(max_examples=100, deadline=None)
def test_it_equals_a_plain_confusion_matrix(seed: int, num_tasks: int) -> None:
    maps = random_maps(seed, num_tasks)
    result = measure(*maps, num_tasks=num_tasks)
    got = [result.mIoU, result.fwIoU, result.mACC, result.pACC]
    assert got == pytest.approx(plain(maps, num_tasks), rel=1e-12, nan_ok=True)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_it_equals_torchmetrics(seed: int) -> None:
    num_tasks = 5
    maps = random_maps(seed, num_tasks)
    # torchmetrics averages over classes that occur in truth or prediction: all occur in the truth.
    everything = np.arange(num_tasks)[None]
    maps.append((everything, everything + 1))
    result = measure(*maps, num_tasks=num_tasks)
    predicted = torch.from_numpy(np.concatenate([p.ravel() for p, _ in maps]))
    truth = torch.from_numpy(np.concatenate([t.ravel() for _, t in maps]).astype(np.int64)) - 1
    truth[truth == 254] = -1  # ignored, as other is
    options: dict[str, Any] = {"num_classes": num_tasks, "ignore_index": -1}
    for ours, metric in (
        (result.mIoU, MulticlassJaccardIndex(average="macro", **options)),
        (result.fwIoU, MulticlassJaccardIndex(average="weighted", **options)),
        (result.mACC, MulticlassAccuracy(average="macro", **options)),
        (result.pACC, MulticlassAccuracy(average="micro", **options)),
    ):
        assert ours == pytest.approx(100 * metric(predicted, truth).item(), abs=1e-4)


def numbered_maps() -> list[tuple[int, int, Image]]:
    return [(0, position, image) for position, image in enumerate(random_maps(3, 4) * 3)]


def test_order_changes_nothing() -> None:
    images = numbered_maps()
    assert label_map_metrics(count(images)) == label_map_metrics(count(images[::-1]))


def test_two_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = numbered_maps()

    def measure_shares(rank: int) -> list[Any]:
        shares = images[rank::2], images if rank else []
        return [label_map_metrics(count(share)) for share in shares]

    first, second = answers_of_two(measure_shares, tmp_path / "store", monkeypatch)
    alone = label_map_metrics(count(images))
    assert first == second == [alone, alone]


def test_each_dataset_has_its_own_and_all_of_them_none() -> None:
    maps = [(np.array([[0]]), np.array([[label]])) for label in (1, 2)]
    table = count([(0, 0, maps[0]), (2, 1, maps[1])], num_tasks=2)
    results = {dataset: label_map_metrics(table.of_dataset(dataset)) for dataset in table.datasets}
    assert {dataset: own and own.mIoU for dataset, own in results.items()} == {0: 100.0, 2: 0.0}
    assert label_map_metrics(table) is None  # their classes are no common label map


def test_predictions_are_resized_with_opencvs_nearest() -> None:
    random = np.random.default_rng(0)
    predicted = random.integers(0, 3, (5, 7))
    label_map = random.integers(1, 4, (11, 4))
    resized = cv2.resize(predicted.astype(np.uint8), (4, 11), interpolation=cv2.INTER_NEAREST)
    got, expected = measure((predicted, label_map)), measure((resized, label_map))
    assert (got.mIoU, got.pACC) == (expected.mIoU, expected.pACC)


def test_golden_label_map_metrics(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "metrics.json").read_text())
    dataset = ADE20K(shared / "data" / "ade20k_sample")
    tasks = TaskTable(dataset.classes)
    maps = []
    for pair in dataset.files("validation"):
        label_map = tasks.remap(dataset.read_label_map(pair.label_map))
        small = cv2.resize(label_map, (320, 320), interpolation=cv2.INTER_NEAREST)
        maps.append((np.roll(np.maximum(small.astype(np.int64) - 1, 0), 5, axis=0), label_map))
    result = measure(*maps, num_tasks=150)
    for name in ("mIoU", "fwIoU", "mACC", "pACC"):
        assert getattr(result, name) == pytest.approx(golden[name], abs=1e-9)
