import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from pixel_tables import pixel_table

from seg_training.datasets.annotations import MaskSet
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import (
    PresenceIndex,
    counted_labels,
    default_cache_dir,
    presence_index,
)
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses, TaskTable


class CountingFolder(Folder):
    """A folder that lists which label maps were read."""

    def __init__(self, root: Path, classes: dict[str, Any]) -> None:
        super().__init__(root, classes)
        self.read: list[str] = []

    def read_label_map(self, label_map: str) -> NDArray[Any]:
        self.read.append(label_map)
        return super().read_label_map(label_map)


@pytest.fixture
def dataset(fake_folder: Callable[..., Path], fake_classes: dict[str, Any]) -> CountingFolder:
    return CountingFolder(fake_folder(), fake_classes)


def index_of(dataset: Folder, cache: Path | None = None) -> PresenceIndex:
    return presence_index(dataset, "train", cache, progress=False)


def label_file(dataset: Folder, name: str) -> Path:
    return dataset.root / "annotations" / "train" / f"{name}.png"


def change_labels(dataset: Folder, name: str, value: int) -> None:
    """Set the pixel in the middle."""
    file = label_file(dataset, name)
    labels = np.array(Image.open(file))
    labels[20, 20] = value
    Image.fromarray(labels).save(file)


def same(one: PresenceIndex, other: PresenceIndex) -> bool:
    return (
        np.array_equal(one.images, other.images)
        and np.array_equal(one.label_maps, other.label_maps)
        and np.array_equal(one.offsets, other.offsets)
        and np.array_equal(one.values, other.values)
        and np.array_equal(one.pixels, other.pixels)
    )


def test_it_counts_the_pixels_of_every_value(dataset: CountingFolder) -> None:
    index = index_of(dataset)
    assert len(index) == 8
    for image in range(8):
        labels = np.asarray(Image.open(dataset.root / index.label_maps[image]))
        own = slice(*index.offsets[image : image + 2])
        expected = dict(zip(*np.unique(labels, return_counts=True), strict=True))
        assert dict(zip(index.values[own], index.pixels[own], strict=True)) == expected
        assert index.name(image) == f"{image:02d}"
    assert index.values.dtype == np.uint16


def test_images_of_the_same_name_in_two_folders_have_names_of_their_own(
    fake_folder: Callable[..., Path], fake_classes: dict[str, Any]
) -> None:
    root = fake_folder()
    for kind, suffix in (("images", "jpg"), ("annotations", "png")):
        for folder in ("a", "b"):
            (root / kind / "train" / folder).mkdir()
            for name in ("00", "01"):
                source = root / kind / "train" / f"{name}.{suffix}"
                (root / kind / "train" / folder / source.name).write_bytes(source.read_bytes())
    dataset = Folder(root, fake_classes)
    index = presence_index(dataset, "train", progress=False)
    names = [index.name(image) for image in range(len(index))]
    assert names == [*(f"{n:02d}" for n in range(8)), "a/00", "a/01", "b/00", "b/01"]


def test_pixels_per_task(dataset: CountingFolder) -> None:
    tasks = TaskTable(dataset.classes, {"thing": ["car", "lamp"], "sky": ["sky"]})
    counts = pixel_table(index_of(dataset).task_presence(tasks))
    for image, (things, sky) in enumerate(counts.tolist()):
        labels = np.asarray(Image.open(label_file(dataset, f"{image:02d}")))
        assert (things, sky) == (np.isin(labels, [2, 4]).sum(), (labels == 0).sum())
    assert counts.dtype == np.int64
    assert (counts[:, 0] > 0).tolist() == [True, True, True, False, True, False, True, False]


def test_pixels_per_task_of_a_trained_networks_vocabulary(dataset: CountingFolder) -> None:
    every = pixel_table(index_of(dataset).task_presence(TaskTable(dataset.classes)))
    vocabulary = TaskTable(dataset.classes).names
    some = pixel_table(
        index_of(dataset).task_presence(TaskTable(dataset.classes, ["tree"], vocabulary))
    )
    assert np.array_equal(some[:, 3], every[:, 3])
    assert some.sum() == every[:, 3].sum() > 0


def test_ignored_pixels_are_no_task_even_with_254_tasks(tmp_path: Path) -> None:
    for folder, content in (("images", (3,)), ("annotations", ())):
        (tmp_path / folder / "train").mkdir(parents=True)
        pixels = np.full((2, 2, *content), 255, np.uint8)
        Image.fromarray(pixels).save(tmp_path / folder / "train" / "a.png")
    classes = {"classes": {value: f"c{value}" for value in range(254)}, "ignore": [255]}
    dataset = Folder(tmp_path, classes)
    assert not pixel_table(index_of(dataset).task_presence(TaskTable(dataset.classes))).any()


def test_every_label_map_is_read_once_for_all_task_lists(
    dataset: CountingFolder, tmp_path: Path
) -> None:
    first = index_of(dataset, tmp_path / "cache")
    assert sorted(dataset.read) == sorted(first.label_maps)
    dataset.read.clear()
    for tasks in ("all", ["car"], {"thing": ["car", "tree"]}):
        again = index_of(dataset, tmp_path / "cache")
        again.task_presence(TaskTable(dataset.classes, tasks))
        assert same(first, again)
    assert dataset.read == []


