"""A script as a user types it: in the test's own process, which spares a start, or in another."""

import contextlib
import importlib.util
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[1]


class Answer(NamedTuple):
    """An exit status and everything that was printed."""

    code: int
    text: str


def load_script(name: str) -> ModuleType:
    """Import ``scripts/<name>.py``, or ``<name>.py`` where it is one of the three commands."""
    folder = REPOSITORY / ("." if (REPOSITORY / f"{name}.py").is_file() else "scripts")
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def run_script(name: str, *arguments: str) -> Answer:
    """Run ``python scripts/<name>.py``, or ``python train.py`` and so on, with arguments.

    Not what it changes for its whole process: log lines still go where pytest wants them.
    """
    script = load_script(name)
    printed = io.StringIO()
    code, message = 0, ""
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        patch.setattr(sys, "argv", [f"{name}.py", *arguments])
        patch.setitem(sys.modules, name, script)  # where Hydra looks for its main function
        patch.setenv("COLUMNS", "200")
        patch.setattr("seg_training.commands.terminal_logs.log_to_terminal", lambda: None)
        try:
            main = script.start if name == "train" else script.main
            script.run_shell(main, script.CONFIG_DIR)
        except SystemExit as end:
            code, message = (1, end.code) if isinstance(end.code, str) else (end.code or 0, "")
    return Answer(code, printed.getvalue() + message)


@contextlib.contextmanager
def heeding_ctrl_c() -> Iterator[None]:
    """Heed SIGINT, and let processes that are started meanwhile heed it.

    What a script starts in the background, such as ``make test &``, is told to ignore it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def served(name: str, *arguments: str) -> Iterator[str]:
    """Start ``python scripts/<name>.py``, give the address it prints, and end it with Ctrl-C."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    with heeding_ctrl_c():
        process = subprocess.Popen(
            [sys.executable, f"scripts/{name}.py", *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
    with process:
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("open "):
                    break
            else:
                raise AssertionError("".join(said))
            yield line.split()[1]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                rest, _ = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()  # leaving the context would wait for it
                raise
    assert "Traceback" not in rest
    assert process.returncode == 0, rest
