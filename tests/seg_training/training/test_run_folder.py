"""A run's folder belongs to one run, whoever else starts in the same second."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from seg_training.errors import UserError
from seg_training.training import run_folder
from seg_training.training.run_folder import make_run_dir

CONFIG: dict[str, Any] = {"config_name": "demo", "run_dir": None, "seed": 3}


@pytest.fixture(autouse=True)
def in_one_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls(2026, 1, 31, 12)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASFORMER_RUN_DIR", "")
    monkeypatch.setattr(run_folder, "datetime", Clock)


def another_is_first(
    monkeypatch: pytest.MonkeyPatch, name: str, do: Callable[[Path], object]
) -> None:
    """Let another process do something just before this one makes a folder of that name."""
    make, done = Path.mkdir, []

    def other_first(folder: Path, *arguments: Any, **options: Any) -> None:
        if folder.name == name and not done:
            done.append(folder)
            make(folder, parents=True, exist_ok=True)
            do(folder)
        make(folder, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", other_first)


def test_two_runs_of_one_second_have_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_is_first(monkeypatch, "2026-01-31_12-00-00", lambda folder: None)
    made = [make_run_dir(CONFIG).name for _ in range(2)]
    assert made == ["2026-01-31_12-00-00_2", "2026-01-31_12-00-00_3"]
    demo = tmp_path / "outputs" / "demo"
    assert "seed: 3" in (demo / made[0] / "config.yaml").read_text()
    assert not list((demo / "2026-01-31_12-00-00").iterdir())


def test_a_given_folder_is_taken_by_one_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "mine"
    another_is_first(monkeypatch, "mine", lambda folder: (folder / "config.yaml").write_text("a"))
    monkeypatch.setattr(Path, "exists", lambda *_: False)  # it looked even before that
    with pytest.raises(UserError, match=f"run_dir={own} holds a run already .*; choose another"):
        make_run_dir({**CONFIG, "run_dir": str(own)})
    assert (own / "config.yaml").read_text() == "a"


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints", "metrics.csv", "results.json"])
def test_what_another_run_has_left_is_not_mixed_in(name: str, tmp_path: Path) -> None:
    """Without a validation of its own a run would take the best checkpoint there for its own."""
    own = tmp_path / "mine"
    (own / name).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"holds a run already \(.*{name}\); choose another"):
        make_run_dir({**CONFIG, "run_dir": str(own)})


def test_a_folder_with_something_else_in_it_may_be_given(tmp_path: Path) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    (own / "log.txt").touch()
    assert make_run_dir({**CONFIG, "run_dir": str(own)}) == own
