import logging
import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets import scenenet
from faults.bounded_memory import bounded_memory, lack_of_memory
from google.protobuf.descriptor import Descriptor
from numpy.typing import NDArray
from PIL import Image
from pixel_tables import pixel_table

from multitask_segmentation import scenenet_pb2, scenenet_trajectories
from multitask_segmentation.scenenet import SceneNet
from multitask_segmentation.scenenet_pb2 import Instance, Trajectories, Trajectory, View
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

BED, CHAIR, FLOOR, WALL = 1, 4, 5, 12
VAL = "scenenet_rgbd_val.pb"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    scenenet.make(tmp_path / "scenenet")
    return tmp_path / "scenenet"


def name_of(split: str, path: str, frame: int) -> ImageFiles:
    folder = f"{split}/{path}"
    return ImageFiles(f"{folder}/photo/{frame}.jpg", f"{folder}/instance/{frame}.png#{split}")


# What the labels are


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_label_map_is_as_drawn(root: Path, split: str) -> None:
    dataset = SceneNet(root, first_view_only=())
    for path in scenenet.paths_of(split):
        for frame in scenenet.FRAMES:
            labels = dataset.read_label_map(name_of(split, path, frame).label_map)
            assert labels.dtype == np.uint8
            assert np.array_equal(labels, scenenet.labels_of(path, frame))


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[list[int]]]:
    """Read the label map of one picture of instances, with a protobuf and a table of its own."""

    def read_picture(
        instances: list[list[int]],
        meanings: dict[int, tuple[str, Instance.InstanceType]],
        table: str = "wnid\t13_classes\n03365592\tFloor\n00000042\tChair\n04004475\tUnknown\n",
        dtype: type[np.unsignedinteger] = np.uint16,
    ) -> list[list[int]]:
        (tmp_path / "0/1/instance").mkdir(parents=True)
        Image.fromarray(np.array(instances, dtype)).save(tmp_path / "0/1/instance/0.png")
        described = [
            Instance(instance_id=i, semantic_wordnet_id=wordnet_id, instance_type=instance_type)
            for i, (wordnet_id, instance_type) in meanings.items()
        ]
        trajectories = Trajectories(
            trajectories=[Trajectory(render_path="0/1", instances=described)]
        )
        (tmp_path / "scenenet_rgbd_val.pb").write_bytes(trajectories.SerializeToString())
        (tmp_path / "wnid_to_classes.txt").write_text(table)
        return SceneNet(tmp_path, images=".").read_label_map("0/1/instance/0.png#val").tolist()

    return read_picture


def test_an_instance_has_the_class_of_its_wordnet_id(read: Callable[..., list[list[int]]]) -> None:
    layout, thing = Instance.LAYOUT_OBJECT, Instance.RANDOM_OBJECT
    meanings = {
        1: ("03365592", layout),
        2: ("3365592", thing),  # leading zeros were lost
        300: ("42", thing),
        65535: ("00000042", Instance.LIGHT_OBJECT),
    }
    assert read([[1, 2, 0], [300, 65535, 1]], meanings) == [
        [FLOOR, FLOOR, 0],
        [CHAIR, CHAIR, FLOOR],
    ]


def test_what_has_no_class_is_other(read: Callable[..., list[list[int]]]) -> None:
    meanings = {
        0: ("03365592", Instance.BACKGROUND),
        1: ("03365592", Instance.BACKGROUND),
        2: ("04004475", Instance.RANDOM_OBJECT),  # Unknown
        3: ("01234567", Instance.RANDOM_OBJECT),  # not in the table
        4: ("03365592", Instance.RANDOM_OBJECT),
        70000: ("03365592", Instance.RANDOM_OBJECT),  # which no picture of 16 bit can show
    }
    assert read([[0, 1, 2], [3, 4, 5], [4464, 65535, 4]], meanings) == [
        [0, 0, 0],
        [0, FLOOR, 0],
        [0, 0, FLOOR],
    ]


def test_pictures_of_8_bit_are_read_too(read: Callable[..., list[list[int]]]) -> None:
    meanings = {255: ("42", Instance.RANDOM_OBJECT)}
    assert read([[255, 0]], meanings, dtype=np.uint8) == [[CHAIR, 0]]


@pytest.mark.parametrize(
    "table",
    [
        "wnid\tname\t13_classes\n42\tarm chair\tChair\n",
        '13_classes,name,WNID\nChair,"chair, with arms",00000042\n',
        "id; name; 13_classes\n42; arm chair; chair\n\n",
        "wnid   name    13_classes\n42     chair   CHAIR\n",
        "\ufeffid\t13_classes\r\n42\tChair\r\n7\t\r\n",
    ],
)
def test_the_table_can_be_written_in_many_ways(
    read: Callable[..., list[list[int]]], table: str
) -> None:
    assert read([[1, 0]], {1: ("00000042", Instance.RANDOM_OBJECT)}, table) == [[CHAIR, 0]]


