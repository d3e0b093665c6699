from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seg_training.audit.audit_findings import DatasetAudit, LabelCount, Problem
from seg_training.audit.checks_within_split import check_official_counts
from seg_training.audit.decoded_splits import ReadImage, ReadLabelMap, ReadPair
from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.segmentation_dataset import OfficialCounts

Audit = Callable[..., DatasetAudit]


def change(file: Path, change_values: Callable[[NDArray[Any]], Any]) -> None:
    """Change a label map's values."""
    values = np.array(Image.open(file))
    change_values(values)
    Image.fromarray(values).save(file)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-60])


def remove_label_map(root: Path) -> None:
    (root / "annotations" / "train" / "03.png").unlink()


def remove_image(root: Path) -> None:
    (root / "images" / "train" / "03.jpg").unlink()


def truncate_image(root: Path) -> None:
    truncate(root / "images" / "train" / "03.jpg")


def truncate_label_map(root: Path) -> None:
    truncate(root / "annotations" / "train" / "03.png")


def write_a_text(root: Path) -> None:
    (root / "annotations" / "train" / "03.png").write_text("no picture")


def colour_label_map(root: Path) -> None:
    file = root / "annotations" / "train" / "03.png"
    Image.open(file).convert("RGB").save(file)


def shrink_label_map(root: Path) -> None:
    file = root / "annotations" / "train" / "03.png"
    Image.open(file).resize((28, 24), Image.Resampling.NEAREST).save(file)


def add_values(root: Path) -> None:
    def add(values: NDArray[np.uint8]) -> None:
        values[20, 20:22] = 77
        values[21, 20] = 200

    change(root / "annotations" / "train" / "03.png", add)


