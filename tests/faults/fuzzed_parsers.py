"""Every parser of files that others made: a valid file of its kind, and the lines that read it."""

import contextlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.error import HTTPError

import numpy as np
import torch
from fake_datasets import annotated, coco, scenenet
from PIL import Image
from small_networks import small_network

from multitask_segmentation.coco_annotations import draw_segmentation, read_annotations
from multitask_segmentation.scenenet_trajectories import read_trajectories, read_wordnet_classes
from seg_training.as_written.yaml_as_written import read_written, with_written_classes
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.folder_sums import check_sums, write_sums
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.network_in_checkpoint import network_of, network_to_keep
from seg_training.checkpoints.restricted_pickle import read_inert
from seg_training.checkpoints.whole_checkpoints import write_whole
from seg_training.dataset_description.annotation_choice import choose_annotations
from seg_training.dataset_description.class_names import given_classes
from seg_training.dataset_description.folder_contents import folder_contents
from seg_training.dataset_description.yolo_names import yolo_names
from seg_training.datasets.annotation_kinds.colour_tables import colour_table
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.split_lists import listed_images
from seg_training.errors import UserError
from seg_training.fetching import resumable_downloads
from seg_training.fetching.careful_unpacking import unpack
from seg_training.fetching.resumable_downloads import download
from seg_training.networks import Network
from seg_training.pictures.picture_reading import (
    read_binary_mask,
    read_colours,
    read_header,
    read_image,
    read_label_map,
)
from seg_training.prediction.existing_results import files_of_result, settings_of
from seg_training.results.prediction_examples import load_examples
from seg_training.tables.collected_runs import collect_results, measured
from seg_training.tables.table_cells import SCALES
from seg_training.tasks import LabelClasses
from seg_training.training.step_replay import read_bad_step

__all__ = ["NAMES", "SECTIONS", "Parser", "parsers"]

SECTIONS: dict[str, Any] = {
    name: {} for name in ("model", "tasks", "data", "optimizer", "trainer", "logger")
}


class Parser(NamedTuple):
    """A parser of files that others made.

    Attributes:
        name: what it reads.
        file: the file's name, in a folder that ``beside`` is copied to.
        valid: its content.
        parse: reads it.
        lines: modules, or functions in them, that are the parser.
        seal: puts changed bytes into such a file.
        beside: a folder of files that it needs.
        is_refused: also as it is.
    """

    name: str
    file: str
    valid: bytes
    parse: Callable[[Path], Any]
    lines: tuple[str, ...]
    seal: Callable[[bytes], bytes] = bytes
    beside: Path | None = None
    is_refused: bool = False


_CHECKPOINTS = "seg_training.checkpoints"
_KINDS = "seg_training.datasets.annotation_kinds"
_DESCRIBED = "seg_training.dataset_description"
_WHOLE = f"{_CHECKPOINTS}.whole_checkpoints:read_whole,check_growth,_check_parts,_damaged"
_READ = f"{_CHECKPOINTS}.checkpoint_reading:read_checkpoint,check_content"
_PICTURES = (
    "seg_training.pictures.picture_reading:read_image,read_header,read_label_map,read_binary_mask,"
    "_check_frames,_opened,unreadable",
)
_YAML = (
    "seg_training.as_written.bounded_yaml",
    "seg_training.as_written.yaml_as_written:read_written,_Loader,label_value,label_values,text,"
    "checked_name",
)


def _picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    written = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 5, (24, 32, 3), np.uint8)
    Image.fromarray(values).convert(mode).save(written, kind, **options)
    return written.getvalue()


def _checkpoint(network: Network | None = None) -> dict[str, Any]:
    if network is None:  # few parts, which are quickly damaged
        hyper = {"config": SECTIONS, "task_names": ["a", "b"]}
        return {"state_dict": {"w": torch.arange(6.0)}, "hyper_parameters": hyper}
    return {
        "state_dict": {f"network.{name}": own for name, own in network.state_dict().items()},
        "hyper_parameters": {"config": SECTIONS, "task_names": list(network.config.task_names)},
        "network": network_to_keep(network, (32, 64), ((),) * network.config.num_tasks),
        "global_step": 3,
    }


def _with_pickle(whole: bytes, pickled: bytes) -> bytes:
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


def _with_sums(png: bytes) -> bytes:
    """Correct the sums of a PNG file's chunks, so that what is in them is looked at."""
    at = 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        png = png[:end] + zlib.crc32(png[at + 4 : end]).to_bytes(4, "big") + png[end + 4 :]
        at = end + 4
    return png


