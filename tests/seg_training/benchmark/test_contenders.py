from typing import Any

import pytest
import torch

from seg_training.benchmark import many_classes_speed as many_classes
from seg_training.benchmark.contenders import stock_huggingface, with_stock_head
from seg_training.benchmark.timing_in_turn import Timing
from seg_training.networks import build_network

CPU = torch.device("cpu")


@torch.no_grad()
def test_the_stock_head_gives_the_same_logits() -> None:
    network = build_network("adapter_hf", 5).eval()
    images, ids = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8), torch.tensor([3, 0])
    expected = network(images, ids)
    torch.testing.assert_close(with_stock_head(network)(images, ids), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_peer_is_the_b0_with_one_output() -> None:
    peer = stock_huggingface(CPU)
    assert sum(parameter.numel() for parameter in peer.module.parameters()) == 3_714_401
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    assert peer.logits(images, torch.tensor([3, 0])).shape == (2, 1, 64, 96)


def test_the_slow_way_is_scaled_and_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []

    def fake_timing(ways: dict[str, Any], *_: Any, **__: Any) -> dict[str, Timing]:
        passes.append(len(ways["one by one"]()))
        torch.testing.assert_close(ways["together"](), ways["unkept"]())
        return {
            "together": Timing((2.0, 4.0)),
            "unkept": Timing((3.0, 4.0)),
            "one by one": Timing((10.0, 12.0)),
        }

    monkeypatch.setattr(many_classes, "time_in_turn", fake_timing)
    network = build_network("adapter_hf", 5)
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    few, many = many_classes.measure_many_classes(network, image, (2, 30), 2)
    assert passes == [2, 10]
    assert (few.classes, many.classes) == (2, 30)
    assert few.unkept == Timing((3.0, 4.0))
    assert few.one_by_one == Timing((10.0, 12.0))
    assert many.one_by_one == Timing((30.0, 36.0))  # three times what was timed
    assert many.speed_up.median == 12.0  # of 15 and 9
    assert max(few.difference, many.difference) < 1e-5
