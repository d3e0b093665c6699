import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets import metalbot
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from torch import Tensor

from multitask_segmentation.metalbot import Metalbot
from seg_training.datasets.audit import (
    DatasetAudit,
    LabelCount,
    Problem,
    Size,
    Sizes,
    SplitAudit,
    TaskCount,
    audit_dataset,
    audit_split,
)
from seg_training.datasets.audit_report import (
    audits_to_json,
    contact_sheet,
    count_problems,
    show_counts,
    show_problems,
)
from seg_training.datasets.base import OfficialCounts
from seg_training.datasets.folder import Folder
from seg_training.datasets.images import image_size
from seg_training.errors import UserError
from seg_training.pictures import distinct_colours
from seg_training.tasks import LabelClasses, TaskTable

SPLITS = {"fit": "train", "validate": "val"}

# Images with a car, a tree, a lamp; each car has 200 pixels, a tree 264, a lamp 36.
CARS, TREES, LAMPS = (0, 2, 4, 6), (1, 2, 4, 5, 7), (1, 4)


@pytest.fixture
def root(fake_folder: Callable[..., Path]) -> Path:
    return fake_folder()


@pytest.fixture
def dataset(root: Path, fake_classes: dict[str, Any]) -> Folder:
    return Folder(root, fake_classes)


def audit(dataset: Folder, tasks: Any = "all", **settings: Any) -> DatasetAudit:
    settings = {"batch_size": 2, "sampler": "mixed", **settings}
    table = TaskTable(dataset.classes, tasks)
    return audit_dataset(dataset, table, SPLITS, progress=False, **settings)


def audit_train(dataset: Folder) -> SplitAudit:
    return audit_split(dataset, TaskTable(dataset.classes), "train", progress=False)


def problems_of(found: DatasetAudit) -> list[Problem]:
    splits = found.splits.values()
    return [*(problem for split in splits for problem in split.problems), *found.problems]


def only_problem(found: DatasetAudit) -> Problem:
    (problem,) = problems_of(found)
    return problem


def change(file: Path, change_values: Callable[[NDArray[Any]], Any]) -> None:
    """Change a label map's values."""
    values = np.array(Image.open(file))
    change_values(values)
    Image.fromarray(values).save(file)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-60])


# --- what is counted --------------------------------------------------------------------------


def test_a_good_dataset_has_no_problem(dataset: Folder) -> None:
    assert problems_of(audit(dataset)) == []


def test_label_values_are_counted_with_their_meaning(dataset: Folder) -> None:
    train = audit(dataset).splits["fit"]
    labels = {label.value: label for label in train.labels}
    total = 2 * (48 * 64 + 52 * 60 + 44 * 72 + 48 * 56)  # eight images of four sizes
    assert list(labels) == [0, 1, 2, 3, 4, 9, 11]
    assert labels[2] == LabelCount(2, "car", "class", "car", 4, 800, 800 / total, None)
    assert labels[3] == LabelCount(3, "tree", "class", "tree", 5, 1320, 1320 / total, None)
    assert labels[4] == LabelCount(4, "lamp", "class", "lamp", 2, 72, 72 / total, None)
    assert labels[9] == LabelCount(9, "", "other", None, 8, 128, 128 / total, None)
    assert labels[11] == LabelCount(11, "", "ignore", None, 8, 128, 128 / total, None)
    assert labels[1].name == "road"
    assert labels[0].pixels + labels[1].pixels == total - 800 - 1320 - 72 - 128 - 128
    assert sum(label.share for label in train.labels) == pytest.approx(1)
    val = audit(dataset).splits["validate"]
    assert [label.images for label in val.labels] == [5, 5, 3, 3, 1, 5, 5]


def test_a_value_that_does_not_occur_is_listed_with_zero(dataset: Folder, root: Path) -> None:
    for number in LAMPS:
        change(
            root / "annotations" / "train" / f"{number:02d}.png",
            lambda values: np.putmask(values, values == 4, 0),
        )
    lamp = audit_train(dataset).labels[4]
    assert (lamp.name, lamp.images, lamp.pixels, lamp.share) == ("lamp", 0, 0, 0.0)


