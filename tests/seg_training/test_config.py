"""Configs: every experiment composes, and every wrong name is answered with a near one."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from odd_names import ODD_NAMES
from omegaconf import OmegaConf

import seg_training.config as config_module
from seg_training.commands.command_shell import run_shell
from seg_training.config import (
    compose_config,
    default_config_dir,
    literal_config,
    override_config,
    plain_config,
    translate_config_argument,
)
from seg_training.config_sections import SECTIONS
from seg_training.datasets.data_module import build_data_module
from seg_training.errors import UserError
from seg_training.networks import build_network

CONFIGS = Path(__file__).parents[2] / "configs"
EXPERIMENTS = sorted(file.name for file in CONFIGS.glob("*.yaml"))
COMPOSED = json.loads((CONFIGS.parent / "tests" / "composed_configs.json").read_text())
"""What each experiment composed to while every file named all settings."""


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_to_plain_values(name: str) -> None:
    config = compose_config(name, config_dir=CONFIGS)

    assert config["config_name"] == name.removesuffix(".yaml")
    assert set(SECTIONS) <= config.keys()
    assert yaml.safe_load(yaml.safe_dump(config)) == config  # nothing but plain values
    assert with_keys_of(COMPOSED[name], config) == COMPOSED[name]


def with_keys_of(expected: Any, config: Any) -> Any:
    """Leave out what has come since."""
    if not isinstance(expected, dict):
        return config
    return {key: with_keys_of(value, config.get(key)) for key, value in expected.items()}


@pytest.mark.parametrize(
    ("name", "method", "sampler"),
    [
        ("ade20k_segformer", "segformer", "images"),
        ("ade20k_emb", "emb", "homogeneous"),
        ("ade20k_vsa_emb", "vsa_emb", "homogeneous"),
        ("ade20k_adapter", "adapter_hf", "homogeneous"),
        ("ade20k_adapter_pp", "adapter_hf++", "homogeneous"),
    ],
)
def test_the_papers_experiments_have_the_published_settings(
    name: str, method: str, sampler: str
) -> None:
    config = compose_config(name, config_dir=CONFIGS)

    assert config["model"]["method"] == method
    assert config["model"]["pretrained"] == "nvidia/mit-b0"
    assert config["optimizer"] == {
        "name": "adam",
        "lr": 5e-5,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup_steps": 0,
    }
    data = config["data"]
    assert (data["batch_size"], data["crop_size"]) == (10, [320, 320])
    assert (data["sampler"], data["augmentation"]) == (sampler, "ade20k")
    assert (config["trainer"]["max_epochs"], config["trainer"]["precision"]) == (1, "32-true")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_model_section_builds(name: str) -> None:
    model = {**compose_config(name, config_dir=CONFIGS)["model"], "pretrained": None}
    assert build_network(num_tasks=3, **model).num_tasks == 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["trainer.max_step=2"],
            "unknown key 'trainer.max_step'; did you mean 'trainer.max_steps'",
        ),
        (["root=/x"], "unknown key 'root'; did you mean 'data.root'"),
        (["task=ade20k_2"], "unknown key 'task'; did you mean 'tasks'"),
        (["tasks=ade20k_13"], "no tasks=ade20k_13; did you mean 'ade20k_12'"),
        (["logger=wandbb"], "no logger=wandbb; did you mean 'wandb'"),
        (["trainer.max_steps"], "cannot read 'trainer.max_steps': write key=value"),
        (["seed=-1"], "seed=-1: expected a whole number"),
        (["+extra=1"], r"unknown setting 'extra' \(known: .*trainer"),
    ],
)
def test_wrong_overrides_are_answered_with_near_names(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose_config("ade20k_adapter", overrides, CONFIGS)


def test_an_unknown_experiment_is_answered_with_near_names() -> None:
    with pytest.raises(UserError, match=r"ade20k_adaptr\.yaml does not exist; did you mean"):
        compose_config("ade20k_adaptr", config_dir=CONFIGS)


def test_plain_config_needs_every_section() -> None:
    config = compose_config("demo", config_dir=CONFIGS)
    del config["tasks"]
    with pytest.raises(UserError, match="no section 'tasks'"):
        plain_config(config)


@pytest.mark.parametrize("form", [["--config", "demo.yaml"], ["--config=demo"]])
def test_config_becomes_hydras_option(form: list[str]) -> None:
    arguments = [*form, "seed=1", "--cfg", "job"]
    expected = ["--config-name", "demo", "seed=1", "--cfg", "job"]
    assert translate_config_argument(arguments, CONFIGS) == expected


def test_a_config_of_another_folder_is_found(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 1\n")
    assert translate_config_argument(["--config", str(file)], CONFIGS) == [
        "--config-dir",
        str(tmp_path),
        "--config-name",
        "mine",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"which experiment\? Add --config FILE \(known: .*demo.yaml"),
        (["--config"], "--config needs a file"),
        (["--config", "dmo.yaml"], "config dmo.yaml does not exist; did you mean 'demo.yaml'"),
    ],
)
def test_a_missing_or_wrong_config_lists_what_there_is(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        translate_config_argument(arguments, CONFIGS)


@given(st.lists(st.sampled_from(["seed=1", "-m", "--cfg", "job", "data.root=/a-b", "seed=(1"])))
def test_everything_else_is_left_to_hydra(rest: list[str]) -> None:
    translated = translate_config_argument([*rest, "--config", "demo.yaml"], CONFIGS)
    assert translated == [*rest, "--config-name", "demo"]


def test_a_config_with_the_name_of_one_of_the_projects_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text("seed: 1\n")
    with pytest.raises(UserError, match="has the name of a config of the project; rename it"):
        translate_config_argument(["--config", str(file)], CONFIGS)


def test_a_mapping_of_a_checkpoints_config_is_replaced_not_merged() -> None:
    config = compose_config("demo", ["tasks.classes={plant: [tree, grass]}"], CONFIGS)
    changed = override_config(config, ["tasks.classes={house: [house]}"], CONFIGS)
    assert changed["tasks"] == {"classes": {"house": ["house"]}}


def test_override_of_a_checkpoints_config() -> None:
    config = compose_config("ade20k_adapter", ["data.root=/data"], CONFIGS)

    changed = override_config(config, ["tasks=ade20k_2", "data.crop_size=[64,96]"], CONFIGS)

    assert changed["tasks"] == {"classes": ["building", "floor"]}
    assert changed["data"] == {**config["data"], "crop_size": [64, 96]}
    assert config["tasks"] == {"classes": "all"}


def test_groups_are_chosen_before_keys_are_set_whatever_their_order() -> None:
    """As Hydra does for a training."""
    config = compose_config("ade20k_adapter", ["data.root=/data"], CONFIGS)
    keys = ["data.root=/x", "data.crop_size=[64,64]", "tasks.classes=[tree]", "seed=1", "seed=2"]
    groups = ["data=folder", "tasks=all"]
    for order in ([*keys, *groups], [*groups, *keys], [*keys[:2], *groups, *keys[2:]]):
        changed = override_config(config, order, CONFIGS)
        assert (changed["data"]["root"], changed["data"]["crop_size"]) == ("/x", [64, 64])
        assert changed["data"]["dataset"] == "folder"
        assert (changed["tasks"], changed["seed"]) == ({"classes": ["tree"]}, 2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.rooot=/x", "unknown key 'data.rooot'; did you mean 'data.root'"),
        ("tasks=nothing", r"no tasks=nothing \(known: .*ade20k_2"),
        ("data.root", "cannot read 'data.root': write key=value"),
        ("~seed", "cannot use '~seed' here"),
    ],
)
def test_wrong_overrides_of_a_checkpoints_config(override: str, message: str) -> None:
    config = compose_config("ade20k_adapter", config_dir=CONFIGS)
    with pytest.raises(UserError, match=message):
        override_config(config, [override], CONFIGS)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.root=/x", r"has no 'data\.root' .* each has its own: data\.datasets\.<name>\.root"),
        (
            "data.datasets.snu.root=/x",
            r"unknown dataset 'data\.datasets\.snu': this experiment names",
        ),
        (
            "tasks.classes={a: [floor]}",
            r"cannot set 'tasks\.classes': it is a list and a mapping was",
        ),
    ],
)
def test_what_several_datasets_do_not_have_is_said(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose_config("multitask_sun_trans10k", [override], CONFIGS)


def test_a_group_replaces_a_list_of_tasks_with_the_groups_help() -> None:
    overrides = ["tasks=all", "tasks.classes={window: [glass]}"]
    config = compose_config("multitask_gdd", overrides, CONFIGS)
    assert config["tasks"]["classes"] == {"window": ["glass"]}


def test_an_interruption_is_a_word_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        run_shell(interrupted, tmp_path)
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_name_that_looks_like_a_reference_stays_a_name(tmp_path: Path) -> None:
    config = compose_config("folder_adapter", config_dir=CONFIGS)
    names = [*ODD_NAMES, "${", "a\\${b}", "\\\\${oc.env:HOME}", "${a} ${b}\\", "$$${", "\\"]
    config["data"]["classes"] = {"classes": dict(enumerate(names)), "other": [], "ignore": []}
    changed = override_config(config, ["data.batch_size=3"], CONFIGS)
    assert changed["data"]["classes"] == config["data"]["classes"]
    assert changed["data"]["batch_size"] == 3

    OmegaConf.save(literal_config(config), tmp_path / "config.yaml")
    assert plain_config(OmegaConf.load(tmp_path / "config.yaml")) == config  # type: ignore[arg-type]


def test_configs_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the current folder, of the checkout, and of a wheel, which has them beside it."""
    monkeypatch.chdir(tmp_path)
    assert default_config_dir() == CONFIGS
    wheel = tmp_path / "site-packages" / "seg_training"
    monkeypatch.setattr(config_module, "__file__", str(wheel / "config.py"))
    project = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text("utf-8"))
    wheel_target = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    [(source, target)] = wheel_target["force-include"].items()
    shutil.copytree(CONFIGS.parent / source, wheel.parent / target)
    assert default_config_dir() == wheel / "configs"
    assert compose_config("demo")["optimizer"]["lr"] == 1e-3
    (tmp_path / "configs").mkdir()
    assert default_config_dir() == tmp_path / "configs"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"classes": None}, r"classes=null: expected a path, or what a classes file holds"),
        ({"classes": ["car"]}, r"classes=\['car'\]: expected a path, or what a classes file holds"),
        ({"images": ["a", "b"]}, r"images=\['a', 'b'\]: expected a path"),
        ({"root": 2024}, r"root=2024: expected a path, in quotes where it is a number"),
        ({"val_split": None}, r"val_split=null: expected a path"),
    ],
)
def test_what_cannot_be_a_path_is_said(value: dict[str, object], message: str) -> None:
    config = compose_config("folder_adapter", config_dir=CONFIGS)
    with pytest.raises(UserError, match=rf"data\.{message}"):
        plain_config({**config, "data": {**config["data"], **value}})
    several = {"datasets": {"own": {**config["data"], **value}}}
    with pytest.raises(UserError, match=rf"data\.datasets\.own\.{message}"):
        plain_config({**config, "data": several})


