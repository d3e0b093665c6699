"""Folders of others, described, checked, trained on and evaluated by commands with no change."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from annotation_trees import (
    CAT,
    DOG,
    NEITHER,
    TREES,
    coco,
    grey,
    label_map,
    make_tree,
    mask_of,
    numbered,
    photo,
    polygon,
    save,
    shows_dog,
    write,
)
from own_process import REPOSITORY, run_script
from PIL import Image
from short_runs import SHORT_RUNS

from seg_training.as_written.hydra_overrides import quoted
from seg_training.config import compose_config
from seg_training.dataset_description.described_files import CALIBRATION_SHARE
from seg_training.datasets.data_module import SegmentationDataModule, build_data_module

pytestmark = SHORT_RUNS

SMALL = (
    *("model=adapter_hf_scratch", "+model.depths=[1,1,1,1]", "+model.hidden_sizes=[8,16,24,32]"),
    *("+model.num_attention_heads=[1,2,3,4]", "logger=csv", "log_plot_freq=0"),
    *("data.crop_size=[48,64]", "data.num_workers=0", "trainer.accelerator=cpu"),
    *("trainer.max_steps=2", "trainer.val_check_interval=1", "trainer.log_every_n_steps=1"),
    *("trainer.num_sanity_val_steps=0",),
)


def needs_of(name: str) -> None:
    if name == "parquet" and importlib.util.find_spec("datasets") is None:
        pytest.skip("needs the library 'datasets'")


def state_of(root: Path) -> dict[str, tuple[int, int]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def config_of(file: Path) -> dict[str, Any]:
    """Compose a config that lies anywhere, as the commands do."""
    shipped = quoted(f"file://{REPOSITORY / 'configs'}")
    return compose_config(file.name, [f"hydra.searchpath=[{shipped}]"], file.parent)


def module_of(file: Path) -> SegmentationDataModule:
    config = config_of(file)
    built = build_data_module(config["data"], config["tasks"], config["seed"])
    assert isinstance(built, SegmentationDataModule)
    return built


@pytest.fixture
def describe(tmp_path: Path) -> Callable[..., tuple[str, Path]]:
    """Describe a folder, and give what was said and the config."""

    def run(root: Path, code: int = 0) -> tuple[str, Path]:
        output = tmp_path / "described" / "mine.yaml"
        answer = run_script("describe_dataset", str(root), "--output", str(output))
        assert answer.code == code, answer.text
        return answer.text, output

    return run


@pytest.mark.parametrize("name", TREES)
def test_each_tree_is_described_to_the_pixel(
    name: str,
    tmp_path: Path,
    describe: Callable[..., tuple[str, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_of(name)
    root, tree = make_tree(name, tmp_path), TREES[name]
    before = state_of(root)
    said, output = describe(root)
    assert state_of(root) == before, "the data were written to"

    written = yaml.safe_load(output.read_text())["data"]
    kind = written.get("annotation", "label_maps")
    assert (kind if isinstance(kind, str) else kind["name"]) == tree.kind
    assert (written["train_split"], written["val_split"]) == tuple(own for own, _ in tree.splits)
    assert str(output) in said
    assert (output.parent / "mine_sheet.png").is_file()

    def build_anew(*_: Any) -> None:
        raise AssertionError("annotations are read again")

    monkeypatch.setattr("seg_training.datasets.presence_index._build", build_anew)
    module = module_of(output)
    module.prepare("fit")
    monkeypatch.undo()

    seen: set[int] = set()
    for split, images in tree.splits:
        files = module.dataset.files(split)
        assert len(files) == images
        for pair in files:
            number = int(Path(pair.image).stem.partition("_jpg")[0].removesuffix("_img")[-3:])
            if name != "parquet":  # whose rows have numbers of their own
                assert number not in seen
            seen.add(number)
            masks = module.tasks.truth(module.dataset.annotation(pair.label_map)).masks(
                torch.tensor(module.tasks.task_ids)
            )
            cat, dog = (module.task_names.index(own) for own in tree.names)
            has_dog = shows_dog(number)
            assert masks[cat, *CAT] == 1
            assert masks[dog, *DOG] == has_dog or (tree.kind == "panoptic" and not has_dog)
            assert masks[cat, *NEITHER] in (0, 255)
            if cat != dog:
                assert masks[dog, *CAT] == 0
                assert masks[cat, *DOG] in ((0, 255) if not has_dog else (0,))
    if name != "parquet":
        assert seen == set(range(12))


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES)
def test_each_tree_is_checked_trained_and_evaluated(
    name: str,
    tmp_path: Path,
    describe: Callable[..., tuple[str, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_of(name)
    monkeypatch.chdir(tmp_path)
    _, output = describe(make_tree(name, tmp_path))
    checked = run_script("check_dataset", "--config", str(output))
    assert checked.code == 0, checked.text
    trained = run_script("train", "--config", str(output), *SMALL, "run_dir=run")
    assert trained.code == 0, trained.text
    evaluated = run_script("eval", "--ckpt", "run", "--json", "result.json")
    assert evaluated.code == 0, evaluated.text
    result = yaml.safe_load(Path("result.json").read_text())
    assert set(result["per_class"]) >= set(TREES[name].names) - {"object"}
    assert result["num_masks"] > 0


@pytest.mark.parametrize(
    ("dataset", "splits", "images", "classes"),
    [
        ("camvid", ("train", "val"), (367, 101), 11),
        ("ccp", ("train", "val"), (717, 144), 58),
        ("ade20k_sample", ("train", "val"), (2, 1), 150),
    ],
)
def test_real_data(
    shared: Path,
    dataset: str,
    splits: tuple[str, str],
    images: tuple[int, int],
    classes: int,
    describe: Callable[..., tuple[str, Path]],
) -> None:
    said, output = describe(shared / "data" / dataset)
    module = module_of(output)
    assert (module.splits["fit"], module.splits["validate"]) == splits
    assert tuple(len(module.dataset.files(split)) for split in splits) == images
    assert len(module.task_names) == classes
    assert module.dataset.classes.other == {0}
    if dataset == "camvid":  # where 0 is the sky, which nothing in the folder says
        line = yaml.safe_load((output.parent / "mine_classes.yaml").read_text())
        assert line["other"] == [0]
        assert "assumed: 0 (in 467 images) is taken for background, no class; if not" in said


def pictures_alone(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / f"{number:03d}.jpg")


def archives(root: Path) -> None:
    write("PK", root / "a.zip")


def heic(root: Path) -> None:
    write("x", root / "IMG_1.HEIC")


def boxes(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / "images" / f"{number}.jpg")
        write("0 0.5 0.5 0.2 0.2\n", root / "labels" / f"{number}.txt")


def other_names(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / "images" / f"{number}.jpg")
        save(grey(label_map(number)), root / "masks" / f"label{number}.png")


def other_splits(root: Path) -> None:
    for split, number in numbered():
        save(photo(number), root / "images" / split / f"{number}.jpg")
        longer = {"train": "training", "val": "validation"}[split]
        save(grey(label_map(number)), root / "masks" / longer / f"{number}.png")


def one_pair(root: Path) -> None:
    save(photo(1), root / "images" / "a.jpg")
    save(grey(label_map(1)), root / "masks" / "a.png")


def damaged(root: Path) -> None:
    TREES["by_split"].make(root)
    write("no picture", root / "annotations" / "train" / "000.png")


def empty_maps(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / "images" / f"{number}.jpg")
        save(grey(label_map(number) * 0), root / "masks" / f"{number}.png")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (None, "does not exist; did you mean 'dotted'? Give the folder that holds images"),
        (lambda root: root.mkdir(), "no images in {root}: expected .jpg"),
        (pictures_alone, "holds 12 images and no annotations that are understood"),
        (archives, "holds archives and no pictures: a.zip. Unpack them first"),
        (heic, "pictures of kinds that are not read alone (.heic), IMG_1.HEIC for one"),
        (boxes, "the text files in labels hold boxes, and no outlines: boxes are no masks"),
        (other_names, "no annotation in {root} has the name of an image: there are images such as"),
        (other_splits, "in folders of other splits: images/train and masks/training, for one"),
        (one_pair, "has 1 image with annotation; expected two at least"),
        (damaged, "cannot read picture {root}/annotations/train/000.png: it is no picture"),
        (empty_maps, "show background alone (values 0): there is no class to find"),
    ],
)
def test_what_is_not_understood_is_one_clear_line(
    make: Callable[[Path], None] | None,
    message: str,
    tmp_path: Path,
    describe: Callable[..., tuple[str, Path]],
) -> None:
    (tmp_path / "dotted").mkdir()
    root = tmp_path / "doted"
    if make:
        make(root)
    said, output = describe(root, code=1)
    assert message.replace("{root}", str(root)) in said
    assert said.count("\n") == 0
    assert "Traceback" not in said
    assert not output.parent.exists()


def test_a_file_is_no_folder(tmp_path: Path, describe: Callable[..., tuple[str, Path]]) -> None:
    write("PK", tmp_path / "data.zip")
    said, _ = describe(tmp_path / "data.zip", code=1)
    assert "data.zip is a file; unpack it first, and give the folder" in said


def test_names_of_all_sorts(tmp_path: Path, describe: Callable[..., tuple[str, Path]]) -> None:
    """Upper case, spaces, letters beyond ASCII, and what systems leave in folders."""
    root = tmp_path / "meine Daten ä ${x}"
    for split, number in numbered():
        name = f"Bild Nr {number} ü"
        save(photo(number), root / "Bilder Images" / split.title() / f"{name}.JPG")
        save(grey(label_map(number)), root / "MASKS" / split.title() / f"{name}.PNG")
    for left in (".DS_Store", "__MACOSX/._a.jpg", "MASKS/Thumbs.db", "Bilder Images/.x.jpg"):
        write("x", root / left)
    _, output = describe(root)
    module = module_of(output)
    assert module.splits == {"fit": "Train", "validate": "Val"}
    assert [len(module.dataset.files(split)) for split in ("Train", "Val")] == [8, 4]


def test_two_kinds_at_once_and_what_is_not_annotated_are_said(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    TREES["roboflow"].make(root)
    for _, number in numbered():
        save(grey(label_map(number)), root / "masks" / f"{number:03d}_jpg.rf.0a1b2c.png")
    shutil.copy(root / "train" / "000_jpg.rf.0a1b2c.jpg", root / "train" / "new.jpg")
    said, output = describe(root)
    assert "note: masks holds label maps, too, of 12 images: left out" in said
    assert "note: 1 image without annotation left out, train/new.jpg for one" in said
    module = module_of(output)
    assert len(module.dataset.files("train")) == 8


def test_folders_of_any_name_are_told_by_their_looks(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    for _, number in numbered():
        save(photo(number), root / "one" / f"{number:03d}.png")
        save(grey(label_map(number)), root / "two" / f"{number:03d}.png")
    _, output = describe(root)
    written = yaml.safe_load(output.read_text())["data"]
    assert (written["images"], written["labels"]) == ("one", "two")


def test_names_that_mislead_give_way_to_looks(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    for _, number in numbered():
        save(photo(number), root / "to annotate labels" / f"{number:03d}.png")
        save(grey(label_map(number)), root / "labels" / f"{number:03d}.png")
    _, output = describe(root)
    assert yaml.safe_load(output.read_text())["data"]["images"] == "to annotate labels"


def test_masks_of_roboflow_with_their_table(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    for split, number in numbered():
        name = f"{number:03d}_jpg.rf.0a1b2c"
        save(photo(number), root / split / f"{name}.jpg")
        save(grey(label_map(number)), root / split / f"{name}_mask.png")
        table = "Pixel Value, Class\n0, background\n1, cat\n2, dog\n"
        write(table, root / split / "_classes.csv")
    said, output = describe(root)
    assert module_of(output).task_names == ("cat", "dog")
    assert "assumed" not in said


def test_two_folders_of_images_and_one_is_taken(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    for place, numbers in (("Urban", range(8)), ("Rural", range(8, 12))):
        for number in numbers:
            save(photo(number), root / place / "images_png" / f"{number:03d}.png")
            save(grey(label_map(number)), root / place / "masks_png" / f"{number:03d}.png")
    said, output = describe(root)
    assert "note: Rural/masks_png holds label maps, too, of 4 images: left out" in said
    assert yaml.safe_load(output.read_text())["data"]["images"] == "Urban/images_png"


def test_coco_files_of_two_people_in_one_folder(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    for person, numbers in (("ann", range(7)), ("bob", range(7, 12))):
        for number in numbers:
            save(photo(number), root / "images" / f"{number:03d}.jpg")
        content = coco(numbers, lambda _, name: [polygon(name)], "{number:03d}.jpg")
        write(json.dumps(content), root / "exports" / f"{person}.json")
    _, output = describe(root)
    assert yaml.safe_load(output.read_text())["data"]["labels"] == "exports"
    module = module_of(output)
    assert [len(module.dataset.files(split)) for split in ("train", "val")] == [10, 2]


def test_coco_files_of_splits_beside_one_folder_of_images(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    for split, numbers in (("train", range(8)), ("val", range(8, 12))):
        for number in numbers:
            save(photo(number), root / "images" / f"{number:03d}.jpg")
        content = coco(numbers, lambda _, name: [polygon(name)], "images/{number:03d}.jpg")
        write(json.dumps(content), root / f"{split}.json")
    said, output = describe(root)
    assert "without annotation" not in said
    module = module_of(output)
    assert [len(module.dataset.files(split)) for split in ("train", "val")] == [8, 4]


def test_a_damaged_coco_file_is_named(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    """Not left out with all of its split's images, beside a split that can be read."""
    root = make_tree("roboflow", tmp_path)
    [file] = (root / "train").glob("*.json")
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    answer = run_script("describe_dataset", str(root), "--output", str(tmp_path / "out.yaml"))
    assert answer.code == 1
    assert f"cannot read {file}: " in answer.text
    assert answer.text.endswith(
        "Files of other splits are named like it and can be read; mend it, or take it away"
    )
    assert not (tmp_path / "out.yaml").exists()
    # Where it may be anything, it is left out, and that is said.
    file.write_text(whole)
    (root / "tool.json").write_text("{")
    said, _ = describe(root)
    assert "tool.json cannot be read (Expecting property name" in said
    for each in root.rglob("_annotations*"):
        each.unlink()
    answer = run_script("describe_dataset", str(root), "--output", str(tmp_path / "out.yaml"))
    assert f"no annotations found in {root}: tool.json cannot be read" in answer.text


