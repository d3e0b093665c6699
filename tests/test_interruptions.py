"""Ctrl-C at any moment is a word and exit code 130; no home folder is needed."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from own_process import REPOSITORY, heeding_ctrl_c
from short_runs import SHORT_RUNS, train_a_step

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.datasets.presence_index import _cache_without_home, default_cache_dir
from seg_training.errors import Interrupted, UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.files.user_paths import user_path
from seg_training.pl_module import LitSeg

pytestmark = SHORT_RUNS

CONFIGS = REPOSITORY / "configs"
CKPT = ("--ckpt", "run.ckpt")
COMMANDS: dict[str, tuple[str, ...]] = {
    "train.py": ("--config", "demo.yaml"),
    "eval.py": CKPT,
    "predict.py": (*CKPT, "--image", "a.jpg", "--classes", "sky", "--output", "out"),
    "scripts/add_classes.py": (*CKPT, "--config", "demo.yaml", "--output", "out"),
    "scripts/benchmark.py": (),
    "scripts/browser_page.py": (*CKPT, "--output", "out"),
    "scripts/change_classes.py": ("remove", *CKPT, "--output", "out", "tree"),
    "scripts/check_dataset.py": ("--config", "demo.yaml"),
    "scripts/convert_checkpoint.py": ("--input", "a", "--method", "emb", "--output", "out"),
    "scripts/describe_dataset.py": ("data",),
    "scripts/draw_figure.py": (*CKPT, "--output", "out.png"),
    "scripts/export_onnx.py": (*CKPT, "--output", "out.onnx"),
    "scripts/export_torch.py": (*CKPT, "--output", "out.pt2"),
    "scripts/fetch_dataset.py": ("camvid", "--root", "data"),
    "scripts/measure_new_classes.py": ("--data", "ccp", "--data-root", "a", "--base", "b"),
    "scripts/measure_words.py": (*CKPT, "--names", "car", "--json", "out.json"),
    "scripts/reproduce_tables.py": ("--scale", "demo"),
    "scripts/replay_batch.py": ("run",),
    "scripts/save_pretrained.py": (*CKPT, "--output", "out"),
    "scripts/sweep_threshold.py": CKPT,
    "scripts/web_app.py": CKPT,
}
# As if Ctrl-C came while the first of the libraries that take time is imported.
CTRL_C_WHILE_IMPORTING = """
import contextlib, io, json, runpy, sys
class CtrlC:
    def find_spec(name, path, target=None):
        if name.partition(".")[0] in {"hydra", "numpy", "rich", "torch", "transformers", "yaml"}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, CtrlC)
ends = {}
for script, arguments in json.loads(sys.argv[1]).items():
    sys.argv, said = [script, *arguments], io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            runpy.run_path(f"{sys.path[0]}/{script}", run_name="__main__")
        except BaseException as end:
            ends[script] = [type(end).__name__, getattr(end, "code", None), said.getvalue()]
print(json.dumps(ends))
"""


def test_every_command_hears_ctrl_c_while_it_imports(tmp_path: Path) -> None:
    there = {f"scripts/{file.name}" for file in (REPOSITORY / "scripts").glob("*.py")}
    assert COMMANDS.keys() == there | {"train.py", "eval.py", "predict.py"}
    (tmp_path / "run.ckpt").touch()
    (tmp_path / "data").mkdir()
    answer = subprocess.run(
        [sys.executable, "-c", CTRL_C_WHILE_IMPORTING, json.dumps(COMMANDS)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    ends = json.loads(answer.stdout)
    assert ends == {script: ["SystemExit", 130, "interrupted\n"] for script in COMMANDS}


def test_ctrl_c_in_an_evaluation_is_no_silent_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning makes an exit code of it, without a word."""
    run = train_a_step(tmp_path, "data.crop_size=[32,32]", f"run_dir={tmp_path / 'run'}")

    def press(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LitSeg, "validation_step", press)
    with heeding_ctrl_c(), pytest.raises(Interrupted, match=r"^interrupted$"):
        evaluate(run, ["trainer.accelerator=cpu"], CONFIGS)


def test_what_was_saved_is_said_and_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise Interrupted("interrupted; go on with ckpt_path=last.ckpt")

    with pytest.raises(SystemExit) as end:
        run_shell(interrupted, CONFIGS)
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted; go on with ckpt_path=last.ckpt\n"


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without HOME and without an account, as in many a container."""

    def unknown(user: object) -> None:
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", "USER", "LOGNAME", "HF_HOME"):
        monkeypatch.setenv(name, "of the test's own")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    _cache_without_home.cache_clear()


@pytest.mark.usefixtures("homeless")
def test_caches_need_no_home(caplog: pytest.LogCaptureFixture) -> None:
    folder = default_cache_dir()
    assert folder.is_absolute()
    assert folder.name == f"tasformer-{os.getuid()}"
    assert default_cache_dir() == folder
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"no home folder is known: caches are kept in {folder}; ")


@pytest.mark.usefixtures("homeless")
def test_libraries_find_their_caches_without_a_home() -> None:
    import getpass

    run_shell(lambda: None, CONFIGS)
    assert getpass.getuser() == str(os.getuid())
    assert Path(os.environ["HF_HOME"]).is_absolute()


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("path", ["~", "~/run", Path("~/run")])
def test_a_path_below_a_home_that_is_not_known_is_a_users_error(path: str | Path) -> None:
    for read in (user_path, find_checkpoint):
        with pytest.raises(UserError, match="below the home folder, and none is known: set HOME"):
            read(path)


def test_a_tilde_is_the_home_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a b/é") == tmp_path / "a b" / "é"
    assert user_path("~") == tmp_path
    for typed in ("~nobody-of-that-name/x", "a/~/b", "./~", "x~", "$HOME/x", "a=b"):
        assert user_path(typed) == Path(typed)
