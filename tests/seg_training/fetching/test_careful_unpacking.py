"""Archives as publishers make them, and such as nobody should unpack."""

import stat
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import pytest

from seg_training.errors import UserError
from seg_training.fetching.careful_unpacking import LIMITS, Limits, unpack

NOISE = np.random.default_rng(0).bytes(5000)
WANTED = {"top/images/train": "images/training", "top/list.txt": "list.txt"}
NOTHING_WAS = "nothing of it was unpacked. Is it what its publisher offers"


def zipped(archive: Path, entries: Mapping[str | ZipInfo, bytes], kind: int = ZIP_DEFLATED) -> Path:
    with ZipFile(archive, "w", kind) as content:
        for entry, data in entries.items():
            content.writestr(entry, data, kind)
    return archive


def special(name: str, mode: int, system: int = 3) -> ZipInfo:
    entry = ZipInfo(name)
    entry.create_system = system
    entry.external_attr = mode << 16
    return entry


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def unpacked(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_what_is_wanted_lands_where_it_is_wanted(archive: Path, folder: Path) -> None:
    entries: dict[str | ZipInfo, bytes] = {
        "top/": b"",
        "top/images/train/": b"",
        "top/images/train/a.png": NOISE,
        "./top/images/train/deep/b.png": b"b",
        "top/images/trainannot/a.png": b"not asked for",
        "top/list.txt": b"a\n",
        "top/readme.md": b"not asked for",
    }
    unpack(zipped(archive, entries), WANTED, folder)
    assert unpacked(folder) == {
        "images/training/a.png": NOISE,
        "images/training/deep/b.png": b"b",
        "list.txt": b"a\n",
    }


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "top/images/train/../../../../evil.txt",
        "/etc/evil.txt",
        "//server/share/evil.txt",
        "C:/evil.txt",
        "C:evil.txt",
        "top\\images\\train\\..\\..\\..\\..\\evil.txt",
        "\\\\server\\share\\evil.txt",
        "top/images/train/..",
    ],
)
def test_a_name_that_leads_out_is_refused(archive: Path, folder: Path, name: str) -> None:
    """Also where it is none of what is wanted: no honest archive has any."""
    entry = ZipInfo()
    entry.filename = name  # as it is: the constructor would change it on Windows
    zipped(archive, {"top/images/train/a.png": b"a", entry: b"evil"})
    with pytest.raises(UserError, match=rf"(?s)which leads out of the folder; .*{NOTHING_WAS}"):
        unpack(archive, WANTED, folder)
    assert list(folder.iterdir()) == []
    assert not list(folder.parent.rglob("evil*"))


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
@pytest.mark.parametrize("system", [0, 3])
def test_links_and_devices_are_refused(archive: Path, folder: Path, mode: int, system: int) -> None:
    entry = special("top/images/train/b.png", mode | 0o777, system)
    zipped(archive, {"top/images/train/a.png": b"a", entry: b"/etc/passwd"})
    with pytest.raises(UserError, match=rf"b\.png', which is a link or a device.*{NOTHING_WAS}"):
        unpack(archive, WANTED, folder)
    assert list(folder.iterdir()) == []


def test_a_link_that_is_not_wanted_is_never_made(archive: Path, folder: Path) -> None:
    entry = special("top/docs", stat.S_IFLNK | 0o777)
    unpack(zipped(archive, {"top/list.txt": b"a", entry: b"/etc"}), WANTED, folder)
    assert unpacked(folder) == {"list.txt": b"a"}


def test_files_of_unix_and_of_systems_without_kinds(archive: Path, folder: Path) -> None:
    regular = special("top/images/train/a.png", stat.S_IFREG | 0o4755)
    unknown = special("top/images/train/b.png", 0)
    unpack(zipped(archive, {regular: b"a", unknown: b"b"}), WANTED, folder)
    assert sorted(unpacked(folder)) == ["images/training/a.png", "images/training/b.png"]
    # Nothing of what the archive says of rights is taken over.
    assert not (folder / "images/training/a.png").stat().st_mode & stat.S_ISUID


