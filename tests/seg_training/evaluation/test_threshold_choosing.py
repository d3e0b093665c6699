"""Thresholds: by hand, and against a plain loop over thresholds and pixels."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import photo, small_network
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from two_processes import answers_of_two

from seg_training.datasets.batches import EvaluationBatch, EvaluationSample
from seg_training.datasets.truths import LabelMapTruth, MaskSetTruth, Truth
from seg_training.evaluation.pair_counting import PairCounter
from seg_training.evaluation.temperature_choosing import TEMPERATURES, TemperatureCounter
from seg_training.evaluation.threshold_choosing import (
    GRID,
    IoUCurves,
    ThresholdCounter,
    best_thresholds,
)
from seg_training.training.calibration import calibrate
from transformers_update_for_adapters.expected_iou import masks_of_largest_iou

TASKS = 3
ALL = torch.arange(TASKS)
KNOWN = torch.ones(TASKS, dtype=torch.bool)


def truth_of(labels: list[list[int]]) -> Truth:
    return LabelMapTruth(torch.tensor(labels, dtype=torch.uint8), KNOWN)


def place_of(threshold: float) -> int:
    [place] = np.flatnonzero(threshold == GRID)
    return int(place)


def test_the_grid_is_even_around_zero_and_fine_near_it() -> None:
    assert (np.diff(GRID) > 0).all()
    assert (-GRID[::-1] == GRID).all()
    assert (GRID[0], GRID[-1], GRID[place_of(0.0)]) == (-12.0, 12.0, 0.0)
    assert set(np.diff(GRID)) == {1 / 16, 1 / 4}
    assert (GRID.astype(np.float32) == GRID).all()


def test_curves_by_hand() -> None:
    counter = ThresholdCounter(TASKS)
    # Task 0 is the first two pixels; the last one is nobody's.
    logits = torch.tensor([[[3.0, -1.0, 1.0, -5.0, 9.0]]])
    counter.update(logits, truth_of([[1, 1, 0, 2, 255]]), torch.tensor([0]))
    curves = counter.curves()
    assert curves.pairs.tolist() == [1, 0, 0]
    found = {threshold: curves.sums[0, place_of(threshold)] for threshold in (-12, -1.25, -1, 0, 3)}
    # Above -12 all four, above -1.25 the two and one more, above -1 one right and one wrong.
    assert found == pytest.approx({-12: 2 / 4, -1.25: 2 / 3, -1: 1 / 3, 0: 1 / 3, 3: 0.0})
    assert not curves.sums[1:].any()


def test_a_mask_that_vanishes_at_crop_size_is_no_pair() -> None:
    counter = ThresholdCounter(TASKS)
    logits = torch.zeros(2, 1, 2)
    counter.update(logits, truth_of([[2, 1, 2, 2]]), torch.tensor([0, 1]))
    assert counter.curves().pairs.tolist() == [0, 1, 0]


def random_images(seed: int) -> Iterator[tuple[Tensor, Truth, Tensor]]:
    random = np.random.default_rng(seed)
    for image in range(4):
        height, width = (int(length) for length in random.integers(2, 7, 2))
        if image % 2:
            masks = random.choice([0, 1, 255], (TASKS, height, width)).astype(np.uint8)
            truth: Truth = MaskSetTruth(ALL, torch.from_numpy(masks), None, KNOWN)
        else:
            truth = truth_of(random.choice([0, 1, 2, 3, 255], (height, width)).tolist())
        ids = torch.from_numpy(random.permutation(TASKS)[: random.integers(1, TASKS + 1)])
        # Some lie on a threshold, which they are not above.
        logits = random.choice([*GRID, *random.normal(0, 3, 50)], (len(ids), 4, 5))
        yield torch.from_numpy(logits), truth, ids


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_curves_are_what_a_plain_loop_over_thresholds_measures(seed: int) -> None:
    counter = ThresholdCounter(TASKS)
    sums, pairs = np.zeros((TASKS, len(GRID))), [0] * TASKS
    for logits, truth, ids in random_images(seed):
        counter.update(logits, truth, ids)
        masks = truth.resized((4, 5)).masks(ids)
        for own, mask, task in zip(logits.float(), masks, ids.tolist(), strict=True):
            true, valid = mask == 1, mask != 255
            pairs[task] += bool(true.any())
            for place, threshold in enumerate(GRID if true.any() else ()):
                painted = (own > float(threshold)) & valid
                sums[task, place] += float((painted & true).sum() / (painted | true).sum())
    curves = counter.curves()
    assert curves.pairs.tolist() == pairs
    np.testing.assert_allclose(curves.sums, sums, atol=1e-5)


def curves_of(peaks: dict[int, dict[float, float]], pairs: list[int]) -> IoUCurves:
    """Mean IoUs of 0, but for some thresholds of some classes."""
    sums = np.zeros((len(pairs), len(GRID)))
    for task, own in peaks.items():
        for threshold, mean in own.items():
            sums[task, place_of(threshold)] = mean * pairs[task]
    return IoUCurves(sums, np.array(pairs))


def test_each_class_has_its_own_and_one_without_pairs_that_of_all() -> None:
    curves = curves_of({0: {-1.0: 0.5}, 1: {2.0: 0.5}}, [300, 100, 0])
    assert best_thresholds(curves) == [-1.0, 2.0, -1.0]


def test_few_pairs_are_outvoted_by_all() -> None:
    """Of 100 pairs, 96 are best at -1 with 0.5: of all 0.48. Four have 0.6 at 2: of all 0.024."""
    curves = curves_of({0: {-1.0: 0.5}, 1: {2.0: 0.6}}, [96, 4])
    # Of ten more pairs like all the class has (4 * 0.6 + 10 * 0.024) at 2 and 10 * 0.48 at -1.
    assert best_thresholds(curves, prior_pairs=10) == [-1.0, -1.0]
    assert best_thresholds(curves, prior_pairs=5) == [-1.0, 2.0]  # 2.52 and 2.4


def test_of_equal_ones_the_nearest_to_zero_is_chosen() -> None:
    curves = curves_of({0: {-2.0: 0.5, 0.5: 0.5, 9.0: 0.5}}, [7])
    assert best_thresholds(curves) == [0.5]
    assert best_thresholds(curves_of({}, [0, 0])) == [0.0, 0.0]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_on_its_own_images_it_is_never_worse_than_zero(seed: int) -> None:
    counter = ThresholdCounter(TASKS)
    for image in random_images(seed):
        counter.update(*image)
    curves = counter.curves()
    alone = IoUCurves(curves.sums[:1], curves.pairs[:1])  # the prior of one class is its own curve
    [chosen] = best_thresholds(alone)
    assert alone.sums[0, place_of(chosen)] == alone.sums[0].max() >= alone.sums[0, place_of(0.0)]


def test_two_processes_count_what_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [image for seed in range(3) for image in random_images(seed)]

    def curves_of_shares(rank: int) -> list[Any]:
        results = []
        for share in (images[rank::2], images if rank else []):
            counter = ThresholdCounter(TASKS)
            for image in share:
                counter.update(*image)
            curves = counter.curves()
            results.append((curves.sums.tolist(), curves.pairs.tolist()))
        return results

    first, second = answers_of_two(curves_of_shares, tmp_path / "store", monkeypatch)
    alone = ThresholdCounter(TASKS)
    for image in images[::-1]:
        alone.update(*image)
    expected = (alone.curves().sums.tolist(), alone.curves().pairs.tolist())
    assert first == second == [expected, expected]


def test_counting_keeps_everything_on_the_device_of_the_logits() -> None:
    with FakeTensorMode(), torch.device("cuda"):
        counter = ThresholdCounter(TASKS, "cuda")
        truth = LabelMapTruth(torch.zeros(9, 9, dtype=torch.uint8), torch.ones(TASKS) > 0)
        counter.update(torch.randn(TASKS, 4, 4), truth, torch.arange(TASKS))
        assert counter._sums.device.type == "cuda"


class Batches(list[EvaluationBatch]):
    """What a loader is: batches, and the samples behind them."""

    def __init__(self, batches: list[EvaluationBatch], dataset: list[EvaluationSample]) -> None:
        super().__init__(batches)
        self.dataset = dataset


@pytest.mark.parametrize("method", ["segformer", "adapter_hf"])
def test_a_network_that_paints_too_little_gets_thresholds_below_zero(method: str) -> None:
    network = small_network(method)
    samples = []
    ids = torch.arange(5)
    for seed in range(3):
        image = torch.from_numpy(photo(64, 96, seed)).permute(2, 0, 1)
        with torch.inference_mode():
            logits = network.task_logits(image[None], ids)[0]
        masks = (logits > -2).to(torch.uint8)
        truth = MaskSetTruth(ids, masks, None, torch.ones(5, dtype=torch.bool))
        there = ids[(masks == 1).any(dim=2).any(dim=1)]
        samples.append(EvaluationSample(image, there, truth, str(seed), 0, seed))
    batches = [EvaluationBatch.collate(samples[:2]), EvaluationBatch.collate(samples[2:])]
    # A data module as far as calibrating asks: a loader of images.
    data: Any = SimpleNamespace(calibration_dataloader=lambda: Batches(batches, samples))
    calibrate(network, data)
    assert network.config.thresholds == [-2.0] * 5
    assert network.config.iou_temperature is None
    pytest.importorskip("rankseg")
    calibrate(network, data, by_rankseg=True)
    assert network.config.thresholds is None
    # What it paints of these is nearest to the truth when it is surest.
    sums = {}
    for temperature in TEMPERATURES:
        counter = PairCounter({}, 5)
        network.config.iou_temperature = temperature
        for position, (image, task_ids, truth, *_) in enumerate(samples):
            with torch.inference_mode():
                logits = network.task_logits(image[None], task_ids)[0]
            bounds = network.bounds(logits, task_ids)
            counter.update(logits, truth, task_ids, 0, position, bounds=bounds)
        sums[temperature] = counter.table().calibrated_iou.sum()
    calibrate(network, data, by_rankseg=True)
    assert network.config.iou_temperature == max(sums, key=lambda each: sums[each])


def test_the_best_temperature_by_hand() -> None:
    """Of two pixels, one sure and one at -1, the truth has both: only less sure ones paint both."""
    pytest.importorskip("rankseg")
    both = LabelMapTruth(torch.ones(1, 2, dtype=torch.uint8), torch.ones(1) > 0)
    one = LabelMapTruth(torch.tensor([[1, 0]], dtype=torch.uint8), torch.ones(1) > 0)
    logits, task = torch.tensor([[[3.0, -1.0]]]), torch.tensor([0])
    counter = TemperatureCounter()
    assert counter.best() == 1.0
    counter.update(logits, both, task)
    painted = {each: int(masks_of_largest_iou(logits, each).sum()) for each in TEMPERATURES}
    assert painted[1.0] == 1
    wide = [each for each, pixels in painted.items() if pixels == 2]
    assert counter.best() == wide[0] > 1
    counter.update(logits, one, task)
    counter.update(logits, one, task)
    assert counter.best() == 1.0
