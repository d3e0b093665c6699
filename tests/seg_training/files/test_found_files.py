"""Files below a folder: what only looks like one is said, not read without end."""

import os
from pathlib import Path

from seg_training.files.found_files import find_files


def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    os.mkfifo(tmp_path / "b.json")
    (tmp_path / "c.json").symlink_to("/dev/zero")
    (tmp_path / "d.json").symlink_to("nowhere")  # whoever reads it says so
    os.mkfifo(tmp_path / "e.txt")
    found = find_files(tmp_path, (".json",))
    assert [file.name for file in found.files] == ["a.json", "d.json"]
    assert {path.name for path in found.unreachable} == {"b.json", "c.json"}
    assert [file.name for file in find_files(tmp_path).files] == ["a.json", "d.json"]
