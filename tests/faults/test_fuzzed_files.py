"""Files of others, damaged at random: a clear error, or an answer; nothing run, nothing written.

TASFORMER_FUZZ_CASES says how many cases each parser gets; a few without it.
"""

import contextlib
import io
import json
import os
import resource
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from fake_datasets import coco, scenenet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from small_networks import small_network

from multitask_segmentation.coco_annotations import draw_segmentation, read_annotations
from multitask_segmentation.scenenet_trajectories import read_trajectories, read_wordnet_classes
from seg_training.as_written.yaml_as_written import read_written, with_written_classes
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.network_in_checkpoint import network_of
from seg_training.checkpoints.restricted_pickle import read_inert
from seg_training.checkpoints.whole_checkpoints import write_whole
from seg_training.errors import UserError
from seg_training.fetching.careful_unpacking import unpack
from seg_training.pictures.picture_reading import (
    read_binary_mask,
    read_header,
    read_image,
    read_label_map,
)
from seg_training.tasks import LabelClasses

CASES = int(os.environ.get("TASFORMER_FUZZ_CASES", "15"))
_MOST_MEMORY = 2**30  # that all cases of a parser may add to the process

SECTIONS = {name: {} for name in ("model", "tasks", "data", "optimizer", "trainer", "logger")}


class Parser(NamedTuple):
    """A parser, a valid file of its kind, and what puts changed bytes into such a file."""

    name: str
    file: str
    valid: bytes
    parse: Callable[[Path], Any]
    seal: Callable[[bytes], bytes] = bytes


def picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    written = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 5, (24, 32, 3), np.uint8)
    Image.fromarray(values).convert(mode).save(written, kind, **options)
    return written.getvalue()


def checkpoint_file(folder: Path) -> bytes:
    hyper = {"config": SECTIONS, "task_names": ["a", "b"]}
    content = {"state_dict": {"w": torch.arange(6.0)}, "hyper_parameters": hyper, "global_step": 3}
    write_whole(content, folder / "a.ckpt")
    return (folder / "a.ckpt").read_bytes()


def with_pickle(whole: bytes, pickled: bytes) -> bytes:
    """Put another pickle into a checkpoint's zip file, with right sums."""
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as source,
        zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as target,
    ):
        for part in source.namelist():
            own = source.read(part)
            target.writestr(part, pickled if part.endswith("/data.pkl") else own)
    return written.getvalue()


def with_sums(png: bytes) -> bytes:
    """Correct the sums of a PNG file's chunks, so that what is in them is looked at."""
    at = 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        png = png[:end] + zlib.crc32(png[at + 4 : end]).to_bytes(4, "big") + png[end + 4 :]
        at = end + 4
    return png


def read_pictures(file: Path) -> None:
    """Read a picture in every way; errors of one way keep no other from being tried."""
    said = []
    for read in (read_header, read_image, read_label_map, read_binary_mask):
        try:
            read(file)
        except UserError as error:
            said.append(error)
    if len(said) == 4:
        raise said[0]


def read_coco(file: Path) -> None:
    annotations = read_annotations(file, coco.CATEGORIES)
    for stem in annotations.stems.tolist():
        size, objects = annotations.of(stem)
        for each in objects:
            # As the dataset does: whatever is raised becomes a user's error.
            with contextlib.suppress(Exception):
                draw_segmentation(each.segmentation, size)


def read_classes(file: Path) -> None:
    LabelClasses.from_file(file)


def read_config(file: Path) -> None:
    written = read_written(file)
    with_written_classes(written, written, str(file))


def unpack_all(file: Path) -> None:
    (file.parent / "out").mkdir(exist_ok=True)
    unpack(file, {"top": "top"}, file.parent / "out")


