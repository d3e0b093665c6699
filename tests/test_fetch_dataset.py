"""Fetching a dataset as a user types it, from a server of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Publisher, serving
from own_process import REPOSITORY, Answer, run_script
from small_archives import draw, published

from seg_training.fetching.published_datasets import FETCHED


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.chdir(REPOSITORY)
    with serving(Publisher()) as served:
        yield served


@pytest.mark.parametrize(
    ("name", "licence"),
    {
        "ade20k": "ADE20K (SceneParse150): for non-commercial research and education; the terms",
        "camvid": "CamVid, as SegNet's authors keep it: for research; the terms are at http://mi",
        "coco": "COCO 2017: annotations CC BY 4.0, images each as on Flickr; the terms are at ht",
    }.items(),
    ids=["ade20k", "camvid", "coco"],
)
def test_a_dataset_is_fetched_and_checked(
    name: str,
    licence: str,
    publisher: Publisher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "my data, of 2026"
    dataset = published(name, draw(name, tmp_path / "drawn"), publisher)
    monkeypatch.setitem(FETCHED, name, dataset)
    experiment = dataset.experiment.removesuffix(".yaml")
    monkeypatch.chdir(tmp_path)
    for needed in ("configs", "train.py"):
        (tmp_path / needed).symlink_to(REPOSITORY / needed)
    for asked in (len(dataset.archives), 0):
        publisher.asked.clear()
        answer = run_script("fetch_dataset", name, "--root", str(root))
        assert len(publisher.asked) == asked
        assert answer.text.startswith(licence)
        assert (tmp_path / "outputs" / "check_dataset" / f"{experiment}.png").is_file()
        if answer.code == 0:
            assert answer.text.endswith(
                f"to train: python train.py --config {dataset.experiment} 'data.root={root}'\n"
            )
        else:  # the made-up ones have fewer images than a batch
            assert "Lower data.batch_size\n1 error, 0 warnings" in answer.text
    assert answer.code == (name == "coco")


def test_another_folder_than_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run_script("fetch_dataset", "camvid", "--root", "data")
    assert answer == Answer(1, f"error: run this in the project's folder, {REPOSITORY}")


def test_what_a_publisher_does_not_have_is_one_message(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = published("camvid", draw("camvid", tmp_path / "drawn"), publisher)
    monkeypatch.setitem(FETCHED, "camvid", dataset)
    publisher.files.clear()
    answer = run_script("fetch_dataset", "camvid", "--root", str(tmp_path / "data"))
    assert answer.code == 1
    assert "error: http://127.0.0.1:" in answer.text
    assert answer.text.endswith("Get it by hand from the dataset's page")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "error: which dataset? ade20k, camvid, coco (others: cityscapes, gdd, gta5, "),
        (["camvd"], "error: unknown dataset 'camvd'; did you mean 'camvid'? (can be fetched: ade"),
        (["camvid"], "error: where to? Add --root DIR, the folder that camvid is to have"),
        (["cityscapes", "--root", "a"], "want you to register: https://www.cityscapes-dataset.com"),
        (["floor"], "error: floor cannot be fetched by a command: the authors' own pictures are "),
    ],
)
def test_a_users_error_is_one_message(arguments: list[str], words: str) -> None:
    answer = run_script("fetch_dataset", *arguments)
    assert answer.code == 1
    assert words in answer.text
    assert answer.text.startswith("error: ")
    assert "\n" not in answer.text
