"""Paths in overrides are taken as they are typed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_datasets.configs import CONFIGS
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from short_runs import SHORT_RUNS, train_a_step

from seg_training.as_written.hydra_overrides import PATH_SETTINGS, as_typed, literal, quoted
from seg_training.config import (
    compose_config,
    override_config,
    plain_config,
    translate_config_argument,
)
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import restore

pytestmark = SHORT_RUNS

NAMES = [
    *("~/photos", "räume/é", "a (copy)", "epoch=1-step=3.ckpt", "two words", "街/写真", "a,b"),
    *("it's", '"so"called', "'quoted", "C:\\data\\x", "ends\\", "[1]", "{split}", "images/{split}"),
    *("{split}annot", "a{1,2}", "$HOME/x", "100%", "#1", "a${b", "a${b}", "\\${b}x", " lead"),
    *("trail ", "2024", "1e3", "true", "a:b", "a&b;c", "*.pb", "!x", "@x", "-x", "choice(a,b)"),
]


@pytest.mark.parametrize("first", range(0, len(NAMES), 4))
def test_paths_are_taken_as_they_are_typed(first: int) -> None:
    """Composed for a training, and changed for an evaluation."""
    names = (NAMES * 2)[first : first + 4]
    keys = ("data.root", "data.images", "data.labels", "run_dir")
    overrides = [f"{key}={name}" for key, name in zip(keys, names, strict=True)]
    composed = compose_config("folder_adapter", overrides, CONFIGS)
    changed = override_config(compose_config("folder_adapter", (), CONFIGS), overrides, CONFIGS)
    for config in (composed, changed, override_config(composed, ["seed=1"], CONFIGS)):
        data = config["data"]
        assert [data["root"], data["images"], data["labels"], config["run_dir"]] == names


def test_jobs_of_a_sweep_get_paths_as_they_were_typed() -> None:
    """Hydra writes each job's overrides anew."""
    values = ",".join(quoted(name) for name in NAMES)
    typed = ["--config", "demo.yaml", "-m", "seed=1", f"data.root={values}"]
    words = [word for word in translate_config_argument(typed, CONFIGS) if "=" in word]
    jobs = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)[0]
    roots = [OverridesParser.create().parse_override(job[1]).value() for job in jobs]
    assert [OmegaConf.create({"root": root}).root for root in roots] == NAMES
    assert as_typed([job[1] for job in jobs]) == [job[1] for job in jobs]


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_any_text_is_quoted(text: str) -> None:
    parsed = OverridesParser.create().parse_override(f"key={quoted(text)}").value()
    assert parsed == literal(text)


@pytest.mark.parametrize("setting", PATH_SETTINGS)
def test_every_path_setting_is_quoted_of_each_dataset_too(setting: str) -> None:
    expected = {f"{plus}{setting}='a (b)'" for plus in ("", "+", "++")}
    assert set(as_typed([f"{plus}{setting}=a (b)" for plus in ("", "+", "++")])) == expected
    if setting.startswith("data."):
        own = setting.replace("data.", "data.datasets.sun.")
        assert as_typed([f"{own}=a (b)"]) == [f"{own}='a (b)'"]


@pytest.mark.parametrize(
    "override",
    [
        *("model.pretrained=null", "data.root=", "data.root='a (b)'", 'data.root="a,b"'),
        *("run_dir=outputs/plain-1.0", "tasks=a,b", "data.crop_size=[32,64]", "~data.root"),
        "data.classes={classes: {0: sky}}",
    ],
)
def test_what_hydra_reads_as_it_is_meant_stays(override: str) -> None:
    assert as_typed([override]) == [override]


def test_references_to_the_config_stay_references() -> None:
    config = compose_config("demo", ["run_dir=runs/${seed}/${trainer.max_steps} (1)"], CONFIGS)
    assert config["run_dir"] == "runs/0/1200 (1)"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("/a (1),/b", ["/a (1)", "/b"]),
        ("'/a,b',/c", ["/a,b", "/c"]),
        ("it's, é", ["it's", "é"]),
        ("choice(/a,/b)", ["/a", "/b"]),
    ],
)
def test_commas_separate_the_values_of_a_sweep(typed: str, expected: list[str]) -> None:
    for sweep in ("-m", "--multirun", "--multi", "hydra.mode=MULTIRUN"):
        words = ["--config", "demo.yaml", sweep, f"data.root={typed}"]
        [override] = [word for word in translate_config_argument(words, CONFIGS) if "root" in word]
        parsed = OverridesParser.create().parse_override(override)
        values = [
            OverridesParser.create().parse_override(f"key={each}").value()
            for each in parsed.sweep_string_iterator()
        ]
        assert values == expected


def test_what_exists_is_one_path_in_a_sweep_too(tmp_path: Path) -> None:
    both, reference = tmp_path / "a,b", tmp_path / "${seed}"
    for folder in (both, reference):
        folder.mkdir()
        [override] = as_typed([f"data.root={folder}"], ["seed"], sweep=True)
        assert compose_config("demo", [override], CONFIGS)["data"]["root"] == str(folder)


def test_a_run_in_a_folder_of_any_name_is_evaluated(tmp_path: Path) -> None:
    folder = tmp_path / "写真 é (1)=a,${b}'s [x] #%"
    small = ["data.crop_size=[32,32]", f"run_dir={folder}/first"]
    run = train_a_step(folder, *small)
    assert run == folder / "first"
    # As OmegaConf reads it: --config takes it, too.
    assert plain_config(OmegaConf.load(run / "config.yaml"))["run_dir"] == str(run)
    (run / "checkpoints" / "last.ckpt").rename(run / "epoch=1-step=3.ckpt")
    _, data, _ = restore(run / "epoch=1-step=3.ckpt", [f"data.root={folder}/data"], CONFIGS)
    [source] = data.sources().values()
    assert source.dataset.root == folder / "data"


def test_another_setting_that_hydra_cannot_read_is_named_with_its_cure(tmp_path: Path) -> None:
    for compose in (
        lambda override: compose_config("demo", [override], CONFIGS),
        lambda override: override_config(compose_config("demo", (), CONFIGS), [override], CONFIGS),
    ):
        with pytest.raises(UserError, match=r"quotes of its own: \"logger.names='a \(b'\""):
            compose("logger.names=a (b")


def test_a_list_without_brackets_is_answered_with_both_ways_to_write_it() -> None:
    config = compose_config("demo", (), CONFIGS)
    changes: list[Callable[[str], object]] = [
        lambda override: compose_config("demo", [override], CONFIGS),
        lambda override: override_config(config, [override], CONFIGS),
    ]
    for change in changes:
        with pytest.raises(UserError, match=r"seed=0,1.*\[0,1\]"):
            change("seed=0,1")
