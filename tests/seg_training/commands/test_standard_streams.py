"""What is computed is there, whatever becomes of what is printed."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[3]

COMMAND = """
import logging, sys
from pathlib import Path
from seg_training.commands.command_shell import run_shell
from seg_training.commands.terminal_logs import log_to_terminal
from seg_training.commands.terminal_text import standard_output

def main():
    log_to_terminal()
    for number in range(int(sys.argv[2])):
        standard_output().print("a table of дорога")
        logging.getLogger("seg_training").info("a line of 汽车")
        sys.stdout.write("ß\\n")
    Path(sys.argv[1]).write_text("computed")
    if int(sys.argv[3]):
        sys.exit(int(sys.argv[3]))

run_shell(main, Path("configs"))
"""


class Answer(NamedTuple):
    """How a line of a shell ended, and everything that was to be seen."""

    code: int
    text: str


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Answer]:
    """Run a line of a shell with a command in it, which must have finished its work."""
    script, result = tmp_path / "command.py", tmp_path / "result"
    script.write_text(COMMAND, encoding="utf-8")

    def run(line: str, times: int = 1, code: int = 0, **environment: str) -> Answer:
        command = shlex.join([sys.executable, *map(str, (script, result, times, code))])
        done = subprocess.run(
            ["bash", "-c", line.format(command)],
            cwd=REPOSITORY,
            capture_output=True,
            timeout=120,
            env={**os.environ, **environment},
        )
        assert result.read_text() == "computed"
        return Answer(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))

    return run


@pytest.mark.parametrize(("unbuffered", "code"), [("", 0), ("1", 3)])
def test_a_reader_that_has_had_enough_changes_nothing(
    shell: Callable[..., Answer], unbuffered: str, code: int
) -> None:
    line = "{} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}"
    answer = shell(line, times=1000, code=code, PYTHONUNBUFFERED=unbuffered)
    assert answer == (code, "a table of дорога\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_letters_that_a_terminal_has_not_are_written_as_escapes(
    shell: Callable[..., Answer], encoding: str
) -> None:
    answer = shell("{}", PYTHONIOENCODING=encoding)
    assert answer.code == 0
    assert r"a table of \u0434\u043e\u0440\u043e\u0433\u0430" in answer.text
    assert r"a line of \u6c7d\u8f66" in answer.text


def test_a_full_disk_behind_the_output_is_said(shell: Callable[..., Answer]) -> None:
    answer = shell("{} > /dev/full")
    assert answer.code == 1
    assert answer.text.startswith("error: not all that was said could be printed: ")
    assert answer.text.endswith("No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(shell: Callable[..., Answer], closed: str) -> None:
    answer = shell(f"{{}} {closed}", code=3)
    assert answer.code == 3
    assert "Traceback" not in answer.text


LONG_COMMAND = """
import logging
from pathlib import Path
from seg_training.commands.command_shell import run_shell
from seg_training.commands.terminal_logs import log_to_terminal
from seg_training.commands.terminal_text import add_plain_row, standard_output, terminal_table

def main():
    log_to_terminal()
    logging.getLogger("seg_training").warning("kept: /somewhere/%s.ckpt", "deep/" * 60)
    table = terminal_table("numbers", ["file", "share"])
    add_plain_row(table, "far/" * 60, "1.0")
    standard_output().print(table)

run_shell(main, Path("configs"))
"""


def _said(tmp_path: Path, **environment: str) -> list[str]:
    script = tmp_path / "long.py"
    script.write_text(LONG_COMMAND, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=120,
        env={**{k: v for k, v in os.environ.items() if k != "COLUMNS"}, **environment},
        check=True,
    )
    return done.stdout.decode().splitlines()


def test_long_lines_are_whole_in_a_file(tmp_path: Path) -> None:
    lines = _said(tmp_path)
    assert lines[0].endswith(f"WARNING  kept: /somewhere/{'deep/' * 60}.ckpt")
    assert any("far/" * 60 in line for line in lines)
    assert max(map(len, lines)) < 400  # nothing is padded


def test_columns_are_kept_to(tmp_path: Path) -> None:
    lines = _said(tmp_path, COLUMNS="60")
    assert max(map(len, lines[1:])) == 60
