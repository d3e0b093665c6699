"""What a score or a metric of one's own takes: one function, one line."""

import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_datasets import folder
from own_process import REPOSITORY
from short_runs import SHORT_RUNS, small_config
from torch import Tensor

from seg_training.datasets.truths import LabelMapTruth, MaskSetTruth, Truth
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.evaluation.mask_metrics import METRICS
from seg_training.evaluation.pair_scores import PAIR_SCORES
from seg_training.evaluation.pair_table import PairTable
from seg_training.networks.class_scores import SCORES
from seg_training.tasks import TaskTable
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS
CONFIGS = REPOSITORY / "configs"


def mean_probability(probabilities: Tensor) -> Tensor:
    return probabilities.mean(dim=(1, 2))


def hit_share(probabilities: Tensor, predicted: Tensor, masks: Tensor) -> Tensor:
    true = masks == 1
    return (predicted & true).sum(dim=(1, 2)) / true.sum(dim=(1, 2))


def false_alarms(table: PairTable) -> float:
    return 100 * float((table["predicted"] > table["intersection"]).mean())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scored")
    folder.make(place / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCORES, "mean", mean_probability)
        patch.setitem(PAIR_SCORES, "hit", hit_share)
        patch.setitem(METRICS, "false_alarms", false_alarms)
        return train(small_config(place / "data", place / "run")).run_dir


def test_in_results_json(run: Path) -> None:
    content = json.loads((run / "results.json").read_text())
    assert content["scores"].keys() == {"mean", "hit"}
    assert 0 < content["scores"]["mean"] < 1
    measured = {name: own for name, own in content["per_class"].items() if own["num_masks"]}
    weighted = sum(own["scores"]["mean"] * own["num_masks"] for own in measured.values())
    assert weighted / content["num_masks"] == pytest.approx(content["scores"]["mean"])
    assert 0 <= content["false_alarms"] <= 100


def test_in_the_table_of_eval_and_in_the_file_of_pairs(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SCORES, "mean", mean_probability)
    monkeypatch.setitem(PAIR_SCORES, "hit", hit_share)
    monkeypatch.setitem(METRICS, "false_alarms", false_alarms)
    monkeypatch.setenv("COLUMNS", "160")
    files = ("--json", str(tmp_path / "r.json"), "--pairs", str(tmp_path / "p.csv"))
    monkeypatch.setattr(sys, "argv", ["eval.py", "--ckpt", str(run), "metrics=all", *files])
    runpy.run_path(str(REPOSITORY / "eval.py"), run_name="__main__")

    content = json.loads((tmp_path / "r.json").read_text())
    trained = json.loads((run / "results.json").read_text())
    assert {key: content[key] for key in ("bIoU", "per_class", "scores")} == {
        key: trained[key] for key in ("bIoU", "per_class", "scores")
    }  # absent pairs, which metrics=all asks for as well, change none of them
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    mean, hit = content["scores"]["mean"], content["scores"]["hit"]
    assert [f"{mean:.4g}", f"{hit:.4g}"] in [line[-2:] for line in lines if "masks" in line]
    assert ["false_alarms:", f"{content['false_alarms']:.4g}"] in lines

    with (tmp_path / "p.csv").open(newline="") as file:
        pairs = list(csv.DictReader(file))
    there = [pair for pair in pairs if pair["true"] != "0"]
    assert len(pairs) == 5 * len({pair["image"] for pair in pairs}) > len(there)
    assert np.mean([float(pair["mean"]) for pair in there]) == pytest.approx(mean)
    ious = [
        int(pair["intersection"])
        / (int(pair["predicted"]) + int(pair["true"]) - int(pair["intersection"]))
        for pair in there
    ]
    assert 100 * np.mean(ious) == pytest.approx(content["bIoU"], rel=1e-12)
    assert {pair["dataset"] for pair in pairs} == {"folder"}
    assert {pair["task"] for pair in pairs} == set(trained["per_class"])


def test_a_file_that_cannot_be_written_is_refused_before_the_evaluation(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "seg_training.evaluation.checkpoint_evaluation.evaluate",
        lambda *_: pytest.fail("evaluated"),
    )
    for pairs, words in (("p.xlsx", "expected a name that ends in"), ("r.csv", "the same file")):
        files = ("--json", str(tmp_path / "r.csv"), "--pairs", str(tmp_path / pairs))
        monkeypatch.setattr(sys, "argv", ["eval.py", "--ckpt", str(run), *files])
        with pytest.raises(SystemExit, match=words):
            runpy.run_path(str(REPOSITORY / "eval.py"), run_name="__main__")


def as_masks(truth: Truth) -> Truth:
    """The same as a set of masks."""
    tasks = torch.arange(len(truth.known))
    return MaskSetTruth(tasks, truth.masks(tasks), None, truth.known)


def test_of_masks_that_may_overlap(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = evaluate(run, [], CONFIGS)
    truth_of = TaskTable.truth
    monkeypatch.setattr(TaskTable, "truth", lambda *given: as_masks(truth_of(*given)))
    result, _ = evaluate(run, [], CONFIGS)
    np.testing.assert_equal(vars(result), vars(expected))


def test_of_a_task_that_is_not_known_there_is_no_row(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, module = evaluate(run, ["metrics=all"], CONFIGS)
    assert module.pairs is not None
    everything = module.pairs
    lamp = module.task_names.index("lamp")
    truth_of = TaskTable.truth

    def without_lamps(*given: object) -> Truth:
        truth = truth_of(*given)  # type: ignore[arg-type]
        known = truth.known.clone()
        known[lamp] = bool((truth.label_map == lamp + 1).any())  # nobody looked for absent ones
        return LabelMapTruth(truth.label_map, known)

    monkeypatch.setattr(TaskTable, "truth", without_lamps)
    result, module = evaluate(run, ["metrics=all"], CONFIGS)
    assert module.pairs is not None
    kept = everything.where((everything["task"] != lamp) | (everything["true"] > 0))
    assert len(kept) < len(everything)
    for name in ("image", "task", "intersection", "predicted", "true", "valid"):
        assert np.array_equal(module.pairs[name], kept[name])
    assert result.bIoU == METRICS["bIoU"](everything)
