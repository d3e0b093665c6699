"""Classes in configs and overrides are taken as they are written."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from seg_training.as_written.configs_as_written import override_as_written
from seg_training.config import compose_config, override_config, translate_config_argument
from seg_training.errors import UserError

CONFIGS = Path(__file__).parents[3] / "configs"
ODD = ["no", "null", "12:30", "1e3", "010", "true", "2024-01-01", "1_0", "nan"]
CLASSES = "classes: {classes: {0: no, 1: 1e3, 2: 12:30, 3: null}, other: [9], ignore: [255]}"
READ = {"classes": {0: "no", 1: "1e3", 2: "12:30", 3: "null"}, "other": [9], "ignore": [255]}


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's, and a user's own."""
    folder = tmp_path_factory.mktemp("configs") / "configs"
    shutil.copytree(CONFIGS, folder)
    (folder / "tasks" / "odd.yaml").write_text(f"classes: [{', '.join(ODD)}]\n")
    return folder


def compose(configs: Path, text: str | bytes, *overrides: str) -> dict[str, Any]:
    own = configs / "own.yaml"
    if isinstance(text, str):
        text = f"defaults: [folder_adapter, _self_]\n{text}\n".encode()
    own.write_bytes(text)
    return compose_config("own", overrides, configs)


def test_classes_in_configs_are_taken_as_they_are_written(configs: Path) -> None:
    config = compose(configs, f"data: {{{CLASSES}}}\ntasks: {{classes: [no, 12:30]}}")
    assert config["data"]["classes"] == READ
    assert config["tasks"]["classes"] == ["no", "12:30"]
    assert compose(configs, "", "tasks=odd")["tasks"]["classes"] == ODD
    assert override_config(config, ["tasks=odd"], configs)["tasks"]["classes"] == ODD


def test_groups_and_several_datasets_as_well(configs: Path) -> None:
    config = compose(
        configs,
        f"tasks: {{classes: {{off: [no, 1e3], 10: yes}}}}\n"
        f"data: {{datasets: {{a: {{{CLASSES}, tasks: {{classes: {{on: [null]}}}}}}}}}}",
    )
    assert config["tasks"]["classes"] == {"off": ["no", "1e3"], "10": "yes"}
    own = config["data"]["datasets"]["a"]
    assert (own["classes"], own["tasks"]) == (READ, {"classes": {"on": ["null"]}})


def test_paths_all_and_other_places_stay_what_they_were(configs: Path) -> None:
    config = compose(configs, "seed: 010\ndata: {root: /x, train_split: '${data.val_split}'}")
    assert (config["seed"], config["data"]["train_split"]) == (8, "val")
    assert config["data"]["classes"] == "configs/classes/camvid.yaml"
    assert config["tasks"] == {"classes": "all"}


def test_a_group_of_nothing_stays_nothing(configs: Path) -> None:
    config = compose(configs, "tasks:\n  classes:\n    off:\n    on: null")
    assert config["tasks"]["classes"] == {"off": None, "on": "null"}


