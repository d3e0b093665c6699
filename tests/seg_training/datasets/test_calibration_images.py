"""Images that are held out of training: which, and that no batch holds them."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets.configs import config_on_fake_data
from hypothesis import given
from hypothesis import strategies as st

from seg_training.datasets.batches import Batch
from seg_training.datasets.calibration_images import held_out_images, spread_images
from seg_training.datasets.data_module import SegmentationDataModule, build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.datasets.prompt_samplers import SAMPLERS
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError


@given(st.integers(2, 60), st.floats(0.001, 0.5), st.integers(0, 5))
def test_the_share_is_spread_over_the_split(number: int, share: float, seed: int) -> None:
    names = [f"images/{image:03d}.jpg" for image in range(number)]
    held_out = held_out_images(names, share, seed)
    expected = max(1, round(share * number))
    assert len(held_out) == expected
    assert held_out.tolist() == sorted(set(held_out.tolist()))
    assert held_out.tolist() == held_out_images(names, share, seed).tolist()
    # One of each equal part.
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(number), expected)])
    assert np.searchsorted(ends, held_out, side="right").tolist() == list(range(expected))


def test_seed_and_names_choose() -> None:
    names = [f"{image}" for image in range(100)]
    choices = {tuple(spread_images(names, 10, seed).tolist()) for seed in range(20)}
    choices.add(tuple(spread_images([f"b{name}" for name in names], 10, 0).tolist()))
    assert len(choices) == 21
    # Another name later in the list moves nothing in the parts before it.
    other = spread_images([*names[:-1], "another"], 10, 0)
    assert other[:-1].tolist() == spread_images(names, 10, 0)[:-1].tolist()
    counted = Counter(image for seed in range(500) for image in spread_images(names, 10, seed))
    assert set(counted) == set(range(100))
    assert max(counted.values()) < 100  # 50 on average


def test_nothing_or_everything_held_out() -> None:
    assert held_out_images(["a", "b"], 0, 0).tolist() == []
    assert spread_images(["a", "b"], 200, 0).tolist() == [0, 1]
    with pytest.raises(UserError, match=r"holds out 1 of 1 training images: none is left"):
        held_out_images(["a"], 0.1, 0)


tables = st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=1, max_size=8)


@given(tables, st.booleans(), st.data())
def test_a_part_of_a_split_knows_what_the_whole_knew(
    states: list[list[int]], lists_absent: bool, data: st.DataObject
) -> None:
    table = np.array(states)
    images, listed = np.nonzero(table == (0 if lists_absent else 2))
    whole = TaskPresence.of_pixels((table == 1).astype(np.int64) * 7)
    whole = TaskPresence(
        *(whole.num_tasks, whole.own, whole.sources, whole.offsets, whole.task_ids, whole.pixels),
        *(np.searchsorted(images, np.arange(len(table) + 1)), listed),
        np.full(len(table), lists_absent),
    )
    some = np.array(sorted(data.draw(st.sets(st.integers(0, len(table) - 1)))), np.int64)
    only, taken = whole.only(some), whole.taking(some)
    assert (len(only), len(taken)) == (len(whole), len(some))
    for image in range(len(whole)):
        if image in some:
            place = some.tolist().index(image)
            for left, own in ((only, image), (taken, place)):
                for ask in ("present", "pixels_of", "absent", "unknown"):
                    assert np.array_equal(getattr(left, ask)(own), getattr(whole, ask)(image))
        else:
            assert only.unknown(image).tolist() == [0, 1, 2]
    assert np.array_equal(only.absent_from(some), whole.absent_from(some))


@pytest.fixture
def make_module(
    fake_folder: Callable[..., Path], fake_classes: dict[str, Any], tmp_path: Path
) -> Callable[..., SegmentationDataModule]:
    root = fake_folder(num_train=12)

    def make(**settings: Any) -> SegmentationDataModule:
        data = {"dataset": "folder", "root": str(root), "classes": fake_classes}
        small = {"crop_size": [32, 40], "batch_size": 1, "eval_batch_size": 2, "num_workers": 0}
        splits = {"train_split": "train", "val_split": "val", "cache_dir": str(tmp_path / "cache")}
        return SegmentationDataModule.from_config(
            data | small | splits | settings, {"classes": "all"}, seed=5
        )

    return make


def flat(batches: Any) -> Iterator[Batch]:
    for batch in batches:
        yield from batch.values() if isinstance(batch, dict) else [batch]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("more", [{}, {"resized_cache_gib": 1}])
def test_no_batch_holds_them_and_evaluation_does(
    make_module: Callable[..., SegmentationDataModule], sampler: str, more: dict[str, Any]
) -> None:
    module = make_module(sampler=sampler, calibration_share=0.25, **more)
    samples, presence = module.calibration_samples()
    assert (len(samples), len(presence)) == (3, 3)
    assert len(set(samples.names)) == 3
    loader = module.train_dataloader()
    trained = set()
    for epoch in range(6):
        loader.batch_sampler.set_epoch(epoch)
        trained |= {name for batch in loader for name in batch.name}
    assert trained == {f"{number:02d}" for number in range(12)} - set(samples.names)
    # As an evaluation of the training split has them.
    whole = make_module(val_split="train")
    expected = {
        sample.name: sample for sample in map(whole.validation_samples()[0].__getitem__, range(12))
    }
    found = [sample for batch in module.calibration_dataloader() for sample in batch.samples()]
    assert [sample.name for sample in found] == samples.names
    assert [sample.position for sample in found] == [0, 1, 2]
    for sample in found:
        own = expected[sample.name]
        assert sample.image.equal(own.image)
        assert sample.task_ids.equal(own.task_ids)
        assert sample.truth.label_map.equal(own.truth.label_map)
    assert module.contents() == make_module().contents()


def test_without_a_share_images_are_those_trained_on(
    make_module: Callable[..., SegmentationDataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = make_module(sampler="images")
    assert module.calibration_samples()[0].names == [f"{number:02d}" for number in range(12)]
    trained = {name for batch in module.train_dataloader() for name in batch.name}
    assert len(trained) == 12
    monkeypatch.setattr("seg_training.datasets.data_module.MOST_TRAINED_ON", 4)
    names = module.calibration_samples()[0].names
    assert [int(name) // 3 for name in names] == [0, 1, 2, 3]


@pytest.mark.parametrize("share", [1, -0.1, "some"])
def test_shares_that_make_no_sense_are_refused(
    make_module: Callable[..., SegmentationDataModule], share: Any
) -> None:
    with pytest.raises(UserError, match=r"data\.calibration_share=.*: expected a number"):
        make_module(calibration_share=share)


def test_calibration_images_without_any_task_are_an_error(
    make_module: Callable[..., SegmentationDataModule], fake_classes: dict[str, Any]
) -> None:
    classes = {**fake_classes, "classes": {**fake_classes["classes"], 50: "bus"}}
    module = make_module(classes=classes, calibration_share=0.1)
    module.tasks = module.tasks.among(["bus"], ["bus"])
    with pytest.raises(UserError, match=r"the 1 images of split 'train'.*raise data\.calibration"):
        module.calibration_samples()


@pytest.mark.parametrize("mode", ["max_size_cycle", "mixed"])
def test_every_one_of_several_datasets_holds_its_own_out(tmp_path: Path, mode: str) -> None:
    def build(*more: str) -> DataModule:
        config = config_on_fake_data(
            "multitask_scenenet_sun_gdd_trans10k", tmp_path, [f"data.mode={mode}", *more]
        )
        module = build_data_module(config["data"], config["tasks"], 1)
        module.prepare_data()
        module.setup("fit")
        return module

    module = build("data.calibration_share=0.3")
    samples, presence = module.calibration_samples()
    sources = module.sources()
    each = [source.calibration_samples()[0] for source in sources.values()]
    assert len(samples) == len(presence) == sum(len(own) for own in each)  # type: ignore[arg-type]
    found = [sample for batch in module.calibration_dataloader() for sample in batch.samples()]
    assert {sample.source for sample in found} <= set(range(len(sources)))
    # Those that show no task, too: presence is calibrated on them.
    assert [sample.position for sample in found] == list(range(len(presence)))
    held_out = [set(own.names) for own in each]
    for own, name, source in zip(each, sources, sources.values(), strict=True):
        number = len(source.task_presence(source.splits["fit"]))
        assert len(own) == max(1, round(0.3 * number)), name
    trained = {name for batch in flat(module.train_dataloader()) for name in batch.name}
    if mode == "max_size_cycle":
        for names, (name, _) in zip(held_out, sources.items(), strict=True):
            drawn = {each for batch in module.train_dataloader() for each in batch[name].name}
            assert not drawn & names
    assert trained
