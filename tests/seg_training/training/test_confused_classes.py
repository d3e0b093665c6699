"""Absent classes that a recogniser confuses are asked for more often."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_datasets import folder
from numpy.typing import NDArray
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.datasets.data_module import SegmentationDataModule, build_data_module
from seg_training.errors import UserError
from seg_training.pl_module import LitSeg
from seg_training.training.training_run import train
from transformers_update_for_adapters.presence_scores import presence_scores

pytestmark = SHORT_RUNS

SAMPLER = "data.sampler={name: mixed, absent: 0.5, absent_by: confused}"
STEPS = ("trainer.max_steps=2", "trainer.val_check_interval=100")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder.make(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    """What samplers were told."""
    told: list[NDArray[Any]] = []
    original = SegmentationDataModule.take_confusion

    def take(self: SegmentationDataModule, weights: NDArray[Any]) -> None:
        told.append(weights)
        original(self, weights)

    monkeypatch.setattr(SegmentationDataModule, "take_confusion", take)
    return told


def test_it_is_what_the_recogniser_says_of_each_training_image(
    images: Path, tmp_path: Path, taken: list[NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    segformer = ("model=segformer_scratch", "data.sampler=images")
    train(small_config(images, tmp_path / "first", *segformer))
    second = (f"model.recogniser={tmp_path / 'first'}", SAMPLER, "data.calibration_share=0.2")
    second += STEPS
    config = small_config(images, tmp_path / "second", *second)
    train(config)
    [weights] = taken
    network = load_network(tmp_path / "first")
    data = build_data_module(config["data"], config["tasks"], config["seed"])
    assert isinstance(data, SegmentationDataModule)
    samples, presence = data.trained_images()
    assert weights.shape == (len(samples), 5)
    for position in range(len(samples)):
        with torch.inference_mode():
            recognition = network.recognise(samples[position].image[None])
            assert recognition is not None
            own = presence_scores(recognition.label_logits, network.model.label_channels)[0]
        # What is held out is never drawn, and was not looked at.
        expected = own.numpy() if len(presence.present(position)) else np.zeros(5)
        np.testing.assert_allclose(weights[position], expected, rtol=1e-4)
    assert sum(not own.any() for own in weights) == 2  # of eight, rounded

    # A training that goes on is told the same, and ends the same.
    original = LitSeg.on_train_batch_end

    def stop(self: LitSeg, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.global_step == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LitSeg, "on_train_batch_end", stop)
        with pytest.raises(BaseException):  # noqa: B017, PT011
            train(small_config(images, tmp_path / "part", *second))
    again = f"ckpt_path={tmp_path / 'part'}"
    train(small_config(images, tmp_path / "resumed", *second, again))
    assert all(np.array_equal(weights, each) for each in taken)
    assert len(taken) == 3
    whole, resumed = (
        read_checkpoint(tmp_path / run)["state_dict"] for run in ("second", "resumed")
    )
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_both_phases_in_one_run(images: Path, tmp_path: Path, taken: list[NDArray[Any]]) -> None:
    train(small_config(images, tmp_path / "run", "recipe=painted", SAMPLER, *STEPS))
    [weights] = taken
    assert (weights > 0).all()


def test_without_a_recogniser_nothing_is_confused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent_by=confused asks for absent classes that a recog"):
        train(small_config(images, tmp_path / "run", SAMPLER, *STEPS))
    assert not (tmp_path / "run").exists()
