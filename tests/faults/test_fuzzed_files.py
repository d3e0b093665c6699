"""Files of others, damaged at random: a clear error, or an answer; nothing run, nothing written.

TASFORMER_FUZZ_CASES says how many cases each parser gets; a few without it. From 5,000 on, 85 % of
the parser's lines have to be reached. TASFORMER_FUZZ_TABLE names a file for what was counted,
TASFORMER_FUZZ_RECORDS a folder to keep it in: kinds that are there already are not fuzzed again.
"""

import contextlib
import json
import math
import os
import re
import resource
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import coco
from faults.bounded_memory import bounded_memory, lack_of_memory
from faults.fuzz_records import Counts, Records
from faults.fuzzed_parser import Parser
from faults.fuzzed_parsers import NAMES, parsers
from faults.reached_lines import ReachedLines
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from small_networks import small_network

from multitask_segmentation.coco_annotations import draw_segmentation, read_annotations
from seg_training.as_written.yaml_as_written import read_written
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.network_in_checkpoint import network_of
from seg_training.checkpoints.restricted_pickle import read_inert
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import read_image

CASES = int(os.environ.get("TASFORMER_FUZZ_CASES", "15"))
TABLE = os.environ.get("TASFORMER_FUZZ_TABLE")
RECORDS = os.environ.get("TASFORMER_FUZZ_RECORDS")
_MOST_MEMORY = 2**30  # that all cases of a parser may add to the process
_MOST_ASKED = 2**31  # that they may ask for beyond what the process has, in vain or not
_MOST_PIXELS = 2**22
_MANY, _MOST_MISSED = 5_000, 0.15

# What breaks parsers: depth, large numbers, names that lead elsewhere, markup of each format.
_TOKENS = [
    *(b"", b"\0", b"\xff" * 4, b"[" * 3000, b"{" * 300, b'{"a":' * 2000, b"- " * 2000, b"-1"),
    *(b"9" * 30, b"9" * 5000, b"1e999", b".inf", b"nan", b"null", b"true", b'""', b"[]", b"{}"),
    *(b"&a *a", b"*c", b"<<: *c", b"!!python/object/apply:os.system [id]", b"${oc.env:HOME}"),
    *(b"../../x", b"/etc/passwd", b"cos\nsystem\n(S'id'\ntR.", b"\x80\x02", b"\x7f\xff\xff\xff"),
    *(b"PK\x05\x06", b"0", b"2", b"[1, 2]", b'"text"', b"2001-02-30", b"10000000000000"),
]
# What stands between the marks of JSON, YAML, tables and headers.
_WORD = re.compile(rb'"[^"\n]*"|[^\s,:;\[\]{}"]+')
_changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "put", "cut", "repeat", "end", "word", "word", "swap", "without"]),
        st.floats(0, 1),
        st.one_of(st.sampled_from(_TOKENS), st.binary(max_size=8)),
        st.integers(0, 40),
    ),
    max_size=4,
)
_PLACES = 10  # at which the same changes are made: to draw them takes longer than most parsers do
_APART = 0.618  # golden: places are far from those before


def elsewhere(
    changes: list[tuple[str, float, bytes, int]], number: int
) -> list[tuple[str, float, bytes, int]]:
    """Move changes to other places: the first number leaves them."""
    return [
        (kind, (share + number * _APART) % 1 if number else share, token, length)
        for kind, share, token, length in changes
    ]


def changed(data: bytes, changes: list[tuple[str, float, bytes, int]]) -> bytes:
    """Change a few places; none of them: the valid file."""
    for kind, share, token, length in changes:
        at = int(share * len(data))
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << length % 8)]) + data[at + 1 :]
        elif kind == "put":
            data = data[:at] + token + data[at + length :]
        elif kind == "cut":
            data = data[:at] + data[at + length :]
        elif kind == "repeat":
            data = data[:at] + data[at : at + 5 * length] * 3 + data[at + 5 * length :]
        elif kind == "end":
            data = data[:at]
        elif words := list(_WORD.finditer(data)):
            word = words[int(share * (len(words) - 1))]
            other = words[length % len(words)][0] if kind == "swap" else token
            before, after = data[: word.start()], data[word.end() :]
            if kind == "without":  # with what follows, up to the next word
                after = after[len(after) - len(after.lstrip(b" ,:;")) :]
                other = b""
            data = before + other + after
    return data


