"""Each setting stands in one place: configs, checks, messages and documents follow from there."""

import inspect
import re
import runpy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_datasets.configs import CONFIGS

from seg_training.config import compose_config, override_config
from seg_training.errors import UserError
from seg_training.known_settings import (
    KNOWN,
    DatasetSettings,
    OptimizerSettings,
    RunSettings,
    TrainerSettings,
    check_config,
    entries,
)
from seg_training.settings import Section, number, setting
from seg_training.training.optimizers import OPTIMIZERS, SCHEDULES
from transformers_update_for_adapters import TASFormerConfig

REPOSITORY = CONFIGS.parent


table: Callable[[], str] = runpy.run_path(str(REPOSITORY / ".ci" / "write_settings.py"))["table"]


def test_the_documents_list_every_setting_with_its_default_and_meaning() -> None:
    text = (REPOSITORY / "docs" / "settings.md").read_text()
    assert text.endswith(f"\n{table()}"), "docs/settings.md is not up to date: make map"


def test_a_documents_row_says_of_a_setting_what_its_entry_says() -> None:
    text = (REPOSITORY / "GETTING_STARTED.md").read_text().split("## Other datasets")[0]
    rows = re.findall(r"^\| `([\w.]+)=[^|]*\| (.*) \|$", text, re.MULTILINE)
    known = {name: meaning for name, meaning in rows if name in entries()}
    assert len(known) > 8
    for name, meaning in known.items():
        assert meaning.startswith(entries()[name].meaning), name


def test_published_settings_are_the_defaults() -> None:
    published = compose_config("ade20k_adapter", (), CONFIGS)
    assert published["optimizer"] == OptimizerSettings.shown()
    assert published["trainer"] == TrainerSettings.shown()
    assert {name: published[name] for name in RunSettings.shown()} == RunSettings.shown()


def test_what_a_model_is_said_to_be_by_default_is_what_its_class_says() -> None:
    for file in (CONFIGS / "model").glob("*.yaml"):
        for name, value in yaml.safe_load(file.read_text()).items():
            if name not in ("defaults", "method") and not file.stem.endswith("_scratch"):
                assert getattr(TASFormerConfig, name) == value


@pytest.mark.parametrize("experiment", sorted(file.name for file in CONFIGS.glob("*.yaml")))
def test_experiments_say_only_what_is_different(experiment: str) -> None:
    lines = (CONFIGS / experiment).read_text().splitlines()
    defaults = yaml.safe_load((CONFIGS / experiment).read_text())["defaults"]
    base = yaml.safe_load((CONFIGS / "bases" / "experiment.yaml").read_text())["defaults"]
    assert defaults[0] == "bases/experiment"
    for own in defaults[1:]:
        for group, name in own.items() if isinstance(own, dict) else ():
            assert {group.removeprefix("override "): name} not in base
    assert len(lines) <= 20


# A new setting.


@dataclass(frozen=True, kw_only=True)
class MoreOptimizerSettings(OptimizerSettings):
    momentum: float = setting(0.5, "how much of a step is kept", number(least=0), may_change=True)


@pytest.fixture
def momentum() -> Iterator[type[Section]]:
    """One entry more, in the optimizer's section."""
    place = KNOWN.index(OptimizerSettings)
    KNOWN[place] = MoreOptimizerSettings
    yield MoreOptimizerSettings
    KNOWN[place] = OptimizerSettings
    compose_config("demo", (), CONFIGS)  # Hydra forgets it, too


def test_a_setting_is_one_entry(momentum: type[Section]) -> None:
    shown = compose_config("demo", (), CONFIGS)["optimizer"]
    assert shown == {**OptimizerSettings.shown(), **shown, "momentum": 0.5}
    given = compose_config("demo", ["optimizer.momentum=0.25"], CONFIGS)
    assert given["optimizer"]["momentum"] == 0.25
    with pytest.raises(
        UserError, match=r"'optimizer\.momentun'; did you mean 'optimizer\.momentum'"
    ):
        compose_config("demo", ["optimizer.momentun=1"], CONFIGS)
    given["optimizer"]["momentum"] = -1
    with pytest.raises(UserError, match=r"optimizer\.momentum=-1: expected a number of at least 0"):
        check_config(given)
    assert "| `optimizer.momentum` | `0.5` | how much of a step is kept |" in table()


