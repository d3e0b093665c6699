"""What a training says at its end is what its checkpoint says alone."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_datasets import folder
from safetensors.torch import load_file
from short_runs import SHORT_RUNS, small_config

from seg_training.evaluation.checkpoint_evaluation import evaluate, predict_examples, restore
from seg_training.files.text_files import write_json
from seg_training.results.prediction_examples import load_examples
from seg_training.results.results_json import result_to_json
from seg_training.training import training_run as training
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS


class OtherWeights(pl.Callback):
    """Validates with other weights than those trained: as an average of them would, say.

    It comes after what saves the best, which therefore saves these.
    """

    def turn_around(self, module: pl.LightningModule) -> None:
        with torch.no_grad():
            for parameter in module.network.model.decode_head.classifier.parameters():
                parameter.neg_()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.turn_around(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.turn_around(pl_module)


class ValidatesWithOthers(OtherWeights):
    """Puts its weights back before the best is saved: the file has those trained."""

    def on_validation_epoch_end(self, *hook: Any) -> None:
        self.turn_around(hook[1])

    def on_validation_end(self, *_hook: Any) -> None:
        """Nothing is left to do."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images") / "fake"
    folder.make(root)
    return root


@pytest.mark.parametrize("callback", [OtherWeights, ValidatesWithOthers])
def test_weights_that_a_callback_swaps_are_not_in_the_results(
    callback: type[pl.Callback],
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(training, "LearningRateMonitor", lambda _interval: callback())
    config = small_config(images, tmp_path / "run", "trainer.val_check_interval=2")
    with caplog.at_level(logging.WARNING):
        run_dir = train(config).run_dir

    result, module = evaluate(run_dir)
    content = json.loads((run_dir / "results.json").read_text())
    write_json(
        result_to_json(result, module.task_names, module.dataset_names), tmp_path / "by_eval.json"
    )
    expected = json.loads((tmp_path / "by_eval.json").read_text())
    assert {key: content[key] for key in expected} == expected
    own = {
        f"network.model.{name}": value
        for name, value in load_file(run_dir / "model" / "model.safetensors").items()
    }
    best = torch.load(run_dir / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(own[name], value) for name, value in best.items())
    fresh, data, _ = restore(run_dir)
    data.setup("validate")
    shown = zip(load_examples(run_dir / "examples"), predict_examples(fresh, data), strict=True)
    assert all(torch.equal(kept.predicted, again.predicted) for kept, again in shown)
    in_training = content["curves"]["bIoU"][-1][1]
    noticed = "its validation in training gave" in caplog.text
    assert noticed == (abs(in_training - content["bIoU"]) > 0.05)
    assert noticed == (callback is ValidatesWithOthers)


def test_what_is_trained_on_a_cpu_is_evaluated_on_one(images: Path, tmp_path: Path) -> None:
    """Another device gives other digits; of several devices one is used, on one machine."""
    config = small_config(images, tmp_path / "run", "trainer.max_steps=1", "+trainer.num_nodes=1")
    run_dir = train(config).run_dir
    for accelerator, expected in (("cpu", "cpu"), ("cuda", "auto"), ("auto", "auto")):
        file = run_dir / "checkpoints" / "best.ckpt"
        content = torch.load(file, weights_only=True)
        several = {"accelerator": accelerator, "devices": 4, "num_nodes": 2, "strategy": "ddp"}
        content["hyper_parameters"]["config"]["trainer"] |= several
        torch.save(content, file)
        _, _, settings = restore(run_dir)
        assert (settings["accelerator"], settings["devices"]) == (expected, 1)
        assert not {"num_nodes", "strategy"} & settings.keys()


def test_going_on_with_more_to_measure_on_moved_data(images: Path, tmp_path: Path) -> None:
    """The best of before is brought along with the settings of now, for eval.py as well."""
    first = train(small_config(images, tmp_path / "first", "trainer.val_check_interval=2")).run_dir
    moved = images.rename(images.with_name("moved"))
    try:
        more = [f"ckpt_path={first}", "metrics=all", "trainer.val_check_interval=2"]
        again = train(small_config(moved, tmp_path / "again", *more)).run_dir
        result, _ = evaluate(again)
    finally:
        moved.rename(images)
    before, now = (json.loads((run / "results.json").read_text()) for run in (first, again))
    assert now["bIoU"] == before["bIoU"] == result.bIoU
    assert result.label_map is not None
    assert now["mIoU"] == result.label_map.mIoU
    assert (now["run"], now["evaluated_step"]) == (before["run"], before["evaluated_step"])
