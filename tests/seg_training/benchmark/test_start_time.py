import sys
from pathlib import Path

import pytest

from seg_training.benchmark.start_time import _until_written
from seg_training.errors import UserError


def test_a_command_is_waited_for_until_it_has_written(tmp_path: Path) -> None:
    file = tmp_path / "written"
    code = f"import pathlib, time; pathlib.Path({str(file)!r}).touch(); time.sleep(600)"
    _until_written([sys.executable, "-c", code], file)
    assert file.is_file()


def test_a_command_that_fails_is_shown_with_what_it_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('error: no such thing')"]
    with pytest.raises(UserError, match=r"(?s)-c .* failed:.*error: no such thing"):
        _until_written(command, tmp_path / "never")
