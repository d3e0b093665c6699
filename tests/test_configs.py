"""Every experiment in ``configs`` composes, and takes a step of training and of validation."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from fake_datasets.configs import CONFIGS, config_on_fake_data
from short_runs import SHORT_RUNS, TINY

import multitask_segmentation  # noqa: F401 - adds its datasets
from seg_training.config import compose_config, experiment_names, override_config
from seg_training.datasets.data_module import DATASETS, build_data_module
from seg_training.errors import UserError
from seg_training.known_settings import (
    LoadingSettings,
    ModelSettings,
    OptimizerSettings,
    TrainerSettings,
)
from seg_training.pl_module import LitSeg
from seg_training.settings import Section
from seg_training.training.trainer import build_trainer
from seg_training.training.training_run import train

EXPERIMENTS = [name.removesuffix(".yaml") for name in experiment_names(CONFIGS)]
SECTIONS_OF_GROUPS: dict[str, type[Section]] = {
    "data": LoadingSettings,
    "model": ModelSettings,
    "optimizer": OptimizerSettings,
    "trainer": TrainerSettings,
}
QUICK = ["model.pretrained=null", "trainer.accelerator=cpu", "log_plot_freq=0"]

pytestmark = SHORT_RUNS


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the made-up datasets; each is drawn once."""
    return tmp_path_factory.mktemp("datasets")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_takes_a_training_and_a_validation_step(
    experiment: str, drawn: Path
) -> None:
    more = ["model.resize_embedding=true"] if "emb" in experiment else []
    if experiment == "multitask_coco":
        more.append("data.batch_size=1")  # each of its classes is in one image
    config = config_on_fake_data(experiment, drawn, [*QUICK, *more])
    data = build_data_module(config["data"], config["tasks"], config["seed"])
    module = LitSeg(config, data.task_names)
    before = [parameter.clone() for parameter in module.parameters()]
    steps = {"max_steps": 1, "max_epochs": 1, "limit_val_batches": 1, "num_sanity_val_steps": 0}
    each_step = {"val_check_interval": 1, "check_val_every_n_epoch": None}
    quiet = {"enable_progress_bar": False}
    trainer = build_trainer({**config["trainer"], **steps, **each_step, **quiet}, logger=False)
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 1
    assert torch.isfinite(trainer.callback_metrics["train/loss"])
    assert any(
        not torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True)
    )
    assert module.result is not None
    assert module.result.num_masks > 0
    assert 0 <= module.result.bIoU <= 100


@pytest.mark.parametrize(
    "choice",
    sorted(
        f"{group}={file.stem}"
        for group in SECTIONS_OF_GROUPS
        for file in (CONFIGS / group).glob("*.yaml")
    ),
)
def test_every_choice_of_a_group_shows_all_its_settings(choice: str) -> None:
    group = choice.partition("=")[0]
    config = compose_config("folder_adapter", [choice], CONFIGS)
    assert SECTIONS_OF_GROUPS[group].shown().keys() - config[group].keys() == set()


@pytest.mark.parametrize("name", DATASETS)
def test_every_setting_of_a_dataset_stands_in_its_config_with_its_default(name: str) -> None:
    """So each can be given on the command line, to train.py, to eval.py and of several datasets."""
    experiment = "demo" if name == "synthetic" else "folder_adapter"
    config = compose_config(experiment, [] if name == "synthetic" else [f"data={name}"], CONFIGS)
    assert config["data"].keys() >= LoadingSettings.entries().keys()
    parameters = dict(inspect.signature(DATASETS[name]).parameters)
    folders = {"images": "default_images", "labels": "default_labels"}
    if not DATASETS[name].labelled:
        parameters.pop("labels")
    for key, parameter in parameters.items():
        assert key in config["data"]
        default = parameter.default
        if default is None and key in folders:
            default = getattr(DATASETS[name], folders[key])
        if default is not inspect.Parameter.empty:
            given = config["data"][key]
            assert (tuple(given) if isinstance(given, list) else given) == default


@pytest.mark.parametrize("experiment", ["multitask_gdd", "multitask_sun_trans10k", "ade20k_emb"])
def test_folders_of_another_layout_are_settings(experiment: str) -> None:
    dataset = "datasets.sun." if "sun" in experiment else ""
    given = [f"data.{dataset}images={{split}}", f"data.{dataset}labels={{split}}annot"]
    data = compose_config(experiment, given, CONFIGS)["data"]
    section = data["datasets"]["sun"] if dataset else data
    assert (section["images"], section["labels"]) == ("{split}", "{split}annot")


def test_an_evaluation_names_the_layout_of_other_data() -> None:
    trained = compose_config("multitask_gdd", ["data.root=/data/GDD"], CONFIGS)
    given = ["data=coco", "data.root=/data/coco", "data.images=pictures"]
    changed = override_config(trained, [*given, "data.annotations=all/instances.json"], CONFIGS)
    assert changed["data"]["images"] == "pictures"
    assert changed["data"]["annotations"] == "all/instances.json"


def test_a_checkpoint_of_before_takes_settings_that_it_does_not_list() -> None:
    trained = compose_config("multitask_sun_trans10k", [], CONFIGS)
    del trained["data"]["datasets"]["sun"]["images"]
    changed = override_config(trained, ["data.datasets.sun.images={split}"], CONFIGS)
    assert changed["data"]["datasets"]["sun"]["images"] == "{split}"
    with pytest.raises(UserError, match=r"unknown key 'data\.datasets\.sn\.images'"):
        override_config(trained, ["data.datasets.sn.images=x"], CONFIGS)