def test_a_checkpoint_of_before_takes_a_new_setting(momentum: type[Section]) -> None:
    config = compose_config("demo", (), CONFIGS)
    del config["optimizer"]["momentum"]
    changed = override_config(config, ["optimizer.momentum=0.25"], CONFIGS)
    assert changed["optimizer"] == {**config["optimizer"], "momentum": 0.25}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, r"^seed=-1: expected a whole number from 0 to 4294967295$"),
        ({"log_plot_freq": True}, "^log_plot_freq=True: expected a whole number of batches; 0 for"),
        ({"metrics": "al"}, r"^unknown metrics 'al'; did you mean 'all'\? \(known: biou, all\)$"),
        ({"unsure_is_miss": 1}, "^unsure_is_miss=1: expected true or false$"),
        ({"trainer": {"compile": None}}, r"^trainer\.compile=None: expected true or false$"),
        (
            {"trainer": {"checkpoint_every_n_steps": 0}},
            r"^trainer\.checkpoint_every_n_steps=0: expected a whole number of at least 1$",
        ),
        (
            {"trainer": {"max_steps": "many"}},
            r"^trainer\.max_steps='many': expected a whole number of at least -1, or null$",
        ),
        (
            {"trainer": {"val_check_interval": 0}},
            r"^trainer\.val_check_interval=0: expected a number above 0, or null$",
        ),
        (
            {"trainer": {"gradient_clip_val": -1}},
            r"^trainer\.gradient_clip_val=-1: expected a number of at least 0, or null$",
        ),
        ({"logger": {"names": "csv"}}, r"^logger\.names='csv': expected a list, \[csv,tensorbo"),
        ({"logger": {"names": ["cvs"]}}, r"^unknown logger\.names 'cvs'; did you mean 'csv'"),
        (
            {"optimizer": {"name": "adamv"}},
            rf"^unknown optimizer\.name 'adamv'; .* \(known: {', '.join(OPTIMIZERS)}\)$",
        ),
        (
            {"optimizer": {"schedule": "cosin"}},
            rf"^unknown optimizer\.schedule 'cosin'; .* \(known: {', '.join(SCHEDULES)}\)$",
        ),
        ({"data": {"sampler": "mixd"}}, r"^unknown data\.sampler 'mixd'; did you mean 'mixed'"),
        (
            {"data": {"datasets": {"sun": {"batch_size": 0}}}},
            r"^data\.datasets\.sun\.batch_size=0: expected a whole number of at least 1$",
        ),
        ({"data": {"root": 2024}}, r"^data\.root=2024: expected a path, in quotes where it is a"),
        ({"model": {"pretrained": []}}, r"^model\.pretrained=\[\]: expected a path"),
        ({"model": {"backbone": "b7"}}, r"^unknown model\.backbone 'b7'.*\(known: b0, b1, b2, "),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_whole_name(
    wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_config(wrong)


def test_what_is_not_set_yet_and_what_is_right_is_taken() -> None:
    config = compose_config("multitask_sun_gdd", (), CONFIGS)
    assert config["data"]["datasets"]["sun"]["root"] == "???"
    check_config(config)


def test_every_setting_of_a_dataset_is_known_and_none_beside() -> None:
    """A class says which it takes; what they mean, and whether they are paths, stands once."""
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.datasets.data_module import DATASETS

    taken = {
        name for dataset in DATASETS.values() for name in inspect.signature(dataset).parameters
    }
    assert taken == DatasetSettings.entries().keys() - {"dataset", "tasks"}


# Configs of before.


def test_a_config_that_was_written_for_eight_groups_composes_to_the_same(tmp_path: Path) -> None:
    file = tmp_path / "of_mine.yaml"
    file.write_text(
        "# Mine.\ndefaults:\n  - run: default\n  - hydra: default\n  - model: adapter_hf_scratch\n"
        "  - tasks: all\n  - data: synthetic\n  - optimizer: adamw\n  - trainer: steps\n"
        "  - logger: tensorboard\n  - _self_\nlog_plot_freq: 200 # often\noptimizer:\n"
        "  name: adamw\n  lr: 1.0e-3\n  weight_decay: 0.01\n  schedule: cosine\n"
        "  warmup_steps: 100\ntrainer:\n  accelerator: cpu\n  max_steps: 1200\n"
        "  val_check_interval: 400\n"
    )
    shipped = f"hydra.searchpath=['file://{CONFIGS}']"
    mine = compose_config("of_mine", [shipped], tmp_path)
    one_training = ("recipe=published", "data.calibration_share=0.0")
    assert {**mine, "config_name": "demo"} == compose_config("demo", one_training, CONFIGS)