def test_the_classes_are_the_thirteen_in_lower_case(root: Path) -> None:
    classes = SceneNet(root).classes
    assert classes.names == {value: name.lower() for value, (_, name) in scenenet.CLASSES.items()}
    assert [classes.value_of(name) for name in ("bed", "floor", "tv", "wall", "window")] == [
        BED,
        FLOOR,
        11,
        WALL,
        13,
    ]
    assert classes.other == {0}
    assert not classes.ignore


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_index_counts_every_class(root: Path, split: str) -> None:
    dataset = SceneNet(root)
    index = presence_index(dataset, split, progress=False)
    pixels = pixel_table(index.task_presence(TaskTable(dataset.classes)))
    frames = scenenet.FRAMES if split == "train" else scenenet.FRAMES[:1]
    labels = [
        scenenet.labels_of(path, frame) for path in scenenet.paths_of(split) for frame in frames
    ]
    assert pixels.tolist() == [[(one == value).sum() for value in range(1, 14)] for one in labels]
    assert pixels.all()


# Which files there are


def test_training_uses_every_view_of_all_protobufs(root: Path) -> None:
    assert SceneNet(root).files("train") == [
        name_of("train", path, frame)
        for path in ("0/11", "0/12", "1/1003")
        for frame in (0, 25, 50)
    ]


def test_validation_uses_the_first_view(root: Path) -> None:
    paths = ("0/182", "0/183", "0/223", "0/1000")
    assert SceneNet(root).files("val") == [name_of("val", path, 0) for path in paths]


def test_which_splits_use_the_first_view_only_is_a_setting(root: Path) -> None:
    dataset = SceneNet(root, first_view_only=["train"])
    assert (len(dataset.files("train")), len(dataset.files("val"))) == (3, 12)


def test_render_paths_can_start_at_the_root(root: Path) -> None:
    for folder in (root / "val").iterdir():
        folder.rename(root / folder.name)
    dataset = SceneNet(root, images=".", trajectories=VAL, wordnet="./wnid_to_classes.txt")
    files = dataset.files("val")
    assert files[1] == ImageFiles("0/183/photo/0.jpg", "0/183/instance/0.png#val")
    labels = dataset.read_label_map(files[1].label_map)
    assert np.array_equal(labels, scenenet.labels_of("0/183", 0))


def test_a_missing_instance_picture_is_named(root: Path) -> None:
    (root / "train/0/12/instance/25.png").unlink()
    with pytest.raises(
        UserError, match=r"1 of 9 images have no label map.*12/photo/25\.jpg: expected .*/25\.png"
    ):
        SceneNet(root).files("train")