@pytest.mark.parametrize("override", ["data.classes=null", "data.classes={classes: null}"])
def test_no_classes_in_an_override_are_said(override: str) -> None:
    config = compose_config("folder_adapter", ["data.root=/x"], CONFIGS)

    def build(changed: dict[str, Any]) -> None:
        build_data_module(changed["data"], changed["tasks"], 0)

    for use in (
        lambda: compose_config("folder_adapter", ["data.root=/x", override], CONFIGS),
        lambda: override_config(config, [override], CONFIGS),
    ):
        with pytest.raises(UserError, match=r"data\.classes.*(null|nothing)"):
            build(use())


@pytest.mark.parametrize(
    ("experiment", "override", "message", "without"),
    [
        ("ade20k_adapter", "model.num_vectors=3", "only vsa_emb reads it", "datasets"),
        ("multitask_sun_trans10k", "model.num_vectors=3", "only vsa_emb reads it", "datasets"),
        ("ade20k_adapter", "logger.project=x", r"add it with \+logger\.project=", "datasets"),
        ("ade20k_adapter", "data.mode=mixed", "only several datasets at once have it", "<name>"),
        (
            "folder_adapter",
            "data.classes.other=[1]",
            r"classes file.*\+data\.classes\.other=",
            "did you mean",
        ),
        (
            "folder_adapter",
            "data.classes.classes.0=x",
            r"classes file.*\+data\.classes\.classes",
            "<name>",
        ),
    ],
)
def test_hints_are_true(experiment: str, override: str, message: str, without: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        compose_config(experiment, [override], CONFIGS)
    assert without not in str(caught.value).replace("several datasets", "")


def test_a_new_entry_of_a_checkpoints_classes_is_answered_with_the_way_to_give_it() -> None:
    config = compose_config("folder_adapter", config_dir=CONFIGS)
    config["data"]["classes"] = {"classes": {0: "car"}, "other": [], "ignore": []}
    with pytest.raises(
        UserError, match=r"no 'data\.classes\.classes\.9'.* data\.classes as a whole"
    ):
        override_config(config, ["data.classes.classes.9=x"], CONFIGS)


@pytest.mark.parametrize("key", ["loss.dice_weight", "data.fit.scale"])
def test_an_option_without_its_name_is_told_where_it_stands(key: str) -> None:
    choice, option = key.rsplit(".", 1)
    with pytest.raises(UserError, match=rf"no '{key}' .*: {choice}={{name: ..., {option}: ...}}"):
        compose_config("demo", [f"{key}=2"], CONFIGS)


@pytest.mark.parametrize("loss", ["bce_dice", {"name": "bce_dice", "dice_weight": 0.5}])
def test_a_choice_is_a_name_or_a_name_with_options(loss: Any) -> None:
    typed = loss if isinstance(loss, str) else "{name: bce_dice, dice_weight: 0.5}"
    assert compose_config("demo", [f"loss={typed}"], CONFIGS)["loss"] == loss
    assert compose_config("demo", (), CONFIGS)["loss"] is None
