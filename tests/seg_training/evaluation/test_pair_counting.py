"""The table of pairs, against a plain loop over pixels."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from seg_training.datasets.truths import LabelMapTruth, MaskSetTruth, Truth
from seg_training.errors import UserError
from seg_training.evaluation.label_map_metrics import label_map_metrics
from seg_training.evaluation.mask_metrics import METRICS, measured
from seg_training.evaluation.pair_counting import PairCounter, predicted_tasks
from seg_training.evaluation.pair_scores import PAIR_SCORES
from seg_training.evaluation.pair_table import COLUMNS, PairTable
from seg_training.networks.class_scores import SCORES

TASKS = 4
ALL = torch.arange(TASKS)
NO_LABEL_MAP = (-1, -1, -1, -1, -1, -1)
THRESHOLDS = torch.tensor([0.0, -0.75, 0.5, 1.25])


def random_truth(random: np.random.Generator, overlapping: bool) -> Truth:
    """A label map, or masks that overlap: with 255 for one class only, and for all of them."""
    size = tuple(random.integers(3, 20, 2))
    known = torch.ones(TASKS, dtype=torch.bool)
    if not overlapping:
        labels = random.choice([*range(TASKS + 1), 255], size).astype(np.uint8)
        return LabelMapTruth(torch.from_numpy(labels), known)
    there = np.flatnonzero(random.random(TASKS) < 0.7)
    masks = random.choice([0, 1, 255], (len(there), *size)).astype(np.uint8)
    unlabelled = torch.from_numpy(random.random(size) < 0.2) if random.random() < 0.5 else None
    return MaskSetTruth(torch.from_numpy(there), torch.from_numpy(masks), unlabelled, known)


def plain_row(logits: Tensor, mask: NDArray[np.uint8], threshold: float) -> list[int]:
    """Count one pair pixel by pixel: at 0, and what lies above its threshold."""
    both, predicted, true, valid, *at_crop_size = plain_counts(logits, mask)
    calibrated = plain_counts(logits - threshold, mask)[:2]
    return [both, predicted, true, valid, *calibrated, *at_crop_size]


def plain_counts(logits: Tensor, mask: NDArray[np.uint8]) -> list[int]:
    (height, width), crop_size = mask.shape, tuple(logits.shape)
    above = (logits > 0).numpy().astype(np.uint8)
    own_size = cv2.resize(above, (width, height), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(mask, crop_size[::-1], interpolation=cv2.INTER_NEAREST)
    both = predicted = true = valid = crop_both = crop_true = 0
    for place, value in np.ndenumerate(mask):
        both += int(value == 1 and own_size[place])
        predicted += int(value != 255 and own_size[place])
        true += int(value == 1)
        valid += int(value != 255)
    for place, value in np.ndenumerate(small):
        crop_both += int(value == 1 and above[place])
        crop_true += int(value == 1)
    return [both, predicted, true, valid, crop_both, crop_true]


def plain_joint(logits: Tensor, label_map: NDArray[np.uint8]) -> Iterator[tuple[int, ...]]:
    """Count each task's pixels of the joint label map, where the truth is of some task.

    And of the one that answers "other" where nothing is positive, wherever there is a truth.
    """
    size = label_map.shape[::-1]
    winners = logits.argmax(dim=0).numpy().astype(np.uint8)
    painted = (logits > 0).any(dim=0).numpy().astype(np.uint8)
    winners = cv2.resize(winners, size, interpolation=cv2.INTER_NEAREST)
    painted = cv2.resize(painted, size, interpolation=cv2.INTER_NEAREST) == 1
    of_a_task = (label_map > 0) & (label_map < 255)
    for task in range(TASKS):
        true = label_map == task + 1
        won = of_a_task & (winners == task)
        answered = painted & (winners == task) & (label_map < 255)
        parts = (true & won, won, true, true & answered, answered, answered & (label_map == 0))
        yield tuple(int(part.sum()) for part in parts)


@given(seed=st.integers(0, 2**32 - 1), overlapping=st.booleans())
@settings(max_examples=60, deadline=None)
def test_rows_are_what_a_plain_loop_counts(seed: int, overlapping: bool) -> None:
    random = np.random.default_rng(seed)
    counter = PairCounter({}, TASKS)
    expected = []
    for image in range(3):
        truth = random_truth(random, overlapping)
        masks = truth.masks(ALL).numpy()
        logits = torch.from_numpy(random.standard_normal((TASKS, 7, 6)))
        joint, present = None, None
        joint_rows: list[tuple[int, ...]] = [NO_LABEL_MAP] * TASKS
        if not overlapping:
            joint = predicted_tasks(logits, ALL)
            joint_rows = list(plain_joint(logits, truth.label_map.numpy()))
        if image:  # absent ones are counted another way
            present = torch.from_numpy((masks == 1).any(axis=(1, 2)))
        recognised = torch.from_numpy(random.random(TASKS).astype(np.float32))
        presence = recognised if image else logits.amax(dim=(1, 2)).float().sigmoid()
        sure = recognised if image else None
        counter.update(logits, truth, ALL, image % 2, image, joint, present, sure, THRESHOLDS)
        expected += [
            [
                *(image % 2, image, task),
                *plain_row(own, mask, float(THRESHOLDS[task])),
                *joint_rows[task],
                float(presence[task]),
            ]
            for task, (own, mask) in enumerate(zip(logits, masks, strict=True))
        ]
    table = counter.table()
    assert np.stack([table[name] for name in COLUMNS], axis=1).tolist() == sorted(expected)


def table_of(number: int, shares: int = 1, order: list[int] | None = None) -> PairTable:
    """Count random images; several processes' rows one after the other, as gathering has them."""
    random = np.random.default_rng(0)
    images = []
    for position in range(number):
        truth = random_truth(random, overlapping=bool(position % 2))
        images.append((torch.from_numpy(random.standard_normal((TASKS, 6, 5))), truth, position))
    counters = [PairCounter({0: range(TASKS)}, TASKS) for _ in range(shares)]
    for place in order or range(number):
        logits, truth, position = images[place]
        counters[place % shares].update(logits, truth, ALL, 0, position)
    rows = torch.cat([own for counter in counters for own in counter.rows]).numpy()
    return PairTable.of_rows(rows, (), {0: range(TASKS)}, TASKS)


