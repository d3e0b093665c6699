"""How much of what is painted counts: chosen for each class, on images that are held out."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_networks import photo, recognising_network

from seg_training.checkpoints.network_in_checkpoint import CHOSEN
from seg_training.datasets.batches import EvaluationBatch, EvaluationSample
from seg_training.datasets.truths import LabelMapTruth, MaskSetTruth
from seg_training.evaluation.gain_choosing import GAINS, GainCounter
from seg_training.evaluation.threshold_choosing import GRID
from seg_training.training.calibration import calibrate

IDS = torch.arange(2)


def truth_of(label_map: list[list[int]]) -> LabelMapTruth:
    return LabelMapTruth(torch.tensor(label_map, dtype=torch.uint8), torch.ones(2) > 0)


def counted(times: int, of_class_0: int = 0) -> GainCounter:
    """Two classes in a row of four pixels: paint is right about class 0, wrong about class 1."""
    counter = GainCounter(2)
    margins = torch.tensor([[[1.0, -0.2, -1.0, -1.0]], [[-1.0, -1.0, 1.0, -0.2]]])
    painted = torch.tensor([[[0.0, 0.3, 0.0, 0.0]], [[0.0, 0.0, -4.0, 0.0]]])
    for _ in range(times):
        counter.update(margins + painted, margins, truth_of([[1, 1, 2, 2]]), IDS)
    for _ in range(of_class_0):
        counter.update(margins + painted, margins, truth_of([[1, 1, 0, 0]]), IDS)
    return counter


def test_each_class_has_the_factor_of_its_largest_iou_above_zero() -> None:
    gains, curves = counted(100).chosen([True, True])
    # Class 0 needs 0.2 / 0.3 of the paint; class 1 loses all it had from a quarter on.
    assert gains == [1.0, 0.125]
    at_zero = int((GRID == 0).nonzero()[0][0])
    assert curves.sums[:, at_zero] == pytest.approx([100.0, 50.0])
    assert curves.pairs.tolist() == [100, 100]


def test_few_pairs_say_little_and_unknown_classes_take_all() -> None:
    few, _ = counted(1, of_class_0=20).chosen([True, True])
    assert few == [1.0, 1.0]  # one pair of class 1 counts less than all others
    unknown, curves = counted(100).chosen([True, False])
    assert unknown == [1.0, 1.0]
    at_zero = int((GRID == 0).nonzero()[0][0])
    assert curves.sums[1, at_zero] == 0
    nothing, _ = GainCounter(2).chosen([True, True])
    assert nothing == [1.0, 1.0]


@pytest.mark.parametrize("method", ["adapter_hf", "emb", "channels"])
def test_a_network_paints_as_much_as_helps(method: str) -> None:
    """The truth is what the recogniser says with a quarter of the paint."""
    network = recognising_network(method)
    config = network.config
    ids = torch.arange(5)
    samples = []
    expected = [0.25] * 4 + [1.0]  # the last one is unknown to it
    config.painted_gains = list(expected)
    for seed in range(6):
        image = torch.from_numpy(photo(64, 96, seed)).permute(2, 0, 1)
        with torch.inference_mode():
            masks = (network.task_logits(image[None], ids)[0] > 0).to(torch.uint8)
        truth = MaskSetTruth(ids, masks, None, torch.ones(5, dtype=torch.bool))
        there = ids[(masks == 1).any(dim=2).any(dim=1)]
        samples.append(EvaluationSample(image, there, truth, str(seed), 0, seed))
    config.painted_gains = None

    class Batches(list[EvaluationBatch]):
        dataset = samples

    loader = Batches([EvaluationBatch.collate(samples[:3]), EvaluationBatch.collate(samples[3:])])
    data: Any = SimpleNamespace(calibration_dataloader=lambda: loader)
    calibrate(network, data)
    assert config.painted_gains == expected
    assert config.thresholds == [0.0] * 5
    chosen = {name: getattr(config, name) for name in CHOSEN}
    calibrate(network, data)  # again, from what was chosen: the same
    assert {name: getattr(config, name) for name in CHOSEN} == chosen
    config.rounds, config.painted_gains = [4, 1], [1.0, 1.0, 1.0, 1.0, 0.0]
    calibrate(network, data)
    assert config.painted_gains[-1] == 0.0  # of an added class its own stays


def test_gains_are_powers_of_two_up_to_all_of_it() -> None:
    assert [math.log2(gain) for gain in GAINS] == [-3, -2, -1, 0]
