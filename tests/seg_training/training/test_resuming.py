"""Settings of a training that goes on: which act from the next step on, and which are refused."""

import csv
import logging
import re
import shutil
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from fake_datasets import folder
from fake_datasets.configs import CONFIGS, config_on_fake_data
from short_runs import SHORT_RUNS, small_config

from seg_training.config import compose_config
from seg_training.config_sections import SECTIONS
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError
from seg_training.known_settings import entries, of_any_dataset
from seg_training.pl_module import LitSeg
from seg_training.settings import parameters_of
from seg_training.training.resuming import MAY_CHANGE, check_going_on, settings_by_key
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

NOT_SETTINGS = {
    # What build_trainer gives Lightning itself.
    *("trainer.self", "trainer.logger", "trainer.callbacks", "trainer.default_root_dir"),
    *("trainer.use_distributed_sampler", "trainer.enable_checkpointing"),
    "trainer.enable_model_summary",
}


def keys_of_files() -> set[str]:
    """List the settings that the files of configs name."""
    found = set()
    for file in CONFIGS.rglob("*.yaml"):
        group, *below = file.relative_to(CONFIGS).parts
        content = yaml.safe_load(file.read_text())
        content.pop("defaults", None)
        if below and group in SECTIONS:
            content = {group: content}
        elif below and group in ("classes", "hydra"):  # Hydra's, and a dataset's own files
            continue
        found |= {of_any_dataset(key) for key in settings_by_key(content)}
    return found


LIGHTNINGS = {f"trainer.{name}" for name in parameters_of(pl.Trainer.__init__)} - NOT_SETTINGS
STAY = (entries().keys() | LIGHTNINGS | keys_of_files()) - MAY_CHANGE
"""Every setting that is not in MAY_CHANGE."""


def test_every_setting_of_a_file_is_known() -> None:
    of_networks = {key for key in keys_of_files() if key.startswith("model.")}
    assert keys_of_files() - of_networks <= entries().keys()


def test_the_documents_list_what_may_change() -> None:
    text = (CONFIGS.parent / "GETTING_STARTED.md").read_text()
    table = re.findall(r"^\|.*\|$", text.split("## Going on")[1].split("\n## ")[0], re.MULTILINE)
    assert sorted(re.findall(r"`([\w.]+)`", "".join(table))) == sorted(MAY_CHANGE)


@pytest.mark.parametrize("experiment", ["demo", "multitask_sun_gdd"])
def test_nothing_else_is_in_a_composed_config(experiment: str) -> None:
    composed = settings_by_key(compose_config(experiment, (), CONFIGS))
    assert {of_any_dataset(key) for key in composed} <= MAY_CHANGE | STAY


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images") / "fake"
    folder.make(root)
    return root


@pytest.fixture(scope="module")
def data(images: Path) -> DataModule:
    config = small_config(images, Path("run"))
    return build_data_module(config["data"], config["tasks"], config["seed"])


def checkpoint_of(config: Mapping[str, Any], data: DataModule) -> dict[str, Any]:
    """What a checkpoint of step 2 has that going on looks at."""
    return {
        "hyper_parameters": {"config": deepcopy(config), "task_names": list(data.task_names)},
        "global_step": 2,
        type(data).__qualname__: data.state_dict(),
    }


FILE = Path("last.ckpt")


