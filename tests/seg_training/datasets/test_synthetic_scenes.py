import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seg_training.datasets import synthetic_scenes as scenes
from seg_training.datasets.synthetic_scenes import SCENE_CLASSES, draw_scene, generate_scenes
from seg_training.errors import UserError

Scene = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def draw(split: int, count: int) -> list[Scene]:
    return [draw_scene(np.random.default_rng([0, split, i])) for i in range(1, count + 1)]


@pytest.fixture(scope="module")
def training() -> list[Scene]:
    return draw(0, 200)


@pytest.fixture(scope="module")
def validation() -> list[Scene]:
    return draw(1, 60)


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def mean_colour_bIoU(training: Sequence[Scene], validation: Sequence[Scene]) -> float:
    """bIoU of giving every pixel the class whose mean training colour is nearest."""
    num_values = len(SCENE_CLASSES) + 1
    sums, counts = np.zeros((num_values, 3)), np.zeros(num_values)
    for image, labels in training:
        counts += np.bincount(labels.ravel(), minlength=num_values)
        for channel in range(3):
            weights = image[..., channel].ravel()
            sums[:, channel] += np.bincount(labels.ravel(), weights, minlength=num_values)
    means = (sums / counts[:, None]).astype(np.float32)
    ious = []
    for image, labels in validation:
        # |p - m|^2 without |p|^2, which is the same for every class.
        distances = (means**2).sum(axis=1) - 2 * image.astype(np.float32) @ means.T
        predicted = distances.argmin(axis=2)
        for value in np.unique(labels[labels > 0]):
            found, truth = predicted == value, labels == value
            ious.append((found & truth).sum() / (found | truth).sum())
    return float(np.mean(ious))


def test_classes_are_twelve_different_names() -> None:
    assert len(SCENE_CLASSES) == len(set(SCENE_CLASSES)) == 12


def test_images_and_label_maps_agree(training: list[Scene]) -> None:
    for image, labels in training:
        assert image.dtype == labels.dtype == np.uint8
        assert image.shape == (*labels.shape, 3)


def test_sizes_differ_and_are_not_square(training: list[Scene]) -> None:
    shapes = {labels.shape for _, labels in training}
    assert len(shapes) >= 2
    assert all(height != width for height, width in shapes)


def test_every_value_occurs_often(training: list[Scene], validation: list[Scene]) -> None:
    for split in (training, validation):
        values = np.concatenate([np.unique(labels) for _, labels in split])
        occurrences = np.bincount(values, minlength=13)
        assert len(occurrences) == 13
        assert occurrences.min() >= 0.1 * len(split)


def test_scenes_hold_several_classes(training: list[Scene]) -> None:
    numbers = [len(np.unique(labels[labels > 0])) for _, labels in training]
    assert min(numbers) >= 1
    assert np.quantile(numbers, 0.05) >= 3
    assert max(numbers) <= 9


def test_no_class_is_a_sliver(training: list[Scene]) -> None:
    for _, labels in training:
        shares = np.bincount(labels.ravel())[1:] / labels.size
        assert (shares[shares > 0] >= 0.025).all()


def test_colour_alone_does_not_tell_the_class(
    training: list[Scene], validation: list[Scene]
) -> None:
    bIoU = mean_colour_bIoU(training, validation)
    assert bIoU <= 0.25


def test_colour_classifier_finds_what_colour_tells() -> None:
    # The measuring rod itself: where each class has one colour, the score is full.
    labels = np.repeat(np.arange(13, dtype=np.uint8), 40).reshape(13, 40)
    image = np.stack([labels * 19, 255 - labels * 19, labels % 2 * 200], axis=2).astype(np.uint8)
    assert mean_colour_bIoU([(image, labels)], [(image, labels)]) == 1.0


