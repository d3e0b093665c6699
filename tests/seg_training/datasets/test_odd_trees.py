"""What lies in folders besides pictures, and how folders are put together: links, hidden files."""

import logging
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import cityscapes, coco
from PIL import Image

from multitask_segmentation.cityscapes import Cityscapes
from multitask_segmentation.coco import COCO
from seg_training.audit.dataset_audit import audit_split
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import presence_index
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import read_image
from seg_training.prediction.pictures_to_paint import find_pictures
from seg_training.tasks import TaskTable

NOT_UTF8 = os.fsdecode(b"\xe9t\xe9")  # as an older Windows wrote it
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
SYSTEM_NAMES = [".hidden", ".ipynb_checkpoints", "@eaDir", "__MACOSX", "$RECYCLE.BIN", "#recycle"]
SYSTEM_NAMES += ["@Recently-Snapshot", "@SynoResource", "_gsdata_"]


@pytest.fixture
def root(fake_folder: Callable[..., Path]) -> Path:
    return fake_folder(num_train=4, num_val=1)


@pytest.fixture
def dataset(root: Path, fake_classes: dict[str, Any]) -> Folder:
    return Folder(root, fake_classes)


def both(root: Path) -> list[tuple[Path, str]]:
    """The training folders of images and label maps, with their files' suffix."""
    return [(root / "images" / "train", ".jpg"), (root / "annotations" / "train", ".png")]


def stems(dataset: Folder) -> list[str]:
    found = [pair.image for pair in dataset.files("train")]
    assert all(Path(file).suffix == ".jpg" for file in found)
    return [file.removeprefix("images/train/").removesuffix(".jpg") for file in found]


def test_folders_that_are_links_are_searched(dataset: Folder, root: Path, tmp_path: Path) -> None:
    for folder, suffix in both(root):
        elsewhere = tmp_path / "elsewhere" / folder.parent.name
        elsewhere.mkdir(parents=True)
        for name in ("02", "03"):
            (folder / f"{name}{suffix}").rename(elsewhere / f"{name}{suffix}")
        (folder / "town").symlink_to(elsewhere)
        (folder / f"01{suffix}").rename(elsewhere.parent / f"one{suffix}")
        (folder / f"01{suffix}").symlink_to(elsewhere.parent / f"one{suffix}")
    assert stems(dataset) == ["00", "01", "town/02", "town/03"]
    pictures = find_pictures([str(root / "images" / "train")])
    assert list(pictures.values()) == ["00", "01", "town/02", "town/03"]
    assert len(presence_index(dataset, "train", progress=False)) == 4


def test_a_city_that_is_a_link_is_searched(tmp_path: Path) -> None:
    cityscapes.make(tmp_path / "data")
    for kind in ("leftImg8bit", "gtFine"):
        city = tmp_path / "data" / kind / "train" / "bochum"
        city.rename(tmp_path / f"{kind}_bochum")
        city.symlink_to(tmp_path / f"{kind}_bochum")
    files = Cityscapes(tmp_path / "data").files("train")
    assert [Path(image).parent.name for image, _ in files] == ["aachen"] * 3 + ["bochum"] * 3


def test_loops_of_links_end(dataset: Folder, root: Path) -> None:
    for folder, _ in both(root):
        (folder / "again").symlink_to(folder)
        (folder / "up").symlink_to("../train")
        (folder / "itself").symlink_to("itself.loop")
        (folder / "itself.loop").symlink_to("itself")
    with pytest.raises(UserError, match=r"images/train/itself: .*link"):
        dataset.files("train")
    for folder, _ in both(root):
        (folder / "itself").unlink()
        (folder / "itself.loop").unlink()
    assert stems(dataset) == ["00", "01", "02", "03"]
    photos = root / "images" / "train"
    shutil.rmtree(root / "images" / "val")
    for given in (photos, photos / "**" / "*.jpg", photos / "**", root / "im*" / "**" / "0[0-3]*"):
        own = list(find_pictures([str(given)]))
        assert own == [photos / f"0{number}.jpg" for number in range(4)]


