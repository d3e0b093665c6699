"""Names of splits in paths."""

import pytest

from seg_training.dataset_description.split_words import split_path, split_stem, training_first


@pytest.mark.parametrize(
    ("folder", "pattern", "split"),
    [
        ("images/train", "images/{split}", "train"),
        ("train/images", "{split}/images", "train"),
        ("Images/Validation/city", "Images/{split}/city", "Validation"),
        ("trainannot", "{split}annot", "train"),
        ("train_masks", "{split}_masks", "train"),
        ("images_val", "images_{split}", "val"),
        ("images/train2017", "images/{split}", "train2017"),
        ("test", "{split}", "test"),
        ("trains/a", "trains/a", ""),
        ("testament", "testament", ""),
        ("contest", "contest", ""),
        (".", ".", ""),
    ],
)
def test_folders(folder: str, pattern: str, split: str) -> None:
    assert split_path(folder) == (pattern, split)


@pytest.mark.parametrize(
    ("stem", "pattern", "split"),
    [
        ("instances_train2017", "instances_{split}", "train2017"),
        ("val", "{split}", "val"),
        ("trainval", "trainval", ""),
        ("instances_default", "instances_default", ""),
    ],
)
def test_documents(stem: str, pattern: str, split: str) -> None:
    assert split_stem(stem) == (pattern, split)


def test_training_comes_first_and_validation_before_test() -> None:
    splits = ["test", "other", "valid", "dev", "Training"]
    assert sorted(splits, key=training_first) == ["Training", "valid", "dev", "test", "other"]