def parsers(folder: Path) -> list[Parser]:
    """Make a valid file for each parser."""
    whole = checkpoint_file(folder)
    with zipfile.ZipFile(io.BytesIO(whole)) as parts:
        [name] = [own for own in parts.namelist() if own.endswith("/data.pkl")]
        pickled = parts.read(name)
    old = io.BytesIO()
    torch.save({"state_dict": {"w": torch.ones(3)}}, old, _use_new_zipfile_serialization=False)
    coco.make(folder / "coco")
    annotations = folder / "coco" / "annotations" / "instances_val2017.json"
    scenenet.make(folder / "scenenet")
    protobuf = next((folder / "scenenet").rglob("*.pb"))
    table = (folder / "scenenet" / "wnid_to_classes.txt").read_bytes()
    classes = LabelClasses.from_package("multitask_segmentation", "classes/scenenet.yaml")
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("top/a/1.txt", "one" * 50)
        archive.writestr("top/2.bin", bytes(range(256)))
        archive.writestr("other.txt", "no")
    yaml = b"classes: &c\n  1: tree;plant\n  2: 'sky'\nother: [0]\nignore: [255]\n"
    config = (
        b"tasks:\n  classes: {a: [b, c], d: e}\ndata:\n  root: x\n  classes:\n    classes: {1: a}\n"
    )
    made = [
        Parser("checkpoint", "a.ckpt", whole, read_checkpoint),
        Parser("pickle in a checkpoint", "a.ckpt", pickled, read_checkpoint,
               partial(with_pickle, whole)),
        Parser("released checkpoint", "a.ckpt", old.getvalue(), read_inert),
        Parser("classes file", "a.yaml", yaml, read_classes),
        Parser("config", "a.yaml", config, read_config),
        Parser("COCO", "a.json", annotations.read_bytes()[:200_000], read_coco),
        Parser("protobuf", "a.pb", protobuf.read_bytes(),
               lambda file: list(read_trajectories(file, {}))),
        Parser("table", "a.txt", table, lambda file: read_wordnet_classes(file, classes)),
        Parser("archive", "a.zip", zipped.getvalue(), unpack_all),
        Parser("PNG", "a.png", picture("png"), read_pictures),
        Parser("PNG with right sums", "a.png", picture("png", "P"), read_pictures, with_sums),
        Parser("PNG of a palette", "a.png", picture("png", "P"), read_pictures),
        Parser("JPEG", "a.jpg", picture("jpeg"), read_pictures),
        Parser("TIFF", "a.tif", picture("tiff", "L", compression="tiff_lzw"), read_pictures),
        Parser("GIF", "a.gif", picture("gif", "P"), read_pictures),
        Parser("WebP", "a.webp", picture("webp"), read_pictures),
        Parser("EPS", "a.png", picture("eps"), read_pictures),
    ]  # fmt: skip
    network = folder / "network"
    small_network().model.save_pretrained(network)
    for name in ("config.json", "model.safetensors"):
        own = (network / name).read_bytes()
        made.append(Parser(f"model folder's {name}", f"network/{name}", own, load_folder))
    (network / "config.yaml").write_text(json.dumps(SECTIONS))
    made.append(
        Parser(
            "model folder's config.yaml",
            "network/config.yaml",
            json.dumps({**SECTIONS, "seed": 1, "when": "2001-01-01"}).encode(),
            lambda file: read_checkpoint(file.parent),
        )
    )
    return made


def load_folder(file: Path) -> None:
    load_network(file.parent)


NAMES = [
    *("checkpoint", "pickle in a checkpoint", "released checkpoint", "classes file", "config"),
    *("COCO", "protobuf", "table", "archive", "PNG", "PNG with right sums", "PNG of a palette"),
    *("JPEG", "TIFF", "GIF", "WebP", "EPS"),
    *("model folder's config.json", "model folder's model.safetensors"),
    "model folder's config.yaml",
]

# What breaks parsers: depth, large numbers, names that lead elsewhere, markup of each format.
_TOKENS = [
    *(b"", b"\0", b"\xff" * 4, b"[" * 3000, b"{" * 300, b'{"a":' * 2000, b"- " * 2000, b"-1"),
    *(b"9" * 30, b"9" * 5000, b"1e999", b"nan", b"null", b"true", b'""', b"[]", b"{}", b"&a *a"),
    *(b"*c", b"<<: *c", b"!!python/object/apply:os.system [id]", b"${oc.env:HOME}", b"../../x"),
    *(b"/etc/passwd", b"cos\nsystem\n(S'id'\ntR.", b"\x80\x02", b"\x7f\xff\xff\xff", b"PK\x05\x06"),
]
_changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "put", "cut", "repeat", "end"]),
        st.floats(0, 1),
        st.one_of(st.sampled_from(_TOKENS), st.binary(max_size=8)),
        st.integers(0, 40),
    ),
    max_size=4,
)


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
    return data


class Watch:
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
            path = Path(os.path.realpath(os.fsdecode(arguments[0])))
            if not path.is_relative_to(os.path.realpath(self.folder)) and path != Path(os.devnull):
                self.seen.append(f"{event} {arguments}")

    @contextlib.contextmanager
    def within(self, folder: Path) -> Iterator[None]:
        self.folder = folder
        try:
            yield
        finally:
            self.folder = None


_watch = Watch()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    return {own.name: own for own in parsers(tmp_path_factory.mktemp("valid"))}


def test_every_parser_is_fuzzed(made: dict[str, Parser]) -> None:
    assert list(made) == NAMES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_a_clear_error_or_an_answer(
    made: dict[str, Parser], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    parser = made[name]
    folder = tmp_path_factory.mktemp("fuzzed")
    file = folder / parser.file
    file.parent.mkdir(exist_ok=True)
    if "/" in parser.file:
        valid = next(Path(folder).parent.glob("valid*")) / "network"
        for other in valid.iterdir():
            (file.parent / other.name).write_bytes(other.read_bytes())
    answered: list[bool] = []
    lengths: list[int] = []

    def parse(data: bytes) -> None:
        file.write_bytes(data)
        with warnings.catch_warnings(), _watch.within(folder):
            warnings.simplefilter("ignore")
            try:
                parser.parse(file)
                answered.append(True)
            except UserError as error:
                answered.append(False)
                lengths.append(len(str(error)))
        assert not _watch.seen, _watch.seen
        for left in (folder / "out").rglob("*"):
            if left.is_file():
                left.unlink()

    if name != "EPS":
        parse(parser.seal(parser.valid))
        assert answered == [True], "the valid file is refused"

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(changes=_changes)
    def fuzz(changes: list[tuple[str, float, bytes, int]]) -> None:
        parse(parser.seal(changed(parser.valid, changes)))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fuzz()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < _MOST_MEMORY
    assert all(0 < length < 20_000 for length in lengths)


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
        ("[" * 5000, "nested more than 100 levels"),
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
