"""Where results go: what lies there already and is not ours stays as it is."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_networks import photo

from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.prediction import picture_prediction as prediction
from seg_training.prediction import result_writing as writing
from seg_training.prediction.picture_prediction import PredictionReport
from seg_training.prediction.pictures_to_paint import find_pictures

Predict = Callable[..., PredictionReport]


def draw(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(20, 30, seed)).save(file)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def is_whole(folder: Path) -> bool:
    names = {file.name for file in folder.iterdir()}
    return {"result.json", "overlay.png", "label_map.png"} <= names


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "own",
    [
        {"thesis.txt": "years of work"},
        {"result.json": "{}"},
        {"result.json": '{"classes": [], "accuracy": 1}'},
        {"result.json": "no JSON"},
        {"inner/deep.txt": "deep"},
        {"label_map.png": "of another program"},
    ],
)
def test_a_folder_of_the_users_is_left_and_named(
    own: dict[str, str], overwrite: bool, predict: Predict, tmp_path: Path
) -> None:
    here = draw(tmp_path / "here", "a.png", "b.png")
    for name, text in own.items():
        (here / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "a" / name).write_text(text)
    before = contents(here)
    pictures = [here / "a.png", here / "b.png"]
    report = predict(pictures, here, overwrite=overwrite)
    assert before.items() <= contents(here).items()
    assert report.written == [here / "b.png"]
    left = [*report.refused, *report.others]
    assert left == [here / "a.png"]
    if report.refused:
        assert f"cannot write {here / 'a'}: something else is there" in report.refused[left[0]]
    if overwrite:
        assert report.refused
    assert sorted(file.name for file in here.iterdir()) == ["a", "a.png", "b", "b.png"]


def test_an_empty_folder_of_the_name_is_taken(predict: Predict, tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    (tmp_path / "out" / "a").mkdir(parents=True)
    assert len(predict(tmp_path / "a.png", tmp_path / "out").written) == 1


@pytest.mark.parametrize("name", ["a.unfinished", ".unfinished", "a_jpg", "a.unfinished.png"])
def test_folders_of_names_like_ours_stay(name: str, predict: Predict, tmp_path: Path) -> None:
    here = draw(tmp_path / "here", "a.png")
    (here / name).mkdir()
    (here / name / "notes.txt").write_text("keep")
    assert len(predict(here / "a.png", here).written) == 1
    assert (here / name / "notes.txt").read_text() == "keep"


def test_no_result_lies_in_another(predict: Predict, tmp_path: Path) -> None:
    photos = draw(tmp_path / "photos", "trip.png", "trip/day1.png", "trip/day2.png")
    report = predict(photos, tmp_path / "out")
    assert len(report.written) == 3
    folders = [tmp_path / "out" / name for name in ("trip_png", "trip/day1", "trip/day2")]
    assert all(is_whole(folder) for folder in folders)
    again = predict(photos, tmp_path / "out")
    assert (len(again.kept), again.refused, again.others) == (3, {}, [])


def test_a_later_result_is_not_put_into_an_earlier_one(predict: Predict, tmp_path: Path) -> None:
    photos = draw(tmp_path / "photos", "trip.png")
    predict(photos, tmp_path / "out")
    draw(photos, "trip/day1.png")
    before = contents(tmp_path / "out")
    for overwrite in (False, True):
        report = predict(photos, tmp_path / "out", overwrite=overwrite)
        [(file, reason)] = report.refused.items()
        assert file == photos / "trip" / "day1.png"
        assert f"it lies in the result of another picture, {tmp_path / 'out' / 'trip'}" in reason
    assert before.items() <= contents(tmp_path / "out").items()
    with pytest.raises(UserError, match=r"lies in a picture's result, .*trip; give"):
        predict(photos, tmp_path / "out" / "trip")
    (tmp_path / "link").symlink_to(tmp_path / "out" / "trip")
    with pytest.raises(UserError, match=r"lies in a picture's result, .*trip; give"):
        predict(photos, tmp_path / "link")


def test_an_earlier_result_is_not_lost_to_one_that_would_hold_it(
    predict: Predict, tmp_path: Path
) -> None:
    photos = draw(tmp_path / "photos", "trip/day1.png")
    predict(photos, tmp_path / "out")
    before = contents(tmp_path / "out")
    draw(tmp_path / "more", "trip.png")
    report = predict(tmp_path / "more", tmp_path / "out", overwrite=True)
    assert "something else is there" in report.refused[tmp_path / "more" / "trip.png"]
    assert contents(tmp_path / "out") == before


def test_names_that_a_disk_takes_for_one_do_not_share_a_folder(
    predict: Predict, tmp_path: Path
) -> None:
    """As ``A`` and ``a`` are on some disks, and the two Unicode forms of an é: here by a link."""
    photos = draw(tmp_path / "photos", "A.png", "a.png")
    assert len(predict(photos, tmp_path / "apart").written) == 2
    out = tmp_path / "out"
    (out / "A").mkdir(parents=True)
    (out / "a").symlink_to("A")
    for overwrite in (False, True):
        report = predict(photos, out, overwrite=overwrite)
        [(file, reason)] = report.refused.items()
        assert file == photos / "a.png"
        assert (
            reason == f"cannot write {out / 'a'}: it has the result of {photos / 'A.png'} already"
        )
        assert json.loads((out / "A" / "result.json").read_text())["image"].endswith("A.png")


def test_what_a_person_put_into_a_result_stays(predict: Predict, tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    folder = tmp_path / "out" / "a"
    given = (tmp_path / "a.png", tmp_path / "out")
    predict(*given)
    (folder / "notes.txt").write_text("mine")
    (folder / "crops").mkdir()
    (folder / "crops" / "000_tree_mask.png").write_text("mine, too")
    predict(*given, classes=["car"], overwrite=True)
    assert sorted(file.name for file in folder.iterdir()) == [
        *("002_car_mask.png", "002_car_probability.png", "crops"),
        *("label_map.png", "notes.txt", "overlay.png", "result.json"),
    ]
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "crops" / "000_tree_mask.png").read_text() == "mine, too"
    assert predict(*given, classes=["car"]).kept == [tmp_path / "a.png"]


def test_a_file_of_a_person_with_a_name_of_ours_stays(predict: Predict, tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    given = (tmp_path / "a.png", tmp_path / "out")
    predict(*given, classes=["tree"])
    (tmp_path / "out" / "a" / "002_car_mask.png").write_text("painted by hand")
    before = contents(tmp_path / "out")
    report = predict(*given, classes=["car"], overwrite=True)
    assert "002_car_mask.png in it is no file of the result" in report.refused[tmp_path / "a.png"]
    assert contents(tmp_path / "out") == before


def test_a_list_that_names_files_elsewhere_does_not_remove_them(
    predict: Predict, tmp_path: Path
) -> None:
    draw(tmp_path, "a.png")
    given = (tmp_path / "a.png", tmp_path / "out")
    predict(*given)
    (tmp_path / "out" / "000_x_mask.png").write_text("not of this result")
    file = tmp_path / "out" / "a" / "result.json"
    content = json.loads(file.read_text())
    content["classes"][0]["mask"] = "../000_x_mask.png"
    content["classes"][1]["mask"] = "../../best.ckpt"
    file.write_text(json.dumps(content))
    assert len(predict(*given, classes=["car"], overwrite=True).written) == 1
    assert (tmp_path / "out" / "000_x_mask.png").is_file()
    assert (tmp_path / "best.ckpt").is_file()


def test_a_result_that_is_being_replaced_is_not_whole(
    predict: Predict, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in between, it is named, and made anew with --overwrite; nothing of both is mixed."""
    draw(tmp_path, "a.png")
    given = (tmp_path / "a.png", tmp_path / "out")
    predict(*given, classes=["tree"])
    real = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if target.name == "overlay.png":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        predict(*given, classes=["car"], overwrite=True)
    monkeypatch.undo()
    monkeypatch.setattr(prediction, "load_network", lambda _: network)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a"]
    for classes in (["tree"], ["car"]):
        assert predict(*given, classes=classes).others == [tmp_path / "a.png"]
    assert len(predict(*given, classes=["sky"], overwrite=True).written) == 1
    assert sorted(file.name for file in (tmp_path / "out" / "a").iterdir()) == [
        *("001_sky_mask.png", "001_sky_probability.png"),
        *("label_map.png", "overlay.png", "result.json"),
    ]


