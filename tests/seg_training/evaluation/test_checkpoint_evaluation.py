"""Metrics of a checkpoint, and pictures of predictions."""

import json
import logging
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_datasets import folder, gdd
from fake_datasets.configs import CONFIGS, config_on_fake_data
from PIL import Image
from pixel_tables import pixel_table
from safetensors.torch import load_file, save_file
from short_runs import ONE_TRAINING
from torch import Tensor

from seg_training.checkpoints.checkpoint_reading import NETWORK, read_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.datasets.data_module import build_data_module
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import (
    evaluate,
    load_module,
    predict_examples,
    restore,
)
from seg_training.evaluation.label_map_metrics import label_map_metrics
from seg_training.evaluation.mask_metrics import measured
from seg_training.evaluation.pair_counting import PairCounter, predicted_tasks
from seg_training.files.text_files import finite
from seg_training.networks.network import Network, Recognition
from seg_training.pl_module import LitSeg
from seg_training.prediction import prediction_options
from seg_training.results.results_json import result_to_json
from seg_training.training.calibration import calibrate
from seg_training.training.training_run import train
from transformers_update_for_adapters.expected_iou import masks_of_largest_iou

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the folder experiment, after a step, without thresholds."""
    place = tmp_path_factory.mktemp("runs")
    small = [*ONE_TRAINING, "model=adapter_hf_scratch", "trainer.max_steps=1"]
    small += ["trainer.num_sanity_val_steps=0"]
    small += [
        "+trainer.enable_progress_bar=false",
        "trainer.accelerator=cpu",
        "log_plot_freq=0",
        "logger=csv",
        "thresholds=none",
    ]
    config = config_on_fake_data("folder_adapter", place, small)
    return train({**config, "run_dir": str(place / "run")}).run_dir


def test_label_map_metrics_of_a_checkpoint(run: Path) -> None:
    result, module = evaluate(run, ["metrics=all"], CONFIGS)
    without, _ = evaluate(run, [], CONFIGS)
    assert without.label_map is None
    assert without.bIoU == result.bIoU

    settings = read_checkpoint(run)["hyper_parameters"]["config"]
    data = build_data_module(settings["data"], settings["tasks"], 0, module.task_names)
    samples, _ = data.validation_samples()
    every = torch.arange(5)
    expected = {unsure: PairCounter({}, 5) for unsure in (False, True)}
    fresh = load_module(read_checkpoint(run))
    with torch.inference_mode():
        for position in range(5):
            sample = samples[position]
            logits = fresh.network.task_logits(sample.image[None], every)[0]
            for unsure, counter in expected.items():
                predicted = predicted_tasks(logits, every, unsure)
                counter.update(logits, sample.truth, every, 0, position, predicted)
    assert result.label_map == label_map_metrics(expected[False].table())
    unsure, _ = evaluate(run, ["metrics=all", "unsure_is_miss=true"], CONFIGS)
    assert unsure.label_map == label_map_metrics(expected[True].table())
    assert unsure.bIoU == result.bIoU


def test_thresholds_come_with_the_checkpoint_and_with_the_model_folder(
    run: Path, tmp_path: Path
) -> None:
    thresholds = [0.5, -0.25, 0.0, 0.125, -1.0]
    plain, module = evaluate(run, [], CONFIGS)
    assert module.network.config.thresholds is None
    assert not plain.calibrated
    assert (plain.bIoU_calibrated, plain.interval_calibrated) == (plain.bIoU, plain.interval)
    assert plain.per_class_calibrated == {task: biou for task, (biou, _) in plain.per_class.items()}

    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    content[NETWORK]["thresholds"] = thresholds
    file = tmp_path / "calibrated.ckpt"
    torch.save(content, file)
    shutil.copytree(run / "model", tmp_path / "model")
    network = load_network(tmp_path / "model")
    network.config.thresholds = thresholds
    network.model.save_pretrained(tmp_path / "model")
    for path in (file, tmp_path / "model"):
        without, _ = evaluate(path, [], CONFIGS)
        assert not without.calibrated  # the run says so
        result, module = evaluate(path, ["thresholds=per_class"], CONFIGS)
        assert module.network.config.thresholds == thresholds
        assert result.bIoU == plain.bIoU
        assert result.calibrated

        counter = PairCounter({}, 5)
        _, data, _ = restore(path, [], CONFIGS)
        samples, presence = data.validation_samples()
        shift = torch.tensor(thresholds)[:, None, None]
        with torch.inference_mode():
            for position in range(len(presence)):
                sample = samples[position]
                logits = module.network.task_logits(sample.image[None], sample.task_ids)[0]
                above = logits - shift[sample.task_ids]
                counter.update(above, sample.truth, sample.task_ids, 0, position)
        expected = measured(counter.table())
        assert result.bIoU_calibrated == expected.bIoU != plain.bIoU
        assert result.interval_calibrated == expected.interval

    weights = load_file(tmp_path / "model" / "model.safetensors")
    weights["decode_head.classifier.bias"] += 1
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    other, _ = evaluate(tmp_path / "model", [], CONFIGS)
    assert not other.calibrated  # thresholds of other weights


def test_the_largest_expected_iou_may_take_the_place_of_thresholds(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rankseg")
    plain, _ = evaluate(run, [], CONFIGS)
    result, module = evaluate(run, ["thresholds=rankseg"], CONFIGS)
    temperature = module.network.config.iou_temperature
    assert temperature is not None
    assert module.network.config.thresholds is None
    assert result.bIoU == plain.bIoU
    _, data, _ = restore(run, [], CONFIGS)
    samples, presence = data.validation_samples()
    counter = PairCounter({}, 5)
    with torch.inference_mode():
        for position in range(len(presence)):
            sample = samples[position]
            logits = module.network.task_logits(sample.image[None], sample.task_ids)[0]
            painted = masks_of_largest_iou(logits, temperature)
            counter.update(painted.float() - 0.5, sample.truth, sample.task_ids, 0, position)
    assert result.bIoU_calibrated == measured(counter.table()).bIoU != plain.bIoU

    # It comes with a checkpoint that has it, and is chosen anew where thresholds are asked for.
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    content[NETWORK]["iou_temperature"] = 3.0
    torch.save(content, tmp_path / "calibrated.ckpt")
    _, module = evaluate(tmp_path / "calibrated.ckpt", ["thresholds=rankseg"], CONFIGS)
    assert module.network.config.iou_temperature == 3.0
    _, module = evaluate(tmp_path / "calibrated.ckpt", ["thresholds=per_class"], CONFIGS)
    assert module.network.config.iou_temperature is None
    assert module.network.config.thresholds is not None
    _, module = evaluate(tmp_path / "calibrated.ckpt", ["thresholds=none"], CONFIGS)
    assert module.network.config.iou_temperature is None

    monkeypatch.setattr(prediction_options, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install rankseg, or choose thresholds"):
        evaluate(run, ["thresholds=rankseg"], CONFIGS)


class TestANetworkWithoutThresholds:
    """Such as a released one, or one of before there were any."""

    def test_they_are_chosen_as_a_training_would_have(
        self, run: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = run / "checkpoints" / "last.ckpt"
        before = file.read_bytes()
        plain, _ = evaluate(run, [], CONFIGS)
        with caplog.at_level(logging.INFO, "seg_training"):
            result, module = evaluate(run, ["thresholds=per_class"], CONFIGS)
        chosen = [text for text in caplog.messages if "thresholds" in text]
        assert chosen == [
            "thresholds chosen on 8 training images",
            "8 images are few to choose by: what was chosen may be far off; a larger "
            "data.calibration_share takes more, thresholds=none paints above 0",
        ]
        assert file.read_bytes() == before

        other, data, _ = restore(run, [], CONFIGS)
        calibrate(other.network, data)
        assert module.network.config.thresholds == other.network.config.thresholds
        assert len(module.network.config.thresholds) == 5
        assert (result.bIoU, result.calibrated) == (plain.bIoU, True)
        assert result.bIoU_calibrated != result.bIoU

    def test_by_default_too_where_the_config_says_nothing_of_it(
        self, run: Path, tmp_path: Path
    ) -> None:
        content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        del content["hyper_parameters"]["config"]["thresholds"], content[NETWORK]
        torch.save(content, tmp_path / "older.ckpt")
        assert evaluate(tmp_path / "older.ckpt", [], CONFIGS)[0].calibrated

    def test_without_a_training_split_one_warning_says_that_there_are_none(
        self, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        shutil.copytree(run.parent / "folder", tmp_path / "photos")
        shutil.rmtree(tmp_path / "photos" / "images" / "train")
        here = ["thresholds=per_class", f"data.root={tmp_path / 'photos'}"]
        result, module = evaluate(run, here, CONFIGS)
        warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        assert len(warnings) == 1
        assert "no thresholds are chosen, and calibrated is what is at 0: " in warnings[0]
        assert "photos" in warnings[0]
        assert module.network.config.thresholds is None
        assert (result.calibrated, result.bIoU_calibrated) == (False, result.bIoU)

    def test_what_cannot_be_evaluated_is_no_warning(
        self, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(UserError, match="nowhere"):
            evaluate(run, ["thresholds=per_class", f"data.root={tmp_path / 'nowhere'}"], CONFIGS)
        assert not [each for each in caplog.records if each.levelname == "WARNING"]


def test_presence_is_what_the_recogniser_says(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def recognise(self: Network, pixel_values: Tensor) -> Recognition:
        presence = torch.tensor([[0.1, 0.2, math.nan, 0.4, 0.5]])
        return Recognition(torch.zeros(1, 6, 1, 1), torch.zeros(1, 6, 1, 1), presence, None)

    def task_logits(
        self: Network, pixel_values: Tensor, ids: Tensor, recognition: Recognition | None = None
    ) -> Tensor:
        asked.append(recognition)
        return own(self, pixel_values, ids)

    own = Network.task_logits
    monkeypatch.setattr(Network, "recognise", recognise)
    monkeypatch.setattr(Network, "task_logits", task_logits)
    result, module = evaluate(run, ["metrics=all"], CONFIGS)
    assert module.pairs is not None
    expected = np.array([0.1, 0.2, math.nan, 0.4, 0.5], np.float32)
    np.testing.assert_equal(module.pairs["presence"], expected[module.pairs["task"]])
    assert asked
    assert None not in asked  # one pass of the recogniser serves both
    assert result.presence is not None
    monkeypatch.undo()
    without, module = evaluate(run, ["metrics=all"], CONFIGS)
    assert module.pairs is not None
    assert (module.pairs["presence"][module.pairs["predicted"] > 0] > 0.5).all()
    assert without.presence is not None
    assert without.presence.absent_painted == result.presence.absent_painted


def test_what_stands_before_a_group_counts_too(run: Path, tmp_path: Path) -> None:
    own = read_checkpoint(run)["hyper_parameters"]["config"]["data"]
    classes = tmp_path / "classes.yaml"
    classes.write_text(json.dumps(own["classes"]))
    given = [f"data.root={own['root']}", f"data.classes={classes}", "tasks.classes=[road]"]
    for crop_size in ([], ["data.crop_size=[48,64]"]):
        _, data, _ = restore(run, [*given, *crop_size, "data=folder", "tasks=all"], CONFIGS)
        assert list(data.crop_size) == ([48, 64] if crop_size else own["crop_size"])
        [source] = data.sources().values()
        assert str(source.dataset.root) == own["root"]
        assert source.tasks.task_ids == [data.task_names.index("road")]


def test_the_batch_size_changes_nothing(run: Path) -> None:
    results = [
        asdict(evaluate(run, ["metrics=all", f"data.eval_batch_size={size}"], CONFIGS)[0])
        for size in (1, 3, 16)
    ]
    for result in results[1:]:
        np.testing.assert_equal(result, results[0])


def test_a_part_of_the_tasks_makes_label_maps_of_these_alone(run: Path) -> None:
    overrides: list[Any] = ["metrics=all", "tasks.classes=[sky,road]"]
    result, _ = evaluate(run, overrides, CONFIGS)
    assert list(result.per_class) == [0, 1]
    assert result.label_map is not None
    assert result.label_map.pACC > 0


def test_a_class_that_no_image_shows_is_in_the_result(run: Path, tmp_path: Path) -> None:
    folder.make(tmp_path / "few", num_train=1, num_val=1)  # one image: no lamp, no tree
    result, module = evaluate(run, [f"data.root={tmp_path / 'few'}", "metrics=all"], CONFIGS)
    masks = {module.task_names[task]: number for task, (_, number) in result.per_class.items()}
    assert masks == {"sky": 1, "road": 1, "car": 1, "tree": 0, "lamp": 0}
    assert result.num_masks == 3
    content = json.loads(json.dumps(finite(result_to_json(result, module.task_names))))
    nothing = {"bIoU": None, "bIoU_calibrated": None, "num_masks": 0}
    assert content["per_class"]["lamp"] == nothing
    assert (content["bIoU_interval"], content["mIoU_interval"]) == (None, None)


def test_absent_classes_are_asked_of_images_that_show_none(run: Path, tmp_path: Path) -> None:
    """One class can be absent, too; of an image that nobody labelled nobody knows."""
    folder.make(tmp_path / "own")
    first = sorted((tmp_path / "own/annotations/val").iterdir())[0]
    Image.new("L", folder.SIZES[0][::-1], folder.IGNORE).save(first)
    overrides = [f"data.root={tmp_path / 'own'}", "metrics=all", "tasks.classes=[lamp]"]
    result, module = evaluate(run, overrides, CONFIGS)
    assert module.pairs is not None
    there = dict(zip(module.pairs["image"].tolist(), module.pairs["true"] > 0, strict=True))
    assert there == {1: False, 2: True, 3: False, 4: False}
    assert result.label_map is None
    assert result.presence is not None
    assert result.presence.presence_frequency_mAP == 25
    assert evaluate(run, overrides[::2], CONFIGS)[0].num_masks == result.num_masks == 1


def test_unknown_metrics_are_refused(run: Path) -> None:
    with pytest.raises(UserError, match="unknown metrics 'al'; did you mean 'all'"):
        evaluate(run, ["metrics=al"], CONFIGS)


@pytest.mark.parametrize("many", [False, True])
def test_examples_are_what_the_network_paints(many: bool, tmp_path: Path) -> None:
    experiment, tasks = ("folder_adapter", 5) if many else ("multitask_gdd", 1)
    config = config_on_fake_data(experiment, tmp_path, ["model=adapter_hf_scratch"])
    data = build_data_module(config["data"], config["tasks"], 0)
    module = LitSeg(config, data.task_names)
    samples, presence = data.validation_samples()
    task_pixels = pixel_table(presence)

    examples = predict_examples(module, data, num_images=3, num_prompts=4)

    assert len(examples) == 3
    by_name = {sample.name: sample for sample in map(samples.__getitem__, range(len(presence)))}
    for example in examples:
        sample = by_name[example.name]
        pixels = task_pixels[sample.position]
        asked = [data.task_names.index(prompt) for prompt in example.prompts]
        assert 1 <= len(asked) == min(4, np.count_nonzero(pixels)) <= tasks
        assert pixels[asked].tolist() == sorted(pixels.tolist(), reverse=True)[: len(asked)]
        height, width = sample.truth.size
        assert example.image.shape == (3, round(224 * height / width), 224)
        for task, predicted, truth in zip(asked, example.predicted, example.truth, strict=True):
            assert predicted.shape == truth.shape == example.image.shape[1:]
            with torch.inference_mode():
                logits = module.network(sample.image[None], torch.tensor([task]))
            share = (logits > 0).float().mean()
            assert predicted.float().mean() == pytest.approx(share.item(), abs=0.03)
            true_share = (sample.truth.masks(torch.tensor([task])) == 1).float().mean()
            assert truth.float().mean() == pytest.approx(true_share.item(), abs=0.03)


def test_images_without_a_task_are_no_examples(tmp_path: Path) -> None:
    config = config_on_fake_data("multitask_gdd", tmp_path, ["model=adapter_hf_scratch"])
    data = build_data_module(config["data"], config["tasks"], 0)
    examples = predict_examples(LitSeg(config, ["glass"]), data, num_images=4)
    assert len(examples) == sum(number not in gdd.EMPTY for number in gdd.NUMBERS["test"]) == 3


def test_examples_of_several_datasets_say_which_they_are_of(tmp_path: Path) -> None:
    config = config_on_fake_data("multitask_scenenet_gdd", tmp_path, ["model=adapter_hf_scratch"])
    data = build_data_module(config["data"], config["tasks"], 0)
    examples = predict_examples(LitSeg(config, data.task_names), data, num_images=20)
    assert {example.name.partition(": ")[0] for example in examples} == {"scenenet", "gdd"}
