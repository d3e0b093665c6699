import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from two_processes import answers_of_two

from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.truths import LabelMapTruth
from seg_training.evaluation.mask_metrics import BinaryIoUResult, measured, pooled_iou
from seg_training.evaluation.pair_counting import PairCounter, predicted_tasks
from seg_training.evaluation.pair_table import COLUMNS, PairTable
from seg_training.pictures.nearest_resizing import nearest_indices, resize_nearest

CONFIGS = Path(__file__).parents[3] / "configs"

Image = tuple[Tensor, Tensor, Tensor, int, int]
"""Logits (T, h, w), label map (H, W), task ids (T,), dataset and position."""


def count(
    *images: Image | tuple[Tensor, Tensor, Tensor], asked: Mapping[int, Sequence[int]] = {}
) -> PairTable:
    counter = PairCounter(asked, 254)
    for logits, label_map, *others in images:
        truth = LabelMapTruth(label_map, torch.ones(254, dtype=torch.bool))
        counter.update(logits, truth, *others)
    return counter.table()


def measure(
    *images: Image | tuple[Tensor, Tensor, Tensor], asked: Mapping[int, Sequence[int]] = {}
) -> BinaryIoUResult:
    return measured(count(*images, asked=asked))


def assert_same(*results: BinaryIoUResult) -> None:
    """Equal to the last bit, and nan where it is nan."""
    for result in results[1:]:
        np.testing.assert_equal(asdict(result), asdict(results[0]))


def logits_of(*masks: list[list[int]]) -> Tensor:
    """Logits of -1 and 1 for masks of 0 and 1."""
    return torch.tensor(masks, dtype=torch.float32) * 2 - 1


