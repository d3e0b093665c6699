"""Checkpoints that somebody has, in the cells of the paper's tables, on the made-up ADE20K."""

import csv
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import pytest
import torch
from fake_datasets import ade20k
from own_process import REPOSITORY, Answer, run_script
from rich.console import Console
from short_runs import TINY

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.model_folders import describe_network, save_network
from seg_training.config import compose_config
from seg_training.datasets.data_module import build_data_module
from seg_training.errors import UserError
from seg_training.networks import build_network
from seg_training.networks.network_building import OF_RECOGNISERS
from seg_training.tables.cell_runs import Setting
from seg_training.tables.given_checkpoints import Given, evaluation_command, find_given
from seg_training.tables.missing_runs import failures_message, measure_given
from seg_training.tables.table_cells import SCALES

CONFIGS = REPOSITORY / "configs"
PAPER = SCALES["paper"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def model_folder(folder: Path, experiment: str, data: Path, *overrides: str, seed: int = 0) -> Path:
    """What converting a released file leaves: a network without thresholds."""
    torch.manual_seed(seed)
    config = compose_config(experiment, [f"data.root={data}", *overrides], CONFIGS)
    config["model"] |= TINY | {"pretrained": None}
    module = build_data_module(config["data"], config["tasks"], 0)
    names = list(module.task_names)
    model = {key: value for key, value in config["model"].items() if key not in OF_RECOGNISERS}
    network = build_network(num_tasks=len(names), task_names=names, **model).eval()
    network.config.crop_size = list(config["data"]["crop_size"])
    describe_network(network, config, origin={"pretrained": None})
    save_network(folder, network, config)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ade20k")
    ade20k.make(root / "tree")
    return root / "tree"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Three networks of two cells, and one of none."""
    place = tmp_path_factory.mktemp("released")
    for seed in (0, 1):
        model_folder(place / f"hf_{seed}", "ade20k_adapter", data, "tasks=ade20k_2", seed=seed)
    model_folder(place / "baseline", "ade20k_segformer", data, "tasks=ade20k_2")
    model_folder(place / "odd", "ade20k_adapter", data, "tasks=ade20k_2", "data.crop_size=[64,64]")
    return place


def test_each_is_found_its_cell(
    folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = find_given([folders], PAPER, tmp_path, CONFIGS)
    cells = PAPER.cells
    results = tmp_path / "paper" / "table1"
    assert found == [
        Given(
            folders / "baseline", cells["table1/segformer/2"], 0, results / "segformer/2/seed0.json"
        ),
        Given(
            folders / "hf_0", cells["table1/adapter_hf/2"], 0, results / "adapter_hf/2/seed0.json"
        ),
        Given(
            folders / "hf_1", cells["table1/adapter_hf/2"], 1, results / "adapter_hf/2/seed1.json"
        ),
    ]
    assert f"{folders / 'odd'} is left out: no cell of scale 'paper'" in caplog.text
    only = find_given([folders / "hf_1", folders / "baseline"], PAPER, tmp_path, CONFIGS, ["*hf*"])
    assert [each.checkpoint.name for each in only] == ["hf_1"]


def test_what_is_of_no_cell_or_no_checkpoint_is_said(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--checkpoints .*odd: none is of a cell of scale 'paper'"):
        find_given([folders / "odd"], PAPER, tmp_path, CONFIGS)
    with pytest.raises(UserError, match="none is of a cell of scale 'camvid'"):
        find_given([folders], SCALES["camvid"], tmp_path, CONFIGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no checkpoint; give runs, model folders"):
        find_given([tmp_path / "empty"], PAPER, tmp_path, CONFIGS)
    with pytest.raises(UserError, match="nowhere does not exist"):
        find_given([tmp_path / "nowhere"], PAPER, tmp_path, CONFIGS)
    (tmp_path / "text.ckpt").write_text("no weights")
    with pytest.raises(UserError, match=r"text\.ckpt"):
        find_given([tmp_path / "text.ckpt"], PAPER, tmp_path, CONFIGS)


def test_a_runs_folder_is_one_checkpoint(folders: Path, tmp_path: Path) -> None:
    """Its model folder has the same weights."""
    run = tmp_path / "runs" / "a_run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "model").symlink_to(folders / "hf_0")
    config = compose_config("ade20k_adapter", ["data.root=.", "tasks=ade20k_2"], CONFIGS)
    content = {"config": config, "task_names": ["building", "floor"]}
    torch.save({"hyper_parameters": content, "state_dict": {}}, run / "checkpoints" / "best.ckpt")
    [found] = find_given([tmp_path / "runs"], PAPER, tmp_path, CONFIGS)
    assert (found.checkpoint, found.cell.name) == (run, "table1/adapter_hf/2")


def test_the_command_that_evaluates(tmp_path: Path) -> None:
    cells = PAPER.cells
    setting = Setting("/data/ADE", ("data.num_workers=0",))
    given = Given(Path("a/b"), cells["table1/emb/2"], 0, Path("out/seed0.json"))
    assert evaluation_command(given, setting) == [
        *("python", "eval.py", "--ckpt", "a/b", "--json", "out/seed0.json"),
        *("data.root=/data/ADE", "thresholds=per_class", "data.num_workers=0"),
    ]
    whole = Given(Path("a/b"), cells["table2/adapter_hf/640"], 0, Path("out/seed0.json"))
    assert "metrics=all" in evaluation_command(whole, setting)


def test_what_is_measured_is_not_measured_again(folders: Path, tmp_path: Path) -> None:
    given = find_given([folders], PAPER, tmp_path, CONFIGS)
    asked = []

    def fails_for_one(command: Sequence[str], log: TextIO) -> int:
        asked.append(command[3])
        if "hf_1" in command[3]:
            log.write("error: no memory\n")
            return 1
        content = {
            "bIoU": 3,
            "checkpoint": str(find_checkpoint(command[3])),
            "overrides": list(command[6:]),
        }
        Path(command[5]).write_text(json.dumps(content))
        return 0

    console = Console(record=True, width=200)
    assert measure_given(given, Setting(), fails_for_one, console) == given[2:]
    assert f"table1/segformer/2, {folders / 'baseline'}: measured" in console.export_text()
    assert failures_message(given[2:]).endswith(f"{given[2].log}\n    error: no memory")
    asked.clear()
    assert measure_given(given, Setting(), fails_for_one, console) == given[2:]
    assert asked == [str(folders / "hf_1")]
    # The data may lie elsewhere, and more processes read it; what acts is another measurement.
    assert given[0].is_measured(Setting("/elsewhere", ("data.num_workers=3",)))
    assert not given[0].is_measured(Setting(overrides=("unsure_is_miss=true",)))
    # Where another checkpoint is given in its place, that was not measured.
    another = replace(given[0], checkpoint=folders / "hf_0")
    assert not another.is_measured(Setting())
    os.utime(given[0].results, (0, 0))  # older than the checkpoint
    assert not given[0].is_measured(Setting())


def test_of_several_cells_one_has_to_be_named(data: Path, tmp_path: Path) -> None:
    """The recipes' cells differ in how they are trained, which weights do not tell."""
    scale = SCALES["recipes_camvid"]
    config = compose_config("folder_adapter", scale.cells["table1/losses"].overrides, CONFIGS)
    network = tmp_path / "hf" / "checkpoints"
    network.mkdir(parents=True)
    content = {"config": config, "task_names": ["a", "b"]}
    torch.save({"hyper_parameters": content, "state_dict": {}}, network / "best.ckpt")
    message = "may be of any of the cells table1/published, table1/losses, .*; name one: --only"
    with pytest.raises(UserError, match=message):
        find_given([tmp_path / "hf"], scale, tmp_path, CONFIGS)
    [found] = find_given([tmp_path / "hf"], scale, tmp_path, CONFIGS, ["table1/losses"])
    assert found.cell.name == "table1/losses"
    with pytest.raises(UserError, match="none is of a cell of scale 'recipes_camvid' that fits"):
        find_given([tmp_path / "hf"], scale, tmp_path, CONFIGS, ["table1/emb"])


def test_a_report_is_of_what_is_given_alone(
    folders: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("seg_training.tables.missing_runs.run_command", in_this_process)
    options = ("--data-root", str(data), "--output", str(tmp_path), "data.num_workers=0")
    assert run_script("reproduce_tables", *options, "--checkpoints", str(folders)).code == 0
    results = tmp_path / "checkpoints" / "paper" / "table1" / "adapter_hf" / "2"
    before = json.loads((results / "seed1.json").read_text())
    one = run_script("reproduce_tables", *options, "--checkpoints", str(folders / "hf_1"))
    assert one.code == 0
    # It takes the place of hf_0, and its own of before is passed over: one run, not two.
    assert json.loads((results / "seed0.json").read_text())["bIoU"] == before["bIoU"]
    report = (tmp_path / "checkpoints" / "paper" / "report.md").read_text()
    assert f"67.9 / {before['bIoU']:.1f} ({before['bIoU'] - 67.9:+.1f})" in report
    page = (tmp_path / "checkpoints" / "paper" / "report.html").read_text()
    assert f"--output {tmp_path} --checkpoints {folders / 'hf_1'} data.num_workers=0" in page


def in_this_process(command: Sequence[str], log: TextIO) -> int:
    answer: Answer = run_script("eval", *command[2:])
    log.write(answer.text)
    return answer.code


def test_one_command_answers_the_question_for_the_papers_table(
    folders: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("seg_training.tables.missing_runs.run_command", in_this_process)
    weights = {file: file.read_bytes() for file in folders.glob("*/*.*")}
    answer = run_script(
        *("reproduce_tables", "--data-root", str(data), "--output", str(tmp_path)),
        *("--checkpoints", str(folders), "data.num_workers=0", "trainer.accelerator=cpu"),
    )
    assert answer.code == 0, answer.text
    out = tmp_path / "checkpoints" / "paper"
    contents: dict[str, dict[str, Any]] = {
        name: json.loads((out / "table1" / f"{name}.json").read_text())
        for name in ("segformer/2/seed0", "adapter_hf/2/seed0", "adapter_hf/2/seed1")
    }
    report = (out / "report.md").read_text()
    baseline = contents["segformer/2/seed0"]
    for name, content in contents.items():
        assert content["method"] == name.partition("/")[0]
        assert (content["num_tasks"], content["crop_size"]) == (2, [320, 320])
        assert content["bIoU_calibrated"] is not None
        assert content["num_masks"] == 4
        checkpoint = content["checkpoint"]
        assert f"python eval.py --ckpt {checkpoint} data.root={data} thresholds=" in report
    low, high = baseline["bIoU_calibrated_interval"]
    calibrated = f"{baseline['bIoU_calibrated']:.1f} ({low:.1f} to {high:.1f})"
    measured = f"63.2 / {baseline['bIoU']:.1f} ({baseline['bIoU'] - 63.2:+.1f})"
    assert f"| SegFormer (B0) | {measured} | {calibrated} |" in report
    assert "python train.py" not in report
    assert any(
        content["bIoU_calibrated"] != content["bIoU"] for content in contents.values()
    )  # thresholds were chosen
    assert {file: file.read_bytes() for file in folders.glob("*/*.*")} == weights
    rows = list(csv.DictReader((out / "report.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["segformer", "adapter_hf", "adapter_hf"]
    again = run_script(
        *("reproduce_tables", "--output", str(tmp_path), "--checkpoints", str(folders)),
        "--dry-run",
    )
    assert again.code == 0
    # Other tests add checkpoints that no cell is of.
    assert again.text.endswith("nothing is left to run: every cell asked for has its results\n")


def test_the_authors_checkpoints_are_given_by_a_word(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the folder that they are converted to, or of the one that is named."""
    place = tmp_path / "outputs" / "released_checkpoints"
    place.parent.mkdir()
    place.symlink_to(folders)
    monkeypatch.chdir(tmp_path)
    word = run_script("reproduce_tables", "--released", "trainer.devices=1", "--dry-run")
    named = run_script(
        *("reproduce_tables", "--released", "outputs/released_checkpoints"),
        *("trainer.devices=1", "--dry-run"),
    )
    given = run_script(
        *("reproduce_tables", "--checkpoints", "outputs/released_checkpoints"),
        *("trainer.devices=1", "--dry-run"),
    )
    said = [re.sub(r"^(\[[\d:]+\]| +)", "", each.text) for each in (word, named, given)]
    assert said[0] == said[1] == said[2]
    assert word.code == named.code == given.code == 0
    assert word.text.count("python eval.py --ckpt outputs/released_checkpoints/") == 3


@pytest.mark.slow
def test_a_released_file_is_converted_first(shared: Path, tmp_path: Path) -> None:
    keys = json.loads((shared / "golden" / "adapter_hf_keys.json").read_text())
    weights = {
        f"mask_net.{name}": torch.rand(shape).to(getattr(torch, dtype))
        for name, shape, dtype in keys
    }
    (tmp_path / "files").mkdir()
    torch.save({"state_dict": weights, "epoch": 1}, tmp_path / "files" / "last.ckpt")
    for _ in range(2):  # once only
        [found] = find_given([tmp_path / "files"], PAPER, tmp_path, CONFIGS)
        assert found.cell.name == "table1/adapter_hf/150"
        assert found.checkpoint.parent == tmp_path / "converted"
        assert (found.checkpoint / "model.safetensors").is_file()
    assert len(list((tmp_path / "converted").iterdir())) == 1