def _with_network(content: dict[str, Any], described: bytes) -> bytes:
    """Put what is said of the network, if it is JSON still, into a checkpoint.

    What is none stands there as text.
    """
    try:
        network = json.loads(described)
    except (ValueError, RecursionError):
        network = described.decode(errors="replace")
    written = io.BytesIO()
    torch.save({**content, "network": network}, written)
    return written.getvalue()


def _read_pictures(file: Path) -> None:
    """Read a picture in every way; errors of one way keep no other from being tried."""
    said = []
    ways = (read_header, read_image, read_label_map, read_binary_mask, read_colours)
    for read in ways:
        try:
            read(file)
        except UserError as error:
            said.append(error)
    if len(said) == len(ways):
        raise said[0]


def _read_coco(file: Path) -> None:
    annotations = read_annotations(file, coco.CATEGORIES)
    for stem in annotations.stems.tolist():
        size, objects = annotations.of(stem)
        for each in objects:
            # As the dataset does: whatever is raised becomes a user's error.
            with contextlib.suppress(Exception):
                draw_segmentation(each.segmentation, size)


def _read_config(file: Path) -> None:
    written = read_written(file)
    with_written_classes(written, written, str(file))


def _unpack_all(file: Path) -> None:
    (file.parent / "out").mkdir(exist_ok=True)
    unpack(file, {"top": "top"}, file.parent / "out")


def _read_dataset(kind: str, place: str, file: Path, **changes: Any) -> None:
    """Read all annotations of a split."""
    root = file.parents[len(Path(place).parts) - 1]
    dataset = Folder(root, **{**annotated.TREES[kind].settings, **changes})
    for pair in dataset.files("train"):
        dataset.annotation(pair.label_map)


def _describe(file: Path) -> None:
    choose_annotations(folder_contents(file.parent.parent))


def _names_of_classes(file: Path) -> None:
    given = given_classes(folder_contents(file.parent))
    if given is None:
        raise UserError("nothing names classes")
    given.names_of([0, 1, 2])


def _read_listed(file: Path) -> None:
    listed_images(file, {name: f"{name}.jpg" for name in ("a", "b c", "d/e", "-1")})


def _collect(file: Path) -> None:
    scale = SCALES["demo"]
    results = collect_results(scale, [file.parents[2]])
    for result in results:
        _ = result.steps, result.seconds
    for metric in ("bIoU", "bIoU_calibrated", "mIoU"):
        measured(results, file.parent.name, metric)


def _read_result(file: Path) -> None:
    settings_of(file.parent)
    if files_of_result(file.parent) is None:
        raise UserError("no result of ours")


