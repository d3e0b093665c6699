"""Files that are there as a whole or not at all, and nobody else's are touched for it."""

import contextlib
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from seg_training.errors import UserError
from seg_training.files.atomic_writes import remove_abandoned, replacing, unfinished_folder


def test_a_file_is_replaced_when_all_went_well(tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.json"
    for text in ("first", "second"):
        with replacing(file) as unfinished:
            assert unfinished.name == "results.json"
            unfinished.write_text(text)
            assert not file.exists() or file.read_text() == "first"
        assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, OSError, ValueError])
def test_what_was_there_stays_when_it_did_not(stop: type[BaseException], tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text("before")
    expected = UserError if stop is OSError else stop

    def stopped() -> None:
        with replacing(file) as unfinished:
            unfinished.write_text("half")
            raise stop

    with pytest.raises(expected):
        stopped()
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "name", ["results.unfinished.json", ".unfinished", "results.json.unfinished"]
)
def test_a_file_of_a_name_like_ours_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with replacing(tmp_path / "results.json") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / name).read_text() == "mine"


def test_two_that_write_at_once_do_not_share_a_place(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    with replacing(file) as first:
        first.write_text("first")
        with replacing(file) as second:
            second.write_text("second")
        assert file.read_text() == "second"
    assert file.read_text() == "first"


def test_a_link_is_written_through(tmp_path: Path) -> None:
    target = tmp_path / "there" / "results.json"
    target.parent.mkdir()
    target.write_text("before")
    link = tmp_path / "latest.json"
    link.symlink_to(target)
    with replacing(link) as unfinished:
        unfinished.write_text("after")
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert list(target.parent.iterdir()) == [target]


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    """A pipe, as /dev/stdout may be: a user of all rights would lose /dev/null itself."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    with replacing(pipe) as place:
        place.write_text("through it")
    reader.join(timeout=10)
    assert read == ["through it"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with replacing(Path("/dev/null")) as place:
        assert place == Path("/dev/null")


def test_a_folder_in_the_place_is_left(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    (tmp_path / "results.json" / "notes.txt").write_text("mine")
    with (
        pytest.raises(UserError, match=r"cannot write .*results\.json: .*; choose another"),
        replacing(tmp_path / "results.json", "choose another") as unfinished,
    ):
        unfinished.write_text("new")
    assert (tmp_path / "results.json" / "notes.txt").read_text() == "mine"


def test_a_written_file_may_be_read_by_whom_the_user_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "results.json") as unfinished:
            unfinished.write_text("new")
    finally:
        os.umask(before)
    assert (tmp_path / "results.json").stat().st_mode & 0o777 == 0o640


def test_an_unfinished_folder_may_become_another(tmp_path: Path) -> None:
    with unfinished_folder(tmp_path / "deep" / "page") as folder:
        (folder / "index.html").touch()
        folder.rename(tmp_path / "deep" / "page")
    assert [file.name for file in (tmp_path / "deep").rglob("*")] == ["page", "index.html"]


def test_abandoned_ones_are_those_of_some_age_alone(tmp_path: Path) -> None:
    with unfinished_folder(tmp_path / "a") as folder:
        remove_abandoned(tmp_path)
        assert folder.is_dir()
        os.utime(folder, (0, 0))
        remove_abandoned(tmp_path)
        assert not folder.exists()
    remove_abandoned(tmp_path / "nowhere")


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no such file system")
def test_files_in_memory_are_files() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        file = Path(folder) / "new" / "file"
        with replacing(file) as unfinished:
            assert unfinished != file
            unfinished.write_text("whole")
        assert file.read_text() == "whole"
        with contextlib.suppress(RuntimeError), replacing(file) as unfinished:
            unfinished.write_text("half")
            raise RuntimeError
        assert file.read_text() == "whole"
