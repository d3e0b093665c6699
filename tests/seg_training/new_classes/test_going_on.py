"""Trainings from networks with added classes: they work, or say why not and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.model_folders import load_network
from seg_training.errors import UserError
from seg_training.new_classes.class_adding import add_classes
from seg_training.training.training_run import train
from transformers_update_for_adapters import class_learning
from transformers_update_for_adapters.class_learning import LearningSettings

pytestmark = SHORT_RUNS


@pytest.fixture
def grown(
    fake_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[Path, Callable[..., dict[str, Any]]]]:
    """Train on sky and road, and add the other classes."""
    monkeypatch.setattr(class_learning, "_ROW_STOPS", (2, 5))
    monkeypatch.setattr(class_learning, "_PAINTED_STOPS", (1, 2))
    images = fake_folder()

    def config(run_dir: str, *overrides: str) -> dict[str, Any]:
        return small_config(images, tmp_path / run_dir, *overrides)

    def make(method: str) -> tuple[Path, Callable[..., dict[str, Any]]]:
        method = f"model={method}_scratch"
        images_alone = ["data.sampler=images"] if "segformer" in method else []
        train(config("run", method, *images_alone, "tasks.classes=[sky,road]"))
        every = config("unused", method)
        add_classes(tmp_path / "run", every, tmp_path / "grown", LearningSettings())
        return tmp_path / "grown", config

    return make


def test_a_training_says_why_it_does_not_go_on(
    grown: Callable[[str], tuple[Path, Callable[..., dict[str, Any]]]],
) -> None:
    folder, config = grown("adapter_hf")
    names = list(load_network(folder).task_names)
    classes = f"tasks.classes=[{','.join(names)}]"
    with pytest.raises(UserError, match=r"holds weights alone: .*add_classes\.py, from the"):
        train(config("again", classes, f"ckpt_path={folder}"))
    with pytest.raises(UserError, match=r"has classes that were added .*train with all classes"):
        train(config("again", classes, f"model.pretrained={folder}"))
    with pytest.raises(UserError, match="a recogniser labels every pixel"):
        train(config("again", classes, f"model.recogniser={folder}"))


def test_a_grown_segformer_is_a_recogniser_that_knows_the_added_classes(
    grown: Callable[[str], tuple[Path, Callable[..., dict[str, Any]]]],
) -> None:
    folder, config = grown("segformer")
    names = load_network(folder).task_names
    classes = f"tasks.classes=[{','.join(names)}]"
    run = train(config("painted", classes, f"model.recogniser={folder}")).run_dir
    network = load_network(run)
    recognition = network.config.recognition
    assert recognition is not None
    assert recognition["rounds"] == [3, 3]
    assert recognition["channels"] == [[1], [2], [3], [4], [5]]
    assert network.model.recogniser is not None
    before, now = (
        own.state_dict()
        for own in (load_network(folder).model.decode_head, network.model.recogniser.decode_head)
    )
    assert all((now[name] == own).all() for name, own in before.items())
