"""Downloads from a server that breaks off, changes its files, or knows no ranges."""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from file_server import Publisher, serving

from seg_training.errors import Interrupted, UserError
from seg_training.fetching import resumable_downloads
from seg_training.fetching.resumable_downloads import PAUSES, download, file_sum, part_size

CONTENT = np.random.default_rng(0).bytes(3 * 2**20 + 17)  # more than three reads
SHA1 = hashlib.sha1(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
AT_ONCE = (0.0, 0.0)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with serving(Publisher({"/a.zip": CONTENT})) as served:
        yield served


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


def fetch(publisher: Publisher, file: Path, sha1: str = SHA1) -> None:
    download(f"{publisher.address}/a.zip", file, sha1, AT_ONCE)


def interrupted(publisher: Publisher, file: Path) -> None:
    """What is left where every connection broke, the first one in the middle."""
    publisher.cuts = [HALF, 0, 0, 0]
    with pytest.raises(UserError, match="the connection ended"):
        fetch(publisher, file)
    assert part_size(file) == HALF
    publisher.asked.clear()


def test_a_file_comes_whole(publisher: Publisher, file: Path) -> None:
    fetch(publisher, file)
    assert file.read_bytes() == CONTENT
    assert publisher.asked == [("/a.zip", None, None)]
    assert [each.name for each in file.parent.iterdir()] == ["a.zip"]


def test_a_connection_that_breaks_is_gone_on_with(publisher: Publisher, file: Path) -> None:
    publisher.cuts = [HALF, 1000]
    fetch(publisher, file)
    assert file.read_bytes() == CONTENT
    assert publisher.asked == [
        ("/a.zip", None, None),
        ("/a.zip", f"bytes={HALF}-", '"1"'),
        ("/a.zip", f"bytes={HALF + 1000}-", '"1"'),
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_wherever_it_breaks_the_file_is_the_same(
    publisher: Publisher, file: Path, seed: int, knows_ranges: bool
) -> None:
    random = np.random.default_rng(seed)
    publisher.knows_ranges = knows_ranges
    cuts = random.integers(1, len(CONTENT) // 8, random.integers(1, 8))
    publisher.cuts = [*map(int, cuts if knows_ranges else sorted(set(cuts.tolist()))), None]
    num_requests = len(publisher.cuts)
    fetch(publisher, file)
    assert file.read_bytes() == CONTENT
    assert len(publisher.asked) == num_requests


def test_another_command_goes_on_where_the_first_was_cut(publisher: Publisher, file: Path) -> None:
    interrupted(publisher, file)
    assert not file.exists()
    note = json.loads((file.parent / "a.zip.part.json").read_text())
    assert note == {
        "url": f"{publisher.address}/a.zip",
        "mark": '"1"',
        "length": len(CONTENT),
    }
    fetch(publisher, file)
    assert publisher.ranges == [f"bytes={HALF}-"]
    assert file.read_bytes() == CONTENT


def test_ctrl_c_keeps_the_part(
    publisher: Publisher, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    publisher.cuts = [HALF]
    monkeypatch.setattr(resumable_downloads, "time", SimpleNamespace(sleep=pressed))
    words = rf"interrupted; {HALF:,} bytes of a\.zip are kept, and the same command goes on"
    with pytest.raises(Interrupted, match=words):
        fetch(publisher, file)
    monkeypatch.undo()
    publisher.asked.clear()
    fetch(publisher, file)
    assert publisher.ranges == [f"bytes={HALF}-"]
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_file_that_has_changed_begins_anew(
    publisher: Publisher, file: Path, knows_ranges: bool
) -> None:
    interrupted(publisher, file)
    publisher.files["/a.zip"] = changed = CONTENT[::-1]
    publisher.marks = {"ETag": '"2"'}
    publisher.knows_ranges = knows_ranges
    fetch(publisher, file, "")
    assert publisher.asked == [("/a.zip", f"bytes={HALF}-", '"1"')]
    assert file.read_bytes() == changed


def test_a_server_that_overlooks_if_range_is_caught(publisher: Publisher, file: Path) -> None:
    """It sends the end of another version; its own mark tells."""
    interrupted(publisher, file)
    publisher.files["/a.zip"] = changed = CONTENT[::-1]
    publisher.marks = {"ETag": '"2"', "X-Overlooked": '"1"'}
    fetch(publisher, file, "")
    assert publisher.ranges == [f"bytes={HALF}-", None]
    assert file.read_bytes() == changed


@pytest.mark.parametrize(
    ("marks", "condition"),
    [
        ({"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, "Thu, 01 Jan 2026 00:00:00 GMT"),
        ({"ETag": 'W/"1"', "Last-Modified": "yesterday"}, "yesterday"),
        ({"etag": '"1"'}, '"1"'),
        ({"ETag": 'W/"1"'}, None),
        ({}, None),
    ],
)
def test_other_marks_of_a_version(
    publisher: Publisher, file: Path, marks: dict[str, str], condition: str | None
) -> None:
    publisher.marks = marks
    interrupted(publisher, file)
    fetch(publisher, file)
    assert publisher.asked == [("/a.zip", f"bytes={HALF}-", condition)]
    assert file.read_bytes() == CONTENT


def test_a_partial_answer_need_not_say_again_which_version_it_is_of(
    publisher: Publisher, file: Path
) -> None:
    """RFC 9110, 15.3.7: the condition was met."""
    publisher.marks, publisher.partial_marks = {"Last-Modified": "yesterday"}, {}
    interrupted(publisher, file)
    fetch(publisher, file)
    assert publisher.asked == [("/a.zip", f"bytes={HALF}-", "yesterday")]
    assert file.read_bytes() == CONTENT


def test_an_address_that_leads_out_of_the_web(publisher: Publisher, file: Path) -> None:
    publisher.redirects = {"/a.zip": "file:///etc/passwd"}
    with pytest.raises(UserError, match=r"the server answers 302 .*not allowed"):
        fetch(publisher, file)
    assert not file.exists()


def test_without_a_mark_another_length_begins_anew(publisher: Publisher, file: Path) -> None:
    publisher.marks = {}
    interrupted(publisher, file)
    publisher.files["/a.zip"] = longer = b"new" + CONTENT
    fetch(publisher, file, "")
    assert publisher.ranges == [f"bytes={HALF}-", None]
    assert file.read_bytes() == longer


def test_a_file_that_has_become_shorter_than_the_part(publisher: Publisher, file: Path) -> None:
    publisher.marks = {}
    interrupted(publisher, file)
    publisher.files["/a.zip"] = b"short"
    fetch(publisher, file, "")
    assert publisher.ranges == [f"bytes={HALF}-", None]  # 416 in between
    assert file.read_bytes() == b"short"


def test_a_server_without_ranges_begins_anew(publisher: Publisher, file: Path) -> None:
    publisher.knows_ranges = False
    publisher.cuts = [HALF, None]
    fetch(publisher, file)
    assert publisher.ranges == [None, f"bytes={HALF}-"]
    assert file.read_bytes() == CONTENT


def test_a_server_without_ranges_that_always_breaks_off_is_given_up(
    publisher: Publisher, file: Path
) -> None:
    """What is there shrinks and grows again, which is nothing new."""
    publisher.knows_ranges = False
    publisher.cuts = [HALF, 10, HALF, HALF, HALF]
    with pytest.raises(UserError, match=rf"ended after {HALF:,} of {len(CONTENT):,} bytes"):
        fetch(publisher, file)
    assert len(publisher.asked) == 4


def test_a_server_that_does_not_say_how_long_the_file_is(publisher: Publisher, file: Path) -> None:
    publisher.says_length = False
    fetch(publisher, file)
    assert file.read_bytes() == CONTENT


def test_what_was_whole_but_not_yet_named_is_not_asked_for(
    publisher: Publisher, file: Path
) -> None:
    interrupted(publisher, file)
    (file.parent / "a.zip.part").write_bytes(CONTENT)
    fetch(publisher, file)
    assert publisher.asked == []
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("note", [None, "{", "[]", '{"url": "elsewhere", "mark": "", "length": 9}'])
def test_a_part_of_which_nobody_knows_what_it_is_begins_anew(
    publisher: Publisher, file: Path, note: str | None
) -> None:
    (file.parent / "a.zip.part").write_bytes(b"what?")
    if note:
        (file.parent / "a.zip.part.json").write_text(note)
    fetch(publisher, file)
    assert publisher.asked == [("/a.zip", None, None)]
    assert file.read_bytes() == CONTENT


def test_another_sum_is_refused(publisher: Publisher, file: Path) -> None:
    words = (
        rf"a\.zip: what came has the sha1 {SHA1}, but 0123 was published: .* It was removed; give "
        "the same command again, and if it comes out the same, get the file by hand"
    )
    with pytest.raises(UserError, match=words):
        fetch(publisher, file, "0123")
    assert list(file.parent.iterdir()) == []


def test_a_file_that_is_not_there(publisher: Publisher, file: Path) -> None:
    del publisher.files["/a.zip"]
    words = r"a\.zip: the server answers 404 \(Not Found\): .* Get it by hand from the dataset's"
    with pytest.raises(UserError, match=words):
        fetch(publisher, file)
    assert len(publisher.asked) == 1  # it will not come by asking again
    assert list(file.parent.iterdir()) == []


def test_a_server_in_trouble_is_asked_again(publisher: Publisher, file: Path) -> None:
    publisher.statuses = [503, 429]
    fetch(publisher, file)
    assert file.read_bytes() == CONTENT
    publisher.statuses = [500] * 5
    with pytest.raises(UserError, match=r"the server answers 500 \(Internal Server Error\)"):
        fetch(publisher, file.with_name("b.zip"))


def test_an_address_that_leads_elsewhere(publisher: Publisher, file: Path) -> None:
    publisher.redirects = {"/master": f"{publisher.address}/a.zip"}
    publisher.cuts = [HALF]
    download(f"{publisher.address}/master", file, SHA1, AT_ONCE)
    assert publisher.asked == [
        ("/master", None, None),
        ("/a.zip", None, None),
        ("/master", f"bytes={HALF}-", '"1"'),
        ("/a.zip", f"bytes={HALF}-", '"1"'),
    ]
    assert file.read_bytes() == CONTENT


def test_no_server(file: Path) -> None:
    with serving(Publisher()) as gone:
        address = gone.address
    words = r"a\.zip: .*refused.*\. 0 bytes are there; the same command goes on from there"
    with pytest.raises(UserError, match=words):
        download(f"{address}/a.zip", file, "", AT_ONCE)


def test_a_disk_without_room(
    publisher: Publisher, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=2**20))
    monkeypatch.setattr("seg_training.fetching.disk_space.shutil", usage)
    words = rf"the rest of a\.zip needs 271\.6 MB, but the disk of {file.parent} has 1\.0 MB left"
    with pytest.raises(UserError, match=words):
        fetch(publisher, file)


def test_a_part_that_cannot_be_written(publisher: Publisher, file: Path) -> None:
    (file.parent / "a.zip.part").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*a\.zip\.part: .*; make room, and give"):
        fetch(publisher, file)


def test_sums(file: Path) -> None:
    file.write_bytes(b"abc")  # the standard's own example
    assert file_sum(file, "sha1") == "a9993e364706816aba3e25717850c26c9cd0d89d"


def test_how_far_it_is_is_logged(
    publisher: Publisher,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("seg_training.commands.progress_bars.SECONDS_BETWEEN_LINES", 0)
    caplog.set_level(logging.INFO)
    fetch(publisher, file)
    assert "a.zip: 1 of 3 MB" in caplog.messages
    assert caplog.messages[-1] == "a.zip: 3 of 3 MB"


def test_it_waits_longer_each_time() -> None:
    assert list(PAUSES) == sorted(PAUSES)
