"""Fine-tuning as the control, a cell of the curves, and pictures drawn for new classes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from short_runs import SHORT_RUNS, small_config
from small_networks import photo, recognising_network

from seg_training.checkpoints.folder_sums import SUMS
from seg_training.checkpoints.model_folders import load_network
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.new_classes import fine_tuning, learning_curves
from seg_training.new_classes.class_adding import add_classes, config_of_grown
from seg_training.new_classes.labelled_pictures import data_as_shown, draw_pictures, read_pictures
from seg_training.new_classes.learning_curves import CurveCell, measure_cell
from seg_training.training.training_run import train
from transformers_update_for_adapters import class_learning, find_task
from transformers_update_for_adapters.class_learning import LearningSettings
from transformers_update_for_adapters.few_pictures import LabelledPicture, read_few_pictures

pytestmark = SHORT_RUNS

PICTURES = [photo(64, 96, seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_learning, "_ROW_STOPS", (2, 5))
    monkeypatch.setattr(class_learning, "_PAINTED_STOPS", (1, 2))
    monkeypatch.setattr(fine_tuning, "_STOPS", (1, 2))


def test_fine_tuning_changes_everything_and_leaves_the_network_alone() -> None:
    model = recognising_network().model
    before = {name: own.clone() for name, own in model.state_dict().items()}
    masks = [picture[..., 0] > 128 for picture in PICTURES]
    pictures = [
        LabelledPicture(
            own.pixel_values, torch.cat([own.masks.logical_not().byte()] * 5 + [own.masks])
        )
        for own in read_few_pictures(model.config, PICTURES, masks)
    ]
    tuned = fine_tuning.fine_tune(model, ["mug"], pictures, 0)
    assert all(torch.equal(own, before[name]) for name, own in model.state_dict().items())
    moved = {
        name
        for name, own in tuned.named_parameters()
        if name in before and own.shape == before[name].shape and not torch.equal(own, before[name])
    }
    for part in ("segformer.stages.0", "recogniser.decode_head", "segformer.hypernet.generators"):
        assert any(name.startswith(part) for name in moved), part
    assert tuned.config.thresholds is not None
    assert tuned.config.thresholds[:5] == model.config.thresholds


@pytest.fixture
def base(fake_folder: Callable[..., Path], tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A run that does not know car and tree, and the config of its data with all classes."""
    overrides = ["model=segformer_scratch", "tasks.classes=[sky,road]", "data.sampler=images"]
    config = small_config(fake_folder(), tmp_path / "run", *overrides)
    train(config)
    return tmp_path / "run", {**config, "tasks": {"classes": "all"}}


def test_classes_of_data_are_added_and_evaluated(
    base: tuple[Path, dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, config = base
    caplog.set_level("INFO")
    grown = add_classes(run, config, tmp_path / "grown", LearningSettings(), 2)
    assert grown.network.task_names == ("sky", "road", "car", "tree", "lamp")
    assert (tmp_path / "grown" / SUMS).is_file()
    card = (tmp_path / "grown" / "README.md").read_text(encoding="utf-8")
    assert "'lamp' is learnt from" in card
    assert "in label maps of all classes 'lamp' takes" in card
    assert "in label maps of all classes 'lamp' takes" in caplog.text
    assert "known already, and left as they are: sky, road" in caplog.text
    assert grown.network.config.task_synonyms[1:4] == [["street"], [], ["shrub"]]
    own = {**config, "tasks": {"classes": ["sky", "road"]}}
    assert len(config_of_grown(own, grown.network, config)["tasks"]["classes"]) == 5
    for key, value in (("labels", "later/{split}"), ("also", [{"annotation": "coco"}])):
        other = {**config, "data": {**config["data"], key: value}}
        assert config_of_grown(own, grown.network, other)["tasks"] == own["tasks"]
    result, module = evaluate(tmp_path / "grown")
    assert module.task_names == grown.network.task_names
    assert all(masks for _, masks in result.per_class.values())
    before, _ = evaluate(run)
    for task in (0, 1):
        assert result.per_class[task] == before.per_class[task]
    with pytest.raises(UserError, match="holds something already"):
        add_classes(run, config, tmp_path / "grown", LearningSettings())
    with pytest.raises(UserError, match="knows all classes of these data already"):
        add_classes(tmp_path / "grown", config, tmp_path / "more", LearningSettings())


def test_words_of_known_classes_stay_theirs(
    base: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_learning, "_ROW_STOPS", (1, 2))
    run, config = base
    classes = {**config["data"]["classes"], "classes": {0: "sky", 3: "tree;Street;shrub"}}
    classes["ignore"] = [1, 2, 4, 11]
    other = {**config, "data": {**config["data"], "classes": classes}}
    grown = add_classes(run, other, tmp_path / "grown", LearningSettings(), 1).network
    assert grown.config.task_synonyms == [[], ["street"], ["shrub"]]
    assert find_task("street", grown.config) == 1


def test_pictures_are_drawn_until_each_class_is_shown(base: tuple[Path, dict[str, Any]]) -> None:
    run, config = base
    network = load_network(run)
    data = data_as_shown(config, network)
    names = ["car", "lamp"]
    places = draw_pictures(data, names, 2, 0)
    assert len(set(places)) == len(places)
    shown = np.array(
        [
            [bool((own == 1).any()) for own in picture.masks]
            for picture in read_pictures(network, data, places, names)
        ]
    )
    assert (shown.sum(0) >= 2).all()
    assert draw_pictures(data, names, 2, 0) == places


@pytest.mark.parametrize("method", ["row", "fine_tuning", "stand_in"])
def test_a_cell_is_measured_once(
    method: str,
    base: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, config = base
    held_out = {"car": "road", "tree": None}
    monkeypatch.setitem(learning_curves.HELD_OUT, "camvid", held_out)
    cell = CurveCell("camvid", method, 2, 0)
    root = Path(config["data"]["root"])
    assert measure_cell(cell, run, root, tmp_path / "out")
    content = json.loads(cell.file(tmp_path / "out").read_text())
    assert set(content["new"]) == {"car", "tree"}
    assert (content["old"] is None) == (method != "fine_tuning")
    assert not measure_cell(cell, run, root, tmp_path / "out")
    with pytest.raises(UserError, match=r"is of car, tree, not of lamp; choose another --output"):
        measure_cell(replace(cell, names=("lamp",)), run, root, tmp_path / "out")
    with pytest.raises(UserError, match="was trained on sky; give a base without"):
        measure_cell(replace(cell, names=("sky",), seed=1), run, root, tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "camvid" / "base" / "seed0.json").read_text())
    assert set(kept["old"]) == {"sky", "road"}