class _Socket:
    """Has received an answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._answer)


def _fetch(file: Path, answer: bytes) -> None:
    """Download from a server that gives this answer, whatever it is asked."""

    def urlopen(request: Any, timeout: float) -> HTTPResponse:
        received = HTTPResponse(_Socket(answer))  # type: ignore[arg-type]
        received.begin()
        received.url = request.full_url
        if received.status >= 300:  # as urllib does
            raise HTTPError(
                request.full_url, received.status, received.reason, received.headers, received
            )
        return received

    with mock.patch.object(resumable_downloads, "urlopen", urlopen):
        download("http://publisher/a.zip", file, pauses=())


def _receive(file: Path) -> None:
    for old in file.parent.glob("target.zip*"):
        old.unlink()
    _fetch(file.parent / "target.zip", file.read_bytes())


def _go_on(file: Path) -> None:
    """Go on with a part whose note is damaged."""
    (file.parent / "a.zip").unlink(missing_ok=True)
    (file.parent / "a.zip.part").write_bytes(b"12345")
    rest = (
        b'HTTP/1.1 206 Partial Content\r\nETag: "x"\r\nContent-Range: bytes 5-9/10\r\n'
        b"Content-Length: 5\r\n\r\n67890"
    )
    _fetch(file.parent / "a.zip", rest)


def _load_folder(file: Path) -> None:
    load_network(file.parent)


def _annotation_parsers(folder: Path) -> Iterator[Parser]:
    def made(kind: str) -> Path:
        root = folder / kind.replace(" ", "_")
        if not root.exists():
            root.mkdir()
            annotated.TREES[kind].write(root)
        return root

    drawing = f"{_KINDS}.object_drawing"
    own = f"{_KINDS}.coco_files:read_coco,_pack,_categories,_compact,_without_groups,CocoObjects"
    for name, kind, place, lines in (
        ("YOLO's lines", "YOLO", "labels/train/train_0.txt",
         (f"{_KINDS}.yolo_polygons:Yolo", f"{drawing}:of_polygons,Drawn")),
        ("YOLO's names", "YOLO", "data.yaml",
         (f"{_KINDS}.yolo_polygons:_read_names,_scalar", "seg_training.as_written.bounded_yaml")),
        ("LabelMe", "LabelMe", "train/train_0.json",
         (f"{_KINDS}.labelme_shapes:_read,_without_picture,_parts,_circle,_mask",)),
        ("COCO's polygons", "COCO polygons", "train/_annotations.coco.json", (own,)),
        ("COCO's run lengths", "COCO packed run lengths", "annotations/train.json",
         (f"{drawing}:of_segmentation,_check_run_lengths,_unpacked",)),
        ("COCO's plain run lengths", "COCO plain run lengths", "annotations/train.json",
         (f"{drawing}:of_segmentation,_check_run_lengths",)),
        ("panoptic JSON", "panoptic", "panoptic_train.json", 
         (f"{_KINDS}.panoptic_maps:_read_segments",)),
        ("panoptic PNG", "panoptic", "panoptic_train/train_0.png",
         ("seg_training.pictures.picture_reading:read_colours,_opened,unreadable",)),
        ("VOC's palettes", "lists with palettes", "SegmentationClass/train_0.png",
         ("seg_training.pictures.picture_reading:read_label_map,_opened,unreadable",)),
    ):  # fmt: skip
        root = made(kind)
        yield Parser(name, place, (root / place).read_bytes(),
                     partial(_read_dataset, kind, place), lines, beside=root)  # fmt: skip
    tables = f"{_KINDS}.colour_tables:_from_lines,_from_yaml,_checked,colour_table"
    text = (made("colours") / "labelmap.txt").read_bytes()
    yield Parser("colour table", "labelmap.txt", text,
                 lambda file: colour_table(file.name, file.parent),
                 (f"{_KINDS}.colour_tables:_from_lines,_checked",))  # fmt: skip
    yield Parser("colour table in YAML", "a.yaml",
                 json.dumps(annotated.COLOURS).encode(),
                 lambda file: colour_table(file.name, file.parent),
                 (tables.replace("_from_lines,", "").replace(",colour_table", ""),))  # fmt: skip
    yield Parser("split list", "train.txt", b"# images\na.jpg\nb c\nd/e.png x/e.png\n-1 1\na -1\n",
                 _read_listed, ("seg_training.datasets.split_lists:listed_images",))  # fmt: skip
    yield Parser("described COCO", "train/_annotations.coco.json",
                 (made("COCO polygons") / "train/_annotations.coco.json").read_bytes(), _describe,
                 (f"{_DESCRIBED}.json_documents:_kind_of_each,_of_lists,_of_list,_are_entries,"
                  "_read_json,_without_outlines",), beside=made("COCO polygons"))  # fmt: skip
    for name, file, valid, function in (
        ("described id2label", "id2label.json", b'{"0": "sky", "1": "car"}', "_names_of_json"),
        ("described list", "classes.txt", b"background\ncar\ntree\n", "_names_of_list"),
        ("described table", "classes.csv", b"id,name,n\n0,sky,1\n1,car,2\n", "_names_of_table"),
    ):  # fmt: skip
        yield Parser(name, file, valid, _names_of_classes,
                     (f"{_DESCRIBED}.class_names:{function},_text",),
                     beside=_picture_folder(folder))  # fmt: skip
    yield Parser("described YOLO names", "data.yaml", b"nc: 2\nnames: {0: car, 1: tree}\n",
                 lambda file: yolo_names(folder_contents(file.parent), []),
                 (f"{_DESCRIBED}.yolo_names:_has_names,yolo_names",),
                 beside=_picture_folder(folder))  # fmt: skip


def _picture_folder(folder: Path) -> Path:
    """Make a folder with a picture in it: one without is none of a dataset."""
    place = folder / "a picture"
    place.mkdir(exist_ok=True)
    (place / "a.png").write_bytes(_picture("png"))
    return place


def _model_parsers(folder: Path, whole: bytes, content: dict[str, Any]) -> Iterator[Parser]:
    with zipfile.ZipFile(io.BytesIO(whole)) as parts:
        [name] = [own for own in parts.namelist() if own.endswith("/data.pkl")]
        pickled = parts.read(name)
    old = io.BytesIO()
    torch.save({"state_dict": {"w": torch.ones(3)}}, old, _use_new_zipfile_serialization=False)
    painting = _checkpoint(small_network())
    length = whole.index(b"\nsha256 of all before")
    yield Parser("checkpoint", "a.ckpt", whole, read_checkpoint, (_WHOLE,))
    yield Parser("checkpoint's sum", "a.ckpt", whole[length:], read_checkpoint, (_WHOLE,),
                 lambda changed: whole[:length] + changed)  # fmt: skip
    yield Parser("pickle in a checkpoint", "a.ckpt", pickled, read_checkpoint,
                 (_READ,), partial(_with_pickle, whole))  # fmt: skip
    yield Parser("network in a checkpoint", "a.ckpt", json.dumps(painting["network"]).encode(),
                 lambda file: network_of(read_checkpoint(file)),
                 (f"{_CHECKPOINTS}.network_in_checkpoint:network_of,build_for,_config_in,load_weights",
                  f"{_CHECKPOINTS}.network_extent"),
                 partial(_with_network, painting))  # fmt: skip
    yield Parser("released checkpoint", "a.ckpt", old.getvalue(), read_inert,
                 (f"{_CHECKPOINTS}.restricted_pickle",))  # fmt: skip
    step = {"hyper_parameters": content["hyper_parameters"], "state_dict": {"w": torch.ones(2)},
            "step": 3, "loss": 0.5, "scale": None, "batches": [], "random": []}  # fmt: skip
    write_whole(step, folder / "bad_step.pt")
    kept = (folder / "bad_step.pt").read_bytes()
    yield Parser("held step", "bad_step.pt", kept, read_bad_step,
                 ("seg_training.training.step_replay:read_bad_step",))  # fmt: skip
    network = folder / "network"
    small_network().model.save_pretrained(network)
    config = json.dumps({**SECTIONS, "seed": 1, "when": "2001-01-01"}).encode()
    (network / "config.yaml").write_bytes(config)
    model = (f"{_CHECKPOINTS}.model_folders:_from_folder,_stored_numbers",)
    for own, lines in (("config.json", (*model, f"{_CHECKPOINTS}.network_extent")),
                       ("model.safetensors", model)):  # fmt: skip
        valid = (network / own).read_bytes()
        yield Parser(f"model folder's {own}", own, valid, _load_folder, lines, beside=network)
    yield Parser("model folder's config.yaml", "config.yaml", config,
                 lambda file: read_checkpoint(file.parent),
                 (f"{_CHECKPOINTS}.checkpoint_reading:_read_model_folder",
                  "seg_training.as_written.bounded_yaml",
                  "seg_training.config_sections:check_sections"), beside=network)  # fmt: skip
    summed = folder / "summed"
    summed.mkdir()
    for file in network.iterdir():
        (summed / file.name).write_bytes(file.read_bytes())
    write_sums(summed)
    yield Parser("SHA256SUMS", "SHA256SUMS", (summed / "SHA256SUMS").read_bytes(),
                 lambda file: check_sums(file.parent),
                 (f"{_CHECKPOINTS}.folder_sums:check_sums,_sum",), beside=summed)  # fmt: skip


def _result_parsers(folder: Path) -> Iterator[Parser]:
    scale = SCALES["demo"]
    cell = scale.each_cell()[0].name
    result = {"bIoU": 51.5, "bIoU_interval": [50.0, 53.0], "mIoU": None, "steps": 10,
              "seconds": 3.5, "first_phase": {"steps": 4, "seconds": 1.0},
              "per_class": {"a": {"bIoU": 1.0}}, "curves": {"bIoU": [[1, 2.0]]}}  # fmt: skip
    yield Parser("results of a cell", f"demo/{cell}/seed0.json", json.dumps(result).encode(),
                 _collect, ("seg_training.tables.collected_runs:_read,_is_number,_is_interval,"
                            "_is_first_phase",))  # fmt: skip
    painted = {"settings": {"threshold": 0.5}, "threshold": 0.5, "label_map": None, "parts": [],
               "classes": [{"name": "a", "mask": "000_a_mask.png"}]}  # fmt: skip
    yield Parser("result of a prediction", "result.json", json.dumps(painted).encode(),
                 _read_result, ("seg_training.prediction.existing_results:files_of_result,"
                                "settings_of,_has_our_name",))  # fmt: skip
    examples = {"examples": [{"name": "a", "prompts": ["tree"]}]}
    beside = folder / "examples"
    beside.mkdir()
    (beside / "0_image.png").write_bytes(_picture("png"))
    for end in ("predicted", "true"):
        (beside / f"0_0_{end}.png").write_bytes(_picture("png", "1"))
    yield Parser("examples", "examples.json", json.dumps(examples).encode(),
                 lambda file: load_examples(file.parent),
                 ("seg_training.results.prediction_examples:load_examples",),
                 beside=beside)  # fmt: skip


def parsers(folder: Path) -> list[Parser]:
    """Make a valid file for each parser.

    Args:
        folder: an empty one, to make files in.
    """
    content = _checkpoint()
    write_whole(content, folder / "a.ckpt")
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
    answer = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 10\r\n\r\n1234567890'
    note = b'{"url": "http://publisher/a.zip", "mark": "\\"x\\"", "length": 10}'
    downloads = "seg_training.fetching.resumable_downloads:"
    own_yaml = b"classes: &c\n  1: tree;plant\n  2: 'sky'\nother: [0]\nignore: [255]\n"
    config = (
        b"tasks:\n  classes: {a: [b, c], d: e}\ndata:\n  root: x\n  classes:\n    classes: {1: a}\n"
    )
    pictures = [
        Parser(f"{kind}{how}", f"a.{suffix}", valid, _read_pictures, _PICTURES, seal)
        for kind, how, suffix, valid, seal in (
            ("PNG", "", "png", _picture("png"), bytes),
            ("PNG", " with right sums", "png", _picture("png", "P"), _with_sums),
            ("PNG", " of a palette", "png", _picture("png", "P"), bytes),
            ("JPEG", "", "jpg", _picture("jpeg"), bytes),
            ("TIFF", "", "tif", _picture("tiff", "L", compression="tiff_lzw"), bytes),
            ("GIF", "", "gif", _picture("gif", "P"), bytes),
            ("WebP", "", "webp", _picture("webp"), bytes),
        )
    ]
    return [
        *_model_parsers(folder, (folder / "a.ckpt").read_bytes(), content),
        Parser("classes file", "a.yaml", own_yaml, LabelClasses.from_file, (
            *_YAML, "seg_training.tasks:_Meanings")),
        Parser("config", "a.yaml", config, _read_config, (
            "seg_training.as_written.bounded_yaml",
            "seg_training.as_written.yaml_as_written:read_written,_Loader,with_written_classes,"
            "_holds_classes,_classes,_texts,_names")),
        Parser("COCO", "a.json", annotations.read_bytes()[:200_000], _read_coco, (
            f"{_KINDS}.coco_files:read_coco,_pack,_categories,_compact",
            "multitask_segmentation.coco_annotations")),
        Parser("protobuf", "a.pb", protobuf.read_bytes(),
               lambda file: list(read_trajectories(file, {})), (
                   "multitask_segmentation.scenenet_trajectories:read_trajectories,_stream,_compact",)),
        Parser("table", "a.txt", table, lambda file: read_wordnet_classes(file, classes), (
            "multitask_segmentation.scenenet_trajectories:read_wordnet_classes,_read_lines",)),
        Parser("archive", "a.zip", zipped.getvalue(), _unpack_all, (
            "seg_training.fetching.careful_unpacking:unpack,_readable,_safe_path,_place,_check_kind",)),
        Parser("answer of a server", "answer", answer, _receive, (
            f"{downloads}download,_receive,_write,_ask,_Version",)),
        Parser("note of a part", "a.zip.part.json", note, _go_on, (
            f"{downloads}_Part,_Version,_write",)),
        *pictures,
        Parser("EPS", "a.png", _picture("eps"), _read_pictures, _PICTURES, is_refused=True),
        *_annotation_parsers(folder),
        *_result_parsers(folder),
    ]  # fmt: skip


NAMES = (
    *("checkpoint", "checkpoint's sum", "pickle in a checkpoint", "network in a checkpoint"),
    *("released checkpoint", "held step", "model folder's config.json"),
    *("model folder's model.safetensors", "model folder's config.yaml", "SHA256SUMS"),
    *("classes file", "config", "COCO", "protobuf", "table", "archive", "answer of a server"),
    *("note of a part", "PNG", "PNG with right sums", "PNG of a palette", "JPEG", "TIFF", "GIF"),
    *("WebP", "EPS", "YOLO's lines", "YOLO's names", "LabelMe", "COCO's polygons"),
    *("COCO's run lengths", "COCO's plain run lengths", "panoptic JSON", "panoptic PNG"),
    *("VOC's palettes", "colour table", "colour table in YAML", "split list", "described COCO"),
    *("described id2label", "described list", "described table", "described YOLO names"),
    *("results of a cell", "result of a prediction", "examples"),
)
"""Of :func:`parsers`, in their order: tests are named before files are made."""