def test_another_file_that_is_broken_does_not_hide_what_is_wrong(configs: Path) -> None:
    (configs / "broken.yaml").write_bytes(b"a: [\xff")
    try:
        with pytest.raises(UserError, match=r"unknown key 'data\.roo'; did you mean 'data\.root'"):
            compose(configs, "", "data.roo=/x")
    finally:
        (configs / "broken.yaml").unlink()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("data:\n  classes: {classes: {010: a}}", 3, "label value '010' is no whole number"),
        ("data:\n  classes:\n    classes:\n      1: a\n      1: b", 6, "'1' stands twice"),
        ("data: {root: /x}\ndata: {root: /y}", 3, "'data' stands twice, first in line 2"),
        ("data:\n  classes: {classes: {1: a}, ignore: '2'}", 3, "'ignore' is '2', not a list"),
        ("data:\n  classes: {classes: {1: [a, b]}}", 3, "a name was expected, found a list"),
        ("data:\n  classes: {classes: {1: all}}", 3, "a class cannot be called 'all'"),
        ("tasks:\n  classes: {all: [a]}", 3, "a class cannot be called 'all'"),
        ("tasks:\n  classes: [a, [b]]", 3, "a name was expected, found a list"),
        ("tasks:\n  classes: {a: {b: no}}", 3, "a name was expected, found a mapping"),
    ],
)
def test_what_nobody_meant_is_an_error_with_its_line(
    configs: Path, text: str, line: int, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        compose(configs, text)
    assert str(caught.value).startswith(f"{configs / 'own.yaml'}, line {line}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"defaults: [folder_adapter, _self_]\ndata: [1]", r"'own'.*DictConfig.*ListConfig"),
        (b"data: {classes: {classes: {0: <<}}}", r"(?s)own\.yaml.*'<<'.*quotes"),
        (b"data: {classes: {classes: {0: =}}}", r"(?s)own\.yaml.*'='.*quotes"),
        (b"seed: 1\n\tseed: 2", r"own\.yaml is not valid YAML(.|\n)*line 2"),
        ("seed: 1 # für".encode("latin-1"), r"own\.yaml is not valid YAML: save it as UTF-8"),
        ("seed: 1 # für".encode("utf-16"), r"own\.yaml is not valid YAML for Hydra: save it as U"),
    ],
)
def test_a_file_that_is_no_yaml_is_named(configs: Path, text: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(configs, text)


@pytest.mark.parametrize(
    ("override", "classes"),
    [
        (f"tasks.classes=[{', '.join(ODD)}]", ODD),
        ("tasks.classes={off: [no, null], 10: 1e3}", {"off": ["no", "null"], "10": "1e3"}),
        ("tasks.classes=['no', \"it's\", 'a, b']", ["no", "it's", "a, b"]),
        ("tasks={classes: [null]}", ["null"]),
        ("tasks.classes=all", "all"),
    ],
)
def test_overrides_are_taken_as_they_are_written(
    configs: Path, override: str, classes: Any
) -> None:
    def texts(found: Any) -> Any:
        return {str(key): own for key, own in found.items()} if isinstance(found, dict) else found

    config = compose(configs, "", "tasks=odd")
    if not override.startswith("tasks="):  # which names a group's file for eval.py
        changed = override_config(config, [override], configs)
        assert texts(changed["tasks"]["classes"]) == classes
    if "{" not in override:
        assert compose(configs, "", override)["tasks"]["classes"] == classes
    [*_, argument] = translate_config_argument(["--config", "demo.yaml", override], CONFIGS)
    assert argument == override_as_written(override)


@pytest.mark.parametrize(
    ("listed", "classes"),
    [
        ("[汽车,дорога]", ["汽车", "дорога"]),
        ("[café, no,null , 1e3]", ["café", "no", "null", "1e3"]),
        ("[it's]", ["it's"]),
        ("[a(b), c'd]", ["a(b)", "c'd"]),
        ("[lane [/left]]", ["lane [/left]"]),
        ("[car;auto,a#b,a=b,R&D]", ["car;auto", "a#b", "a=b", "R&D"]),
        ("['a, é',\"it's\",ß]", ["a, é", "it's", "ß"]),
    ],
)
def test_names_that_hydra_cannot_read_in_a_list_are_taken_as_typed(
    configs: Path, listed: str, classes: list[str]
) -> None:
    override = f"tasks.classes={listed}"
    config = compose(configs, "", override)
    assert config["tasks"]["classes"] == classes
    assert override_config(config, ["tasks=all", override], configs)["tasks"]["classes"] == classes
    [*_, argument] = translate_config_argument(["--config", "demo.yaml", override], CONFIGS)
    assert override_as_written(argument) == argument
    own = override_as_written(f"+data.datasets.a.{override}")
    assert own == f"+data.datasets.a.{argument}"


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("tasks.classes=[汽车,дорога", "\"tasks.classes=['汽车','дорога']\""),
        ("tasks.classes=汽车", "\"tasks.classes=['汽车']\""),
        ("tasks.classes=[a(b,c)]", "each text needs quotes of its own"),
        ("tasks.classes=[é],[a]", "each text needs quotes of its own"),
        (r"tasks.classes=[é,a\,b]", "each text needs quotes of its own"),
        (r"tasks.classes=[é,a\(b\)]", "each text needs quotes of its own"),
        ("tasks.classes=[é,,a]", "each text needs quotes of its own"),
        ("tasks.classes=[é,[a]]", "each text needs quotes of its own"),
        ("tasks.classes=[é,${a}]", "each text needs quotes of its own"),
        ("logger.names=[csv;wandb]", "\"logger.names=['csv;wandb']\""),
        ("tasks.classes={汽车: [дорога]}", "write it in a config file"),
        ("data.classes={classes:{0:汽车}}", "write it in a config file"),
        ("data.classes={classes: {0: a", "write it in a config file"),
    ],
)
def test_what_is_not_certain_is_refused_with_advice_that_helps(
    configs: Path, override: str, advice: str
) -> None:
    config = compose(configs, "")
    for use in (
        lambda: compose(configs, "", override),
        lambda: override_config(config, [override], configs),
    ):
        with pytest.raises(UserError, match="cannot read") as caught:
            use()
        assert advice in str(caught.value)


