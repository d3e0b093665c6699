"""Words that say whether images or annotations are meant."""

import pytest

from seg_training.dataset_description.role_words import ends_in_role, role_of


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *(("images", "image"), ("JPEGImages", "image"), ("leftImg8bit", "image")),
        *(("CameraRGB", "image"), ("SegmentationClass", "label"), ("gtFine", "label")),
        *(("image_labels", "label"), ("GT", "label"), ("annot", "label"), ("CameraSeg", "label")),
        *(("photos2", "image"), ("holidays", ""), ("cat", ""), ("", "")),
    ],
)
def test_folders(name: str, role: str) -> None:
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("stem", "end", "role"),
    [
        ("a_mask", "_mask", "label"),
        ("a-gt", "-gt", "label"),
        ("aachen_000019_gtFine_labelIds", "_gtFine_labelIds", "label"),
        ("aachen_000019_leftImg8bit", "_leftImg8bit", "image"),
        ("a_image_mask", "_mask", "label"),
        ("a_cat", "", ""),
        ("img_0001", "", ""),
        ("mask", "", ""),
    ],
)
def test_ends_of_files(stem: str, end: str, role: str) -> None:
    assert ends_in_role(stem) == (end, role)
