"""Every parser of files that others made: a valid file of its kind, and the lines that read it."""

import contextlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.error import HTTPError

import torch
from fake_datasets import annotated, coco, scenenet
from faults.fuzzed_networks import network_parsers
from faults.fuzzed_parser import Parser, picture
from faults.fuzzed_tables import TABLES, table_parsers
from faults.fuzzed_uploads import upload_parsers
from faults.odd_contents import odd_coco, odd_contents
from faults.odd_pickles import NEW_PICKLES, old_pickles
from small_networks import small_network

from multitask_segmentation.coco_annotations import draw_segmentation, read_annotations
from multitask_segmentation.scenenet_trajectories import read_trajectories, read_wordnet_classes
from seg_training.as_written.yaml_as_written import read_written, with_written_classes
from seg_training.checkpoints.checkpoint_reading import check_content, read_checkpoint
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

__all__ = ["NAMES", "SECTIONS", "parsers"]

SECTIONS: dict[str, Any] = {
    name: {} for name in ("model", "tasks", "data", "optimizer", "trainer", "logger")
}


_CHECKPOINTS = "seg_training.checkpoints"
_KINDS = "seg_training.datasets.annotation_kinds"
_DESCRIBED = "seg_training.dataset_description"
_WHOLE = f"{_CHECKPOINTS}.whole_checkpoints:read_whole,_check_parts,_damaged"
# Its table of instructions is made when it is imported; zip files that grow are no pickle's matter.
_STORED = (
    "seg_training.networks.stored_tensors:check_tensors,_Named,_bytes_of,_Sizes.__init__,"
    "_Sizes.find_class,_Sizes.load_newobj,_Sizes.persistent_load,_Sizes.check_call,_Sizes._refuse"
)
_READ = f"{_CHECKPOINTS}.checkpoint_reading:read_checkpoint,check_content"
_PICTURES = (
    "seg_training.pictures.picture_reading:read_image,read_header,read_label_map,read_binary_mask,"
    "read_colours,_check_frames,_opened,unreadable",
)
_YAML = (
    "seg_training.as_written.bounded_yaml:BoundedLoader",
    "seg_training.as_written.yaml_as_written:read_written,_Loader,label_value,label_values,text,"
    "checked_name",
)


_CLASSES = (
    b"classes: &a {1: tree, 2: tree}\nother: *a\n",
    b"classes: [tree, sky]\n",
    b"classes: {}\nother: 0\n",
    b"classes: {'1': a, 1.5: b, yes: c, -1: d, 300: e}\nignore: [a, 2001-01-01, 1.0]\n",
    b"classes: {1: [a], 2: {b: c}, 3: null}\n",
    b"classes: {1: ' ', 2: 'a;;b', 3: \"a\\nb\", 4: 'a'}\n",
    b"classes: {1: a, 2: 'b;a'}\nother: [1]\nignore: [1, 2]\nelse: 3\n",
)
_CONFIGS = (
    b"tasks: {classes: [a, b]}\ndata: {classes: {classes: &a {0: no, 1: 12:30}, other: *a}}\n",
    b"data:\n  datasets: {s: {tasks: {classes: {b: [no, 010]}}, classes: {classes: {0: no}}}}\n",
    b"tasks: {classes: ade20k}\ndata: {classes: a.yaml, also: [{classes: null}]}\n",
)


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


def _read_network(content: dict[str, Any], file: Path) -> None:
    """Take a file for what a checkpoint says of its network."""
    with contextlib.suppress(ValueError, RecursionError):
        described = json.loads(file.read_bytes())
        checkpoint = {**content, "network": described}
        check_content(checkpoint, file)
        network_of(checkpoint)
        return
    raise UserError("no JSON, which a checkpoint does not hold")


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
            try:
                draw_segmentation(each.segmentation, size)
            except Exception as error:  # as the dataset does
                raise UserError(f"{stem}: {error}") from error


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