def test_without_thresholds_calibrated_counts_are_the_others() -> None:
    random = np.random.default_rng(0)
    truth = random_truth(random, overlapping=False)
    logits = torch.from_numpy(random.standard_normal((TASKS, 7, 6)))
    tables = []
    for thresholds in (None, torch.zeros(TASKS), THRESHOLDS):
        counter = PairCounter({}, TASKS)
        counter.update(logits, truth, ALL, bounds=thresholds)
        tables.append(counter.table())
    for table in tables[:2]:
        for name in ("intersection", "predicted"):
            assert table[f"calibrated_{name}"].tolist() == table[name].tolist()
    assert tables[2]["predicted"].tolist() == tables[0]["predicted"].tolist()
    assert tables[2]["calibrated_predicted"].tolist() != tables[0]["predicted"].tolist()


def test_what_a_recogniser_does_not_know_has_no_presence() -> None:
    truth = LabelMapTruth(torch.ones(2, 2, dtype=torch.uint8), ALL >= 0)
    counter = PairCounter({}, TASKS)
    presence = torch.tensor([0.25, float("nan"), 1.0, 0.0])
    counter.update(torch.zeros(TASKS, 2, 2), truth, ALL, presence=presence)
    np.testing.assert_equal(counter.table()["presence"], presence.numpy())


@given(shares=st.integers(1, 6), order=st.permutations(range(12)))
@settings(max_examples=10, deadline=None)
def test_whoever_counts_and_in_whatever_order(shares: int, order: list[int]) -> None:
    np.testing.assert_equal(measured(table_of(12, shares, order)), measured(table_of(12)))


