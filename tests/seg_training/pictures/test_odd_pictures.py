"""Pictures that training would read wrongly are named before it starts, and by the audit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seg_training.audit.audit_findings import Problem
from seg_training.audit.dataset_audit import audit_split
from seg_training.datasets import presence_index as index_module
from seg_training.datasets.annotations import LabelMap
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.image_and_labels import read_pair
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import presence_index
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

SIDEWAYS = 6


@pytest.fixture
def root(fake_folder: Callable[..., Path]) -> Path:
    return fake_folder(num_train=3, num_val=1)


@pytest.fixture
def dataset(root: Path, fake_classes: dict[str, Any]) -> Folder:
    return Folder(root, fake_classes)


@pytest.fixture
def problems(dataset: Folder) -> Callable[[], list[Problem]]:
    return lambda: list(audit_split(dataset, TaskTable(dataset.classes), "train").problems)


def index_of(dataset: Folder) -> index_module.PresenceIndex:
    return presence_index(dataset, "train", progress=False)


def replace_image(root: Path, picture: Image.Image, suffix: str = "png", **options: Any) -> str:
    """Exchange training image 01 by another picture of its size."""
    (root / "images" / "train" / "01.jpg").unlink()
    picture.save(root / "images" / "train" / f"01.{suffix}", **options)
    return f"images/train/01.{suffix}"


def noise(root: Path) -> NDArray[np.uint8]:
    with Image.open(root / "annotations" / "train" / "01.png") as label_map:
        shape = (label_map.height, label_map.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    ("suffix", "options"), [("tif", {}), ("webp", {"lossless": True}), ("png", {})]
)
def test_an_image_of_several_frames_is_refused_by_name(
    dataset: Folder,
    root: Path,
    problems: Callable[[], list[Problem]],
    suffix: str,
    options: dict[str, Any],
) -> None:
    frames = [Image.fromarray(np.roll(noise(root), k, axis=0)) for k in range(3)]
    file = replace_image(
        root, frames[0], suffix, save_all=True, append_images=frames[1:], **options
    )
    with pytest.raises(UserError, match=rf"image .*{file} has 3 frames or pages; expected one"):
        index_of(dataset)
    (problem,) = problems()
    assert (problem.kind, problem.severity) == ("several_frames", "error")
    assert problem.message.startswith("images of several frames or pages: 1. ")
    assert problem.files == {file: f"{file}: 3 frames or pages"}


def test_the_preview_in_a_phones_picture_is_no_second_frame(
    dataset: Folder, root: Path, problems: Callable[[], list[Problem]]
) -> None:
    photo = Image.fromarray(noise(root))
    replace_image(
        root, photo, "jpg", format="MPO", save_all=True, append_images=[photo.resize((8, 8))]
    )
    assert len(index_of(dataset)) == 3
    assert problems() == []


@pytest.mark.parametrize("kind", ["12 bit", "12 bit of three channels", "float"])
def test_images_whose_white_is_not_known_are_refused_before_the_training(
    dataset: Folder, root: Path, problems: Callable[[], list[Problem]], kind: str
) -> None:
    values = noise(root).astype(np.uint16) * 16
    file = root / "images" / "train" / "01.tif"
    (root / "images" / "train" / "01.jpg").unlink()
    if kind == "float":
        Image.fromarray(values[..., 0].astype(np.float32)).save(file)
    else:
        cv2.imwrite(str(file), values if "three" in kind else values[..., 0])
    with pytest.raises(UserError, match=r"cannot read image .*train/01\.tif: .*not certain how"):
        index_of(dataset)
    (problem,) = problems()
    assert (problem.kind, list(problem.files)) == ("unreadable_image", ["images/train/01.tif"])


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 12), (100, 120), (255, 255)])
def test_the_audit_warns_of_images_of_a_tiny_range(
    dataset: Folder, root: Path, problems: Callable[[], list[Problem]], low: int, high: int
) -> None:
    values = low + noise(root) % (high - low + 1)
    file = replace_image(root, Image.fromarray(values.astype(np.uint8)))
    (problem,) = problems()
    assert (problem.kind, problem.severity) == ("tiny_range", "warning")
    assert problem.message.startswith("images of nearly one brightness: 1. ")
    assert problem.files == {file: f"{file}: {low} to {high} of 0 to 255"}
    assert len(index_of(dataset)) == 3


def test_a_label_map_that_fits_the_picture_before_it_is_turned_is_said(
    dataset: Folder, root: Path, problems: Callable[[], list[Problem]]
) -> None:
    picture = Image.fromarray(noise(root))
    file = replace_image(root, picture, "jpg", exif=turned(SIDEWAYS))
    width, height = picture.size
    words = (
        f"it fits the picture as it is stored, before its EXIF orientation {SIDEWAYS} turns it. "
        "Turn the label map, too, or save the picture without the tag"
    )
    with pytest.raises(UserError, match=words):
        index_of(dataset)
    (problem,) = problems()
    assert problem.kind == "size_mismatch"
    assert problem.files["annotations/train/01.png"] == (
        f"annotations/train/01.png is {width}x{height}, its image {file} {height}x{width}; {words}"
    )


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_an_orientation_that_the_size_does_not_check_is_a_warning(
    dataset: Folder, root: Path, problems: Callable[[], list[Problem]], orientation: int
) -> None:
    file = replace_image(root, Image.fromarray(noise(root)), "jpg", exif=turned(orientation))
    (problem,) = problems()
    assert (problem.kind, problem.severity) == ("unchecked_orientation", "warning")
    assert problem.files == {file: f"{file}: EXIF orientation {orientation}"}
    assert "must fit the picture as a viewer shows it" in problem.message
    # A label map that has the same tag was made from the same file.
    label_map = root / "annotations" / "train" / "01.png"
    with Image.open(label_map) as labels:
        labels.load()
    labels.save(label_map, exif=turned(orientation))
    assert problems() == []


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_and_its_label_map_are_turned_alike(
    dataset: Folder,
    root: Path,
    problems: Callable[[], list[Problem]],
    orientation: int,
    suffix: str,
) -> None:
    label_map = root / "annotations" / "train" / "01.png"
    labels = np.asarray(Image.open(label_map))
    label_map.unlink()
    shown = (labels * 20)[..., None].repeat(3, axis=2)
    replace_image(root, Image.fromarray(shown), suffix, exif=turned(orientation))
    Image.fromarray(labels).save(label_map.with_suffix(f".{suffix}"), exif=turned(orientation))
    pixels, annotation = read_pair(dataset, index_of(dataset), 1)
    assert isinstance(annotation, LabelMap)
    own = annotation.values
    assert own.shape == (labels.shape if orientation < 5 else labels.shape[::-1])
    np.testing.assert_array_equal(pixels[..., 0], own * 20)
    assert problems() == []


def test_indexes_of_before_are_built_anew(
    dataset: Folder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_VERSION", "2")
    before = index_of(dataset).fingerprint
    monkeypatch.undo()
    assert index_of(dataset).fingerprint != before


def test_large_pictures_are_read_where_the_config_says_so(
    root: Path, fake_classes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # every image has more than twice as many
    settings = {
        **{"dataset": "folder", "root": str(root), "classes": fake_classes, "num_workers": 0},
        **{"train_split": "train", "val_split": "val", "batch_size": 1, "crop_size": [32, 32]},
    }
    data = build_data_module(settings, {"classes": "all"}, 0)
    with pytest.raises(
        UserError, match=r"it has 3,072 pixels, more than 2,000\. .*data\.max_pixels"
    ):
        data.setup("fit")
    data = build_data_module({**settings, "max_pixels": 4000}, {"classes": "all"}, 0)
    data.setup("fit")
    assert len(data.training_samples()[next(iter(data.training_sampler()))[0]].image) == 3
    for wrong in (0, 1.5, "many"):
        with pytest.raises(UserError, match=r"data\.max_pixels=.*: expected a whole number"):
            build_data_module({**settings, "max_pixels": wrong}, {"classes": "all"}, 0)
