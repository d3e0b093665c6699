from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from fake_datasets import floor, gdd, glass, msd
from PIL import Image
from pixel_tables import pixel_table

from multitask_segmentation.binary_masks import BinaryMasks
from multitask_segmentation.floor import Floor
from multitask_segmentation.gdd import GDD
from multitask_segmentation.glass import Glass
from multitask_segmentation.msd import MSD
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import image_mode
from seg_training.tasks import TaskTable

FAKES = {GDD: gdd, MSD: msd, Floor: floor, Glass: glass}
NUMBERS = {GDD: gdd.NUMBERS, MSD: gdd.NUMBERS, Floor: {"all": range(10)}, Glass: {"all": range(10)}}
SPLITS = [(dataset, split) for dataset, splits in NUMBERS.items() for split in splits]


@pytest.fixture
def gdd_root(tmp_path: Path) -> Path:
    gdd.make(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("dataset", "concept"), [(GDD, "glass"), (MSD, "mirror"), (Floor, "floor"), (Glass, "glass")]
)
def test_255_is_the_concept_and_0_is_other(dataset: type[BinaryMasks], concept: str) -> None:
    classes = dataset("anywhere").classes
    assert (classes.names, classes.other, classes.ignore) == ({255: concept}, {0}, set())
    assert TaskTable(classes).remap(np.array([[0, 255]], np.uint8)).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("dataset", "split", "first", "count"),
    [
        (GDD, "train", ImageFiles("train/image/0.jpg", "train/mask/0.png"), 6),
        (GDD, "test", ImageFiles("test/image/6.jpg", "test/mask/6.png"), 4),
        (MSD, "test", ImageFiles("test/image/6_512x640.jpg", "test/mask/6_512x640.png"), 4),
        (Floor, "any", ImageFiles("image/floor0.png", "mask/floor0.png"), 10),
        (Glass, "any", ImageFiles("image/glass0.png", "mask/glass0.png"), 10),
    ],
)
def test_images_and_masks_of_one_name_belong_together(
    tmp_path: Path, dataset: type[BinaryMasks], split: str, first: ImageFiles, count: int
) -> None:
    FAKES[dataset].make(tmp_path)
    pairing = dataset(tmp_path).pair(split)
    assert pairing.files[0] == first
    assert (len(pairing.files), pairing.without_label_map, pairing.without_image) == (count, [], [])


@pytest.mark.parametrize(("dataset", "split"), SPLITS)
def test_every_pixel_of_every_mask(tmp_path: Path, dataset: type[BinaryMasks], split: str) -> None:
    FAKES[dataset].make(tmp_path)
    masks = dataset(tmp_path)
    for number, (_, file) in zip(NUMBERS[dataset][split], masks.files(split), strict=True):
        assert image_mode(tmp_path / file) == gdd.MODES[number % 5]
        mask = masks.read_label_map(file)
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, gdd.mask_of(number))


@pytest.mark.parametrize(
    ("file", "left"),
    [
        ("train/mask/0.png", 4),  # grey
        ("train/mask/1.png", 7),  # RGB
        ("train/mask/3.png", 13),  # a palette of colours
        ("train/mask/4.png", 16),  # 1 bit
        ("test/mask/7.png", 25),  # a palette of greys
    ],
)
def test_the_edges_of_a_mask_saved_in_each_way(gdd_root: Path, file: str, left: int) -> None:
    mask = GDD(gdd_root).read_label_map(file)
    corners = [mask[row, column] for row in (10, 29) for column in (left, left + 19)]
    outside = [mask[9, left], mask[30, left], mask[10, left - 1], mask[29, left + 20]]
    assert (corners, outside) == ([255] * 4, [0] * 4)


@pytest.mark.parametrize("file", ["train/mask/2.png", "test/mask/8.png"])
def test_an_image_without_the_concept_has_an_empty_mask(gdd_root: Path, file: str) -> None:
    assert not GDD(gdd_root).read_label_map(file).any()


@pytest.mark.parametrize(("dataset", "split"), SPLITS)
def test_the_index_counts_the_pixels_of_the_concept(
    tmp_path: Path, dataset: type[BinaryMasks], split: str
) -> None:
    FAKES[dataset].make(tmp_path)
    masks = dataset(tmp_path)
    counts = pixel_table(
        presence_index(masks, split, progress=False).task_presence(TaskTable(masks.classes))
    )
    expected = [0 if number in (2, 8) else 400 for number in NUMBERS[dataset][split]]
    assert counts.ravel().tolist() == expected


@pytest.mark.parametrize(("dataset", "fake"), [(MSD, msd), (GDD, gdd)])
def test_a_copy_without_splits_is_read_with_other_folders(
    tmp_path: Path, dataset: type[BinaryMasks], fake: ModuleType
) -> None:
    fake.make(tmp_path)
    masks = dataset(tmp_path / "test", images="image", labels="mask")
    files = masks.files("train")
    assert files == masks.files("test")
    assert [Path(image).parent.as_posix() for image, _ in files] == ["image"] * 4
    assert np.array_equal(masks.read_label_map(files[0].label_map), gdd.mask_of(6))


def test_a_third_value_is_named_with_its_file(gdd_root: Path) -> None:
    mask = gdd.mask_of(0)
    mask[0, :3] = 128
    Image.fromarray(mask).save(gdd_root / "train" / "mask" / "0.png")
    index = presence_index(GDD(gdd_root), "train", progress=False)
    with pytest.raises(UserError, match=r"without a name: 128 \(in train/mask/0\.png, 3 pixels\)"):
        pixel_table(index.task_presence(TaskTable(GDD(gdd_root).classes)))


def test_a_mask_in_colour_is_named(gdd_root: Path) -> None:
    file = gdd_root / "train" / "mask" / "0.png"
    Image.new("RGB", (64, 48), (128, 0, 0)).save(file)
    with pytest.raises(UserError, match=r"mask .*train/mask/0\.png is a picture of mode RGB that"):
        presence_index(GDD(gdd_root), "train", progress=False)


def test_a_missing_split_suggests_what_is_there(gdd_root: Path) -> None:
    with pytest.raises(
        UserError, match=r"validation/image does not exist; in .* there is: test, train\."
    ):
        GDD(gdd_root).files("validation")
