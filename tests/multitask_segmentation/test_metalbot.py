import re
from pathlib import Path

import numpy as np
import pytest
from fake_datasets import metalbot

from multitask_segmentation.metalbot import Metalbot
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import read_image

FILES = [ImageFiles(f"000{number}.jpg", "") for number in range(4)]


@pytest.fixture
def dataset(tmp_path: Path) -> Metalbot:
    metalbot.make(tmp_path)
    return Metalbot(tmp_path)


def test_every_split_lists_the_pictures(dataset: Metalbot) -> None:
    for split in ("test", "anything"):
        assert dataset.pair(split) == (FILES, [], [])
        assert dataset.files(split) == FILES


def test_the_pictures_are_read_from_the_root(dataset: Metalbot) -> None:
    sizes = [read_image(dataset.root / image).shape for image, _ in FILES]
    assert sizes == [(48, 64, 3), (60, 52, 3), (44, 72, 3), (48, 64, 3)]


def test_other_files_are_passed_over_and_folders_are_searched(dataset: Metalbot) -> None:
    (dataset.root / "notes.txt").touch()
    (dataset.root / "more").mkdir()
    (dataset.root / "0003.jpg").rename(dataset.root / "more" / "0003.jpg")
    assert [image for image, _ in dataset.files("test")][-1] == "more/0003.jpg"
    assert len(dataset.files("test")) == 4


def test_the_pictures_may_lie_in_a_folder(dataset: Metalbot) -> None:
    parent = Metalbot(dataset.root.parent, images=dataset.root.name)
    assert parent.files("test")[0] == ImageFiles(f"{dataset.root.name}/0000.jpg", "")


def test_there_are_no_label_maps(dataset: Metalbot) -> None:
    assert not dataset.labelled
    message = f"metalbot ({dataset.root}) has no label maps: it is for prediction only"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        _ = dataset.classes
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        dataset.read_label_map("")


def test_a_missing_root_asks_for_data_root(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist; set data\.root"):
        Metalbot(tmp_path / "nowhere").files("test")


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no file of \.jpg"):
        Metalbot(tmp_path).files("test")


def test_pictures_show_what_they_were_drawn_from(dataset: Metalbot) -> None:
    # Cells of one label have one colour, up to noise and compression.
    image = read_image(dataset.root / "0000.jpg").astype(float)
    cells = image[4:20, 4:28], image[28:44, 36:60]
    means = [cell.mean(axis=(0, 1)) for cell in cells]
    assert all(cell.std(axis=(0, 1)).max() < 15 for cell in cells)
    assert np.abs(means[0] - means[1]).max() > 30