def labels_of(rows: list[list[int]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.uint8)


def random_images(count: int, num_tasks: int = 4, seed: int = 0) -> list[Image]:
    random = np.random.default_rng(seed)
    images = []
    for position in range(count):
        height, width = random.integers(3, 12, 2)
        label_map = random.choice([*range(num_tasks + 1), 255], (height, width))
        task_ids = random.permutation(num_tasks)[: random.integers(1, num_tasks + 1)]
        logits = random.standard_normal((len(task_ids), 6, 5))
        images.append(
            (
                torch.from_numpy(logits),
                torch.from_numpy(label_map.astype(np.uint8)),
                torch.from_numpy(task_ids),
                0,
                position,
            )
        )
    return images


def test_iou_by_hand() -> None:
    label_map = labels_of([[1, 1, 2, 0], [1, 1, 2, 0]])
    logits = logits_of(
        [[1, 1, 1, 0], [1, 0, 0, 0]],  # task 0: 3 of 4 found, 1 too many: 3 / 5
        [[0, 0, 1, 1], [0, 0, 1, 1]],  # task 1: both found, 2 too many: 2 / 4
    )
    result = measure((logits, label_map, torch.tensor([0, 1])))
    assert result.num_masks == 2
    assert result.bIoU == pytest.approx(55.0, abs=1e-12)
    assert result.per_class == {0: (pytest.approx(60.0), 1), 1: (pytest.approx(50.0), 1)}
    assert result.paint_everything == pytest.approx(100 * (4 / 8 + 2 / 8) / 2)


def test_the_mean_is_over_masks_not_over_classes() -> None:
    found, missed = logits_of([[1, 1]]), logits_of([[0, 0]])
    task = torch.tensor([0])
    result = measure(
        (found, labels_of([[1, 1]]), task),
        (found, labels_of([[1, 1]]), task),
        (missed, labels_of([[2, 2]]), torch.tensor([1])),
    )
    assert result.per_class == {0: (100.0, 2), 1: (0.0, 1)}
    assert result.bIoU == pytest.approx(200 / 3)


def test_a_logit_of_zero_is_not_the_class() -> None:
    logits = torch.tensor([[[0.0, 1e-30, -1e-30]]])
    assert measure((logits, labels_of([[0, 1, 0]]), torch.tensor([0]))).bIoU == 100.0


def test_ignored_pixels_count_nowhere() -> None:
    label_map = labels_of([[1, 1, 255, 255, 0]])
    result = measure((logits_of([[1, 0, 1, 0, 0]]), label_map, torch.tensor([0])))
    assert result.bIoU == 50.0
    assert result.paint_everything == pytest.approx(100 * 2 / 3)


def test_a_mask_without_ground_truth_is_not_averaged() -> None:
    logits = logits_of([[1, 1]], [[1, 1]], [[0, 0]])
    result = measure((logits, labels_of([[1, 0]]), torch.tensor([0, 1, 2])))
    assert result.num_masks == 1
    assert result.per_class == {0: (50.0, 1)}
    assert result.bIoU == 50.0


def test_no_mask_at_all_is_nan() -> None:
    result = measure((logits_of([[1, 1]]), labels_of([[255, 0]]), torch.tensor([0])))
    assert math.isnan(result.bIoU)
    assert math.isnan(result.paint_everything)
    assert (result.num_masks, result.per_class) == (0, {})


def test_the_prediction_is_resized_not_the_ground_truth() -> None:
    # OpenCV's nearest from 2 columns to 3 takes columns 0, 0, 1.
    result = measure((logits_of([[1, 0]]), labels_of([[1, 1, 1]]), torch.tensor([0])))
    assert result.bIoU == pytest.approx(100 * 2 / 3)


def test_the_last_of_254_tasks_is_not_taken_for_ignore() -> None:
    result = measure((logits_of([[1, 0]]), labels_of([[254, 255]]), torch.tensor([253])))
    assert result.per_class == {253: (100.0, 1)}


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_it_equals_a_plain_loop(seed: int, count: int) -> None:
    images = random_images(count, seed=seed)
    ious = []
    for logits, label_map, task_ids, *_ in images:
        height, width = label_map.shape
        for channel, task_id in enumerate(task_ids.tolist()):
            mask = (logits[channel] > 0).numpy().astype(np.uint8)
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
            both = either = truth = 0
            for row in range(height):
                for column in range(width):
                    label = int(label_map[row, column])
                    if label != 255:
                        both += bool(mask[row, column]) and label == task_id + 1
                        either += bool(mask[row, column]) or label == task_id + 1
                        truth += label == task_id + 1
            if truth:
                ious.append(both / either)
    result = measure(*images)
    assert result.num_masks == len(ious)
    if ious:
        assert result.bIoU == pytest.approx(100 * np.mean(ious), rel=1e-12)


def test_order_and_grouping_change_nothing() -> None:
    images = random_images(40)
    one_by_one = [
        (logits[i : i + 1], label_map, task_ids[i : i + 1], source, position)
        for logits, label_map, task_ids, source, position in images
        for i in range(len(task_ids))
    ]
    # Equal to the last bit: counts are integers and the mean is an exact sum.
    assert_same(measure(*images), measure(*reversed(images)), measure(*one_by_one))
    assert not math.isnan(measure(*images).iou_batch)


@given(source=st.integers(1, 1500), target=st.integers(1, 1500))
@settings(max_examples=300, deadline=None)
def test_nearest_is_opencvs(source: int, target: int) -> None:
    line = np.arange(source, dtype=np.float32)[None]
    expected = cv2.resize(line, (target, 1), interpolation=cv2.INTER_NEAREST)[0]
    assert nearest_indices(source, target).tolist() == expected.tolist()


@pytest.mark.parametrize("source", [320, 640, 896, 512, 683])
def test_nearest_is_opencvs_at_the_sizes_in_use(source: int) -> None:
    for target in (320, 512, 640, 683, 896, 1024):
        line = np.arange(source, dtype=np.float32)[:, None]
        expected = cv2.resize(line, (1, target), interpolation=cv2.INTER_NEAREST)[:, 0]
        assert nearest_indices(source, target).tolist() == expected.tolist()


def test_resizing_keeps_rows_and_columns_apart() -> None:
    maps = torch.arange(2 * 7 * 5, dtype=torch.int16).view(2, 7, 5)
    resized = resize_nearest(maps, (4, 11))
    for before, after in zip(maps, resized, strict=True):
        expected = cv2.resize(before.numpy(), (11, 4), interpolation=cv2.INTER_NEAREST)
        assert np.array_equal(after.numpy(), expected)
    assert resize_nearest(maps, (7, 5)) is maps


@pytest.mark.parametrize("num_tasks", [2, 12, 150])
def test_golden_bIoU(shared: Path, num_tasks: int) -> None:
    golden = json.loads((shared / "golden" / "metrics.json").read_text())
    result = measure(*golden_images(shared, f"ade20k_{num_tasks}"))
    assert result.num_masks == golden[f"masks_{num_tasks}"]
    assert result.bIoU / 100 == pytest.approx(golden[f"bIoU_{num_tasks}"], abs=1e-9)


def golden_images(shared: Path, tasks: str) -> list[Image]:
    """The made-up predictions of golden/README.md, beside what the validation loader gives."""
    data = SegmentationDataModule.from_config(
        {"dataset": "ade20k", "root": str(shared / "data" / "ade20k_sample"), "num_workers": 0},
        yaml.safe_load((CONFIGS / "tasks" / f"{tasks}.yaml").read_text()),
        seed=0,
    )
    # Predictions are rolled by the id among all 150 classes.
    classes = data.dataset.classes
    ids_of_150 = [classes.value_of(name) - 1 for name in data.tasks.names]
    data.prepare_data = lambda: None  # type: ignore[method-assign]  # one split alone is there
    data.setup("validate")
    images = []
    for batch in data.val_dataloader():
        for _, task_ids, truth, _, _, position in batch.samples():
            label_map = truth.label_map
            small = cv2.resize(label_map.numpy(), (320, 320), interpolation=cv2.INTER_NEAREST)
            masks = [
                np.roll(small == task_id + 1, ids_of_150[task_id] % 7 + 1, axis=1)
                for task_id in task_ids.tolist()
            ]
            logits = torch.from_numpy(np.stack(masks)).float()
            images.append((logits, label_map, task_ids, 0, position))
    return images


def test_golden_iou_of_every_mask(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "metrics.json").read_text())
    ious = [
        measure((logits[i : i + 1], label_map, task_ids[i : i + 1])).bIoU / 100
        for logits, label_map, task_ids, *_ in golden_images(shared, "ade20k_150")
        for i in range(len(task_ids))
    ]
    assert sorted(ious) == pytest.approx(golden["iou_per_mask_sorted"], abs=1e-9)


