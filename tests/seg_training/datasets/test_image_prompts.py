"""Which tasks are asked of an image: absent ones by their share, several, never unknown ones."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.image_prompts import ABSENT_BY, ImagePrompts
from seg_training.datasets.prompt_samplers import (
    HomogeneousSampler,
    ImageSampler,
    MixedSampler,
    images_per_batch,
)
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError

# Of six tasks image i shows 0, and i % 6; task 5 is shown by few.
TABLE = np.zeros((60, 6), np.int64)
TABLE[:, 0] = 3
TABLE[np.arange(60), np.arange(60) % 5] = 3
TABLE[:2, 5] = 3
PRESENCE = TaskPresence.of_pixels(TABLE)
NAMES = [f"task {number}" for number in range(6)]


def presence_of(states: NDArray[Any], lists_absent: bool) -> TaskPresence:
    """Of absent (0), present (1) and unknown (2) pairs, as either kind of list says it."""
    presence = TaskPresence.of_pixels((states == 1).astype(np.int64))
    images, listed = np.nonzero(states == (0 if lists_absent else 2))
    return TaskPresence(
        *(presence.num_tasks, presence.own, presence.sources),
        *(presence.offsets, presence.task_ids, presence.pixels),
        *(np.searchsorted(images, np.arange(len(states) + 1)), listed),
        np.full(len(states), lists_absent),
    )


def draws_of(sampler: Any, epoch: int = 0) -> list[Any]:
    sampler.set_epoch(epoch)
    return [draw for batch in sampler for draw in batch]


@pytest.mark.parametrize("absent_by", ABSENT_BY)
def test_without_a_share_draws_are_as_before(absent_by: str) -> None:
    plain = MixedSampler(PRESENCE, NAMES, 4, 3)
    with_option = MixedSampler(PRESENCE, NAMES, 4, 3, absent=0, absent_by=absent_by)
    assert [draws_of(plain, epoch) for epoch in (0, 2)] == [
        draws_of(with_option, epoch) for epoch in (0, 2)
    ]


@pytest.mark.parametrize("absent_by", ABSENT_BY)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_share_is_reached_and_images_stay(absent_by: str, share: float) -> None:
    plain = draws_of(MixedSampler(PRESENCE, NAMES, 4, 3))
    drawn = draws_of(MixedSampler(PRESENCE, NAMES, 4, 3, absent=share, absent_by=absent_by))
    assert [(draw.image, draw.number) for draw in drawn] == [
        (draw.image, draw.number) for draw in plain
    ]
    absent = [not TABLE[draw.image, draw.task_id] for draw in drawn]
    assert 0.6 * share * len(drawn) <= sum(absent) <= round(share * len(drawn))
    same = [draw.task_id == own.task_id for draw, own in zip(drawn, plain, strict=True)]
    assert [not own for own in absent] == same


@pytest.mark.parametrize(("absent_by", "most"), [("uniform", 0.25), ("frequent", 0.5)])
@pytest.mark.parametrize("number", [1, 3])
def test_the_only_task_that_is_ever_absent_is_not_asked_in_vain_for_all_others(
    absent_by: str, most: float, number: int
) -> None:
    """As in street scenes, which lack bicyclists and little else."""
    table = np.ones((400, 8), np.int64)
    table[::2, 7] = 0
    presence = TaskPresence.of_pixels(table)
    sampler = MixedSampler(
        *(presence, [f"task {number}" for number in range(8)], 12, 0),
        **{"prompts_per_image": number, "absent": 0.25, "absent_by": absent_by},
    )
    prompts = [
        (draw.image, task) for draw in draws_of(sampler) for task in (draw.task_id, *draw.further)
    ]
    of_the_last = [table[image, task] for image, task in prompts if task == 7]
    assert len(of_the_last) > 100
    assert 0.85 * most < 1 - np.mean(of_the_last) < most + 0.01
    assert all(table[image, task] for image, task in prompts if task != 7)


def asked_of(prompts: ImagePrompts, image: int, times: int = 6000) -> dict[int, float]:
    images = np.full(times, image)
    tasks = prompts(images, np.zeros(times, np.int64), np.random.default_rng(0))
    return {task: count / times for task, count in sorted(Counter(tasks[:, 0].tolist()).items())}


def test_absent_tasks_come_as_often_as_their_weights_say() -> None:
    assert TABLE.sum(axis=0).tolist() == [180, 36, 36, 36, 36, 6]
    # Image 3 shows 0 and 3.
    uniform = asked_of(ImagePrompts(PRESENCE, 1, 1.0, "uniform"), 3)
    assert uniform == pytest.approx({1: 0.25, 2: 0.25, 4: 0.25, 5: 0.25}, abs=0.03)
    frequent = asked_of(ImagePrompts(PRESENCE, 1, 1.0, "frequent"), 3)
    expected = {1: 12 / 38, 2: 12 / 38, 4: 12 / 38, 5: 2 / 38}
    assert frequent == pytest.approx(expected, abs=0.03)
    confused = ImagePrompts(PRESENCE, 1, 1.0, "confused")
    assert asked_of(confused, 3) == frequent  # as long as nobody has said more
    weights = np.zeros(TABLE.shape, np.float32)
    weights[3] = [9, 0.1, 0, 9, 0.3, 0]  # present ones do not count
    confused.take_confusion(weights)
    assert asked_of(confused, 3) == pytest.approx({1: 0.25, 4: 0.75}, abs=0.03)
    nothing = asked_of(confused, 8)  # all are 0: alike
    assert nothing == pytest.approx({1: 0.25, 2: 0.25, 4: 0.25, 5: 0.25}, abs=0.03)


def test_an_image_that_lacks_nothing_is_asked_for_what_it_shows() -> None:
    presence = TaskPresence.of_pixels(np.ones((9, 2), np.int64))
    drawn = draws_of(MixedSampler(presence, NAMES, 3, 0, absent=0.5))
    assert drawn == draws_of(MixedSampler(presence, NAMES, 3, 0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"absent": 1.5}, r"data\.sampler\.absent=1\.5: expected a number of at least 0 and at mo"),
        ({"absent": "some"}, r"data\.sampler\.absent='some': expected a number"),
        ({"absent_by": "frequnt"}, r"unknown data\.sampler\.absent_by 'frequnt'; did you mean 'fr"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MixedSampler(PRESENCE, NAMES, 4, 3, **options)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((6, 6)), r"shape \(6, 6\); expected \(60, 6\): a row for each image"),
        (-np.ones((60, 6)), "below 0 or that are not finite"),
        (np.full((60, 6), np.nan), "below 0 or that are not finite"),
    ],
)
def test_confusion_of_other_images_is_refused(weights: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        MixedSampler(PRESENCE, NAMES, 4, 3).take_confusion(weights)


states = arrays(np.int8, st.tuples(st.integers(1, 10), st.just(5)), elements=st.integers(0, 2))


@given(
    states,
    st.booleans(),
    st.integers(1, 7),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.sampled_from(sorted(ABSENT_BY)),
)
def test_prompts_of_an_image_are_known_different_and_many(
    table: NDArray[np.int8], lists_absent: bool, number: int, share: float, absent_by: str
) -> None:
    images = np.flatnonzero((table == 1).any(axis=1))
    drawn_with = (table[images] == 1).argmax(axis=1)
    prompts = ImagePrompts(presence_of(table, lists_absent), number, share, absent_by)
    asked = prompts(images, drawn_with, np.random.default_rng(1))
    assert asked.shape == (len(images), number)
    num_absent = 0
    for image, first, tasks in zip(images, drawn_with, asked.tolist(), strict=True):
        known = np.flatnonzero(table[image] != 2)
        assert (table[image, tasks] != 2).all()
        times = Counter(tasks)
        assert len(times) == min(number, len(known))  # each once before any comes again
        assert max(times.values()) - min(times.values()) <= 1
        present = [task for task in times if table[image, task] == 1]
        assert not present or first in present
        num_absent += sum(table[image, task] == 0 for task in tasks)
    assert num_absent <= round(share * asked.size) or any(
        (table[image] == 1).sum() < number for image in images
    )
    # Of all prompts, or of each task's: what is hardly ever there is hardly ever asked in vain.
    enough = all((table[image] == state).sum() >= number for image in images for state in (0, 1))
    if enough and share in (0, 1):
        assert num_absent == share * asked.size


def test_several_prompts_share_image_and_number() -> None:
    sampler = MixedSampler(PRESENCE, NAMES, 6, 3, prompts_per_image=3, absent=0.5)
    batches = list(sampler)
    assert len(batches) == PRESENCE.num_pairs // 6
    assert {len(batch) for batch in batches} == {2}
    assert {len(draw.further) for batch in batches for draw in batch} == {2}
    numbers = [draw.number for batch in batches for draw in batch]
    assert numbers == list(range(2 * len(batches)))
    tasks = [(draw.image, task) for batch in batches for draw in batch
             for task in (draw.task_id, *draw.further)]  # fmt: skip
    # Of three prompts at least one is absent, for images show two tasks at most.
    assert sum(not TABLE[pair] for pair in tasks) >= len(tasks) / 3
    second = draws_of(sampler, 1)
    assert [draw.number for draw in second] == [number + len(numbers) for number in numbers]


def test_every_image_once_with_several_prompts() -> None:
    sampler = ImageSampler(PRESENCE, NAMES, 8, 3, prompts_per_image=2)
    assert len(sampler) == 15
    assert sorted(draw.image for draw in draws_of(sampler)) == list(range(60))
    for draw in draws_of(sampler):
        own = np.flatnonzero(TABLE[draw.image]).tolist()
        asked = {draw.task_id, *draw.further}
        assert len(asked) == 2
        assert asked <= set(own) if len(own) > 1 else set(own) <= asked


def test_batch_sizes_that_several_prompts_do_not_fill_are_refused() -> None:
    assert images_per_batch(12, 4) == 3
    message = (
        r"data\.batch_size=10 counts pairs of image and task, of which data\.prompts_per_image=4 "
        "have one image: expected a multiple of 4, 8 say"
    )
    with pytest.raises(UserError, match=message):
        MixedSampler(PRESENCE, NAMES, 10, 0, prompts_per_image=4)
    with pytest.raises(UserError, match="a multiple of 4, 4 say"):
        images_per_batch(1, 4)
    with pytest.raises(UserError, match=r"asks for one task; use data\.sampler=mixed or images"):
        HomogeneousSampler(PRESENCE, NAMES, 10, 0, prompts_per_image=2)


def test_the_data_module_hands_the_confusion_on(
    fake_folder: Callable[..., Path], fake_classes: dict[str, Any], tmp_path: Path
) -> None:
    root = fake_folder()
    sampler = {"name": "mixed", "absent": 1.0, "absent_by": "confused"}
    data = {"dataset": "folder", "root": str(root), "classes": fake_classes, "sampler": sampler}
    data |= {"train_split": "train", "val_split": "val", "num_workers": 0, "batch_size": 2}
    data |= {"crop_size": [32, 32], "cache_dir": str(tmp_path)}
    module = SegmentationDataModule.from_config(data, {"classes": "all"}, 0)
    presence = module.task_presence("train")
    weights = np.zeros((8, 5))
    weights[:, 2] = 1  # everything looks like a car
    module.take_confusion(weights)
    drawn = [
        (int(name), task, bool((mask == 1).any()))
        for batch in module.train_dataloader()
        for name, task, mask in zip(batch.name, batch.task_ids.tolist(), batch.mask, strict=True)
    ]
    for image, task, is_there in drawn:
        if len(presence.present(image)) == 5:  # it lacks nothing
            continue
        assert not is_there
        assert (task == 2) == (2 not in presence.present(image))
    assert any(task == 2 for _, task, _ in drawn)