def add(dataset: Folder) -> None:
    for folder, suffix in (("images", "jpg"), ("annotations", "png")):
        source = dataset.root / folder / "train" / f"00.{suffix}"
        source.with_stem("90").write_bytes(source.read_bytes())


def remove(dataset: Folder) -> None:
    (dataset.root / "images" / "train" / "00.jpg").unlink()
    (dataset.root / "annotations" / "train" / "00.png").unlink()


def touch(dataset: Folder) -> None:
    os.utime(label_file(dataset, "00"), ns=(1, 1))


def change(dataset: Folder) -> None:
    change_labels(dataset, "00", 9)


@pytest.mark.parametrize("event", [add, remove, touch, change])
def test_it_is_renewed_when_a_file_changed(
    dataset: CountingFolder, tmp_path: Path, event: Callable[[Folder], None]
) -> None:
    index_of(dataset, tmp_path / "cache")
    event(dataset)
    dataset.read.clear()
    renewed = index_of(dataset, tmp_path / "cache")
    assert dataset.read
    assert same(renewed, index_of(dataset, tmp_path / "fresh"))
    dataset.read.clear()
    index_of(dataset, tmp_path / "cache")
    assert dataset.read == []


@pytest.mark.parametrize("damage", [b"", b"no archive", "truncate"])
def test_a_damaged_cache_is_built_anew(
    dataset: CountingFolder,
    tmp_path: Path,
    damage: bytes | str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = index_of(dataset, tmp_path / "cache")
    (cache,) = (tmp_path / "cache").rglob("*.npz")
    cache.write_bytes(cache.read_bytes()[:500] if isinstance(damage, str) else damage)
    with caplog.at_level(logging.WARNING):
        assert same(index_of(dataset, tmp_path / "cache"), index)
    assert f"{cache} is damaged and is built anew" in caplog.text
    dataset.read.clear()
    index_of(dataset, tmp_path / "cache")
    assert dataset.read == []


def test_the_cache_lies_in_the_users_cache_folder_not_in_the_data(
    dataset: CountingFolder, own_cache: Path
) -> None:
    before = sorted(dataset.root.rglob("*"))
    index_of(dataset)
    assert sorted(dataset.root.rglob("*")) == before
    assert default_cache_dir() == own_cache / "tasformer"
    assert len(list(own_cache.rglob("countingfolder-train-*.npz"))) == 1


def test_two_splits_and_two_roots_have_caches_of_their_own(
    dataset: CountingFolder,
    fake_folder: Callable[..., Path],
    fake_classes: dict[str, Any],
    tmp_path: Path,
) -> None:
    other = CountingFolder(fake_folder("other", num_train=2), fake_classes)
    for _ in range(2):
        assert len(index_of(dataset, tmp_path / "cache")) == 8
        assert len(index_of(other, tmp_path / "cache")) == 2
        assert len(presence_index(dataset, "val", tmp_path / "cache", progress=False)) == 5
    assert len(dataset.read) == 8 + 5
    assert len(other.read) == 2


def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    dataset: CountingFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert len(index_of(dataset, tmp_path / "file")) == 8
    assert "could not cache the presence index" in caplog.text


def test_a_value_without_a_name_is_named_with_its_file(dataset: CountingFolder) -> None:
    change_labels(dataset, "03", 77)
    change_labels(dataset, "05", 78)
    tasks = TaskTable(dataset.classes, ["sky"])
    with pytest.raises(
        UserError,
        match=r"77 \(in annotations/train/03\.png, 1 pixels\), 78 \(in .*05\.png, 1 pixels\)",
    ):
        pixel_table(index_of(dataset).task_presence(tasks))


def test_many_values_without_a_name_are_counted(dataset: CountingFolder) -> None:
    file = label_file(dataset, "00")
    labels = np.array(Image.open(file))
    labels[20, :7] = range(70, 77)
    Image.fromarray(labels).save(file)
    with pytest.raises(UserError, match=r"74 \(in [^)]*\) and 2 more"):
        pixel_table(index_of(dataset).task_presence(TaskTable(dataset.classes)))


def test_an_unreadable_label_map_is_named(dataset: CountingFolder, tmp_path: Path) -> None:
    file = label_file(dataset, "04")
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(UserError, match=r"cannot read label map .*train/04\.png"):
        index_of(dataset, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_only_the_first_five_unreadable_files_are_named(dataset: CountingFolder) -> None:
    for number in range(8):
        label_file(dataset, f"{number:02d}").write_bytes(b"")
    with pytest.raises(UserError, match=r"(?s)00\.png.*04\.png.*\n\.\.\. and 3 more$") as caught:
        index_of(dataset)
    assert "05.png" not in str(caught.value)


def test_different_sizes_name_both_files(dataset: CountingFolder) -> None:
    Image.new("L", (30, 20)).save(label_file(dataset, "02"))
    with pytest.raises(
        UserError, match=r"annotations/train/02\.png is 30x20 .*images/train/02\.jpg is 72x44"
    ):
        index_of(dataset)


def test_a_photograph_on_its_side_fits_its_upright_label_map(dataset: CountingFolder) -> None:
    file = dataset.root / "images" / "train" / "00.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(file).rotate(90, expand=True).save(file, exif=exif)
    assert len(index_of(dataset)) == 8


def test_what_checkpoints_know_the_data_by_is_as_it_was(dataset: CountingFolder) -> None:
    """The number is of the code before sets of masks were read."""
    assert index_of(dataset).content == (
        "03820160c86d5cabf4e8067b707e191339a9878b6ac5ff20f7f4a2ac95c50aa2"
    )


PEOPLE = LabelClasses({1: "person", 2: "jacket", 3: "sleeve", 70_000: "hat"}, ignore=frozenset({9}))
CLOTHED = TaskTable(
    PEOPLE, {"clothes": ["jacket", "sleeve"], "hat": ["hat"]}, ["glass", "hat", "clothes"]
)

one_mask = arrays(np.uint8, (2, 3), elements=st.sampled_from([0, 1, 255]))
mask_sets = st.builds(
    MaskSet.of_objects,
    objects=st.lists(st.tuples(st.sampled_from([1, 2, 3, 9, 70_000]), one_mask), max_size=4),
    size=st.just((2, 3)),
    unlabelled=st.none() | arrays(np.bool_, (2, 3)),
    absent=st.none() | st.frozensets(st.sampled_from([1, 2, 3, 70_000])),
)


@given(st.lists(mask_sets, min_size=1, max_size=4))
def test_it_knows_of_sets_of_masks_what_their_truths_do(annotations: list[MaskSet]) -> None:
    files = [ImageFiles(f"{number}.jpg", str(number)) for number in range(len(annotations))]
    counts = [counted_labels(annotation, PEOPLE.ignore) for annotation in annotations]
    index = PresenceIndex.of_counts(files, counts)
    presence = index.task_presence(CLOTHED)
    for image, annotation in enumerate(annotations):
        truth = CLOTHED.truth(annotation)
        there = truth.task_pixels()
        assert presence.present(image).tolist() == sorted(there)
        assert presence.unknown(image).tolist() == np.flatnonzero(~truth.known).tolist()
        assert 0 in presence.unknown(image)  # others label glass
        for task, pixels in zip(presence.present(image), presence.pixels_of(image), strict=True):
            classes = [2, 3] if task == 2 else [70_000]
            own = dict(zip(counts[image].values.tolist(), counts[image].pixels, strict=True))
            assert pixels == sum(own.get(value, 0) for value in classes) >= there[int(task)]


def test_what_is_absent_is_part_of_what_checkpoints_know() -> None:
    def content(absent: frozenset[int] | None) -> str:
        annotation = MaskSet.of_objects([(1, np.eye(2))], (2, 2), absent=absent)
        counts = [counted_labels(annotation, ())]
        return PresenceIndex.of_counts([ImageFiles("a.jpg", "a")], counts).content

    contents = {content(absent) for absent in (None, frozenset[int](), frozenset({2}))}
    assert len(contents) == 3


def test_labels_of_32_bit_are_indexed_and_kept(dataset: CountingFolder, tmp_path: Path) -> None:
    for file in (dataset.root / "annotations" / "train").iterdir():
        labels = np.asarray(Image.open(file)).astype(np.int32) * 100_000
        Image.fromarray(labels).save(file.with_suffix(".tif"))
        file.unlink()
    names = {100_000 * value: name for value, name in dataset.classes.names.items()}
    large = CountingFolder(
        dataset.root, {"classes": names, "other": [900_000], "ignore": [1_100_000]}
    )
    tasks = TaskTable(large.classes, ["car", "lamp"])
    for _ in range(2):  # built, then read from the cache
        index = index_of(large, tmp_path / "cache")
        assert index.values.dtype == np.uint32
        presence = index.task_presence(tasks)
        assert presence.images_of(0).tolist() == [0, 2, 4, 6]
        assert presence.images_of(1).tolist() == [1, 4]
        assert presence.pixels_of(1).tolist() == [36]


def test_memory_grows_with_the_pairs_that_are_present() -> None:
    number, num_tasks, each = 20_000, 1203, 11
    classes = LabelClasses({value: f"c{value}" for value in range(num_tasks)})
    random = np.random.default_rng(0)
    values = np.sort(random.integers(0, num_tasks, (number, each)), axis=1)
    counts = np.ones(each, np.int64)
    index = PresenceIndex(
        *(np.zeros(number, "U1"), np.zeros(number, "U1"), np.arange(number + 1) * each),
        *(values.ravel().astype(np.uint16), np.tile(counts, number)),
        *(np.zeros(number + 1, np.int64), np.zeros(0, np.uint16)),
        *(np.zeros(number, np.bool_), ""),
    )
    presence = index.task_presence(TaskTable(classes))
    arrays_of = [value for value in vars(presence).values() if isinstance(value, np.ndarray)]
    assert presence.num_pairs > 0.98 * number * each
    assert sum(array.nbytes for array in arrays_of) < 20 * number * each + 25 * number