LABEL_MAP = "annotations/train/03.png"
DAMAGES: dict[Callable[[Path], None], tuple[str, str, str, str, str]] = {
    remove_label_map: (
        "no_label_map",
        "error",
        f"images without label map: 1 of 8. {Folder.cure_of_unlabelled}",
        "images/train/03.jpg",
        f"images/train/03.jpg: expected {LABEL_MAP}",
    ),
    remove_image: (
        "no_image",
        "warning",
        "label maps without image, which are left out: 1",
        LABEL_MAP,
        LABEL_MAP,
    ),
    truncate_image: (
        "unreadable_image",
        "error",
        "images that cannot be read: 1",
        "images/train/03.jpg",
        "cannot read image images/train/03.jpg: image file is truncated",
    ),
    truncate_label_map: (
        "unusable_label_map",
        "error",
        "label maps that cannot be used: 1",
        LABEL_MAP,
        f"cannot read label map {LABEL_MAP}: ",
    ),
    write_a_text: (
        "unusable_label_map",
        "error",
        "label maps that cannot be used: 1",
        LABEL_MAP,
        f"cannot read label map {LABEL_MAP}: it is no picture",
    ),
    colour_label_map: (
        "unusable_label_map",
        "error",
        "label maps that cannot be used: 1",
        LABEL_MAP,
        f"label map {LABEL_MAP} is a picture of mode RGB; expected one channel",
    ),
    shrink_label_map: (
        "size_mismatch",
        "error",
        "label maps of another size than their image: 1. Make them the same size",
        LABEL_MAP,
        f"{LABEL_MAP} is 28x24, its image images/train/03.jpg 56x48",
    ),
    add_values: (
        "unknown_value",
        "error",
        "label values without a name: 77 (2 pixels in 1 file), 200 (1 pixel in 1 file). Mend",
        LABEL_MAP,
        f"{LABEL_MAP}: 77 (2 pixels), 200 (1 pixel)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damage_is_found_and_nothing_else(
    audit: Audit, dataset: Folder, root: Path, damage: Callable[[Path], None]
) -> None:
    damage(root)
    found = audit(dataset)
    (problem,) = found.all_problems
    kind, severity, message, file, line = DAMAGES[damage]
    assert (problem.kind, problem.severity) == (kind, severity)
    assert problem.message.startswith(message)
    assert list(problem.files) == [file]
    assert problem.files[file].startswith(line)
    assert found.splits["fit"].problems == [problem]
    assert str(root) not in problem.files[file]


def test_every_file_is_named(audit: Audit, dataset: Folder, root: Path) -> None:
    for number in range(8):
        truncate(root / "images" / "train" / f"{number:02d}.jpg")
    (problem,) = audit(dataset).all_problems
    assert problem.message == "images that cannot be read: 8"
    assert list(problem.files) == [f"images/train/{number:02d}.jpg" for number in range(8)]


def test_many_unknown_values_are_counted_in_the_message_and_all_stand_in_the_histogram(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    def add(values: NDArray[np.uint8]) -> None:
        values[20, :7] = range(70, 77)

    for number in (2, 5):
        change(root / "annotations" / "train" / f"{number:02d}.png", add)
    found = audit(dataset)
    (problem,) = found.all_problems
    assert "70 (2 pixels in 2 files)" in problem.message
    assert "74 (2 pixels in 2 files) and 2 more. Mend the files" in problem.message
    assert list(problem.files) == ["annotations/train/02.png", "annotations/train/05.png"]
    unknown = [label for label in found.splits["fit"].labels if label.role == "unknown"]
    assert [(label.value, label.images, label.pixels) for label in unknown] == [
        (value, 2, 2) for value in range(70, 77)
    ]


PublishedFolder = Callable[..., Folder]


def test_what_agrees_with_the_published_numbers_is_right(
    audit: Audit, published: PublishedFolder
) -> None:
    found = audit(published(8, {2: 4, 3: 5}))
    assert found.all_problems == []
    assert found.splits["fit"].official_images == 8
    assert [label.official_images for label in found.splits["fit"].labels] == [
        *(None, None, 4, 5, None, None, None)
    ]
    assert found.splits["validate"].official_images is None


def test_as_many_images_with_other_labels_are_wrong(
    audit: Audit, published: PublishedFolder
) -> None:
    (problem,) = audit(published(8, {2: 4, 3: 1006, 4: 1})).all_problems
    assert (problem.kind, problem.severity) == ("official_counts", "error")
    assert problem.message == (
        "classes that do not occur in as many images as published: tree in 5 (published: 1,006), "
        "lamp in 2 (published: 1). The label maps are not the published ones; get them anew "
        "(DATASET_PREPARATION.md)"
    )


def test_a_part_of_the_published_images_is_a_warning(
    audit: Audit, published: PublishedFolder
) -> None:
    (problem,) = audit(published(20210, {2: 4, 3: 11664})).all_problems
    assert (problem.kind, problem.severity) == ("official_images", "warning")
    assert problem.message == "8 images; the published split has 20,210"


def test_label_maps_that_could_not_be_counted_do_not_differ(
    audit: Audit, published: PublishedFolder, root: Path
) -> None:
    truncate(root / "annotations" / "train" / "00.png")  # the image has a car
    (problem,) = audit(published(8, {2: 4, 3: 5})).all_problems
    assert problem.kind == "unusable_label_map"


def compared(found: Mapping[int, int], official: OfficialCounts) -> list[Problem]:
    """Compare a complete split that shows each value in so many images."""
    pairs = [ReadPair(ReadImage("a.jpg"), ReadLabelMap("a.png"))] * official.images
    labels = [
        LabelCount(
            value, f"class {value}", "class", None, images, 0, 0.0, official.per_value[value]
        )
        for value, images in found.items()
    ]
    return list(check_official_counts(pairs, labels, official))


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        ({1: 90, 2: 109}, "warning"),  # 1 of 200 pairs
        ({1: 88, 2: 110}, "warning"),  # 2 of them: 1 %
        ({1: 91, 2: 111}, "warning"),
        ({1: 90, 2: 107}, "error"),  # 3 of them
        ({1: 91, 2: 108}, "error"),  # what is too much makes up for nothing
    ],
)
def test_labels_are_other_ones_where_more_than_a_hundredth_differs(
    found: Mapping[int, int], severity: str
) -> None:
    (problem,) = compared(found, OfficialCounts(120, {1: 90, 2: 110}))
    assert (problem.kind, problem.severity) == ("official_counts", severity)


def test_a_copy_of_ade20k_that_differs_a_little_is_a_warning(tmp_path: Path) -> None:
    official = ADE20K(tmp_path).official_counts("training")
    assert official is not None
    (problem,) = compared({**official.per_value, 1: 11_660, 2: 6_047}, official)
    assert problem.severity == "warning"
    assert problem.message == (
        "differs a little from the published split, by 5 of 170,924 pairs of image and class: "
        "class 1 in 11,660 (published: 11,664), class 2 in 6,047 (published: 6,046). If you did "
        "not change label maps yourself, get them anew (DATASET_PREPARATION.md)"
    )


def test_a_copy_of_ade20k_whose_values_are_shifted_is_an_error(tmp_path: Path) -> None:
    official = ADE20K(tmp_path).official_counts("validation")
    assert official is not None
    assert compared(official.per_value, official) == []
    shifted = {value: official.per_value.get(value + 1, 0) for value in official.per_value}
    (problem,) = compared(shifted, official)
    assert problem.severity == "error"
    assert "class 1 in 612 (published: 1,172)" in problem.message