def test_what_killed_jobs_left_goes_and_nothing_else(predict: Predict, tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    out = tmp_path / "out"
    old, new = out / f".{'0' * 32}.unfinished", out / f".{'f' * 32}.unfinished"
    users = [out / ".mine.unfinished", out / "b.unfinished"]
    for folder in (old, new, *users):
        folder.mkdir(parents=True)
        (folder / "overlay.png").touch()
        if folder is not new:  # which another process may be writing
            os.utime(folder, (0, 0))
    predict(tmp_path / "a.png", out)
    assert {file.name for file in out.iterdir()} == {"a", new.name, *(own.name for own in users)}


def test_pictures_in_a_results_folder_are_pictures(tmp_path: Path) -> None:
    """Its own files are not, given by a pattern either."""
    for name in ("a/result.json", "a/overlay.png", "a/000_tree_mask.png", "a/beach.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "garden.unfinished").mkdir()
    (tmp_path / "garden.unfinished" / "rose.jpg").touch()
    assert list(find_pictures([str(tmp_path)]).values()) == ["a/beach", "garden.unfinished/rose"]
    assert list(find_pictures([str(tmp_path / "*" / "*.*g")]).values()) == ["beach", "rose"]


def full_disk(monkeypatch: pytest.MonkeyPatch, when: Callable[[Path], bool], code: int) -> None:
    """Let writing of some pictures fail as on a full disk."""
    real = Image.Image.save

    def save(self: Image.Image, file: Any, *args: Any, **options: Any) -> None:
        if when(Path(file)):
            raise OSError(code, "No space left on device")
        real(self, file, *args, **options)

    monkeypatch.setattr(Image.Image, "save", save)


def test_a_full_disk_leaves_what_was_done_and_names_the_rest(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = draw(tmp_path / "photos", "a.png", "b.png", "c.png", "d.png")
    done: list[Path] = []

    def third_picture(file: Path) -> bool:
        done.append(file)
        return len([each for each in done if each.name == "000_tree_mask.png"]) == 3

    full_disk(monkeypatch, third_picture, errno.ENOSPC)
    report = predict(photos, tmp_path / "out")
    assert report.written == [photos / "a.png", photos / "b.png"]
    assert list(report.refused) == [photos / "c.png"]
    assert "No space left on device" in report.refused[photos / "c.png"]
    assert report.left == [photos / "d.png"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["a", "b"]
    assert all(is_whole(tmp_path / "out" / name) for name in "ab")


def test_a_result_that_cannot_be_written_does_not_stop_the_others(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = draw(tmp_path / "photos", "a.png", "b.png", "in/c.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    (tmp_path / "out" / "in").touch()
    report = predict(photos, tmp_path / "out")
    assert report.written == [photos / "b.png"]
    assert list(report.refused) == [photos / "a.png", photos / "in" / "c.png"]
    assert "it is a file" in report.refused[photos / "a.png"]
    assert report.left == []


def test_a_full_disk_while_the_list_is_written_stops_too(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = draw(tmp_path / "photos", "a.png", "b.png")

    def write_text(text: str, path: Path) -> None:
        raise UserError(f"cannot write {path}") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(writing, "write_text", write_text)
    report = predict(photos, tmp_path / "out")
    assert (list(report.refused), report.left) == ([photos / "a.png"], [photos / "b.png"])
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_an_output_that_is_no_folder(kind: str, predict: Predict, tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    if kind == "file":
        (tmp_path / "out").touch()
    else:
        (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"output {tmp_path / 'out'} is a {kind}; give a folder"):
        predict(tmp_path / "a.png", tmp_path / "out")


def test_a_job_beside_that_was_faster_is_not_replaced_by_half(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs of the same pictures: the second one's result takes the first one's place whole."""
    draw(tmp_path, "a.png")
    given = (tmp_path / "a.png", tmp_path / "out")
    real = writing.PictureResult.finish
    calls = []

    def finish(self: Any, *arguments: Any) -> None:
        calls.append(self)
        if len(calls) == 1:
            predict(*given, classes=["car"])
        real(self, *arguments)

    monkeypatch.setattr(writing.PictureResult, "finish", finish)
    predict(*given, classes=["tree"])
    content = json.loads((tmp_path / "out" / "a" / "result.json").read_text())
    listed = {each[kind] for each in content["classes"] for kind in ("mask", "probability")}
    there = {file.name for file in (tmp_path / "out" / "a").iterdir()}
    assert there == listed | {"label_map.png", "overlay.png", "result.json"}


def test_modes_of_files_and_folders_are_those_that_the_user_wants(
    predict: Predict, tmp_path: Path
) -> None:
    draw(tmp_path, "a.png")
    before = os.umask(0o022)
    try:
        predict(tmp_path / "a.png", tmp_path / "out")
    finally:
        os.umask(before)
    folder = tmp_path / "out" / "a"
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}
    assert np.asarray(Image.open(folder / "overlay.png")).size > 0


@pytest.mark.parametrize(("code", "tried"), [(errno.EACCES, 2), (errno.EROFS, 1)])
def test_an_output_that_may_not_be_written_to(
    code: int, tried: int, predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder below may take its result where one is closed, not on a read-only disk."""
    photos = draw(tmp_path / "photos", "a.png", "b.png")

    def refuse(folder: Path) -> None:
        raise OSError(code, os.strerror(code), str(folder))

    monkeypatch.setattr(writing, "unfinished_folder", refuse)
    report = predict(photos, tmp_path / "out")
    assert (report.written, len(report.refused), len(report.left)) == ([], tried, 2 - tried)
    assert os.strerror(code) in report.refused[photos / "a.png"]