def test_a_view_without_photograph_is_left_out(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "train/0/12/photo/25.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(SceneNet(root).files("train")) == 8
    assert "no image and are left out, 'train/0/12/instance/25.png#train' for one" in caplog.text


def test_trajectories_that_were_not_downloaded_are_left_out(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "train/1").rename(root / "elsewhere")
    with caplog.at_level(logging.WARNING):
        assert len(SceneNet(root).files("train")) == 6
    assert (
        "1 of 3 trajectories of split 'train' are not there and are left out, 'train/1/1003'"
        in caplog.text
    )


def test_a_label_map_is_made_from_picture_protobuf_and_table(root: Path) -> None:
    dataset = SceneNet(root)
    assert dataset.label_sources("train/1/1003/instance/0.png#train") == [
        root / "train/1/1003/instance/0.png",
        root / "scenenet_rgbd_train_1.pb",
        root / "wnid_to_classes.txt",
    ]


@pytest.mark.parametrize("file", [VAL, "wnid_to_classes.txt", "val/0/183/instance/0.png"])
def test_the_index_is_renewed_with_what_it_is_made_from(root: Path, file: str) -> None:
    read: list[str] = []

    class Noting(SceneNet):
        def read_label_map(self, label_map: str) -> NDArray[np.uint8]:
            read.append(label_map)
            return super().read_label_map(label_map)

    for expected in (4, 0):
        presence_index(Noting(root), "val", progress=False)
        assert len(read) == expected
        read.clear()
    os.utime(root / file, ns=(1, 1))
    presence_index(Noting(root), "val", progress=False)
    assert len(read) == 4


# How the files are read


def test_nothing_is_read_before_it_is_needed_and_nothing_twice(root: Path, tmp_path: Path) -> None:
    SceneNet(tmp_path / "nowhere")
    dataset = SceneNet(root)
    pairs = dataset.files("val")
    (root / VAL).unlink()
    (root / "wnid_to_classes.txt").unlink()
    assert dataset.files("val") == pairs
    assert dataset.read_label_map(pairs[0].label_map).any()


def test_memory_does_not_grow_with_the_protobuf(root: Path) -> None:
    """Eight trajectories of 8 MB each."""
    padding = Instance(semantic_english="x" * 8_000_000)
    with (root / "scenenet_rgbd_large.pb").open("wb") as file:
        for number in range(8):
            one = Trajectory(render_path=f"0/{number}", instances=[padding])
            file.write(Trajectories(trajectories=[one]).SerializeToString())
    tracemalloc.start()
    with pytest.raises(UserError, match="none of the 8 trajectories"):
        SceneNet(root).pair("large")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000


def test_the_parser_gets_one_trajectory_at_a_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = scenenet_trajectories.parse_length_prefixed
    parsed: list[tuple[str, int]] = []

    def noting(message: type[Trajectory], file: Any) -> Trajectory:
        start = file.tell()
        trajectory = parse(message, file)
        parsed.append((trajectory.render_path, file.tell() - start))
        return trajectory

    monkeypatch.setattr(scenenet_trajectories, "parse_length_prefixed", noting)
    SceneNet(root).files("train")
    assert [path for path, _ in parsed] == ["0/11", "0/12", "1/1003"]
    for path, size in parsed:  # with two bytes of length
        assert size == scenenet.trajectory_of(path).ByteSize() + 2


def test_what_is_kept_of_a_trajectory_is_small(root: Path) -> None:
    """Not a table of all 65,536 ids for each."""
    views = [View(frame_num=25 * number) for number in range(300)]
    instances = [Instance(instance_id=number) for number in range(100)]
    with (root / "scenenet_rgbd_many.pb").open("wb") as file:
        for number in range(200):
            one = Trajectory(render_path=f"0/{number}", views=views, instances=instances)
            file.write(Trajectories(trajectories=[one]).SerializeToString())
    dataset = SceneNet(root)
    tracemalloc.start()
    with pytest.raises(UserError, match="none of the 200 trajectories"):
        dataset.pair("many")
    # Of this file alone: the interpreter may enlarge a table of its own at the same time.
    own = tracemalloc.Filter(True, scenenet_trajectories.__file__)
    kept = tracemalloc.take_snapshot().filter_traces([own]).statistics("filename")
    tracemalloc.stop()
    assert 200 * 300 * 4 < sum(entry.size for entry in kept) < 200 * 3_000


def test_nothing_is_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    presence_index(SceneNet(root), "val", progress=False)
    assert capsys.readouterr() == ("", "")


def fields_of(message: Descriptor) -> dict[str, int]:
    return {field.name: field.number for field in message.fields}


def test_the_generated_module_agrees_with_the_proto() -> None:
    assert scenenet_pb2.DESCRIPTOR.package == "scenenet"
    messages = scenenet_pb2.DESCRIPTOR.message_types_by_name
    assert {name: fields_of(message) for name, message in messages.items()} == {
        "Trajectories": {"trajectories": 1},
        "Trajectory": {"instances": 2, "views": 3, "render_path": 4},
        "View": {"frame_num": 1},
        "Instance": {
            "instance_id": 1,
            "semantic_wordnet_id": 2,
            "semantic_english": 3,
            "instance_type": 4,
        },
    }
    kinds = {"BACKGROUND": 1, "LAYOUT_OBJECT": 2, "LIGHT_OBJECT": 3, "RANDOM_OBJECT": 4}
    assert dict(Instance.InstanceType.items()) == kinds

    package = Path(scenenet_trajectories.__file__).parent
    proto = (package / "scenenet.proto").read_text(encoding="utf-8")
    stated = {name: int(number) for name, number in re.findall(r"(\w+) = (\d+);", proto)}
    generated = {n: i for message in messages.values() for n, i in fields_of(message).items()}
    assert stated == generated | kinds


# What can be wrong


def test_a_missing_root_asks_for_data_root(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"nowhere does not exist; set data\.root .* holds scenenet_rgbd_val\*\.pb"
    ):
        SceneNet(tmp_path / "nowhere").files("val")


def test_a_length_asks_for_no_more_memory_than_the_file_has(root: Path) -> None:
    giant = b"\n" + b"\xff" * 4 + b"\x7f" + b"x" * 10  # 34 GB
    (root / "scenenet_rgbd_large.pb").write_bytes(giant)
    with bounded_memory(2**30), pytest.raises(UserError, match="cannot read") as refused:
        SceneNet(root).pair("large")
    assert lack_of_memory(refused.value) is None


def test_a_missing_protobuf_suggests_what_is_there(root: Path) -> None:
    with pytest.raises(UserError, match=r"no file scenenet_rgbd_vall\*\.pb in .*mean .*_val\.pb'"):
        SceneNet(root).files("vall")
    with pytest.raises(UserError, match=r"no file x\.pb in .*\(there: scenenet_rgbd_train_0\.pb,"):
        SceneNet(root, trajectories="x.pb").files("val")


def test_missing_trajectories_say_where_they_are_looked_for(root: Path) -> None:
    with pytest.raises(
        UserError, match=r"none of the 4 trajectories .*would be .*/pictures/0/182\. Are data\.root"
    ):
        SceneNet(root, images="pictures").files("val")


def test_a_trajectory_that_two_protobufs_have_names_both(root: Path) -> None:
    (root / "scenenet_rgbd_val (copy).pb").write_bytes((root / VAL).read_bytes())
    with pytest.raises(
        UserError, match=r"val \(copy\)\.pb and .*_val\.pb both have trajectory 0/182; remove one"
    ):
        SceneNet(root).files("val")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-10], ""),
        (lambda content: content + b"\n", "it ends in the middle of a trajectory"),
        (lambda content: content + b"\n\x85", ""),
        (lambda _: b"\x89PNG\r\n", "something that is no trajectory stands in it"),
        (lambda _: b"\n<html>\n<body>no protobuf</body></html>", ""),
        (lambda _: b"\n" + b"\xff" * 9 + b"\x01", ""),
        (lambda _: b"\n\x02\x18\x07", "a trajectory in it has no render_path"),
        (lambda _: b"\n\x00", "a trajectory in it has no render_path"),
    ],
)
def test_a_damaged_protobuf_is_named(
    root: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    (root / VAL).write_bytes(damage((root / VAL).read_bytes()))
    with pytest.raises(
        UserError,
        match=rf"(?s)cannot read .*_val\.pb as trajectories .*: {reason}.*Download or unpack it",
    ):
        SceneNet(root).files("val")


def test_an_empty_protobuf_is_named(root: Path) -> None:
    (root / VAL).write_bytes(b"")
    with pytest.raises(UserError, match=r"scenenet_rgbd_val\*\.pb in .*: no trajectory in it"):
        SceneNet(root).files("val")


def test_a_missing_table_suggests_what_is_there(root: Path) -> None:
    (root / "wnid_to_classes.txt").rename(root / "wnid_classes.txt")
    with pytest.raises(
        UserError, match=r"wnid_to_classes\.txt, the table .* does not exist .*'wnid_classes\.txt'"
    ):
        SceneNet(root).files("val")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", r"wnid_to_classes\.txt is empty; expected the table"),
        ("wnid\tclass\n", r"has no column '13_classes' \(its first line names: wnid, class\)"),
        ("wnid\t13_classes\n1\tFlor\n", r"line 2 of .* has class 'flor'; did you mean 'floor'"),
        ("wnid\t13_classes\n\n1\n", r"line 3 of .* has 1 columns, its first line 2; complete or"),
    ],
)
def test_another_table_is_refused(root: Path, table: str, message: str) -> None:
    (root / "wnid_to_classes.txt").write_text(table)
    with pytest.raises(UserError, match=message):
        SceneNet(root).files("val")


def test_a_table_that_is_no_text_is_refused(root: Path) -> None:
    (root / "wnid_to_classes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"cannot read .*classes\.txt as a table: .*Download it"):
        SceneNet(root).files("val")


def test_an_instance_picture_in_colour_is_refused(root: Path) -> None:
    Image.new("RGB", (64, 48)).save(root / "val/0/182/instance/0.png")
    with pytest.raises(UserError, match=r"182/instance/0\.png is a picture of mode RGB"):
        SceneNet(root).read_label_map("val/0/182/instance/0.png#val")


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.trajectories=/x/\*\.pb is absolute"):
        SceneNet(tmp_path, trajectories="/x/*.pb")
    with pytest.raises(UserError, match=r"data\.first_view_only='val': expected a list of splits"):
        SceneNet(tmp_path, first_view_only="val")
    with pytest.raises(UserError, match=r"data\.first_view_only=None: expected a list of splits"):
        SceneNet(tmp_path, first_view_only=None)  # type: ignore[arg-type]