def test_updating_keeps_everything_on_the_device_of_the_logits() -> None:
    with FakeTensorMode(), torch.device("cuda"):
        counter = PairCounter({}, 8)
        logits, task_ids = torch.randn(3, 320, 320), torch.tensor([0, 5, 7])
        joint = predicted_tasks(logits, task_ids, unsure_is_miss=True)
        for size in ((320, 320), (683, 512)):
            label_map = torch.zeros(size, dtype=torch.uint8)
            truth = LabelMapTruth(label_map, torch.ones(8, dtype=torch.bool))
            counter.update(logits, truth, task_ids, 0, 0, joint)
        assert [rows.device.type for rows in counter.rows] == ["cuda", "cuda"]
        assert [tuple(rows.shape) for rows in counter.rows] == [(3, len(COLUMNS))] * 2


def test_two_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(40)
    shares = [[images[::2], images[1::2]], [[], images]]  # the second: one process without any

    def measure_shares(rank: int) -> list[BinaryIoUResult]:
        return [measure(*share[rank]) for share in shares]

    first, second = answers_of_two(measure_shares, tmp_path / "store", monkeypatch)
    assert_same(measure(*images), *first, *second)


def test_several_datasets_are_averaged_each_and_together() -> None:
    result = measure(
        (logits_of([[1, 1]]), labels_of([[1, 0]]), torch.tensor([0]), 0, 0),  # 1/2
        (logits_of([[1, 0]]), labels_of([[1, 0]]), torch.tensor([0]), 2, 1),  # 1
        (logits_of([[0, 1]]), labels_of([[2, 2]]), torch.tensor([1]), 2, 2),  # 1/2
        (logits_of([[0, 0]]), labels_of([[1, 1]]), torch.tensor([0]), 2, 3),  # 0
    )
    assert (result.bIoU, result.num_masks) == (50.0, 4)
    assert result.per_class == {0: (50.0, 3), 1: (50.0, 1)}
    assert list(result.per_source) == [0, 2]
    first, second = result.per_source.values()
    assert (first.bIoU, first.num_masks, first.per_class) == (50.0, 1, {0: (50.0, 1)})
    assert (second.bIoU, second.num_masks) == (50.0, 3)
    assert second.per_class == {0: (50.0, 2), 1: (50.0, 1)}
    assert (first.paint_everything, second.paint_everything) == (50.0, pytest.approx(250 / 3))
    assert result.paint_everything == 75.0


def test_one_dataset_has_no_table_per_dataset() -> None:
    assert measure((logits_of([[1]]), labels_of([[1]]), torch.tensor([0]))).per_source == {}


def test_golden_validation_iou_of_the_released_training_code(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "val_batch_iou.json").read_text())
    random = np.random.RandomState(11)
    for number, expected in enumerate(golden["batch_iou"]):
        predicted, truth = random.rand(3, 16, 16) > 0.5, random.rand(3, 16, 16) > 0.7
        if number == 2:
            truth[1] = False
        if number == 3:
            predicted[:] = truth[:] = False
        table = count(
            *(
                (
                    torch.from_numpy(predicted[position : position + 1]).float(),
                    torch.from_numpy(truth[position].astype(np.uint8)),
                    torch.tensor([0]),
                    0,
                    position,
                )
                for position in range(3)
            )
        )
        pooled = pooled_iou(table["crop_intersection"], table["crop_true"])
        assert pooled == pytest.approx(expected, abs=1e-9)