class _Watch:
    """Notes what a parser must not do, by Python's audit events; those cannot be taken back."""

    _running = (
        *("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn"),
        *("subprocess.Popen", "socket.connect", "ctypes.dlopen", "os.putenv"),
    )
    _changing = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink")

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: Any) -> None:
        if self.folder is None:
            return
        if event in self._running:
            self.seen.append(f"{event} {arguments}")
        writes = event == "open" and (
            any(letter in str(arguments[1] or "") for letter in "wax+")
            or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        )
        if (event in self._changing or writes) and not isinstance(arguments[0], int):
            own = os.fsdecode(arguments[0])
            if event in self._changing and arguments[-1] >= 0:  # a folder that is open
                own = os.path.join(f"/proc/self/fd/{arguments[-1]}", own)  # noqa: PTH118
            path = Path(os.path.realpath(own))
            if not path.is_relative_to(os.path.realpath(self.folder)) and path != Path(os.devnull):
                self.seen.append(f"{event} {arguments}")

    @contextlib.contextmanager
    def within(self, folder: Path) -> Iterator[None]:
        self.folder = folder
        self.seen.clear()
        try:
            yield
        finally:
            self.folder = None


_watch = _Watch()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    return {own.name: own for own in parsers(tmp_path_factory.mktemp("valid"))}