def test_tasks_can_group_classes_and_leave_some_out(dataset: Folder) -> None:
    train = audit(dataset, {"thing": ["car", "lamp"], "tree": ["tree"]}).splits["fit"]
    both = set(CARS) | set(LAMPS)
    assert train.tasks == [TaskCount("thing", len(both), 872), TaskCount("tree", 5, 1320)]
    by_value = {label.value: (label.role, label.task) for label in train.labels}
    assert by_value[2] == by_value[4] == ("class", "thing")
    assert by_value[0] == ("class", None)


def test_tasks_keep_their_place_in_a_shared_list(dataset: Folder) -> None:
    tasks = TaskTable(dataset.classes, ["car"], ["sky", "glass", "car"])
    train = audit_split(dataset, tasks, "train", progress=False)
    assert train.tasks == [TaskCount("car", 4, 800)]
    assert train.labels[0].task is None


def test_sizes_are_ordered_by_their_pixels(dataset: Folder) -> None:
    found = audit(dataset)
    assert found.splits["fit"].sizes == Sizes(Size(48, 56), Size(52, 60), Size(44, 72), 4)
    assert found.splits["validate"].sizes == Sizes(Size(48, 56), Size(48, 64), Size(44, 72), 4)
    assert str(Size(48, 56)) == "56x48"


def test_colour_modes_of_images_and_label_maps(dataset: Folder, root: Path) -> None:
    images, labels = root / "images" / "train", root / "annotations" / "train"
    Image.open(images / "00.jpg").convert("L").save(images / "00.jpg")
    for number in (1, 2):
        file = labels / f"{number:02d}.png"
        Image.fromarray(np.array(Image.open(file)).astype(np.uint16)).save(file)
    Image.open(labels / "03.png").convert("P").save(labels / "03.png")
    train = audit_train(dataset)
    assert train.image_modes == {"RGB": 7, "L": 1}
    assert train.label_map_modes == {"L": 5, "I;16": 2, "P": 1}


def test_label_maps_that_are_no_pictures_have_no_mode(
    root: Path, fake_classes: dict[str, Any]
) -> None:
    class FromOneFile(Folder):
        def label_sources(self, label_map: str) -> list[Path]:
            return [self.root / "labels.json"]

    train = audit_train(FromOneFile(root, fake_classes))
    assert (train.label_map_modes, train.label_maps, train.problems) == ({}, 8, [])


def test_a_dataset_that_makes_its_files_makes_them_first(
    fake_folder: Callable[[], Path], tmp_path: Path, fake_classes: dict[str, Any]
) -> None:
    class Made(Folder):
        def prepare(self) -> None:
            fake_folder()

    assert problems_of(audit(Made(tmp_path / "fake", fake_classes))) == []


def test_a_dataset_without_label_maps_has_its_images_checked(tmp_path: Path) -> None:
    metalbot.make(tmp_path)
    truncate(tmp_path / "0002.jpg")
    tasks = TaskTable(LabelClasses({0: "floor"}))
    splits = {"fit": "training", "validate": "validation"}
    found = audit_dataset(
        Metalbot(tmp_path), tasks, splits, batch_size=10, sampler="homogeneous", progress=False
    )
    problem = only_problem(found)
    assert (problem.kind, list(problem.files)) == ("unreadable_image", ["0002.jpg"])
    (images,) = found.splits.values()
    assert (images.images, images.label_maps, images.labels, images.tasks) == (4, 0, [], [])
    assert len(images.readable) == 3


# --- what is wrong with files -----------------------------------------------------------------


def remove_label_map(root: Path) -> None:
    (root / "annotations" / "train" / "03.png").unlink()


def remove_image(root: Path) -> None:
    (root / "images" / "train" / "03.jpg").unlink()


def truncate_image(root: Path) -> None:
    truncate(root / "images" / "train" / "03.jpg")


def truncate_label_map(root: Path) -> None:
    truncate(root / "annotations" / "train" / "03.png")


def write_a_text(root: Path) -> None:
    (root / "annotations" / "train" / "03.png").write_text("no picture")


def colour_label_map(root: Path) -> None:
    file = root / "annotations" / "train" / "03.png"
    Image.open(file).convert("RGB").save(file)


