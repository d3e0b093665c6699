"""What the system refuses is one line; a fault of the program keeps its traceback."""

import errno
import os
from pathlib import Path

import pytest

from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError


def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    with pytest.raises(SystemExit, match=r"^error: File name too long: .*xxx$"):
        run_shell(long.read_bytes, tmp_path)

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/disk")

    with pytest.raises(SystemExit, match=r"^error: No space left on device: /a/disk$"):
        run_shell(full, tmp_path)


@pytest.mark.parametrize("kind", [UserError, SystemExit])
def test_names_of_others_are_nothing_that_a_terminal_obeys(
    kind: type[BaseException], tmp_path: Path
) -> None:
    def stopped() -> None:
        raise kind("no class 'x', but\n\x1b]0;title\x07tree \u202eeert")

    with pytest.raises(SystemExit) as ended:
        run_shell(stopped, tmp_path)
    assert str(ended.value.code).endswith("but\n\\x1b]0;title\\x07tree \\u202eeert")


def test_other_errors_keep_their_traceback(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_shell((tmp_path / "nowhere").read_bytes, tmp_path)