def test_of_a_thousand_tasks_all_are_asked() -> None:
    num_tasks = 1203
    labels = torch.tensor([[1, 1203], [65535, 0]], dtype=torch.uint16)
    truth = LabelMapTruth(labels, torch.ones(num_tasks, dtype=torch.bool))
    logits = torch.full((num_tasks, 1, 2), -1.0)
    logits[1202] = torch.tensor([[2.0, 1.0]])
    logits[700] = torch.tensor([[1.0, -1.0]])
    asked = torch.arange(num_tasks)
    counter = PairCounter({0: range(num_tasks)}, num_tasks)
    present = torch.isin(asked, torch.tensor([0, 1202]))
    counter.update(logits, truth, asked, 0, 0, predicted_tasks(logits, asked), present)
    table = counter.table()
    assert len(table) == num_tasks
    seen = {task: [int(table[name][task]) for name in COLUMNS[3:-1]] for task in (0, 700, 1202)}
    assert seen == {
        0: [0, 0, 1, 3, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0],
        700: [0, 1, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        1202: [1, 3, 1, 3, 1, 3, 1, 1, 1, 2, 1, 1, 3, 1],
    }
    result = measured(table)
    assert (result.bIoU, result.num_masks) == (pytest.approx(100 * (0 + 1 / 3) / 2), 2)
    assert result.label_map is not None
    assert (result.label_map.mIoU, result.label_map.pACC) == (25.0, 50.0)
    # What a table of 2,000 images would take: columns of 8 bytes for each of 2.4 million pairs.
    width = 8 * len(COLUMNS) - 4  # presence takes 4
    assert sum(column.nbytes for column in table.columns.values()) == num_tasks * width


def test_scores_stand_beside_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "largest", lambda probabilities: probabilities.amax(dim=(1, 2)))
    monkeypatch.setitem(
        PAIR_SCORES,
        "wrong",
        lambda probabilities, predicted, masks: (predicted != (masks == 1)).double().mean((1, 2)),
    )
    truth = LabelMapTruth(torch.tensor([[1, 0, 2, 2]], dtype=torch.uint8), ALL >= 0)
    logits = torch.tensor([[[0.5, -1.0]], [[-3.0, -2.0]], [[1.0, -4.0]]])
    counter = PairCounter({0: ALL.tolist()}, TASKS)
    counter.update(logits, truth, torch.tensor([0, 1, 3]))
    table = counter.table()
    assert table.scores == ["largest", "wrong"]
    assert table["largest"].tolist() == torch.tensor([0.5, -2.0, 1.0]).sigmoid().tolist()
    assert table["wrong"].tolist() == [0.25, 0.5, 0.5]
    scores = measured(table).scores  # of masks that are there: tasks 0 and 1
    assert scores["wrong"] == (0.375, {0: 0.25, 1: 0.5})


def test_a_score_has_a_name_of_its_own_and_a_number_for_each_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SCORES, "mean", lambda probabilities: probabilities.mean())
    counter = PairCounter({}, TASKS)
    truth = LabelMapTruth(torch.ones(2, 2, dtype=torch.uint8), ALL >= 0)
    with pytest.raises(UserError, match=r"score 'mean' has the shape \(\); expected .* \(4,\)"):
        counter.update(torch.zeros(TASKS, 2, 2), truth, ALL)
    monkeypatch.setitem(PAIR_SCORES, "mean", lambda *_: torch.zeros(4))
    with pytest.raises(UserError, match="has a column 'mean' already: rename the score"):
        PairCounter({}, TASKS)
    monkeypatch.delitem(PAIR_SCORES, "mean")
    monkeypatch.setitem(SCORES, "true", lambda probabilities: probabilities.mean((1, 2)))
    with pytest.raises(UserError, match="has a column 'true' already"):
        PairCounter({}, TASKS)
    PairCounter({}, TASKS, with_scores=False)


def test_a_score_that_is_not_known_is_left_out_of_the_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SCORES, "odd", lambda p: torch.tensor([1.0, float("nan"), 3.0, 5.0]))
    truth = LabelMapTruth(torch.tensor([[1, 2], [3, 0]], dtype=torch.uint8), ALL >= 0)
    counter = PairCounter({}, TASKS)
    counter.update(torch.zeros(TASKS, 2, 2), truth, ALL)
    mean, per_class = measured(counter.table()).scores["odd"]
    assert mean == 2.0
    assert per_class == {0: 1.0, 1: pytest.approx(float("nan"), nan_ok=True), 2: 3.0}


def test_a_metric_is_a_function_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def false_alarms(table: PairTable) -> float:
        absent = table.where(table["true"] == 0)
        return 100 * float((absent["predicted"] > 0).mean())

    monkeypatch.setitem(METRICS, "false_alarms", false_alarms)
    truth = LabelMapTruth(torch.ones(2, 2, dtype=torch.uint8), ALL >= 0)
    counter = PairCounter({0: ALL.tolist()}, TASKS)
    logits = torch.full((TASKS, 2, 2), -1.0)
    logits[:2, 0, 0] = 1.0
    counter.update(logits, truth, ALL)
    assert measured(counter.table()).more == {"false_alarms": pytest.approx(100 / 3)}


def test_overlapping_classes_have_no_joint_label_map() -> None:
    truth = random_truth(np.random.default_rng(0), overlapping=True)
    logits = torch.zeros(TASKS, 5, 5)
    counter = PairCounter({}, TASKS)
    with pytest.raises(UserError, match="classes of these data may overlap"):
        counter.update(logits, truth, ALL, joint=predicted_tasks(logits, ALL))
    counter.update(logits, truth, ALL)
    assert label_map_metrics(counter.table()) is None