def shrink_label_map(root: Path) -> None:
    file = root / "annotations" / "train" / "03.png"
    Image.open(file).resize((28, 24), Image.Resampling.NEAREST).save(file)


def add_values(root: Path) -> None:
    def add(values: NDArray[np.uint8]) -> None:
        values[20, 20:22] = 77
        values[21, 20] = 200

    change(root / "annotations" / "train" / "03.png", add)


LABEL_MAP = "annotations/train/03.png"
DAMAGES: dict[Callable[[Path], None], tuple[str, str, str, str, str]] = {
    remove_label_map: (
        "no_label_map",
        "error",
        "images without label map: 1 of 8. Add the label map or remove the image",
        "images/train/03.jpg",
        f"images/train/03.jpg: expected {LABEL_MAP}",
    ),
    remove_image: (
        "no_image",
        "warning",
        "label maps without image, which are left out: 1",
        LABEL_MAP,
        LABEL_MAP,
    ),
    truncate_image: (
        "unreadable_image",
        "error",
        "images that cannot be read: 1",
        "images/train/03.jpg",
        "cannot read image images/train/03.jpg: image file is truncated",
    ),
    truncate_label_map: (
        "unusable_label_map",
        "error",
        "label maps that cannot be used: 1",
        LABEL_MAP,
        f"cannot read label map {LABEL_MAP}: ",
    ),
    write_a_text: (
        "unusable_label_map",
        "error",
        "label maps that cannot be used: 1",
        LABEL_MAP,
        f"cannot read label map {LABEL_MAP}: cannot identify image file",
    ),
    colour_label_map: (
        "unusable_label_map",
        "error",
        "label maps that cannot be used: 1",
        LABEL_MAP,
        f"label map {LABEL_MAP} is a picture of mode RGB; expected one channel",
    ),
    shrink_label_map: (
        "size_mismatch",
        "error",
        "label maps of another size than their image: 1. Make them the same size",
        LABEL_MAP,
        f"{LABEL_MAP} is 28x24, its image images/train/03.jpg 56x48",
    ),
    add_values: (
        "unknown_value",
        "error",
        "label values without a name: 77 (2 pixels in 1 file), 200 (1 pixel in 1 file). Mend",
        LABEL_MAP,
        f"{LABEL_MAP}: 77 (2 pixels), 200 (1 pixel)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damage_is_found_and_nothing_else(
    dataset: Folder, root: Path, damage: Callable[[Path], None]
) -> None:
    damage(root)
    found = audit(dataset)
    problem = only_problem(found)
    kind, severity, message, file, line = DAMAGES[damage]
    assert (problem.kind, problem.severity) == (kind, severity)
    assert problem.message.startswith(message)
    assert list(problem.files) == [file]
    assert problem.files[file].startswith(line)
    assert found.splits["fit"].problems == [problem]
    assert str(root) not in problem.files[file]


def test_every_file_is_named(dataset: Folder, root: Path) -> None:
    for number in range(8):
        truncate(root / "images" / "train" / f"{number:02d}.jpg")
    problem = only_problem(audit(dataset))
    assert problem.message == "images that cannot be read: 8"
    assert list(problem.files) == [f"images/train/{number:02d}.jpg" for number in range(8)]


def test_what_cannot_be_read_is_not_counted(dataset: Folder, root: Path) -> None:
    truncate(root / "annotations" / "train" / "00.png")
    truncate(root / "images" / "train" / "02.jpg")
    train = audit_train(dataset)
    assert (train.images, train.label_maps) == (8, 8)
    assert train.labels[2].images == 3
    assert train.image_modes == {"RGB": 7}
    assert train.label_map_modes == {"L": 8}
    names = [Path(pair.image).stem for pair in train.readable]
    assert names == ["01", "03", "04", "05", "06", "07"]


def test_the_mode_of_a_coloured_label_map_is_counted(dataset: Folder, root: Path) -> None:
    colour_label_map(root)
    assert audit_train(dataset).label_map_modes == {"L": 7, "RGB": 1}


def test_many_unknown_values_are_counted_in_the_message_and_all_stand_in_the_histogram(
    dataset: Folder, root: Path
) -> None:
    def add(values: NDArray[np.uint8]) -> None:
        values[20, :7] = range(70, 77)

    for number in (2, 5):
        change(root / "annotations" / "train" / f"{number:02d}.png", add)
    found = audit(dataset)
    problem = only_problem(found)
    assert "70 (2 pixels in 2 files)" in problem.message
    assert "74 (2 pixels in 2 files) and 2 more. Mend the files" in problem.message
    assert list(problem.files) == ["annotations/train/02.png", "annotations/train/05.png"]
    unknown = [label for label in found.splits["fit"].labels if label.role == "unknown"]
    assert [(label.value, label.images, label.pixels) for label in unknown] == [
        (value, 2, 2) for value in range(70, 77)
    ]


def test_a_photograph_on_its_side_fits_its_upright_label_map(dataset: Folder, root: Path) -> None:
    file = root / "images" / "train" / "00.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(file).rotate(90, expand=True).save(file, exif=exif)
    found = audit(dataset)
    assert problems_of(found) == []
    assert found.splits["fit"].sizes == Sizes(Size(48, 56), Size(52, 60), Size(44, 72), 4)


def test_a_missing_folder_is_one_error_and_the_other_split_is_checked(
    dataset: Folder, root: Path
) -> None:
    (root / "images" / "train").rename(root / "images" / "training")
    truncate(root / "images" / "val" / "01.jpg")
    found = audit(dataset)
    (missing,) = found.splits["fit"].problems
    assert (missing.kind, missing.severity) == ("split_not_listed", "error")
    assert "images/train does not exist; did you mean 'training'?" in missing.message
    assert found.splits["fit"].images == 0
    assert [problem.kind for problem in found.splits["validate"].problems] == ["unreadable_image"]
    assert found.problems == []


def test_a_wrong_root_is_one_message(tmp_path: Path, fake_classes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist; set data\.root to the folder"):
        audit(Folder(tmp_path / "nowhere", fake_classes))
    with pytest.raises(UserError, match=r"dataset 'town': .*; set data\.datasets\.town\.root"):
        audit(Folder(tmp_path / "nowhere", fake_classes), name="town")


# --- what is wrong for training ---------------------------------------------------------------


def erase(root: Path, split: str, value: int) -> None:
    for file in (root / "annotations" / split).iterdir():
        change(file, lambda values: np.putmask(values, values == value, 9))


def test_a_task_that_training_never_shows(dataset: Folder, root: Path) -> None:
    erase(root, "train", 4)
    problem = only_problem(audit(dataset))
    assert (problem.kind, problem.severity) == ("task_without_image", "warning")
    assert problem.message == (
        "tasks that no image of split 'train' shows, so that they are never trained: lamp"
    )
    assert problems_of(audit(dataset, ["sky", "car"])) == []


def test_tasks_below_a_homogeneous_batch(dataset: Folder, root: Path) -> None:
    problem = only_problem(audit(dataset, sampler="homogeneous", batch_size=5))
    assert (problem.kind, problem.severity) == ("task_below_batch", "warning")
    assert problem.message == (
        "tasks with fewer training images than a batch, which data.sampler=homogeneous never "
        "trains: car (4 images), lamp (2 images). data.sampler=mixed or data.batch_size=2 trains "
        "them"
    )
    assert problems_of(audit(dataset, sampler="homogeneous", batch_size=2)) == []
    assert problems_of(audit(dataset, sampler="mixed", batch_size=5)) == []
    erase(root, "train", 4)
    kinds = [
        problem.kind for problem in problems_of(audit(dataset, sampler="homogeneous", batch_size=5))
    ]
    assert kinds == ["task_without_image", "task_below_batch"]


@pytest.mark.parametrize(
    ("sampler", "enough"),
    [("homogeneous", 5), ("mixed", 7), ("images", 8)],  # tree, tree and lamp, all images
)
def test_a_split_that_fills_no_batch(dataset: Folder, sampler: str, enough: int) -> None:
    tasks = ["tree", "lamp"]
    good = audit(dataset, tasks, sampler=sampler, batch_size=enough)
    assert count_problems([good], "error") == 0
    problem = only_problem(audit(dataset, tasks, sampler=sampler, batch_size=enough + 1))
    assert (problem.kind, problem.severity) == ("no_batch", "error")
    assert problem.message == (
        f"split 'train' does not fill one batch of data.batch_size={enough + 1} with "
        f"data.sampler={sampler}: 8 images, 7 pairs of image and task, at most 5 of one task. "
        "Lower data.batch_size"
    )


@pytest.mark.parametrize(("split", "purpose"), [("train", "train"), ("val", "evaluate")])
@pytest.mark.parametrize("sampler", ["homogeneous", "mixed", "images"])
def test_a_split_without_any_task(
    dataset: Folder, root: Path, split: str, purpose: str, sampler: str
) -> None:
    erase(root, split, 4)
    problem = only_problem(audit(dataset, ["lamp"], sampler=sampler))
    assert (problem.kind, problem.severity) == (f"nothing_to_{purpose}", "error")
    assert problem.message == (
        f"split '{split}' has no pixel of any task: there is nothing to {purpose}"
    )
    assert count_problems([audit(dataset, ["lamp", "sky"], sampler=sampler)], "error") == 0


def test_where_no_label_map_can_be_read_that_is_said_once(dataset: Folder, root: Path) -> None:
    for split in ("train", "val"):
        for file in (root / "annotations" / split).iterdir():
            file.write_bytes(b"")
    kinds = [problem.kind for problem in problems_of(audit(dataset))]
    assert kinds == ["unusable_label_map", "unusable_label_map"]


def test_the_same_picture_in_both_splits(dataset: Folder, root: Path) -> None:
    source = root / "images" / "train" / "00.jpg"  # as large as these two
    for name in ("00.jpg", "04.jpg"):
        (root / "images" / "val" / name).write_bytes(source.read_bytes())
    problem = only_problem(audit(dataset))
    assert (problem.kind, problem.severity) == ("image_in_both_splits", "warning")
    assert problem.message.startswith("pictures that stand in both splits: 2. ")
    assert problem.files == {
        f"images/val/{name}.jpg": f"images/val/{name}.jpg is the same as images/train/00.jpg"
        for name in ("00", "04")
    }


# --- published numbers ------------------------------------------------------------------------


class Published(Folder):
    """A folder of which the right numbers are known: images, and those with a car and a tree."""

    counts: Mapping[str, OfficialCounts]

    def official_counts(self, split: str) -> OfficialCounts | None:
        return self.counts.get(split)


@pytest.fixture
def published(root: Path, fake_classes: dict[str, Any]) -> Published:
    dataset = Published(root, fake_classes)
    dataset.counts = {"train": OfficialCounts(8, {2: 4, 3: 5})}
    return dataset


def test_what_agrees_with_the_published_numbers_is_right(published: Published) -> None:
    found = audit(published)
    assert problems_of(found) == []
    assert found.splits["fit"].official_images == 8
    assert [label.official_images for label in found.splits["fit"].labels] == [
        *(None, None, 4, 5, None, None, None)
    ]
    assert found.splits["validate"].official_images is None


def test_as_many_images_with_other_labels_are_wrong(published: Published) -> None:
    published.counts = {"train": OfficialCounts(8, {2: 4, 3: 1006, 4: 1})}
    problem = only_problem(audit(published))
    assert (problem.kind, problem.severity) == ("official_counts", "error")
    assert problem.message == (
        "classes that do not occur in as many images as published: tree in 5 (published: 1,006), "
        "lamp in 2 (published: 1). The label maps are not the published ones; get them anew "
        "(DATASET_PREPARATION.md)"
    )


def test_a_part_of_the_published_images_is_a_warning(published: Published) -> None:
    published.counts = {"train": OfficialCounts(20210, {2: 4, 3: 11664})}
    problem = only_problem(audit(published))
    assert (problem.kind, problem.severity) == ("official_images", "warning")
    assert problem.message == "8 images; the published split has 20,210"


def test_label_maps_that_could_not_be_counted_do_not_differ(
    published: Published, root: Path
) -> None:
    truncate(root / "annotations" / "train" / "00.png")  # the image has a car
    assert only_problem(audit(published)).kind == "unusable_label_map"


# --- the report -------------------------------------------------------------------------------


def printed(show: Callable[..., None], *audits: DatasetAudit, width: int = 80) -> str:
    file = io.StringIO()
    show(audits, Console(file=file, width=width))
    return file.getvalue()


def row(text: str, first: str) -> list[str]:
    """Find the words of the line that starts with a word."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [first])


def test_json_holds_everything(dataset: Folder, root: Path) -> None:
    for number in range(7):
        truncate(root / "images" / "train" / f"{number:02d}.jpg")
    content = json.loads(json.dumps(audits_to_json([audit(dataset)])))
    assert (content["errors"], content["warnings"]) == (1, 0)
    (only,) = content["datasets"]
    assert (only["name"], only["dataset"], only["root"]) == ("", "Folder", str(root))
    train, val = only["splits"]["training"], only["splits"]["validation"]
    (problem,) = train["problems"]
    assert len(problem["files"]) == 7
    assert val["sizes"] == {
        "smallest": [48, 56],
        "median": [48, 64],
        "largest": [44, 72],
        "different": 4,
    }
    assert val["image_modes"] == {"RGB": 5}
    assert val["tasks"][2] == {"name": "car", "images": 3, "pixels": 600}
    assert val["labels"][4] == {
        "value": 4,
        "name": "lamp",
        "role": "class",
        "task": "lamp",
        "images": 1,
        "pixels": 36,
        "share": 36 / 15120,
        "official_images": None,
    }
    assert val["problems"] == only["problems"] == []
    assert "digests" not in val
    assert "readable" not in val


def test_the_terminal_shows_counts_at_80_columns(published: Published) -> None:
    text = printed(show_counts, audit(published))
    assert f"Published in {published.root}" in text.replace("\n", "")
    assert "training: split 'train' ───" in text
    assert row(text, "images") == ["images", "8,", "8", "with", "label", "map,", "8", "published"]
    assert "4 different: smallest 56x48, median 60x52, largest 72x44" in text
    assert row(text, "label") == ["label", "maps", "L", "8"]
    assert "5; images of each: fewest 2 (lamp), median 5, most 8 (road)" in text
    assert row(text, "value") == ["value", "name", "images", "published", "pixels", "%"]
    assert row(text, "2") == ["2", "car", "4", "4", "800", "3.32"]
    assert row(text, "9") == ["9", "(other)", "8", "128", "0.53"]
    assert row(text, "11") == ["11", "(ignore)", "8", "128", "0.53"]
    assert max(map(len, text.splitlines())) <= 80


def test_the_terminal_shows_tasks_where_they_are_not_the_classes(dataset: Folder) -> None:
    text = printed(show_counts, audit(dataset, {"thing": ["car", "lamp"], "tree": ["tree"]}))
    assert row(text, "4") == ["4", "lamp", "thing", "2", "72", "0.30"]
    assert row(text, "0")[:3] == ["0", "sky", "8"]
    assert row(text, "thing") == ["thing", "5", "872"]
    alone = printed(show_counts, audit(dataset, ["tree"]))
    assert row(alone, "tasks") == ["tasks", "tree,", "in", "5", "images"]


def test_the_terminal_shows_a_split_that_is_not_there(dataset: Folder, root: Path) -> None:
    (root / "images" / "train").rename(root / "images" / "training")
    assert "nothing to read: see below" in printed(show_counts, audit(dataset))


def test_the_terminal_names_the_first_files_and_counts_the_others(
    dataset: Folder, root: Path
) -> None:
    for number in range(7):
        (root / "annotations" / "train" / f"{number:02d}.png").unlink()
    (root / "images" / "val" / "03.jpg").rename(root / "images" / "val" / "[b]3.jpg")
    found = audit(dataset, ["sky"], batch_size=1)
    assert printed(show_problems, found) == (
        "warning  split 'val': label maps without image, which are left out: 1           \n"
        "           annotations/val/03.png                                               \n"
        "error    split 'train': images without label map: 7 of 8. Add the label map or  \n"
        "         remove the image                                                       \n"
        "           images/train/00.jpg: expected annotations/train/00.png               \n"
        "           images/train/01.jpg: expected annotations/train/01.png               \n"
        "           images/train/02.jpg: expected annotations/train/02.png               \n"
        "           images/train/03.jpg: expected annotations/train/03.png               \n"
        "           images/train/04.jpg: expected annotations/train/04.png               \n"
        "           ... and 2 more                                                       \n"
        "error    split 'val': images without label map: 1 of 5. Add the label map or    \n"
        "         remove the image                                                       \n"
        "           images/val/[b]3.jpg: expected annotations/val/[b]3.png               \n"
        "2 errors, 1 warning: cure the errors before training\n"
    )


def test_the_last_line_says_what_to_do(dataset: Folder, root: Path) -> None:
    assert printed(show_problems, audit(dataset)) == "no problem found\n"
    remove_image(root)
    text = printed(show_problems, audit(dataset, name="town"))
    assert text.startswith("warning  town: split 'train': label maps without image")
    assert text.endswith("\n0 errors, 1 warning: training works; read the warnings\n")


def paint_grey(root: Path) -> None:
    for file in root.glob("images/*/*.jpg"):
        height, width = image_size(file)
        Image.new("RGB", (width, height), (100, 100, 100)).save(file, quality=95)


def near(pixel: Tensor, colour: tuple[float, ...]) -> bool:
    return pixel.tolist() == pytest.approx(colour, abs=1)


def test_the_sheet_tints_tasks_and_marks_what_is_ignored_or_unknown(
    dataset: Folder, root: Path
) -> None:
    paint_grey(root)
    change(
        root / "annotations" / "train" / "00.png",
        lambda values: values.__setitem__((slice(16, 20), slice(40, 44)), 77),
    )
    sheet = contact_sheet([audit(dataset, ["lamp", "road"])])
    assert sheet is not None
    # Four columns and three rows of 320x240 pixels, each below a caption of 16; the first image
    # is drawn at five times its size.
    assert sheet.shape[2] == 4 * 320 + 3 * 4
    lamp, road = distinct_colours(2)
    first = sheet[:, 16 : 16 + 240, :320]
    assert near(first[:, 238, 10], tuple((100 + part) / 2 for part in road))
    assert near(first[:, 10, 10], (100, 100, 100))  # other
    assert near(first[:, 10, 310], ((100 + 90) / 2,) * 3)  # ignored
    assert near(first[:, 90, 210], (177.5, 50, 177.5))  # unknown
    assert near(first[:, 10, 300], (0.4 * 95 + 0.6 * 255,) * 3)  # where ignored pixels begin
    legend = sheet[:, 3 * 256 + 2 * 4 :]
    assert legend[:, 15, 12].tolist() == list(lamp)
    assert legend.shape[1] == 32  # all four names in one line


def test_the_sheet_shows_images_from_all_over_each_split(
    fake_folder: Callable[..., Path], fake_classes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(
        "seg_training.datasets.audit_report.labels_picture",
        lambda tiles, legend: drawn.extend(tile.text for tile in tiles),
    )
    dataset = Folder(fake_folder("many", num_train=26, num_val=3), fake_classes)
    truncate(dataset.root / "images" / "train" / "00.jpg")
    contact_sheet([audit(dataset, name="town")])
    train = [f"town train {number:02d}" for number in (1, 5, 10, 15, 20, 25)]
    assert drawn == [*train, *(f"town val {number:02d}" for number in range(3))]


def test_without_a_readable_pair_there_is_no_sheet(dataset: Folder, root: Path) -> None:
    for file in root.glob("images/*/*.jpg"):
        file.write_bytes(b"")
    assert contact_sheet([audit(dataset)]) is None


def test_the_sheet_of_images_without_label_maps_shows_them_as_they_are(tmp_path: Path) -> None:
    metalbot.make(tmp_path)
    tasks = TaskTable(LabelClasses({0: "floor"}))
    found = audit_dataset(
        Metalbot(tmp_path), tasks, SPLITS, batch_size=1, sampler="images", progress=False
    )
    sheet = contact_sheet([found])
    assert sheet is not None
    assert sheet.shape[2] == 4 * 320 + 3 * 4