def test_a_reference_to_nothing_is_said_in_words(configs: Path) -> None:
    with pytest.raises(UserError, match="Interpolation key 'x' not found"):
        override_config(compose(configs, ""), ["tasks.classes=[${x}]"], configs)


def test_label_values_in_overrides_are_numbers(configs: Path) -> None:
    override = f"data.{CLASSES.replace(': ', '=', 1)}"
    config = compose(configs, f"data: {{{CLASSES}}}")
    assert override_config(config, [override], configs)["data"]["classes"] == READ
    changed = override_config(config, ["data.classes.ignore=[7]"], configs)
    assert changed["data"]["classes"] == {**READ, "ignore": [7]}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tasks.classes={a: [x], a: [y]}", "'a' stands twice in {a: .x.,"),
        ("data.classes={classes: {1: a, 1: b}}", "'1' stands twice"),
        ("data.classes={classes: {010: a}}", "label value '010' is no whole number"),
        ("data.classes={classes: {1: a}, ignore: [2_5]}", "label value '2_5' is no whole number"),
        ("data.classes.ignore=['255']", "label value '255' is no whole number .* without quotes"),
        ("tasks.classes={all: [a]}", "a class cannot be called 'all'"),
        ("tasks.classes={null: [a]}", "Hydra does not take 'null' for a name there"),
        ("tasks.classes=[a, [b]]", "a name was expected, found a list"),
    ],
)
def test_wrong_overrides_name_themselves(configs: Path, override: str, message: str) -> None:
    config = compose(configs, f"data: {{{CLASSES}}}")
    for use in (
        lambda: compose(configs, "", override),
        lambda: override_config(config, [override], configs),
        lambda: translate_config_argument(["--config", "demo.yaml", override], CONFIGS),
    ):
        with pytest.raises(UserError, match=message):
            use()


@pytest.mark.parametrize(
    "override", ["tasks.classes=[sky, road]", "tasks.classes={a: [sky]}", f"data.{CLASSES}"]
)
def test_what_hydra_reads_as_it_is_written_is_left_alone(override: str) -> None:
    override = override.replace(": {", "={", 1) if override.startswith("data") else override
    override = override.replace("12:30", "noon").replace("1e3", "a").replace("null", "b")
    assert override_as_written(override) == override


@pytest.mark.slow
def test_the_command_line_takes_both_as_they_are_written(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(f"defaults: [folder_adapter, _self_]\ndata: {{{CLASSES}}}\n")
    command = [sys.executable, "train.py", "--config", str(own), "--cfg", "job"]
    answer = subprocess.run(
        [*command, f"tasks.classes=[{', '.join(ODD)}]"],
        cwd=CONFIGS.parent,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    config = yaml.safe_load(answer.stdout)
    assert (config["tasks"]["classes"], config["data"]["classes"]) == (ODD, READ)


@pytest.mark.parametrize("override", ["~tasks.classes", "tasks.classes=[a,", "tasks.classes=a,b"])
def test_what_hydra_itself_refuses_is_left_to_it(override: str) -> None:
    assert override_as_written(override) == override
