"""Random crops: image and labels alike, at the image's own aspect, decided by the draw alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from seg_training.datasets.augmentations import AUGMENTATIONS, Augmentation
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.prompt_samplers import Draw
from seg_training.datasets.random_crops import RandomCrop
from seg_training.errors import UserError
from seg_training.settings import choose_with_options


def ramp(height: int, width: int) -> NDArray[np.uint8]:
    """A picture whose red tells the row and whose green tells the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, 200)], axis=2).astype(np.uint8)


def cut(crop: RandomCrop, image: NDArray[np.uint8], labels: NDArray[Any], seed: int) -> Any:
    return crop(image, labels, np.random.default_rng(seed))


@pytest.mark.parametrize("shape", [(60, 120), (120, 60), (90, 90)])
def test_windows_keep_the_aspect_and_image_and_labels_alike(shape: tuple[int, int]) -> None:
    image = ramp(*shape)
    labels = image[..., 0] // 8 * 16 + image[..., 1] // 8
    crop = RandomCrop((48, 64), (1.2, 2.0))
    slopes, corners = set(), set()
    for seed in range(12):
        window, known = cut(crop, image, labels, seed)
        assert (window.shape, known.shape, known.dtype) == ((48, 64, 3), (48, 64), np.uint8)
        assert (window[..., 2] == 200).all()
        middle = window[:, :, :2].astype(int)
        per_row = (middle[40, 30, 0] - middle[8, 30, 0]) / 32
        per_column = (middle[24, 56, 1] - middle[24, 8, 1]) / 48
        assert per_row == pytest.approx(per_column, abs=0.06)
        shown = window[..., 0] // 8 * 16 + window[..., 1] // 8
        assert (shown == known).mean() > 0.75  # but for the borders between labels
        slopes.add(round(per_row, 2))
        corners.add((*middle[0, 0].tolist(),))
    assert len(slopes) > 3
    assert len(corners) > 6


def test_at_scale_1_the_image_just_covers_the_window() -> None:
    window, known = cut(RandomCrop((60, 60), (1, 1)), ramp(60, 120), ramp(60, 120)[..., 1], 3)
    left = int(known[0, 0])
    assert 0 < left < 60
    assert known.tolist() == [list(range(left, left + 60))] * 60
    assert window[:, :, 0].tolist() == [[row] * 60 for row in range(60)]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_beyond_the_image_nothing_is_known(kind: type[np.unsignedinteger[Any]]) -> None:
    labels = np.ones((40, 80), kind)
    places = set()
    for seed in range(8):
        window, known = cut(RandomCrop((40, 80), (0.5, 0.5)), ramp(40, 80), labels, seed)
        there = known == 1
        assert there.sum() == 20 * 40
        assert (known[~there] == np.iinfo(kind).max).all()
        assert not window[~there].any()
        assert (window[there][:, 2] == 200).all()
        places.add(int(there.argmax()))
    assert len(places) > 4


def test_a_crop_is_decided_by_the_seed_and_leaves_the_changes_as_they_were() -> None:
    image = ramp(60, 120)
    both, plain = Augmentation("ade20k", "crop", (48, 64)), Augmentation("ade20k")
    first = both(image, image[..., 0], 7)
    both(image, image[..., 0], 8)
    again = both(image, image[..., 0], 7)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    windows = [RandomCrop((48, 64))(image, image[..., 0], np.random.default_rng([7, 1]))]
    changed = plain(*windows[0], 7)
    assert all(np.array_equal(one, other) for one, other in zip(first, changed, strict=True))


def test_whole_images_at_scale_0_5_to_2_are_the_default() -> None:
    sizes = [(cut(RandomCrop((32, 32)), ramp(32, 32), np.ones((32, 32), np.uint8), seed)[1] == 1)
             for seed in range(200)]  # fmt: skip
    smallest = min(int(known.any(axis=1).sum()) for known in sizes)
    assert smallest == 16
    assert 0.25 < np.mean([known.all() for known in sizes]) < 0.75 + 0.1


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ([0, 1], r"data\.fit\.scale=0: expected a number above 0"),
        ([2, 1], r"data\.fit\.scale=1: expected a number of at least 2"),
        ([1], r"data\.fit\.scale=\[1\]: expected \[smallest, largest\]"),
        (2, r"data\.fit\.scale=2: expected \[smallest, largest\]"),
    ],
)
def test_scales_that_make_no_sense_are_refused(scale: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Augmentation("none", {"name": "crop", "scale": scale})
    with pytest.raises(UserError, match="'resize' does not read 'scale'; crop would read it"):
        Augmentation("none", {"name": "resize", "scale": scale})


def data_module(root: Path, classes: dict[str, Any], **settings: Any) -> SegmentationDataModule:
    small = {"crop_size": [32, 40], "batch_size": 2, "num_workers": 0, "augmentation": "none"}
    splits = {"train_split": "train", "val_split": "val", "sampler": "mixed"}
    data = {"dataset": "folder", "root": str(root), "classes": classes, **small, **splits}
    return SegmentationDataModule.from_config(data | settings, {"classes": "all"}, seed=0)


def test_training_is_cropped_and_evaluation_is_not(
    fake_folder: Callable[..., Path], fake_classes: dict[str, Any]
) -> None:
    root = fake_folder()
    whole = data_module(root, fake_classes)
    cropped = data_module(root, fake_classes, fit={"name": "crop", "scale": [0.5, 0.5]})
    for module in (whole, cropped):
        module.setup("fit")
    one, other = whole.training_samples()[Draw(4, 0, 0)], cropped.training_samples()[Draw(4, 0, 0)]
    assert other.image.shape == one.image.shape
    ignored = int((other.mask == 255).sum()) - int((one.mask == 255).sum())
    assert ignored > 0.4 * one.mask.numel()
    same = zip(whole.val_dataloader(), cropped.val_dataloader(), strict=True)
    assert all(torch.equal(a.images, b.images) for a, b in same)


def test_resized_images_on_disk_are_of_no_use_to_crops(
    fake_folder: Callable[..., Path], fake_classes: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=r"resized_cache_gib=1 with data\.fit=crop.*set data\.res"):
        data_module(fake_folder(), fake_classes, fit="crop", resized_cache_gib=1)


def test_options_of_augmentations_change_what_is_published() -> None:
    setting = {"name": "ade20k", "rotate": 45, "p": 1.0}
    affine = choose_with_options(setting, AUGMENTATIONS, "data.augmentation")()[2]
    assert (affine.rotate, affine.p, affine.scale["x"]) == ((-45, 45), 1.0, (0.9, 1.1))  # type: ignore[attr-defined]