def test_an_encrypted_file_is_refused(archive: Path, folder: Path) -> None:
    zipped(archive, {"top/list.txt": b"a"}, ZIP_STORED)
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # in the file's own header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # in the directory
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"'top/list\.txt', which is encrypted"):
        unpack(archive, WANTED, folder)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_name_that_stands_twice_is_refused(archive: Path, folder: Path) -> None:
    with ZipFile(archive, "w") as content:
        content.writestr("top/list.txt", "a")
        content.writestr("./top/list.txt", "b")
    with pytest.raises(UserError, match=rf"'\./top/list\.txt' twice; .*{NOTHING_WAS}"):
        unpack(archive, WANTED, folder)


def test_a_file_that_is_a_folder_too(archive: Path, folder: Path) -> None:
    zipped(archive, {"top/list.txt": b"a", "top/list.txt/b": b"b"})
    with pytest.raises(UserError, match=r"cannot unpack .*a\.zip"):
        unpack(archive, WANTED, folder)


def test_a_bomb_is_refused(archive: Path, folder: Path) -> None:
    """100 MB of zeros in 100 kB."""
    zipped(archive, {"top/images/train/a.png": bytes(100 * 10**6)})
    assert archive.stat().st_size < 200_000
    with pytest.raises(UserError, match=rf"100\.0 MB in 0\.1 MB, .* like a bomb; .*{NOTHING_WAS}"):
        unpack(archive, WANTED, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(entries=2), "holds 3 entries, more than 2"),
        (Limits(size=9_999), r"0\.0 MB in 0\.0 MB, which looks like a bomb"),
        (Limits(ratio=0.9, small=9_999), "which looks like a bomb"),
        (Limits(entries=3, size=10_000, ratio=0.9, small=10_000), None),
        (Limits(entries=3, size=10_000, ratio=1, small=0), None),
    ],
)
def test_limits(archive: Path, folder: Path, limits: Limits, words: str | None) -> None:
    entries: dict[str | ZipInfo, bytes] = {
        f"top/images/train/{name}": NOISE for name in ("a.png", "b.png")
    }
    zipped(archive, {**entries, "top/readme.md": b"counts as an entry, not as bytes"})
    if words is None:
        unpack(archive, WANTED, folder, limits)
        assert len(unpacked(folder)) == 2
    else:
        with pytest.raises(UserError, match=words):
            unpack(archive, WANTED, folder, limits)
        assert list(folder.iterdir()) == []


def test_the_limits_let_every_dataset_pass() -> None:
    """COCO's training images are 118,287 in 19 GB; its annotations shrink to less than a third."""
    assert LIMITS.entries > 2 * 118_287
    assert LIMITS.size > 2 * 19.3e9
    assert LIMITS.ratio > 3 * 4


def test_a_size_that_is_not_true(archive: Path, folder: Path) -> None:
    """The directory says 10 bytes of 5,000; no more than that is ever read."""
    zipped(archive, {"top/list.txt": bytes(5000)})
    content = bytearray(archive.read_bytes())
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"is no zip archive, or damaged .*; remove it and"):
        unpack(archive, WANTED, folder)
    assert sum(len(data) for data in unpacked(folder).values()) <= 10


def test_a_damaged_file(archive: Path, folder: Path) -> None:
    zipped(archive, {"top/list.txt": NOISE}, ZIP_STORED)
    content = bytearray(archive.read_bytes())
    content[content.index(NOISE) + 100] ^= 1
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"or damaged \(Bad CRC-32 for file 'top/list\.txt'\); rem"):
        unpack(archive, WANTED, folder)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04"])
def test_what_is_no_archive(archive: Path, folder: Path, content: bytes) -> None:
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip is no zip archive, or damaged \(File is not a z"):
        unpack(archive, WANTED, folder)


def test_a_disk_without_room(archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(archive, {"top/list.txt": NOISE})
    usage = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=268_440_455))  # a byte less
    monkeypatch.setattr("seg_training.fetching.disk_space.shutil", usage)
    with pytest.raises(UserError, match=r"unpacking a\.zip needs 268\.4 MB, but the disk of"):
        unpack(archive, WANTED, folder)
    usage.disk_usage = lambda _: SimpleNamespace(free=268_440_456)
    unpack(archive, WANTED, folder)