def test_iou_batch_pools_tens_of_a_task_at_crop_size_and_leaves_out_the_rest() -> None:
    # Label maps are twice the size of the predictions, whose pixels are rows 0 and 2, column 0.
    label_map = labels_of([[1], [0], [1], [0]])
    hit, half = logits_of([[1], [1]]), logits_of([[1], [0]])
    images = [
        (hit if position < 4 else half, label_map, torch.tensor([0]), 0, position)
        for position in range(12)
    ]
    # The first ten: 4 x 2 + 6 x 1 of 20 pixels. The last two fill no batch.
    assert measure(*images).iou_batch == pytest.approx(70.0)
    assert math.isnan(measure(*images[:9]).iou_batch)
    second = [
        (logits_of([[0], [0]]), labels_of([[2]] * 4), torch.tensor([1]), 0, position)
        for position in range(12, 22)
    ]
    assert measure(*images, *second).iou_batch == pytest.approx(35.0)


def test_masks_are_grouped_by_their_share_of_the_image() -> None:
    def image(pixels: int, found: int) -> tuple[Tensor, Tensor, Tensor]:
        label_map = torch.zeros(10, 101, dtype=torch.uint8)
        label_map[:, 0] = 255  # ignored pixels are no part of the image
        truth = torch.zeros(1000, dtype=torch.uint8)
        truth[:pixels] = 1
        label_map[:, 1:] = truth.view(10, 100)
        logits = torch.full((1000,), -1.0)
        logits[:found] = 1.0
        padded = torch.cat([torch.ones(10, 1), logits.view(10, 100)], dim=1)
        return padded[None], label_map, torch.tensor([0])

    result = measure(image(9, 9), image(10, 5), image(99, 99), image(100, 25), image(1000, 500))
    assert result.by_size == {
        "small": (100.0, 1),
        "medium": (75.0, 2),
        "large": (37.5, 2),
    }
    # 9 and 10 of 1000 pixels lie between 2^-7 and 2^-6, 99 and 100 between 2^-4 and 2^-3.
    assert result.by_share == {-7: (75.0, 2), -4: (62.5, 2), 0: (50.0, 1)}


def test_tasks_without_a_mask_are_there_and_count_for_nothing() -> None:
    label_map = torch.tensor([[1, 1], [0, 0]], dtype=torch.uint8)
    image = (torch.ones(1, 2, 2), label_map, torch.tensor([0]))
    result = measure(image, asked={0: [0, 2]})
    assert result.per_class == {0: (50.0, 1), 2: (pytest.approx(math.nan, nan_ok=True), 0)}
    assert (result.bIoU, result.num_masks, result.per_source) == (50.0, 1, {})

    first, second = measure(image, asked={0: [0, 1], 1: [2]}).per_source.values()
    assert {task: masks for task, (_, masks) in first.per_class.items()} == {0: 1, 1: 0}
    assert (second.num_masks, list(second.per_class)) == (0, [2])


def test_the_interval_draws_images_not_masks() -> None:
    """Two images, one all right and one all wrong: a resample has 0, 1 or 2 of each."""
    right = (logits_of([[1, 0]], [[0, 1]]), labels_of([[1, 2]]), torch.tensor([0, 1]), 0, 0)
    wrong = (logits_of([[0, 0]], [[0, 0]]), labels_of([[1, 2]]), torch.tensor([0, 1]), 0, 1)
    result = measure(right, wrong)
    assert result.bIoU == 50.0
    assert result.interval == (0.0, 100.0)
    assert measure(right, wrong).interval == result.interval
    assert all(math.isnan(bound) for bound in measure(right).interval)


def test_the_interval_is_that_of_the_normal_distribution_for_many_images() -> None:
    random = np.random.default_rng(0)
    images = []
    for position, hit in enumerate(random.random(400) < 0.3):
        logits = logits_of([[int(hit)]])
        images.append((logits, labels_of([[1]]), torch.tensor([0]), 0, position))
    result = measure(*images)
    spread = 1.96 * 100 * math.sqrt(result.bIoU / 100 * (1 - result.bIoU / 100) / 400)
    low, high = result.interval
    assert (low, high) == pytest.approx((result.bIoU - spread, result.bIoU + spread), abs=0.6)