@pytest.mark.parametrize("target", ["..", "../..", "town", "../../..", "../../../.."])
def test_links_to_folders_above_bring_nothing_in(
    dataset: Folder, root: Path, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the images of a validation split, above all."""
    for folder, _ in both(root):
        (folder / "town").mkdir()
        (folder / "town" / "up").symlink_to(Path("..", target))
    with caplog.at_level(logging.WARNING):
        assert stems(dataset) == ["00", "01", "02", "03"]
    assert f"links that are not followed: 1, {root}/images/train/town/up for one" in caplog.text
    caplog.clear()
    pictures = find_pictures([str(root / "images" / "train")])
    assert list(pictures.values()) == ["00", "01", "02", "03"]
    assert "links that are not followed: 1" in caplog.text


def test_a_folder_that_is_a_link_itself_knows_what_lies_above_both(
    dataset: Folder, root: Path, tmp_path: Path
) -> None:
    for folder, _ in both(root):
        real = tmp_path / "real" / folder.parent.name
        real.mkdir(parents=True)
        folder.rename(real / "train")
        folder.symlink_to(real / "train")
        (folder / "up").symlink_to("..")
        (folder / "as seen").symlink_to(folder.parent)
        (real / "other").mkdir()
    shutil.copy(root / "images" / "train" / "00.jpg", tmp_path / "real" / "images" / "other.jpg")
    assert stems(dataset) == ["00", "01", "02", "03"]


def test_a_folder_that_several_links_lead_to_is_taken_once(dataset: Folder, root: Path) -> None:
    for folder, suffix in both(root):
        for name, own in (("a", "00"), ("b", "01")):
            (folder / name).mkdir()
            (folder / f"{own}{suffix}").rename(folder / name / f"{own}{suffix}")
        (folder / "a" / "b").symlink_to("../b")
        (folder / "b" / "a").symlink_to("../a")
        (folder / "0").symlink_to("a")
    assert stems(dataset) == ["02", "03", "a/00", "b/01"]
    pictures = find_pictures([str(root / "images" / "train")])
    assert list(pictures.values()) == ["02", "03", "a/00", "b/01"]


def test_label_maps_may_serve_two_folders_of_images(dataset: Folder, root: Path) -> None:
    """Of one place by day and by night."""
    (images, _), (labels, _) = both(root)
    for folder in (images, labels):
        (folder / "day").mkdir()
        for file in [path for path in folder.iterdir() if path.is_file()]:
            file.rename(folder / "day" / file.name)
    shutil.copytree(images / "day", images / "night")
    (labels / "night").symlink_to("day")
    assert len(stems(dataset)) == 8


@pytest.mark.parametrize("name", SYSTEM_NAMES)
def test_what_systems_leave_in_folders_is_never_data(
    dataset: Folder, root: Path, name: str
) -> None:
    for folder, suffix in both(root):
        shutil.copytree(folder, folder / name, ignore=shutil.ignore_patterns(name))
        shutil.copytree(folder / name, folder / "town" / name)
        (folder / f"._00{suffix}").write_bytes(b"no picture")
        (folder / f"~$0{suffix}").write_bytes(b"no picture")
        for other in ("Thumbs.db", "desktop.ini", ".DS_Store"):
            (folder / other).write_bytes(b"no picture")
        (folder / f"a{suffix}").mkdir()
    assert stems(dataset) == ["00", "01", "02", "03"]
    photos = root / "images" / "train"
    by_shell = [str(path) for path in photos.iterdir() if not path.name.startswith(".")]
    for given in ([str(photos)], [str(photos / "**" / "*.jpg")]):
        assert list(find_pictures(given).values()) == ["00", "01", "02", "03"]
    by_shell = [each for each in by_shell if Path(each).name not in ("a.jpg", "town")]
    assert sorted(find_pictures(by_shell).values()) == ["00", "01", "02", "03"]


def test_a_hidden_or_system_folder_that_is_named_is_searched(root: Path) -> None:
    for name in (".hidden", "@eaDir"):
        (root / "images" / "train").rename(root / name)
        assert len(find_pictures([str(root / name)])) == 4
        assert len(find_pictures([str(root / name / "*.jpg")])) == 4
        assert len(find_pictures([str(root / name / "**" / "*.jpg")])) == 4
        (root / name).rename(root / "images" / "train")


@pytest.mark.parametrize("name", ["town", "v1.0"])
def test_a_link_that_leads_nowhere_may_be_a_folder_and_is_named(
    dataset: Folder, root: Path, name: str
) -> None:
    (root / "images" / "train" / name).symlink_to("/mnt/elsewhere")
    (root / "images" / "train" / "notes.txt").symlink_to("/mnt/elsewhere.txt")
    message = rf"images/train/{name}: .*link to /mnt/elsewhere, which is not there"
    with pytest.raises(UserError, match=message):
        dataset.files("train")
    found = find_pictures([str(root / "images" / "train")])
    assert [file.name for file in found] == ["00.jpg", "01.jpg", "02.jpg", "03.jpg", name]
    with pytest.raises(UserError, match=r"is a link to /mnt/elsewhere, which is not there"):
        read_image(list(found)[-1])


def test_an_image_that_is_a_broken_link_is_named(dataset: Folder, root: Path) -> None:
    image = root / "images" / "train" / "01.jpg"
    image.unlink()
    image.symlink_to("/mnt/gone.jpg")
    message = r"image .*train/01\.jpg is a link to /mnt/gone\.jpg, which is not there"
    with pytest.raises(UserError, match=message):
        presence_index(dataset, "train", progress=False)


def test_a_folder_that_may_not_be_read_is_named(
    dataset: Folder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = root / "images" / "train" / "town"
    locked.mkdir()
    scandir = os.scandir

    def guarded(path: Any) -> Any:  # root may read all
        if not isinstance(path, int) and Path(os.fsdecode(path)) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(UserError, match=r"images/train/town: Permission denied"):
        dataset.files("train")
    found = find_pictures([str(root / "images" / "train")])
    assert list(found.values()) == ["00", "01", "02", "03", "town"]


def test_two_unicode_forms_of_a_name_are_one_name(dataset: Folder, root: Path) -> None:
    (images, _), (labels, _) = both(root)
    (images / "01.jpg").rename(images / f"{COMPOSED}.jpg")
    (labels / "01.png").rename(labels / f"{DECOMPOSED}.png")
    (images / DECOMPOSED).mkdir()
    (labels / COMPOSED).mkdir()
    (images / "02.jpg").rename(images / DECOMPOSED / "02.jpg")
    (labels / "02.png").rename(labels / COMPOSED / "02.png")
    pairs = dataset.files("train")
    assert (f"images/train/{COMPOSED}.jpg", f"annotations/train/{DECOMPOSED}.png") in pairs
    assert (
        f"images/train/{DECOMPOSED}/02.jpg",
        f"annotations/train/{COMPOSED}/02.png",
    ) in pairs
    assert len(presence_index(dataset, "train", progress=False)) == 4
    shutil.copy(images / f"{COMPOSED}.jpg", images / f"{DECOMPOSED}.jpg")
    with pytest.raises(UserError, match=r"have the same name, in two Unicode forms; keep one"):
        dataset.files("train")


@pytest.mark.parametrize(("there", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_another_unicode_form_of_a_folders_name_is_said(
    dataset: Folder, root: Path, there: str, asked: str
) -> None:
    for folder, _ in both(root):
        folder.rename(folder.with_name(there))
    with pytest.raises(UserError, match=r"does not exist; .* another Unicode form") as caught:
        dataset.files(asked)
    assert f"another Unicode form ({there!a}, not {asked!a})?" in str(caught.value)
    with pytest.raises(UserError, match="another Unicode form"):
        find_pictures([str(root / "images" / asked)])


def test_two_unicode_forms_of_a_name_are_one_name_in_cocos_list(tmp_path: Path) -> None:
    coco.make(tmp_path)
    listed = next((tmp_path / "annotations").glob("instances_val*.json"))
    image = sorted((tmp_path / "val2017").glob("*.jpg"))[0]
    text = listed.read_text().replace(f'"{image.name}"', f'"{DECOMPOSED}.jpg"')
    listed.write_text(text)
    image.rename(image.with_stem(COMPOSED))
    before = len(COCO(tmp_path).pair("val").files)
    names = [pair.image for pair in COCO(tmp_path).pair("val").files]
    assert f"val2017/{COMPOSED}.jpg" in names
    assert len(presence_index(COCO(tmp_path), "val", progress=False)) == before


@pytest.mark.parametrize(
    "name",
    [
        NOT_UTF8,
        f"{NOT_UTF8}/00",
        "two\nlines",
        "tab\tand\x1b[31mred",
        "[a]*?",
        "{split}",
        "a" * 251,
    ],
    ids=["not UTF-8", "folder not UTF-8", "newline", "control", "pattern", "braces", "long"],
)
def test_any_name_that_a_file_may_have_is_kept(dataset: Folder, root: Path, name: str) -> None:
    for folder, suffix in both(root):
        target = folder / f"{name}{suffix}"
        target.parent.mkdir(exist_ok=True)
        (folder / f"01{suffix}").rename(target)
    assert name in stems(dataset)
    for _ in range(2):  # built, then from the cache
        index = presence_index(dataset, "train", progress=False)
        position = index.images.tolist().index(f"images/train/{name}.jpg")
        assert index.name(position) == name
        assert len(index.content) == 64
    file = root / "images" / "train" / f"{name}.jpg"
    assert file in find_pictures([str(root / "images" / "train")])
    assert list(find_pictures([str(file)])) == [file]


def test_suffixes_may_be_upper_case(tmp_path: Path, dataset: Folder, root: Path) -> None:
    (images, _), (labels, _) = both(root)
    for name, suffix in (("00", ".JPG"), ("01", ".JPEG"), ("02", ".Jpg")):
        (images / f"{name}.jpg").rename(images / f"{name}{suffix}")
    (labels / "00.png").rename(labels / "00.PNG")
    with Image.open(labels / "01.png") as label_map:
        label_map.save(labels / "01.TIF", format="TIFF")
    (labels / "01.png").unlink()
    assert [image for image, _ in dataset.files("train")][:3] == [
        f"images/train/{name}" for name in ("00.JPG", "01.JPEG", "02.Jpg")
    ]
    cityscapes.make(tmp_path / "streets")
    for file in (tmp_path / "streets" / "gtFine").rglob("*_labelIds.png"):
        file.rename(file.with_suffix(".PNG"))
    assert len(Cityscapes(tmp_path / "streets").files("train")) == 6


def test_names_that_differ_in_case_are_named(dataset: Folder, root: Path) -> None:
    (images, _), (labels, _) = both(root)
    (images / "01.jpg").rename(images / "Street.jpg")
    (labels / "01.png").rename(labels / "street.png")
    message = (
        r"expected .*annotations/train/Street\.png \(there is annotations/train/street\.png: "
        r"upper and lower case count\)"
    )
    with pytest.raises(UserError, match=message):
        dataset.files("train")


def test_twins_of_a_name_are_refused(dataset: Folder, root: Path) -> None:
    (images, _), (labels, _) = both(root)
    twin = shutil.copy(images / "01.jpg", images / "01.JPEG")
    with pytest.raises(UserError, match=r"01\.JPEG and .*01\.jpg have the same name; keep one"):
        dataset.files("train")
    Path(twin).unlink()
    shutil.copy(labels / "01.png", labels / "01.bmp")
    with pytest.raises(UserError, match=r"01\.bmp and .*01\.png have the same name; keep one"):
        dataset.files("train")


def test_pictures_of_kinds_that_are_not_read_are_said(
    dataset: Folder, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (images, _), (labels, _) = both(root)
    for name in ("a.heic", "b.HEIC", "c.gif"):
        (images / name).touch()
    (labels / "d.gif").touch()  # of no split's images: COCO's and Cityscapes' folders hold more
    words = "3 pictures of kinds that are not read are left out (.gif, .heic)"
    with caplog.at_level(logging.WARNING):
        assert stems(dataset) == ["00", "01", "02", "03"]
        assert f"{words}, {images}/a.heic for one" in caplog.text
        caplog.clear()
        find_pictures([str(images)])
        assert f"{words}, {images}/a.heic for one" in caplog.text
    problems = audit_split(dataset, TaskTable(dataset.classes), "train").problems
    (problem,) = [each for each in problems if each.kind == "unread_kind"]
    assert problem.severity == "warning"
    assert problem.message.startswith("pictures of kinds that are not read: 3. Save them as PNG")
    assert list(problem.files) == [f"images/train/{name}" for name in ("a.heic", "b.HEIC", "c.gif")]


def test_a_folder_that_cannot_be_looked_at_is_named(root: Path, fake_classes: Any) -> None:
    dataset = Folder(root, fake_classes, images="a" * 300)
    with pytest.raises(
        UserError, match=r"cannot look into .*aaa: File name too long\. Is data\.root"
    ):
        dataset.files("train")


def test_a_pattern_that_only_folders_match_says_so(root: Path) -> None:
    with pytest.raises(UserError, match=r"no file matches .*tr\*; .*images/train.* is a folder"):
        find_pictures([str(root / "images" / "tr*")])