def test_yolo_writes_no_file_where_there_is_no_object(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = make_tree("yolo", tmp_path)
    save(photo(1), root / "images" / "train" / "empty.jpg")
    said, output = describe(root)
    assert "without annotation" not in said
    assert len(module_of(output).dataset.files("train")) == 9


@pytest.mark.parametrize(
    ("file", "text", "names", "said"),
    [
        ("my-dataset.yml", "names: {0: lynx, 1: wolf}\n", ("lynx", "wolf"), ""),
        ("data.yaml", "names: [no, 12:30]\n", ("no", "12:30"), ""),
        ("data.yaml", "names: {0: null, 1: 1.10}\n", ("null", "1.10"), ""),
        ("classes.txt", "lynx\nwolf\n", ("lynx", "wolf"), "those of classes.txt"),
        ("notes.txt", "lynx\n", ("class_0", "class_1"), "nothing names YOLO's numbers"),
    ],
)
def test_names_of_yolo(
    file: str,
    text: str,
    names: tuple[str, str],
    said: str,
    tmp_path: Path,
    describe: Callable[..., tuple[str, Path]],
) -> None:
    root = make_tree("yolo", tmp_path)
    (root / "data.yaml").unlink()
    write(text, root / file)
    answer, output = describe(root)
    assert said in answer
    assert module_of(output).task_names == names


def test_classes_can_be_renamed_and_left_out(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    """Of annotations that name their classes: the first line of the file says how."""
    _, output = describe(make_tree("roboflow", tmp_path))
    classes = output.parent / "mine_classes.yaml"
    assert "; a name of your own goes before it: my name;its name\n" in classes.read_text()
    classes.write_text("classes: {3: lynx;cat}\n")
    module = module_of(output)
    assert module.task_names == ("lynx",)
    (pair, *_) = module.dataset.files("train")
    truth = module.tasks.truth(module.dataset.annotation(pair.label_map))
    assert truth.masks(torch.tensor([0]))[0, *CAT] == 1


def test_an_unannotated_image_is_in_no_list(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = make_tree("labelme", tmp_path)
    (root / "003.json").unlink()
    said, output = describe(root)
    assert "note: 1 image without annotation left out, 003.jpg for one (annotate them)" in said
    module = module_of(output)
    assert sum(len(module.dataset.files(split)) for split in ("train", "val")) == 11


def test_masks_of_one_class_are_named_by_their_folder(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    for _, number in numbered():
        save(photo(number), root / "images" / f"{number:03d}.jpg")
        save(grey(mask_of(number, "cat") * 255), root / "glass_masks" / f"{number:03d}.png")
    _, output = describe(root)
    assert module_of(output).task_names == ("glass",)


def test_colours_without_a_table_get_one(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    root = tmp_path / "data"
    TREES["colours_of_cvat"].make(root)
    (root / "labelmap.txt").unlink()
    said, output = describe(root)
    assert "no table says what the 3 colours mean" in said
    table = yaml.safe_load(output.read_text())["data"]["annotation"]["table"]
    assert table == {
        "background": [0, 0, 0],
        "class_1": [0, 128, 0],
        "class_2": [128, 0, 0],
    }
    assert module_of(output).task_names == ("class_1", "class_2")


def test_ends_of_names_that_are_no_words(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]]
) -> None:
    """CamVid as its authors give it: ``0001TP_000000_L.png``, in colours."""
    root = tmp_path / "data"
    for _, number in numbered():
        save(photo(number), root / "701_StillsRaw_full" / f"0001TP_{number:06d}.png")
        colours = np.zeros((*label_map(number).shape, 3), np.uint8)
        colours[mask_of(number, "cat")] = (128, 0, 0)
        folder = root / "LabeledApproved_full"
        save(Image.fromarray(colours), folder / f"0001TP_{number:06d}_L.png")
    write("0 0 0\tVoid\n128 0 0\tBuilding\n", root / "label_colors.txt")
    _, output = describe(root)
    written = yaml.safe_load(output.read_text())["data"]
    assert (written["labels"], written["label_suffix"]) == ("LabeledApproved_full", "_L")
    assert module_of(output).task_names == ("Building",)


def test_nothing_is_lost_and_nothing_is_written_into_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree("by_split", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_script("describe_dataset", "by_split").code == 0
    Path("by_split_classes.yaml").write_text("classes: {1: mine}\n")
    again = run_script("describe_dataset", "by_split")
    assert (again.code, "--overwrite replaces it" in again.text) == (1, True)
    assert Path("by_split_classes.yaml").read_text() == "classes: {1: mine}\n"
    assert run_script("describe_dataset", "by_split", "--overwrite").code == 0
    inside = run_script("describe_dataset", "by_split", "--output", "by_split/a.yaml")
    assert "lies in the dataset's folder, which nothing is written to" in inside.text
    monkeypatch.chdir(root)
    assert run_script("describe_dataset", ".").code == 1
    shipped = run_script("describe_dataset", ".", "--output", str(tmp_path / "demo.yaml"))
    assert "has the name of a config of the project" in shipped.text


def test_what_is_held_out_of_training_is_the_experiments() -> None:
    config = yaml.safe_load((REPOSITORY / "configs" / "folder_adapter.yaml").read_text())
    assert config["data"]["calibration_share"] == CALIBRATION_SHARE


@pytest.mark.parametrize("images", [2, 3])
def test_few_images_get_a_smaller_batch(
    tmp_path: Path, describe: Callable[..., tuple[str, Path]], images: int
) -> None:
    root = tmp_path / "data"
    for number in range(images):
        save(photo(number), root / "images" / f"{number:03d}.jpg")
        save(grey(mask_of(number, "cat") * 255), root / "masks" / f"{number:03d}.png")
    _, output = describe(root)
    assert config_of(output)["data"]["batch_size"] == 1  # of two for training, one is held out
