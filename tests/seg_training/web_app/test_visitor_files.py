import os
from pathlib import Path

import pytest

from seg_training.web_app.visitor_files import KeptFiles


def put(folder: Path, name: str, size: int = 100, age: int = 0) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (1_000_000 - age, 1_000_000 - age))
    return file


def there(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*")}


def test_the_oldest_go_beyond_the_bound(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path, most_bytes=350)
    old, older = put(tmp_path, "old.png", age=10), put(tmp_path, "upload/older.png", age=20)
    new = put(tmp_path, "new.png")
    kept.use([new], "anna")
    assert there(tmp_path) == {"old.png", "upload", "upload/older.png", "new.png"}
    newest = put(tmp_path, "newest.png")
    kept.use([newest], None)
    assert not older.exists()
    assert not older.parent.exists()
    kept.use([old], "berta")  # used again: the youngest now
    kept.use([put(tmp_path, "more.png")], "berta")
    assert there(tmp_path) == {"newest.png", "old.png", "more.png"}


def test_what_one_answer_needs_stays_however_large_it_is(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path, most_bytes=10)
    files = [put(tmp_path, f"{number}.png") for number in range(3)]
    kept.use(files, "anna")
    assert there(tmp_path) == {"0.png", "1.png", "2.png"}
    kept.use([put(tmp_path, "3.png")], "anna")
    assert there(tmp_path) == {"3.png"}


def test_what_was_there_at_the_start_stays(tmp_path: Path) -> None:
    example = put(tmp_path, "hash/example.png", size=500, age=100)
    kept = KeptFiles(tmp_path, most_bytes=100)
    kept.use([example, put(tmp_path, "a.png")], "anna")
    kept.use([put(tmp_path, "b.png")], "anna")
    kept.leave("anna")
    assert there(tmp_path) == {"hash", "hash/example.png"}


def test_a_visitors_files_go_with_the_visitor(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path)
    both, own = put(tmp_path, "both/photo.png"), put(tmp_path, "own/photo.png")
    kept.use([both, own], "anna")
    kept.use([both], "berta")
    kept.leave("anna")
    assert there(tmp_path) == {"both", "both/photo.png"}
    kept.leave("nobody")
    kept.leave(None)
    kept.leave("berta")
    assert there(tmp_path) == set()


@pytest.mark.parametrize("visitor", ["anna", None])
def test_files_elsewhere_are_nobodys_to_remove(visitor: str | None, tmp_path: Path) -> None:
    elsewhere = put(tmp_path, "photos/mine.png", size=1000)
    (tmp_path / "page").mkdir()
    kept = KeptFiles(tmp_path / "page", most_bytes=10)
    kept.use([elsewhere], visitor)
    kept.use([put(tmp_path / "page", "a.png")], visitor)
    kept.leave(visitor)
    assert elsewhere.is_file()


def test_what_lies_elsewhere_is_nobodys_to_remove(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path / "page")
    own, other = put(tmp_path, "page/own.png"), put(tmp_path, "elsewhere/photo.png")
    around = tmp_path / "page" / ".." / "elsewhere" / "photo.png"
    kept.use([own, around, other], "anna")
    kept.leave("anna")
    assert other.is_file()
    assert not own.exists()