def _describe(place: str, file: Path) -> None:
    choose_annotations(folder_contents(file.parents[len(Path(place).parts) - 1]))


def _names_of_classes(file: Path) -> None:
    given = given_classes(folder_contents(file.parent))
    if given is None:
        raise UserError("nothing names classes")
    given.names_of([0, 1, 2])


def _read_listed(file: Path) -> None:
    listed_images(file, {name: f"{name}.jpg" for name in ("a", "b c", "d/e", "-1")})


def _collect(cell: str, file: Path) -> None:
    scale = SCALES["demo"]
    root = file.parents[len(Path(cell).parts) + 1]
    results = collect_results(scale, [root])
    for result in results:
        _ = result.steps, result.seconds
    for metric in ("bIoU", "bIoU_calibrated", "mIoU"):
        measured(results, cell, metric)


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


def _fetch(file: Path, answer: bytes, name: str = "a.zip") -> None:
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
        download(f"http://publisher/{name}", file, pauses=())


def _receive(file: Path) -> None:
    """Go on with a part, whatever the server answers."""
    for old in file.parent.glob("target.zip*"):
        old.unlink()
    (file.parent / "target.zip.part").write_bytes(b"12345")
    (file.parent / "target.zip.part.json").write_bytes(_NOTE.replace(b"a.zip", b"target.zip"))
    _fetch(file.parent / "target.zip", file.read_bytes(), "target.zip")


def _go_on(file: Path) -> None:
    """Go on with a part whose note is damaged."""
    (file.parent / "a.zip").unlink(missing_ok=True)
    (file.parent / "a.zip.part").write_bytes(b"12345")
    _fetch(file.parent / "a.zip", _ANSWERS[1])


