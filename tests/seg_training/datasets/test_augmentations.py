from collections import Counter

import albumentations as A
import cv2
import numpy as np
import pytest

from seg_training.datasets.augmentations import AUGMENTATIONS, Augmentation
from seg_training.errors import UserError
from seg_training.pictures.resizing import resize_image, resize_label_map

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (40, 60, 3), np.uint8)
LABELS = RANDOM.choice(np.array([0, 1, 7, 200, 255], np.uint8), (40, 60))


def test_labels_are_resized_by_taking_the_nearest() -> None:
    labels = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    # Rows 0, 0, 1, 1 and columns 0, 1 of OpenCV's rule.
    assert resize_label_map(labels, (4, 2)).tolist() == [[1, 2], [1, 2], [4, 5], [4, 5]]


def test_images_are_resized_bilinearly() -> None:
    image = np.array([[[0] * 3, [100] * 3]], np.uint8)
    # Centres of the four new columns lie at -0.25, 0.25, 0.75 and 1.25 of the old ones.
    assert resize_image(image, (1, 4))[0, :, 0].tolist() == [0, 25, 75, 100]


def test_crop_size_is_height_then_width() -> None:
    assert resize_image(IMAGE, (32, 48)).shape == (32, 48, 3)
    assert resize_label_map(LABELS, (32, 48)).shape == (32, 48)


@pytest.mark.parametrize(
    ("name", "shift", "scale", "degrees", "p"),
    [("ade20k", 0.1, 0.1, 15, 0.3), ("multitask", 0.2, 0.2, 45, 0.5)],
)
def test_published_parameters(
    name: str, shift: float, scale: float, degrees: float, p: float
) -> None:
    brightness, flip, affine = AUGMENTATIONS[name]()
    assert isinstance(brightness, A.RandomBrightnessContrast)
    assert (brightness.p, brightness.brightness_limit) == (0.2, (-0.2, 0.2))
    assert isinstance(flip, A.HorizontalFlip)
    assert flip.p == 0.5
    assert isinstance(affine, A.Affine)
    assert affine.p == p
    assert affine.border_mode == cv2.BORDER_REFLECT_101
    assert affine.mask_interpolation == cv2.INTER_NEAREST

    affine.set_random_seed(0)
    drawn = [affine.get_params_dependent_on_data({"shape": (100, 200, 3)}, {}) for _ in range(400)]
    scales = np.array([[params["scale"][axis] for axis in "xy"] for params in drawn])
    angles = np.array([params["rotate"] for params in drawn])
    centre = np.array([99.5, 49.5])
    shifts = np.array([(params["matrix"] @ [*centre, 1])[:2] - centre for params in drawn])
    assert np.array_equal(scales[:, 0], scales[:, 1])  # both axes alike
    for params, (size, _), angle in zip(drawn, scales, np.deg2rad(angles), strict=True):
        turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        assert np.abs(params["matrix"][:2, :2]) == pytest.approx(size * np.abs(turn))  # no shear
    for values, bound in (
        (scales[:, 0] - 1, scale),
        (angles, degrees),
        (shifts[:, 0] / 200, shift),
        (shifts[:, 1] / 100, shift),
    ):
        assert 0.9 * bound < values.max() <= bound + 0.005  # shifts are whole pixels
        assert 0.9 * -bound > values.min() >= -bound - 0.005
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.2  # the two shifts are drawn apart


def test_the_border_is_reflected_in_image_and_labels() -> None:
    # Columns 0 to 9; shifted right by 2, reflect-101 continues 0 with 1, 2.
    row = np.arange(10, dtype=np.uint8)
    affine = AUGMENTATIONS["multitask"]()[2]
    shift_by_2 = np.array([[1, 0, 2], [0, 1, 0], [0, 0, 1]], np.float64)
    labels = affine.apply_to_mask(np.tile(row, (6, 1)), shift_by_2, (6, 10))
    image = affine.apply(np.tile(row[:, None] * 10, (6, 1, 3)), shift_by_2, (6, 10))
    assert labels[3].tolist() == [2, 1, 0, 1, 2, 3, 4, 5, 6, 7]
    assert image[3, :, 0].tolist() == [20, 10, 0, 10, 20, 30, 40, 50, 60, 70]


@pytest.mark.parametrize("name", ["ade20k", "multitask"])
def test_augmentation_makes_no_new_label_and_moves_image_and_labels_alike(name: str) -> None:
    augmentation = Augmentation(name)
    # Blocks of 8 pixels whose colour is their label.
    labels = np.kron(RANDOM.choice(np.array([0, 1, 255], np.uint8), (6, 8)), np.ones((8, 8)))
    labels = labels.astype(np.uint8)
    colours = np.where(labels == 255, 240, labels * 120).astype(np.uint8)
    moved = 0
    for seed in range(30):
        image, changed = augmentation(np.stack([colours] * 3, axis=2), labels, seed)
        assert set(np.unique(changed)) <= {0, 1, 255}
        assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
        order = [image[changed == value, 0].mean() for value in (0, 1, 255)]
        assert order[0] + 40 < order[1] < order[2] - 40
        moved += not np.array_equal(changed, labels)
    assert moved > 10


def test_the_seed_alone_decides() -> None:
    augmentation = Augmentation("ade20k")
    first = [augmentation(IMAGE, LABELS, seed) for seed in range(20)]
    again = [Augmentation("ade20k")(IMAGE, LABELS, seed) for seed in reversed(range(20))][::-1]
    for (image, labels), (same_image, same_labels) in zip(first, again, strict=True):
        assert np.array_equal(image, same_image)
        assert np.array_equal(labels, same_labels)
    assert len({image.tobytes() for image, _ in first}) >= 8  # the others are as they were


def test_the_changes_come_independently_of_each_other() -> None:
    augmentation = Augmentation("ade20k")
    image = RANDOM.integers(60, 200, (16, 16, 3), np.uint8)
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    times = Counter[str]()
    draws = 1500
    for seed in range(draws):
        changed_image, changed = augmentation(image, labels, seed)
        flipped = np.array_equal(changed, labels[:, ::-1])
        if not flipped and not np.array_equal(changed, labels):
            times["affine"] += 1
            continue
        upright = changed_image[:, ::-1] if flipped else changed_image
        times[f"flip={flipped}, brightness={not np.array_equal(upright, image)}"] += 1
    expected = {
        "affine": 0.3,
        "flip=True, brightness=True": 0.7 * 0.5 * 0.2,
        "flip=False, brightness=True": 0.7 * 0.5 * 0.2,
        "flip=True, brightness=False": 0.7 * 0.5 * 0.8,
        "flip=False, brightness=False": 0.7 * 0.5 * 0.8,
    }
    assert times.keys() == expected.keys()
    for event, share in expected.items():  # 4 standard deviations
        assert times[event] / draws == pytest.approx(share, abs=4 * (share / draws) ** 0.5)


def test_none_changes_nothing() -> None:
    image, labels = Augmentation("none")(IMAGE, LABELS, 0)
    assert np.array_equal(image, IMAGE)
    assert np.array_equal(labels, LABELS)


def test_inputs_are_left_as_they_are() -> None:
    image, labels = IMAGE.copy(), LABELS.copy()
    for seed in range(10):
        Augmentation("multitask")(image, labels, seed)
    assert np.array_equal(image, IMAGE)
    assert np.array_equal(labels, LABELS)


def test_an_unknown_augmentation_suggests_a_near_one() -> None:
    with pytest.raises(UserError, match=r"unknown data\.augmentation 'ade20'; did you mean 'ade"):
        Augmentation("ade20")
