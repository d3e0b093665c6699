"""What is known of published datasets, and what is said of those that cannot be fetched."""

import re
from pathlib import Path

import pytest
from fake_datasets.configs import CONFIGS

from seg_training.errors import UserError
from seg_training.fetching.published_datasets import BY_HAND, FETCHED, find_dataset

DOCUMENT = (Path(__file__).parents[3] / "DATASET_PREPARATION.md").read_text(encoding="utf-8")


def test_every_dataset_is_fetched_or_says_where_it_is() -> None:
    """All that the document's table and the configs name."""
    named = {
        name
        for row in re.findall(r"^\| \[.*$", DOCUMENT, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row.split("|")[2])
    }
    configs = {file.stem for file in (CONFIGS / "data").glob("*.yaml")} - {"several"}
    assert {"ade20k", "gdd", "metalbot"} <= named
    assert named <= configs
    assert (FETCHED.keys() | BY_HAND.keys()) - {"camvid"} == configs


@pytest.mark.parametrize("name", BY_HAND)
def test_what_cannot_be_fetched_says_what_to_do(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} cannot be fetched by a command: .*layout"):
        find_dataset(name)
    for address in re.findall(r"https?://[^\s;,]+", BY_HAND[name]):
        page = re.sub(r"/(login/)?$", "", address)
        assert page in DOCUMENT, f"DATASET_PREPARATION.md has another page than {address}"


def test_names() -> None:
    assert find_dataset("ADE20K") is FETCHED["ade20k"]
    with pytest.raises(UserError, match=r"unknown dataset 'ade20'; did you mean 'ade20k'.* camv"):
        find_dataset("ade20")
    with pytest.raises(UserError, match=r"unknown dataset 'imagenet' \(can be fetched: ade20k, c"):
        find_dataset("imagenet")
    with pytest.raises(UserError, match=r"which dataset\? ade20k, camvid, coco \(others: citys"):
        find_dataset(None)


def test_the_archives_are_the_publishers() -> None:
    [ade20k] = FETCHED["ade20k"].archives
    assert ade20k.url == "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
    assert ade20k.sha1 == "219e1696abb36c8ba3a3afe7fb2f4b4606a897c7"
    counts = {
        name: {
            piece.target: piece.num_files
            for archive in dataset.archives
            for piece in archive.pieces
            if piece.num_files is not None
        }
        for name, dataset in FETCHED.items()
    }
    assert counts == {
        "ade20k": {
            "images/training": 20_210,
            "annotations/training": 20_210,
            "images/validation": 2_000,
            "annotations/validation": 2_000,
        },
        "camvid": {
            "images/train": 367,
            "annotations/train": 367,
            "images/val": 101,
            "annotations/val": 101,
            "images/test": 233,
            "annotations/test": 233,
        },
        "coco": {
            "annotations/instances_train2017.json": 1,
            "annotations/instances_val2017.json": 1,
            "train2017": 118_287,
            "val2017": 5_000,
        },
    }
    for dataset in FETCHED.values():
        assert (CONFIGS / dataset.experiment).is_file()
        assert dataset.page.removesuffix("#termsofuse") in DOCUMENT