_NOTE = b'{"url": "http://publisher/a.zip", "mark": "\\"x\\"", "length": 10}'
_ANSWERS = (
    b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 10\r\n\r\n1234567890',
    b'HTTP/1.1 206 Partial Content\r\nETag: "x"\r\nContent-Range: bytes 5-9/10\r\n'
    b"Content-Length: 5\r\n\r\n67890",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-9/*\r\n\r\n890",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 416 Range Not Satisfiable\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nETag: W/y\r\nLast-Modified: then\r\n\r\n12",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n\r\n",
)


def _load_folder(file: Path) -> None:
    load_network(file.parent)


_OTHER_SHAPES = tuple(
    json.dumps({"imageHeight": height, "imageWidth": 44, "shapes": shapes}).encode()
    for height, shapes in (
        (60, [{"label": "car", "points": [[9, 9], [12, 12]], "shape_type": "circle"}]),
        (60, [{"label": "car", "points": [[9, 9]], "shape_type": "rectangle"}]),
        (60, [{"label": "void", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": None}]),
        (50, [{"label": "sky", "points": [], "shape_type": "star"}]),
        (None, [{"label": "car", "points": [[1, 1], [5, 5]], "shape_type": "ellipse"}]),
    )
)


def _annotation_parsers(folder: Path) -> Iterator[Parser]:
    def made(kind: str) -> Path:
        root = folder / kind.replace(" ", "_")
        if not root.exists():
            root.mkdir()
            annotated.TREES[kind].write(root)
        return root

    drawing = f"{_KINDS}.object_drawing"
    yolo = (f"{_KINDS}.yolo_polygons:Yolo.read,_read_names,_scalar",
            f"{drawing}:of_polygons,Drawn")  # fmt: skip
    own = (
        f"{_KINDS}.coco_files:read_coco,_pack,_categories,_compact,_without_groups,CocoObjects",
        f"{drawing}:of_segmentation,_check_run_lengths,_unpacked,of_polygons",
    )
    for name, kind, place, lines in (
        ("YOLO's lines", "YOLO", "labels/train/train_0.txt",
         yolo),
        ("YOLO's names", "YOLO", "data.yaml",
         yolo),
        ("LabelMe", "LabelMe", "train/train_0.json",
         (f"{_KINDS}.labelme_shapes:_read,_without_picture,_parts,_circle,_mask",)),
        ("COCO's polygons", "COCO polygons", "train/_annotations.coco.json", own),
        ("COCO's run lengths", "COCO packed run lengths", "annotations/train.json", own),
        ("COCO's plain run lengths", "COCO plain run lengths", "annotations/train.json", own),
        ("panoptic JSON", "panoptic", "panoptic_train.json", 
         (f"{_KINDS}.panoptic_maps:_read_segments",)),
        ("panoptic PNG", "panoptic", "panoptic_train/train_0.png",
         _PICTURES),
        ("VOC's palettes", "lists with palettes", "SegmentationClass/train_0.png",
         _PICTURES),
    ):  # fmt: skip
        root = made(kind)
        yield Parser(name, place, (root / place).read_bytes(),
                     partial(_read_dataset, kind, place), lines, beside=root,
                     others=_OTHER_SHAPES if name == "LabelMe" else ())  # fmt: skip
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
                 _read_listed, ("seg_training.datasets.split_lists:listed_images",),
                 others=(b",\n", b"# nothing\n", b"a.jpg\nnot there\n"))  # fmt: skip
    described = (
        f"{_DESCRIBED}.json_documents:_kind_of_each,_of_lists,_of_list,_are_entries,_read_json,"
        "_without_outlines,_pattern",
    )
    for kind, place in (
        ("COCO polygons", "train/_annotations.coco.json"),
        ("LabelMe", "train/train_0.json"),
        ("YOLO", "labels/train/train_0.txt"),
        ("panoptic", "panoptic_train.json"),
    ):
        root = made(kind)
        yield Parser(f"described {kind}", place, (root / place).read_bytes(),
                     partial(_describe, place), described, beside=root)  # fmt: skip
    for name, file, valid, function in (
        ("described id2label", "id2label.json", b'{"0": "sky", "1": "car"}', "_names_of_json"),
        ("described list", "classes.txt", b"background\ncar\ntree\n", "_names_of_list"),
        ("described table", "classes.csv", b"id,name,n\n0,sky,1\n1,car,2\n", "_names_of_table"),
    ):  # fmt: skip
        yield Parser(name, file, valid, _names_of_classes,
                     (f"{_DESCRIBED}.class_names:{function}",),
                     beside=_picture_folder(folder))  # fmt: skip
    for name, file, valid in (
        ("described YOLO names", "data.yaml", b"nc: 2\nnames: {0: car, 1: tree}\n"),
        ("described YOLO list", "obj.names", b"car\ntree\n"),
    ):
        yield Parser(name, file, valid,
                     lambda file: yolo_names(folder_contents(file.parent), []),
                     (f"{_DESCRIBED}.yolo_names:_has_names,yolo_names",),
                     beside=_picture_folder(folder))  # fmt: skip


def _picture_folder(folder: Path) -> Path:
    """Make a folder with a picture in it: one without is none of a dataset."""
    place = folder / "a picture"
    place.mkdir(exist_ok=True)
    (place / "a.png").write_bytes(picture("png"))
    return place


def _giants(network: dict[str, Any]) -> tuple[bytes, ...]:
    """Say what would fill the memory, or hold who reads it for ever."""
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    changes: tuple[dict[str, Any], ...] = (
        {"origin": deep},
        {"hidden_sizes": [50_000] * 4},
        {"num_tasks": 10**12, "task_names": None},
        {"depths": [10**4, 1, 1, 1]},
        {"crop_size": [10**5, 10**5]},
        {"method": "vsa_emb", "num_vectors": 10**5},
        {"num_attention_heads": [0, 1, 2, 3]},
    )
    return tuple(json.dumps({**network, **change}).encode() for change in changes)


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
                 (_READ, _STORED), partial(_with_pickle, whole),
                 others=NEW_PICKLES)  # fmt: skip
    yield Parser("network in a checkpoint", "a.json", json.dumps(painting["network"]).encode(),
                 partial(_read_network, painting),
                 (f"{_CHECKPOINTS}.network_in_checkpoint:network_of,build_for,_config_in,load_weights",
                  "seg_training.networks.network_extent:check_entries,check_numbers,check_memory,_entries,"
                  "_check_together,_too_much"), others=_giants(painting["network"]))  # fmt: skip
    yield Parser("released checkpoint", "a.ckpt", old.getvalue(), read_inert,
                 (f"{_CHECKPOINTS}.restricted_pickle", _STORED), others=old_pickles())  # fmt: skip
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
    for own, lines in (("config.json", model), ("model.safetensors", model)):  # fmt: skip
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
                 partial(_collect, cell),
                 ("seg_training.tables.collected_runs:_read,_is_number,_is_interval,"
                            "_is_first_phase",))  # fmt: skip
    painted = {"settings": {"threshold": 0.5}, "threshold": 0.5, "label_map": None, "parts": [],
               "classes": [{"name": "a", "mask": "000_a_mask.png"}]}  # fmt: skip
    yield Parser("result of a prediction", "result.json", json.dumps(painted).encode(),
                 _read_result, ("seg_training.prediction.existing_results:files_of_result,"
                                "settings_of,_has_our_name",))  # fmt: skip
    examples = {"examples": [{"name": "a", "prompts": ["tree"]}]}
    beside = folder / "examples"
    beside.mkdir()
    (beside / "0_image.png").write_bytes(picture("png"))
    for end in ("predicted", "true"):
        (beside / f"0_0_{end}.png").write_bytes(picture("png", "1"))
    yield Parser("examples", "examples.json", json.dumps(examples).encode(),
                 lambda file: load_examples(file.parent),
                 ("seg_training.results.prediction_examples:load_examples",),
                 beside=beside)  # fmt: skip


def _odd_archives() -> tuple[bytes, ...]:
    """Pack what is refused: a link, an encrypted file, one that leads out, one twice, a bomb."""
    link, locked = zipfile.ZipInfo("top/link"), zipfile.ZipInfo("top/locked")
    link.external_attr = 0o120777 << 16
    packed = []
    for entry, content in (
        (link, b"/etc/passwd"), (locked, b"x"), (zipfile.ZipInfo("top/../../x"), b"x"),
        (zipfile.ZipInfo("C:\\x"), b"x"), (zipfile.ZipInfo("top/a"), bytes(2**27)),
    ):  # fmt: skip
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(entry, content, compress_type=zipfile.ZIP_DEFLATED)
        packed.append(written.getvalue())
    marked = bytearray(packed[1])
    marked[marked.index(b"PK\x01\x02") + 8] |= 1  # says that it is encrypted
    packed[1] = bytes(marked)
    return tuple(packed)


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
    fetching = (
        "seg_training.fetching.resumable_downloads:download,_receive,_write,_ask,_Version,_Part",
    )
    own_yaml = b"classes: &c\n  1: tree;plant\n  2: 'sky'\nother: [0]\nignore: [255]\n"
    config = (
        b"tasks:\n  classes: {a: [b, c], d: e}\ndata:\n  root: x\n  classes:\n    classes: {1: a}\n"
    )
    pictures = [
        Parser(f"{kind}{how}", f"a.{suffix}", valid, _read_pictures, _PICTURES, seal)
        for kind, how, suffix, valid, seal in (
            ("PNG", "", "png", picture("png"), bytes),
            ("PNG", " with right sums", "png", picture("png", "P"), _with_sums),
            ("PNG", " of a palette", "png", picture("png", "P"), bytes),
            ("JPEG", "", "jpg", picture("jpeg"), bytes),
            ("TIFF", "", "tif", picture("tiff", "L", compression="tiff_lzw"), bytes),
            ("GIF", "", "gif", picture("gif", "P"), bytes),
            ("WebP", "", "webp", picture("webp"), bytes),
        )
    ]
    odd = {**odd_contents(), "COCO": odd_coco(annotations.read_bytes())}
    made = [
        *_model_parsers(folder, (folder / "a.ckpt").read_bytes(), content),
        Parser("classes file", "a.yaml", own_yaml, LabelClasses.from_file, (
            *_YAML, "seg_training.tasks:_Meanings"), others=_CLASSES),
        Parser("config", "a.yaml", config, _read_config, (
            "seg_training.as_written.bounded_yaml:BoundedLoader",
            "seg_training.as_written.yaml_as_written:read_written,_Loader,with_written_classes,"
            "_holds_classes,_classes,_texts,_names"), others=_CONFIGS),
        Parser("COCO", "a.json", annotations.read_bytes()[:200_000], _read_coco, (
            f"{_KINDS}.coco_files:read_coco,_pack,_categories,_compact",
            "multitask_segmentation.coco_annotations")),
        Parser("protobuf", "a.pb", protobuf.read_bytes(),
               lambda file: list(read_trajectories(file, {})), (
                   "multitask_segmentation.scenenet_trajectories:read_trajectories,_stream,_AllOfIt,_compact",)),
        Parser("table", "a.txt", table, lambda file: read_wordnet_classes(file, classes), (
            "multitask_segmentation.scenenet_trajectories:read_wordnet_classes,_read_lines",),
            others=(b"wnid\t13_classes\n1\t" + b"x" * 140_000, b"a,b\n1,2\n")),
        Parser("archive", "a.zip", zipped.getvalue(), _unpack_all, (
            "seg_training.fetching.careful_unpacking:unpack,_readable,_safe_path,_place,_check_kind",),
            others=_odd_archives()),
        Parser("answer of a server", "answer", _ANSWERS[0], _receive, fetching,
               others=_ANSWERS[1:]),
        Parser("note of a part", "a.zip.part.json", _NOTE, _go_on, fetching),
        *pictures,
        Parser("EPS", "a.png", picture("eps"), _read_pictures, _PICTURES, is_refused=True),
        *_annotation_parsers(folder),
        *_result_parsers(folder),
        *network_parsers(folder),
        *upload_parsers(),
        *table_parsers(folder),
    ]  # fmt: skip
    return [own._replace(others=(*own.others, *odd.get(own.name, ()))) for own in made]


NAMES = (
    *("checkpoint", "checkpoint's sum", "pickle in a checkpoint", "network in a checkpoint"),
    *("released checkpoint", "held step", "model folder's config.json"),
    *("model folder's model.safetensors", "model folder's config.yaml", "SHA256SUMS"),
    *("classes file", "config", "COCO", "protobuf", "table", "archive", "answer of a server"),
    *("note of a part", "PNG", "PNG with right sums", "PNG of a palette", "JPEG", "TIFF", "GIF"),
    *("WebP", "EPS", "YOLO's lines", "YOLO's names", "LabelMe", "COCO's polygons"),
    *("COCO's run lengths", "COCO's plain run lengths", "panoptic JSON", "panoptic PNG"),
    *(
        "VOC's palettes",
        "colour table",
        "colour table in YAML",
        "split list",
        "described COCO polygons",
        "described LabelMe",
        "described YOLO",
        "described panoptic",
    ),
    *("described id2label", "described list", "described table", "described YOLO names"),
    *("described YOLO list",),
    *("results of a cell", "result of a prediction", "examples"),
    *("recogniser's config.json", "recogniser's pytorch_model.bin"),
    *("recogniser's preprocessor_config.json", "backbone's config.json"),
    *("word encoder's config.json", "word encoder's tokenizer.json"),
    *("word encoder's model.safetensors", "painted pictures", "painted picture", "upload"),
    *TABLES,
)
"""Of :func:`parsers`, in their order: tests are named before files are made."""