def test_folder_has_the_layout_of_ade20k(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "scenes"
    generate_scenes(root, 3, 2, seed=0)
    assert set(contents(root)) == {
        "scenes.json",
        *(f"images/training/scene_train_{i:08d}.jpg" for i in (1, 2, 3)),
        *(f"annotations/training/scene_train_{i:08d}.png" for i in (1, 2, 3)),
        *(f"images/validation/scene_val_{i:08d}.jpg" for i in (1, 2)),
        *(f"annotations/validation/scene_val_{i:08d}.png" for i in (1, 2)),
    }
    assert list(root.parent.iterdir()) == [root]  # nothing unfinished stays behind
    for path in root.glob("images/*/*.jpg"):
        label_path = root / "annotations" / path.parent.name / f"{path.stem}.png"
        with Image.open(path) as image, Image.open(label_path) as labels:
            assert (image.mode, labels.mode) == ("RGB", "L")
            assert image.size == labels.size


def test_files_hold_the_scenes_drawn(tmp_path: Path) -> None:
    generate_scenes(tmp_path, 2, 1, seed=4)
    image, labels = draw_scene(np.random.default_rng([4, 0, 2]))
    with Image.open(tmp_path / "annotations/training/scene_train_00000002.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored), labels)
    with Image.open(tmp_path / "images/training/scene_train_00000002.jpg") as stored:
        assert np.abs(np.asarray(stored).astype(int) - image).mean() < 8


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    generate_scenes(tmp_path / "a", 3, 2, seed=1)
    generate_scenes(tmp_path / "b", 3, 2, seed=1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_scene_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    generate_scenes(tmp_path / "few", 1, 1, seed=1)
    generate_scenes(tmp_path / "many", 3, 2, seed=1)
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    del few["scenes.json"]
    assert few.items() <= many.items()


def test_seeds_and_splits_differ(tmp_path: Path) -> None:
    generate_scenes(tmp_path / "a", 2, 2, seed=1)
    generate_scenes(tmp_path / "b", 2, 2, seed=2)
    pictures = [
        data
        for root in ("a", "b")
        for name, data in contents(tmp_path / root).items()
        if name.endswith(".jpg")
    ]
    assert len(set(pictures)) == 8


def test_second_time_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "scenes"
    generate_scenes(root, 2, 1, seed=0)

    def forbidden(rng: np.random.Generator) -> Scene:
        raise AssertionError("drew again")

    monkeypatch.setattr(scenes, "draw_scene", forbidden)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    generate_scenes(root, 2, 1, seed=0)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "scenes"
    drawn = []

    def interrupted(rng: np.random.Generator) -> Scene:
        drawn.append(1)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return draw_scene(rng)

    with monkeypatch.context() as patch:
        patch.setattr(scenes, "draw_scene", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate_scenes(root, 2, 2, seed=0)
    assert list(tmp_path.iterdir()) == []
    generate_scenes(root, 2, 2, seed=0)
    assert (root / "scenes.json").is_file()


@pytest.mark.parametrize(("counts", "seed"), [((3, 1), 0), ((2, 2), 0), ((2, 1), 5)])
def test_other_scenes_are_refused(tmp_path: Path, counts: tuple[int, int], seed: int) -> None:
    root = tmp_path / "scenes"
    generate_scenes(root, 2, 1, seed=0)
    before = contents(root)
    with pytest.raises(UserError, match="other scenes") as raised:
        generate_scenes(root, *counts, seed=seed)
    assert str(root) in str(raised.value)
    assert "delete it" in str(raised.value)
    assert contents(root) == before


def test_scenes_of_another_version_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "scenes"
    generate_scenes(root, 1, 1, seed=0)
    record = json.loads((root / "scenes.json").read_text())
    record["generator_version"] -= 1
    (root / "scenes.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="generator_version"):
        generate_scenes(root, 1, 1, seed=0)


@pytest.mark.parametrize("name", ["notes.txt", "scenes.json"])
def test_folder_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not ours")
    with pytest.raises(UserError, match=r"something else.*delete it, or choose another folder"):
        generate_scenes(tmp_path, 1, 1, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_file_in_the_way_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "scenes"
    root.write_text("a file")
    with pytest.raises(UserError, match="something else"):
        generate_scenes(root, 1, 1, seed=0)


def test_two_trainings_that_draw_the_same_scenes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, draw_one, other = tmp_path / "scenes", scenes.draw_scene, []

    def other_is_faster(random: np.random.Generator) -> Scene:
        if not other:
            other.append(True)
            generate_scenes(root, 1, 1, seed=1)
        return draw_one(random)

    monkeypatch.setattr(scenes, "draw_scene", other_is_faster)
    generate_scenes(root, 1, 1, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]
    assert len(contents(root)) == 5
