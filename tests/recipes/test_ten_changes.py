"""CONTRIBUTING's ten changes: what its blocks add is what its settings choose, and it trains."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_datasets import folder
from registries import registries_kept
from short_runs import SHORT_RUNS, small_config

from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.prompt_samplers import SAMPLERS, MixedSampler
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError
from seg_training.known_settings import OptimizerSettings
from seg_training.training.losses import LOSSES, binary_loss, build_loss
from seg_training.training.optimizers import build_optimizer, check_optimizer
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

REPOSITORY = Path(__file__).parents[2]
SECTION = (REPOSITORY / "CONTRIBUTING.md").read_text().split("\n## Ten changes\n")[1]
SECTION = SECTION.split("\n## ")[0]
SETTINGS = re.findall(r"`([\w.]+=\{name: (?:[^`]*)\})`", SECTION)


@pytest.fixture(autouse=True)
def recipes() -> Iterator[None]:
    """Run the blocks, and forget afterwards what they have added."""
    with registries_kept():
        for block in re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL):
            exec(compile(block, "recipe.py", "exec"), {"__name__": "recipe"})
        yield


def test_each_of_the_ten_names_its_files_and_its_test() -> None:
    rows = [line.strip("|").split("|") for line in SECTION.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 10
    packages = (REPOSITORY, REPOSITORY / "ADE20K_multitask_segmentation")
    for _, files, _, test in rows:
        named = re.findall(r"`([\w/.]+)`", files)
        assert len(named) <= 3
        assert all(any((root / file).exists() for root in packages) for file in named), named
        assert (REPOSITORY / test.strip(" `")).is_file(), test


def test_the_loss_counts_sure_answers_less() -> None:
    logits, mask = torch.randn(2, 1, 4, 4), torch.randint(0, 2, (2, 4, 4), dtype=torch.uint8)
    mask[0, 0] = 255
    plain = build_loss({"name": "focal", "gamma": 0}, on_label_maps=False)
    torch.testing.assert_close(plain(logits, mask), binary_loss(logits, mask))
    one = build_loss({"name": "focal", "gamma": 1.5}, on_label_maps=False)
    right = torch.tensor([[[[1.0]]]]), torch.tensor([[[1]]], dtype=torch.uint8)
    sure = torch.tensor(1.0).sigmoid()
    assert one(*right).item() == pytest.approx(float(-((1 - sure) ** 1.5) * sure.log()), rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_sampler_asks_a_share_for_what_is_known_to_be_absent(share: float) -> None:
    pixels = (np.random.default_rng(3).random((300, 6)) < 0.5).astype(np.int64)
    names, own = [f"task {number}" for number in range(6)], [0, 1, 2, 4]
    pixels[:, [3, 5]] = 0
    presence = TaskPresence.of_pixels(pixels, own)
    mixed = MixedSampler(presence, names, 10, 0)
    made = SAMPLERS["some_absent"](presence, names, 10, 0, absent_share=share)  # type: ignore[call-arg]
    draws = [draw for batch in made for draw in batch]
    assert [draw.image for draw in draws] == [draw.image for batch in mixed for draw in batch]
    absent = [draw for draw in draws if not pixels[draw.image, draw.task_id]]
    assert len(absent) / len(draws) == pytest.approx(share, abs=0.06)
    assert {draw.task_id for draw in draws} == set(own)


def test_the_schedule_and_the_optimizer_have_their_options() -> None:
    settings = OptimizerSettings(
        name={"name": "sgd", "momentum": 0.9}, schedule={"name": "stairs", "stairs": 4}
    )
    optimizer, schedule = build_optimizer(settings, torch.nn.Linear(1, 1).named_parameters(), 100)
    assert optimizer.defaults["momentum"] == 0.9
    [share] = set(schedule.lr_lambdas)
    assert [share(step) for step in (0, 30, 50, 99)] == [1, 0.5, 0.25, 0.125]
    with pytest.raises(UserError, match=r"'stairs' does not read 'stair'; did you mean 'stairs'"):
        OptimizerSettings(schedule={"name": "stairs", "stair": 4})
    with pytest.raises(UserError, match=r"optimizer\.name=.*: Invalid momentum value: -1"):
        check_optimizer(OptimizerSettings(name={"name": "sgd", "momentum": -1}))


def test_the_augmentation_changes_colours_and_leaves_labels() -> None:
    image = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    labels = np.full((8, 8), 7, np.uint8)
    augmentation = Augmentation({"name": "colour", "hue": 0.3})
    changed = [augmentation(image, labels, seed) for seed in range(20)]
    assert sum((picture != image).any() for picture, _ in changed) > 10
    assert all((known == 7).all() for _, known in changed)


@pytest.mark.slow
def test_all_of_them_train_together(tmp_path: Path) -> None:
    """From the command line's words, with a frozen backbone, averaged weights and crops."""
    assert len(SETTINGS) == 6
    folder.make(tmp_path / "data")
    others = ("trainer.freeze=[backbone]", "trainer.ema_decay=0.9", "trainer.val_check_interval=2")
    config = small_config(tmp_path / "data", tmp_path / "run", *SETTINGS, *others)
    content = json.loads((train(config).run_dir / "results.json").read_text())
    assert content["averaged"] == 0.9
    assert 0 < content["trained_parameters"] < content["parameters"]
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"]["config"]["loss"] == {"name": "focal", "gamma": 1.5}
    [state] = checkpoint["optimizer_states"]
    assert all("momentum_buffer" in own for own in state["state"].values())
    going_on = [*SETTINGS, *others, "trainer.max_steps=3", f"ckpt_path={tmp_path / 'run'}"]
    again = train(small_config(tmp_path / "data", tmp_path / "again", *going_on)).run_dir
    assert json.loads((again / "results.json").read_text())["steps"] == 3


def test_options_are_the_parameters_beyond_those_given() -> None:
    assert "gamma" in inspect.signature(LOSSES["focal"]).parameters
    with pytest.raises(UserError, match=r"'focal' does not read 'gama'; did you mean 'gamma'\?"):
        build_loss({"name": "focal", "gama": 1}, on_label_maps=False)
