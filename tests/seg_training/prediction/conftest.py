"""predict() with a small network, without a checkpoint that would be read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_networks import small_network

from seg_training.networks import Network
from seg_training.prediction import picture_prediction as prediction
from seg_training.prediction.picture_prediction import PredictionReport


@pytest.fixture(scope="package")
def network() -> Network:
    return small_network()


@pytest.fixture
def predict(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., PredictionReport]:
    """Predict two classes on the CPU, unless others are asked for."""
    ckpt = tmp_path / "best.ckpt"
    ckpt.touch()
    monkeypatch.setattr(prediction, "load_network", lambda _: network)

    def call(pictures: Path | list[Path], output: Path, **options: Any) -> PredictionReport:
        given = [str(each) for each in (pictures if isinstance(pictures, list) else [pictures])]
        asked = options.pop("classes", ["tree", "sky"])
        return prediction.predict(ckpt, given, asked, output, device="cpu", **options)

    return call
