"""That a recogniser was trained on what is held out beside it is said."""

import logging
from pathlib import Path
from typing import Any

import pytest
from small_networks import small_network

from seg_training.checkpoints.model_folders import save_network
from seg_training.config import compose_config
from seg_training.training.recogniser_images import tell_trained_images

CONFIGS = Path(__file__).parents[3] / "configs"


def training(root: Path, *more: str) -> dict[str, Any]:
    return compose_config("folder_adapter", [f"data.root={root}", "seed=1", *more], CONFIGS)


@pytest.fixture
def recogniser(tmp_path: Path) -> Path:
    """It held a tenth out, by seed 1."""
    save_network(tmp_path / "model", small_network("segformer"), training(tmp_path / "data"))
    return tmp_path / "model"


@pytest.mark.parametrize("more", ["seed=2", "data.calibration_share=0.2"])
def test_other_images_are_held_out(
    recogniser: Path, more: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = f"model.recogniser={recogniser}"
    tell_trained_images(training(recogniser.parent / "data", own, more))
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "was trained with seed=1 data.calibration_share=0.1, so on images" in record.getMessage()


@pytest.mark.parametrize(
    "more",
    ["seed=1", "data.root=/other/data", "data.calibration_share=0", "model.recogniser=nvidia/any"],
)
def test_nothing_is_said_of_the_same_images_or_of_unknown_ones(
    recogniser: Path, more: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = f"model.recogniser={recogniser}"
    tell_trained_images(training(recogniser.parent / "data", own, "seed=2", more))
    assert not caplog.records


@pytest.mark.parametrize(
    ("first", "second", "is_said"),
    [("sun", "gdd", False), ("sun", "other", False), ("other", "gdd", False), ("gdd", "sun", True)],
)
def test_each_of_several_datasets_holds_out_by_its_place(
    tmp_path: Path, first: str, second: str, is_said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def several(*places: str) -> dict[str, Any]:
        sections = {
            str(number): {"dataset": "folder", "root": str(tmp_path / place)}
            for number, place in enumerate(places)
        }
        data = {"calibration_share": 0.1, "datasets": sections}
        return {"seed": 1, "model": {"recogniser": str(tmp_path / "model")}, "data": data}

    one = training(tmp_path / "sun")
    save_network(tmp_path / "model", small_network("segformer"), one | several("sun", "gdd"))
    tell_trained_images(several(first, second))
    assert bool(caplog.records) == is_said
    caplog.clear()
    # One that was trained on one of them alone held out others, by the seed itself.
    tell_trained_images(training(tmp_path / "gdd", f"model.recogniser={tmp_path / 'model'}"))
    assert "on images that are held out here" in caplog.text