def with_change(config: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = deepcopy(dict(config))
    section, _, name = key.partition(".")
    if section in SECTIONS:
        changed[section][name] = value
    else:
        changed[key] = value
    return changed


@pytest.mark.parametrize("key", sorted(MAY_CHANGE))
def test_what_may_change_is_taken(key: str, images: Path, data: DataModule) -> None:
    config = small_config(images, Path("run"))
    longer = 7 if key.endswith(("max_steps", "max_epochs")) else "another"
    check_going_on(FILE, checkpoint_of(config, data), with_change(config, key, longer), data)


@pytest.mark.parametrize("key", sorted(STAY - {"data.datasets"}))
def test_what_has_to_stay_is_refused_with_both_values(
    key: str, images: Path, data: DataModule
) -> None:
    config = with_change(small_config(images, Path("run")), key, "one")
    other = with_change(config, key, "another")
    with pytest.raises(UserError, match=rf"{key}=one, now another.*repeat its overrides"):
        check_going_on(FILE, checkpoint_of(config, data), other, data)


def test_what_a_checkpoint_of_an_earlier_version_does_not_name_had_its_default(
    images: Path, data: DataModule
) -> None:
    config = small_config(images, Path("run"))
    earlier = checkpoint_of(config, data)
    for section, key in (
        ("trainer", "gradient_clip_val"),  # None and None
        ("trainer", "accumulate_grad_batches"),
        ("data", "train_split"),
        ("model", "drop_path_rate"),
        ("model", "fan_out_convolutions"),
    ):
        del earlier["hyper_parameters"]["config"][section][key]
    same = deepcopy(config)
    same["trainer"] |= {"gradient_clip_val": None}
    del same["model"]["drop_path_rate"], same["model"]["fan_out_convolutions"]
    same["data"]["train_split"] = "training"
    check_going_on(FILE, earlier, same, data)

    same["trainer"]["accumulate_grad_batches"] = 2
    with pytest.raises(UserError, match=r"trainer\.accumulate_grad_batches=1, now 2\."):
        check_going_on(FILE, earlier, same, data)


def test_folders_that_a_checkpoint_of_an_earlier_version_does_not_name_were_its_datasets_own(
    tmp_path: Path,
) -> None:
    config = config_on_fake_data("multitask_scenenet_gdd", tmp_path)
    data = build_data_module(config["data"], config["tasks"], config["seed"])
    earlier = checkpoint_of(config, data)
    datasets = earlier["hyper_parameters"]["config"]["data"]["datasets"]
    for section in datasets.values():
        del section["images"]
        section.pop("labels", None)  # SceneNet's config names none
    check_going_on(FILE, earlier, config, data)

    config["data"]["datasets"]["gdd"]["images"] = "photos"
    with pytest.raises(UserError, match=r"gdd\.images=\{split\}/image, now photos\. A training"):
        check_going_on(FILE, earlier, config, data)


def test_several_datasets_stay_in_number_and_order(images: Path, data: DataModule) -> None:
    sections = {"sun": {"root": "a", "sampler": "images"}, "gdd": {"root": "b"}}
    config = with_change(small_config(images, Path("run")), "data.datasets", sections)
    before = checkpoint_of(config, data)
    moved = {"sun": {"root": "c", "sampler": "images"}, "gdd": {"root": "d"}}
    check_going_on(FILE, before, with_change(config, "data.datasets", moved), data)
    for other, words in (
        ({"sun": sections["sun"]}, r"data.datasets=\['sun', 'gdd'\], now \['sun'\]"),
        ({name: sections[name] for name in ("gdd", "sun")}, r"now \['gdd', 'sun'\]"),
        ({**sections, "sun": {"sampler": "mixed"}}, "datasets.sun.sampler=images, now mixed"),
    ):
        with pytest.raises(UserError, match=words):
            check_going_on(FILE, before, with_change(config, "data.datasets", other), data)


def test_a_longer_training_is_not_beyond_its_end(images: Path, data: DataModule) -> None:
    config = small_config(images, Path("run"), "trainer.max_steps=-1", "trainer.max_epochs=1")
    checkpoint = checkpoint_of(config, data)
    checkpoint["loops"] = {"fit_loop": {"epoch_progress": {"current": {"processed": 2}}}}
    with pytest.raises(UserError, match=r"at epoch 2 already, beyond trainer\.max_epochs=1; raise"):
        check_going_on(FILE, checkpoint, config, data)


# The data.


@pytest.fixture
def moved(images: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(images, tmp_path / "moved"))


def check_on(root: Path, images: Path, data: DataModule) -> None:
    before = checkpoint_of(small_config(images, Path("run")), data)
    config = small_config(root, Path("run"))
    there = build_data_module(config["data"], config["tasks"], config["seed"])
    check_going_on(FILE, before, config, there)


def test_data_may_move(moved: Path, images: Path, data: DataModule) -> None:
    check_on(moved, images, data)


@pytest.mark.parametrize("split", ["train", "val"])
def test_other_data_are_refused(split: str, moved: Path, images: Path, data: DataModule) -> None:
    for kind, suffix in (("images", "jpg"), ("annotations", "png")):
        (moved / kind / split / f"00.{suffix}").unlink()
    there = {"train": 8, "val": 5}[split]
    with pytest.raises(
        UserError,
        match=rf"split '{split}' of {moved} is not what last.ckpt was trained on: {there - 1} "
        rf"images now, {there} then",
    ):
        check_on(moved, images, data)


@pytest.mark.parametrize("changed", ["name", "label"])
def test_data_of_the_same_number_are_compared_too(
    changed: str, moved: Path, images: Path, data: DataModule
) -> None:
    labels = moved / "annotations" / "train"
    if changed == "name":
        for file in (labels / "07.png", moved / "images" / "train" / "07.jpg"):
            file.rename(file.with_stem("08"))
    else:
        shutil.copy(labels / "04.png", labels / "00.png")  # of the same size
    with pytest.raises(UserError, match="names of files or what label maps hold have changed"):
        check_on(moved, images, data)


# What acts, in a training.


def test_rate_schedule_decay_and_length_act_from_the_next_step_on(
    images: Path, tmp_path: Path
) -> None:
    train(small_config(images, tmp_path / "first", "trainer.val_check_interval=2"))
    run_dir = train(
        small_config(
            images,
            tmp_path / "second",
            f"ckpt_path={tmp_path / 'first'}",
            *("trainer.val_check_interval=4", "trainer.max_steps=4"),
            *("optimizer.lr=0.5", "optimizer.weight_decay=0.25", "optimizer.schedule=linear"),
        )
    ).run_dir
    with (run_dir / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("lr-Adam/pg1")]
    # Of four steps the third and the fourth.
    assert [float(row["lr-Adam/pg1"]) for row in rows] == [0.25, 0.125]
    content = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    groups = content["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.25, 0]
    assert {group["initial_lr"] for group in groups} == {0.5}
    assert content["hyper_parameters"]["config"]["optimizer"]["lr"] == 0.5


def test_a_refused_setting_leaves_no_folder(images: Path, tmp_path: Path) -> None:
    config = small_config(images, tmp_path / "first", "trainer.max_steps=1")
    train(config)
    other = small_config(images, tmp_path / "again", f"ckpt_path={tmp_path / 'first'}", "seed=3")
    with pytest.raises(UserError, match=r"seed=0, now 3\. A training goes on with the same"):
        train(other)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("before", "ready", "completed", "start", "expected"),
    [(2, 3, 3, 3, (6, 6, 6)), (2, 3, 2, 3, (6, 5, 6)), (1, 3, 3, 3, (3, 3, 3))],
)
def test_other_processes_share_what_is_left_of_an_epoch(
    images: Path,
    data: DataModule,
    before: int,
    ready: int,
    completed: int,
    start: int,
    expected: tuple[int, int, int],
) -> None:
    """Three batches of each of two processes are six of one."""
    module = LitSeg(small_config(images, Path("run")), data.task_names)
    module.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    progress = {"ready": ready, "started": ready, "processed": ready, "completed": completed}
    loader = {"epoch": 0, "start": start}
    loop = {
        "epoch_loop.batch_progress": {"current": progress},
        "state_dict": {"combined_loader": [loader]},
    }
    module.on_load_checkpoint({"processes": before, "loops": {"fit_loop": loop}})
    assert (progress["ready"], progress["completed"], loader["start"]) == expected


def test_a_checkpoint_without_settings_that_have_come_since_goes_on(
    images: Path, data: DataModule, caplog: pytest.LogCaptureFixture
) -> None:
    config = small_config(images, Path("run"))
    before = checkpoint_of(config, data)
    old = before["hyper_parameters"]["config"]
    for section, key in ((old, "loss"), (old["data"], "fit"), (old["trainer"], "freeze")):
        del section[key]
    del old["trainer"]["ema_decay"]
    with caplog.at_level(logging.INFO):
        check_going_on(Path("last.ckpt"), before, config, data)
    assert "going on with" not in caplog.text
    for key, value in (("loss", "bce_dice"), ("data", config["data"] | {"fit": "crop"})):
        with pytest.raises(UserError, match=r"loss=null, now bce_dice|data\.fit=resize, now crop"):
            check_going_on(Path("last.ckpt"), before, config | {key: value}, data)