PUBLISHED: dict[str, tuple[list[str], int, int, str, str]] = {
    # experiment: datasets, batch of each, epochs, sampler, augmentation (paper's released configs)
    "multitask_gdd": (["gdd"], 10, 10, "images", "multitask"),
    "multitask_trans10k": (["trans10k"], 10, 10, "images", "multitask"),
    "multitask_scenenet_gdd": (["scenenet", "gdd"], 5, 10, "images", "multitask"),
    "multitask_sun_trans10k": (["sun_rgbd", "trans10k"], 5, 10, "images", "multitask"),
    "multitask_scenenet_sun_gdd_trans10k": (
        ["scenenet", "sun_rgbd", "gdd", "trans10k"],
        3,
        10,
        "images",
        "multitask",
    ),
    "multitask_sun_gdd": (["sun_rgbd", "gdd"], 5, 1, "images", "multitask"),
    "multitask_scenenet": (["scenenet"], 10, 1, "homogeneous", "ade20k"),
    "multitask_sun": (["sun_rgbd"], 10, 1, "homogeneous", "ade20k"),
    "multitask_trans10k_cup_glass": (["trans10k"], 10, 1, "homogeneous", "ade20k"),
}


@pytest.mark.parametrize("experiment", PUBLISHED)
def test_published_settings(experiment: str) -> None:
    datasets, batch_size, epochs, sampler, augmentation = PUBLISHED[experiment]
    config = compose_config(experiment, [], CONFIGS)
    data = config["data"]
    sections = data.get("datasets", {"": data}).values()
    assert [section["dataset"] for section in sections] == datasets
    assert (data["batch_size"], data["crop_size"]) == (batch_size, [320, 320])
    assert (data["sampler"], data["augmentation"]) == (sampler, augmentation)
    assert config["trainer"]["max_epochs"] == epochs
    assert (config["optimizer"]["name"], config["optimizer"]["lr"]) == ("adam", 5e-5)
    if len(datasets) > 1:
        assert data["mode"] == "max_size_cycle"
        assert config["tasks"]["classes"] == ["floor", "glass"]


@pytest.mark.slow
def test_the_four_datasets_train_together(drawn: Path, tmp_path: Path) -> None:
    """The floor of two datasets and the glass of two others, 50 steps."""
    config = config_on_fake_data(
        "multitask_scenenet_sun_gdd_trans10k",
        drawn,
        [*QUICK, "model=adapter_hf_scratch", "optimizer.lr=5e-3", "data.crop_size=[64,64]"],
    )
    config["data"]["batch_size"] = 3
    config["model"] |= TINY
    config["trainer"] |= {
        "max_steps": 50,
        "max_epochs": 100,
        "val_check_interval": 25,
        "check_val_every_n_epoch": None,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
    }
    trained = train({**config, "run_dir": str(tmp_path / "run"), "log_plot_freq": 50})

    metrics = np.genfromtxt(
        trained.run_dir / "metrics.csv", delimiter=",", names=True, deletechars=""
    )
    loss = metrics["train/loss"][~np.isnan(metrics["train/loss"])]
    assert len(loss) == 50
    assert loss[-10:].mean() < 0.8 * loss[:10].mean()
    names = ("scenenet", "sun", "gdd", "trans10k")
    tasks = {"scenenet": "floor", "sun": "floor", "gdd": "glass", "trans10k": "glass"}
    summed = sum(metrics[f"train_loss/{name}"] for name in names)
    assert np.nanmax(np.abs(summed - metrics["train/loss"])) < 1e-5
    for column in ("val/bIoU", "val_per_class/floor", "val_per_class/glass"):
        assert np.count_nonzero(~np.isnan(metrics[column])) == 2
    for name in names:
        own = metrics[f"val_per_dataset/{name}"]
        assert np.count_nonzero(~np.isnan(own)) == 2
        assert np.array_equal(own, metrics[f"val_per_class/{name}/{tasks[name]}"], equal_nan=True)

    assert trained.task_names == ("floor", "glass")
    assert trained.dataset_names == names
    per_source = trained.result.per_source
    assert list(per_source) == [0, 1, 2, 3]
    masks = [own.num_masks for own in per_source.values()]
    assert sum(masks) == trained.result.num_masks
    weighted = sum(own.bIoU * own.num_masks for own in per_source.values())
    assert weighted / sum(masks) == pytest.approx(trained.result.bIoU)
    assert (trained.run_dir / "pictures" / "step_0000050.png").is_file()
    assert_evaluates_alone(trained.run_dir, drawn, trained.result.per_source[2].bIoU)


def assert_evaluates_alone(run_dir: Path, drawn: Path, biou_of_gdd: float) -> None:
    """The checkpoint knows its datasets, and can be asked of one of them alone."""
    from seg_training.evaluation.checkpoint_evaluation import evaluate

    config: dict[str, Any] = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert config["data"]["datasets"]["gdd"]["root"] == str(drawn / "gdd")
    again, module = evaluate(run_dir, ["trainer.enable_progress_bar=false"], CONFIGS)
    assert module.dataset_names == ("scenenet", "sun", "gdd", "trans10k")
    assert again.per_source[2].bIoU == pytest.approx(biou_of_gdd)
    overrides = ["data=gdd", f"data.root={drawn / 'gdd'}", "tasks=glass", "data.num_workers=0"]
    alone, module = evaluate(run_dir, overrides, CONFIGS)  # at the checkpoint's crop size
    assert module.dataset_names == ("",)
    assert alone.bIoU == pytest.approx(biou_of_gdd)
    assert list(alone.per_class) == [1]
    label_maps, _ = evaluate(run_dir, [*overrides, "metrics=all"], CONFIGS)
    assert label_maps.label_map is None  # of one task alone every pixel would be right
    unsure, _ = evaluate(run_dir, [*overrides, "metrics=all", "unsure_is_miss=true"], CONFIGS)
    assert unsure.label_map is not None
