"""Whose a checkpoint is, and what a run that goes on takes from its predecessor."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_datasets import folder
from own_process import REPOSITORY
from short_runs import SHORT_RUNS, small_config
from torch import Tensor

from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

CONFIGS = REPOSITORY / "configs"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images") / "fake"
    folder.make(root)
    return root


@pytest.fixture
def run(images: Path, tmp_path: Path) -> Callable[..., Path]:
    """Train in a folder of this name, and give the folder."""

    def train_small(name: str, *overrides: str) -> Path:
        return train(small_config(images, tmp_path / name, *overrides)).run_dir

    return train_small


@pytest.fixture(scope="module")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps; tests copy what they change."""
    return train(small_config(images, tmp_path_factory.mktemp("trained") / "run")).run_dir


def read(checkpoint: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return content


def weights(run_dir: Path, name: str = "best") -> dict[str, Tensor]:
    state: dict[str, Tensor] = read(run_dir / "checkpoints" / f"{name}.ckpt")["state_dict"]
    return state


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def results_of(run_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_dir / "results.json").read_text())
    return content


# Whose best it is.


def test_a_moved_runs_best_is_its_own_not_that_of_a_run_at_its_old_place(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    own = run("place")
    shutil.move(own, tmp_path / "moved")
    other = run("place", "seed=1")
    again = run("again", f"ckpt_path={tmp_path / 'moved'}")
    assert same(weights(again), weights(tmp_path / "moved"))
    assert not same(weights(again), weights(other))
    for key in ("bIoU", "evaluated_step", "seed"):
        assert results_of(again)[key] == results_of(tmp_path / "moved")[key]


def test_another_runs_best_beside_the_checkpoint_is_not_taken(
    run: Callable[..., Path], trained: Path, tmp_path: Path
) -> None:
    other = run("other", "seed=1")
    shutil.copy(trained / "checkpoints" / "last.ckpt", other / "checkpoints" / "last.ckpt")
    again = run("again", f"ckpt_path={other}")
    # The checkpoint knows where its own lay, and that is still there.
    assert same(weights(again), weights(trained))


def test_two_runs_that_went_on_from_one_checkpoint_have_different_bests(
    run: Callable[..., Path], trained: Path, tmp_path: Path
) -> None:
    fast = run("fast", f"ckpt_path={trained}", "trainer.max_steps=3", "optimizer.lr=0.1")
    slow = run("slow", f"ckpt_path={trained}", "trainer.max_steps=3", "optimizer.lr=1e-6")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(fast / "checkpoints" / "last.ckpt", mixed)
    shutil.copy(slow / "checkpoints" / "best.ckpt", mixed)
    again = run("again", f"ckpt_path={mixed}", "trainer.max_steps=3", "optimizer.lr=0.1")
    assert same(weights(again), weights(fast))


def test_a_checkpoint_alone_says_that_its_best_is_gone(
    run: Callable[..., Path], trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = tmp_path / "alone.ckpt"
    content = read(trained / "checkpoints" / "last.ckpt")
    content["callbacks"]["BestAndLast"]["path"] = "/nowhere/best.ckpt"
    torch.save(content, alone)
    with caplog.at_level(logging.WARNING):
        again = run("again", f"ckpt_path={alone}")
    assert f"the best of {alone} so far (step " in caplog.text
    assert f"is neither beside it nor at {Path('/nowhere/best.ckpt')}" in caplog.text
    assert not (again / "checkpoints" / "best.ckpt").exists()
    assert results_of(again)["evaluated_step"] == 2
    assert results_of(again)["bIoU"] == evaluate(again, (), CONFIGS)[0].bIoU


@pytest.mark.parametrize("names", [("a.ckpt", "b.ckpt"), ("best.ckpt", "last.ckpt")])
def test_renamed_checkpoints_are_told_apart_by_what_is_in_them(
    run: Callable[..., Path], trained: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    """The second case exchanges the two names."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    content = read(trained / "checkpoints" / "last.ckpt")
    content["callbacks"]["BestAndLast"]["path"] = "/nowhere/best.ckpt"
    torch.save(content, elsewhere / names[0])
    shutil.copy(trained / "checkpoints" / "best.ckpt", elsewhere / names[1])
    again = run("again", f"ckpt_path={elsewhere / names[0]}")
    assert same(weights(again), weights(trained))


def test_the_best_is_found_through_a_chain_of_runs_that_moved(
    run: Callable[..., Path], trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "0")
    for name in ("best.ckpt", "last.ckpt"):  # so that nothing is better later on
        file = tmp_path / "0" / "checkpoints" / name
        content = read(file)
        content["callbacks"]["BestAndLast"]["best"]["score"] = 99.0
        torch.save(content, file)
    for number in (1, 2):
        moved = tmp_path / f"moved{number}"
        shutil.move(tmp_path / str(number - 1), moved)
        run(str(number), f"ckpt_path={moved}", f"trainer.max_steps={2 + number}")
        shutil.rmtree(moved)
    results = results_of(tmp_path / "2")
    assert same(weights(tmp_path / "2"), weights(trained))
    assert results["evaluated_step"] == results_of(trained)["evaluated_step"]
    assert results["bIoU"] == results_of(trained)["bIoU"]
    assert results["steps"] == 4


def as_before(content: dict[str, Any]) -> dict[str, Any]:
    """Leave only what checkpoints had before runs had an identity."""
    kept = content["callbacks"]["BestAndLast"]
    score = kept["best"]["score"]
    content["callbacks"]["BestAndLast"] = {"score": score, "path": "/nowhere/best.ckpt"}
    for key in ("SegmentationDataModule", "processes"):
        content.pop(key, None)
    return content


def test_an_older_checkpoint_takes_the_best_of_its_own_score(
    run: Callable[..., Path], trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = tmp_path / "older" / "checkpoints"
    older.mkdir(parents=True)
    for name in ("last.ckpt", "best.ckpt"):
        torch.save(as_before(read(trained / "checkpoints" / name)), older / name)
    assert same(weights(run("again", f"ckpt_path={older}")), weights(trained))

    content = read(older / "best.ckpt")
    content["callbacks"]["BestAndLast"]["score"] += 1e-6
    torch.save(content, older / "best.ckpt")
    with caplog.at_level(logging.WARNING):
        other = run("other", f"ckpt_path={older}")
    assert "the best starts anew" in caplog.text
    assert not (other / "checkpoints" / "best.ckpt").exists()


def test_a_best_of_a_later_step_is_not_that_of_the_checkpoint(
    run: Callable[..., Path], trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody kept an early checkpoint, and the run went on."""
    folder = tmp_path / "kept"
    folder.mkdir()
    early = read(trained / "checkpoints" / "last.ckpt")
    early["callbacks"]["BestAndLast"]["best"]["step"] = 0
    early["callbacks"]["BestAndLast"]["path"] = "/nowhere/best.ckpt"
    torch.save(early, folder / "early.ckpt")
    shutil.copy(trained / "checkpoints" / "best.ckpt", folder)
    with caplog.at_level(logging.WARNING):
        again = run("again", f"ckpt_path={folder / 'early.ckpt'}")
    assert "the best starts anew" in caplog.text
    assert not (again / "checkpoints" / "best.ckpt").exists()


# What a training that has nothing left to do leaves.


@pytest.mark.parametrize("bound", ["trainer.max_steps=2", "trainer.max_epochs=1"])
def test_a_finished_training_started_again_leaves_its_last_checkpoint(
    run: Callable[..., Path], bound: str
) -> None:
    bounds = [bound, "trainer.limit_train_batches=2"]
    if "epochs" in bound:
        bounds.append("trainer.max_steps=-1")
    first = run("first", *bounds)
    again = run("again", *bounds, f"ckpt_path={first}")
    assert same(weights(again, "last"), weights(first, "last"))
    more = [bound.replace("2", "4").replace("1", "2"), *bounds[1:]]
    further = [run(f"from_{name.name}", *more, f"ckpt_path={name}") for name in (first, again)]
    assert same(weights(further[0], "last"), weights(further[1], "last"))
    assert not same(weights(further[0], "last"), weights(first, "last"))