def test_every_parser_is_fuzzed(made: dict[str, Parser]) -> None:
    assert tuple(made) == NAMES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_a_clear_error_or_an_answer(
    made: dict[str, Parser], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "fuzzed"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", _MOST_PIXELS)  # what data.max_pixels bounds
    parser, folder = made[name], tmp_path / "fuzzed"
    if parser.beside is None:
        folder.mkdir()
    else:
        shutil.copytree(parser.beside, folder)
    file = folder / parser.file
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = _lines_of(parser)
    if (kept := _records.find(name, CASES, lines)) is not None:
        _counted[name] = kept
        return
    counts = dict.fromkeys(["cases", "changed", "answered"], 0)
    lengths: list[int] = []

    def parse(data: bytes) -> None:
        file.write_bytes(data)
        lack: BaseException | None = None
        with warnings.catch_warnings(), _watch.within(folder):
            warnings.simplefilter("ignore")
            try:
                with lines.watching():
                    parser.parse(file)
                counts["answered"] += 1
            except UserError as error:
                lengths.append(len(str(error)))
                lack = lack_of_memory(error)
        assert lack is None, repr(lack)
        assert not _watch.seen, _watch.seen
        for left in (folder / "out").rglob("*"):
            if left.is_file():
                left.unlink()

    parse(parser.seal(parser.valid))
    assert counts["answered"] == (not parser.is_refused), "what the valid file is"
    valid = (parser.valid, *parser.others)
    for each in parser.others:
        parse(parser.seal(each))

    @settings(
        max_examples=1 + math.ceil(1.1 * CASES / _PLACES),  # some change nothing, at one place
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @seed(0)
    @given(of=st.sampled_from(valid), changes=_changes)
    def fuzz(of: bytes, changes: list[tuple[str, float, bytes, int]]) -> None:
        for number in range(_PLACES if changes else 1):
            data = changed(of, elsewhere(changes, number))
            counts["cases"] += 1
            counts["changed"] += data != of
            parse(parser.seal(data))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with bounded_memory(_MOST_ASKED):
        fuzz()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    _counted[name] = Counts(**counts, grown=grown)
    assert grown < _MOST_MEMORY
    assert all(0 < length < 20_000 for length in lengths)
    assert counts["changed"] >= counts["cases"] / 2
    _records.keep(name, _counted[name], lines)


_records = Records(Path(RECORDS) if RECORDS else None)
_counted: dict[str, Counts] = {}
_reached: dict[tuple[str, ...], ReachedLines] = {}


def _lines_of(parser: Parser) -> ReachedLines:
    """Give the lines that a parser has together with those of other kinds of files, if any."""
    return _reached.setdefault(parser.lines, ReachedLines(parser.lines))


def test_nearly_all_of_their_lines_were_reached(made: dict[str, Parser]) -> None:
    if len(_counted) < len(NAMES) or CASES < _MANY:
        pytest.skip(f"of all parsers with {_MANY} cases each: make test-faults")
    assert {
        name: lines.missed
        for name, parser in made.items()
        if (lines := _lines_of(parser)).share < 1 - _MOST_MISSED
    } == {}


@pytest.fixture(scope="module", autouse=True)
def table(made: dict[str, Parser]) -> Iterator[None]:
    """Write what was counted, and which lines were not reached."""
    yield
    if TABLE is None:
        return
    rows = ["| parser | cases | changed | read all the same | lines reached | memory |"]
    rows += ["|---|---|---|---|---|---|"]
    rows += [
        f"| {name} | {own.cases:,} | {own.changed:,} | {own.answered:,} "
        f"| {lines.share:.0%} of {lines.number} | {own.grown / 2**20:.0f} MiB |"
        for name, own in _counted.items()
        for lines in [_lines_of(made[name])]
    ]
    rows += [f"| all | {sum(own.cases for own in _counted.values()):,} | | | | |", ""]
    rows += [
        f"- {name}: {', '.join(lines.missed)}"
        for name in _counted
        if (lines := _lines_of(made[name])).missed
    ]
    Path(TABLE).write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_programs_are_no_pictures(made: dict[str, Parser], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(made["EPS"].valid)
    with pytest.raises(UserError, match=r"PostScript program \(EPS\), which is not run"):
        read_image(tmp_path / "a.png")


def test_bombs_are_refused_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    for text, said in (
        ("\n".join(lines), "has more than 1,000,000 entries"),
        ("a: &a [*a]", "an anchor holds itself"),
        ("[" * 1_000_000, "nested more than 100 levels"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=said):
            read_written(file)

    packed = tmp_path / "a.ckpt"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(10_000_000))
    for read in (read_checkpoint, read_inert):
        with pytest.raises(UserError, match=r"but its parts would have 10,000,004: no file of"):
            read(packed)

    annotations = tmp_path / "a.json"
    image = {"id": 1, "file_name": "a.jpg", "height": 10**6, "width": 10**6}
    categories = [{"id": value, "name": name} for value, name in coco.CATEGORIES.items()]
    content = {"images": [image], "annotations": [], "categories": categories}
    annotations.write_text(json.dumps(content))
    with pytest.raises(UserError, match="image 'a' is 1000000 wide and 1000000 high; expected at"):
        read_annotations(annotations, coco.CATEGORIES)


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([[0, 0, 1e9, 0, 1e9, 1e9]], "leads far out of the image's 4x3 pixels"),
        ([[0, 0, 1, float("nan"), 2, 2]], "no list of numbers"),
        ({"size": [3, 4], "counts": "PPPPPPPPPPPP0"}, "its run lengths"),
        ({"size": [3, 4], "counts": "oooooooo0"}, "damaged|run lengths"),
        ({"size": [3, 4], "counts": [-1, 13]}, "run lengths are not of the image's 4x3 pixels"),
    ],
)
def test_what_pycocotools_would_write_elsewhere_is_refused(segmentation: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        draw_segmentation(segmentation, (3, 4))


def test_kernels_of_the_hub_are_not_run(tmp_path: Path) -> None:
    network = small_network()
    network.model.save_pretrained(tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    for key in ("attn_implementation", "_attn_implementation"):
        (tmp_path / "config.json").write_text(json.dumps({**described, key: "evil/kernel"}))
        with pytest.raises(UserError, match=r"names 'evil/kernel' as its .*code from the Hub"):
            load_network(tmp_path)
    said = {**described, "attn_implementation": "evil/kernel@main"}
    with pytest.raises(UserError, match="the checkpoint names 'evil/kernel@main' as its attn"):
        network_of({"network": said, "state_dict": {}})
