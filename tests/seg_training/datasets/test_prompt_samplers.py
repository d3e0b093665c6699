import csv
import hashlib
import math
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from seg_training.datasets.prompt_samplers import (
    NO_IMAGE,
    SAMPLERS,
    Draw,
    EvaluationSampler,
    HomogeneousSampler,
    ImageSampler,
    MixedSampler,
    TrainingSampler,
)
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError

NAMES = ["wall", "sky", "lamp", "flag"]
DIGESTS = {
    "homogeneous": "6a927288a4c1ca8e",
    "mixed": "ce8dea40301c8575",
    "images": "b86d32679e1042b5",
}


def pixels_of(*images_of_tasks: list[int], num_images: int = 12) -> NDArray[np.int64]:
    """(N, K) pixel counts from the list of images of each task."""
    pixels = np.zeros((num_images, len(images_of_tasks)), np.int64)
    for task, images in enumerate(images_of_tasks):
        pixels[images, task] = 5
    return pixels


# 11 walls, 4 skies, 2 lamps, 3 flags
PIXELS = pixels_of(list(range(11)), [0, 3, 5, 11], [1, 2], [4, 6, 8])
PRESENCE = TaskPresence.of_pixels(PIXELS)


def batches_of(sampler: TrainingSampler, epoch: int = 0) -> list[list[Draw]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_homogeneous_batches_are_composed_as_published() -> None:
    sampler = HomogeneousSampler(PRESENCE, NAMES, batch_size=3, seed=0)
    batches = batches_of(sampler)
    # 4 rounds = ceil(11 / 3) over the 3 tasks that have a full batch.
    assert len(sampler) == len(batches) == 4 * 3
    assert [{draw.task_id for draw in batch} for batch in batches] == [{0}, {1}, {3}] * 4
    assert sampler.never_trained() == (
        "1 of 4 tasks have fewer images than a batch of 3 and are never trained: lamp. "
        "data.sampler=mixed or a smaller data.batch_size trains them"
    )
    images = {
        task: [[draw.image for draw in batch] for batch in batches if batch[0].task_id == task]
        for task in (0, 1, 3)
    }
    for task, rounds in images.items():
        for batch in rounds:
            assert len(set(batch)) == 3
            assert all(PIXELS[image, task] for image in batch)
    # Walls: 3 full batches of a shuffle; the other 2 images are dropped, then shuffled anew.
    first_shuffle = [image for batch in images[0][:3] for image in batch]
    assert len(set(first_shuffle)) == 9
    # Skies: one full batch per shuffle, the fourth image dropped; flags: all three every time.
    assert len({tuple(batch) for batch in images[1]}) > 1
    assert all(sorted(batch) == [4, 6, 8] for batch in images[3])
    assert len({tuple(batch) for batch in images[3]}) > 1


def test_every_image_is_dropped_at_times() -> None:
    sampler = HomogeneousSampler(
        TaskPresence.of_pixels(PIXELS[:, 1:2]), ["sky"], batch_size=3, seed=0
    )
    dropped = Counter[int]()
    for epoch in range(200):
        for batch in batches_of(sampler, epoch):
            dropped.update({0, 3, 5, 11} - {draw.image for draw in batch})
    assert set(dropped) == {0, 3, 5, 11}
    assert min(dropped.values()) > 0.8 * max(dropped.values()) - 20


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    batch_size=st.integers(1, 7),
    seed=st.integers(0, 100),
)
def test_batches_per_epoch_and_class_follow_the_formula(
    counts: list[int], batch_size: int, seed: int
) -> None:
    trained = [task for task, count in enumerate(counts) if count >= batch_size]
    pixels = pixels_of(*(list(range(count)) for count in counts), num_images=30)
    names = [str(task) for task in range(len(counts))]
    if not trained:
        with pytest.raises(UserError, match="not one batch" if any(counts) else "nothing to train"):
            HomogeneousSampler(TaskPresence.of_pixels(pixels), names, batch_size, seed)
        return
    batches = batches_of(
        HomogeneousSampler(TaskPresence.of_pixels(pixels), names, batch_size, seed)
    )
    rounds = math.ceil(max(counts) / batch_size)
    assert [batch[0].task_id for batch in batches] == trained * rounds
    for task in trained:
        own = [batch for batch in batches if batch[0].task_id == task]
        per_shuffle = counts[task] // batch_size
        for start in range(0, rounds, per_shuffle):
            images = [draw.image for batch in own[start : start + per_shuffle] for draw in batch]
            assert len(images) == len(set(images))
            assert set(images) <= set(range(counts[task]))


def test_ade20k_has_175050_batches_per_epoch(shared: Path) -> None:
    with (shared / "data" / "ade20k_sample" / "objectInfo150.csv").open() as file:
        counts = [int(row["Train"]) for row in csv.DictReader(file)]
    assert sum(counts) == 170_924
    # Synthetic image lists: class c is in the first n_c images.
    pixels = (np.arange(20_210)[:, None] < np.array(counts)).astype(np.int64)
    names = [str(task) for task in range(150)]
    sampler = HomogeneousSampler(TaskPresence.of_pixels(pixels), names, batch_size=10, seed=0)
    assert len(sampler) == 175_050
    images, task_ids = sampler.plan(np.random.default_rng(0))
    assert task_ids.reshape(1167, 150, 10).tolist()[1166] == [[task] * 10 for task in range(150)]
    assert all(np.bincount(task_ids) == 11_670)
    assert all(pixels[images, task_ids])
    assert (
        MixedSampler(TaskPresence.of_pixels(pixels), names, batch_size=10, seed=0).num_batches
        == 17_092
    )


def test_mixed_gives_every_task_alike_and_every_image_of_it() -> None:
    sampler = MixedSampler(PRESENCE, NAMES, batch_size=4, seed=0)
    batches = batches_of(sampler)
    assert len(batches) == len(sampler) == 20 // 4  # 20 pairs
    draws = [draw for batch in batches for draw in batch]
    assert Counter(draw.task_id for draw in draws) == dict.fromkeys(range(4), 5)
    for batch in batches:  # each task once before any comes again
        assert {draw.task_id for draw in batch} == {0, 1, 2, 3}
    for task in range(4):
        own = [draw.image for draw in draws if draw.task_id == task]
        images = np.flatnonzero(PIXELS[:, task]).tolist()
        assert set(own) <= set(images)
        times = Counter(own)
        assert max(times.values()) - min(times.get(image, 0) for image in images) <= 1


def test_mixed_leaves_out_tasks_without_images_and_names_them() -> None:
    pixels = pixels_of([0, 1, 2], [], [3, 4])
    sampler = MixedSampler(TaskPresence.of_pixels(pixels), NAMES, 2, 0)
    assert sampler.never_trained() == "no training image has a pixel of: sky"
    draws = [draw for batch in batches_of(sampler) for draw in batch]
    assert Counter(draw.task_id for draw in draws) == {0: 2, 2: 2}


def test_no_warning_where_every_task_is_trained() -> None:
    assert HomogeneousSampler(PRESENCE, NAMES, batch_size=2, seed=0).never_trained() == ""
    assert MixedSampler(PRESENCE, NAMES, batch_size=10, seed=0).never_trained() == ""


def test_images_come_once_with_one_of_their_tasks() -> None:
    sampler = ImageSampler(PRESENCE, NAMES, batch_size=5, seed=0)
    seen = Counter[tuple[int, int]]()
    for epoch in range(60):
        batches = batches_of(sampler, epoch)
        assert [len(batch) for batch in batches] == [5, 5]
        assert len({draw.image for batch in batches for draw in batch}) == 10
        seen.update((draw.image, draw.task_id) for batch in batches for draw in batch)
    assert set(seen) == {(int(image), int(task)) for image, task in np.argwhere(PIXELS)}


def test_an_image_without_task_is_asked_for_one_of_its_datasets() -> None:
    pixels = pixels_of([0], [0], [], [], num_images=40)
    sampler = ImageSampler(TaskPresence.of_pixels(pixels, [1, 3]), NAMES, 40, 0)
    [batch] = batches_of(sampler)
    assert [draw.task_id for draw in batch if draw.image == 0] != []
    asked = Counter(draw.task_id for draw in batch if draw.image > 0)
    assert asked.keys() == {1, 3}
    assert all(10 < times < 29 for times in asked.values())


def test_tasks_of_other_datasets_are_not_missed() -> None:
    pixels = pixels_of([0, 1, 2], [], [], [], num_images=3)
    for sampler in SAMPLERS.values():
        assert sampler(TaskPresence.of_pixels(pixels, [0]), NAMES, 2, 0).never_trained() == ""
    missed = MixedSampler(TaskPresence.of_pixels(pixels, [0, 2]), NAMES, 2, 0).never_trained()
    assert missed == f"no training image has a pixel of: {NAMES[2]}"


@pytest.fixture(params=SAMPLERS)
def sampler_class(request: pytest.FixtureRequest) -> type[TrainingSampler]:
    return SAMPLERS[request.param]


def test_seed_and_epoch_alone_decide(sampler_class: type[TrainingSampler]) -> None:
    def plan(seed: int, epoch: int) -> list[list[tuple[int, int]]]:
        sampler = sampler_class(PRESENCE, NAMES, 2, seed)
        return [[draw[:2] for draw in batch] for batch in batches_of(sampler, epoch)]

    assert plan(1, 0) == plan(1, 0)
    assert plan(1, 3) == plan(1, 3)
    assert plan(1, 0) != plan(1, 1)
    assert plan(1, 0) != plan(2, 0)


def test_draw_numbers_count_through_the_whole_run(sampler_class: type[TrainingSampler]) -> None:
    sampler = sampler_class(PRESENCE, NAMES, 3, 0)
    numbers = [
        draw.number for epoch in range(3) for batch in batches_of(sampler, epoch) for draw in batch
    ]
    assert numbers == list(range(3 * len(sampler) * 3))


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_batches_of_one(
    sampler_class: type[TrainingSampler], world_size: int
) -> None:
    alone = batches_of(sampler_class(PRESENCE, NAMES, 2, 0), 1)
    shares = [
        batches_of(sampler_class(PRESENCE, NAMES, 2, 0, rank, world_size), 1)
        for rank in range(world_size)
    ]
    assert {len(share) for share in shares} == {len(alone) // world_size}
    dealt = [batch for step in zip(*shares, strict=True) for batch in step]
    assert dealt == alone[: len(dealt)]


@pytest.mark.parametrize("rank", [0, 1])
def test_an_interrupted_epoch_goes_on_where_it_was(
    sampler_class: type[TrainingSampler], rank: int
) -> None:
    whole = batches_of(sampler_class(PRESENCE, NAMES, 2, 0, rank, 2), 2)
    sampler = sampler_class(PRESENCE, NAMES, 2, 0, rank, 2)
    sampler.epoch, sampler.start = 2, 1
    sampler.set_epoch(2)  # as Lightning does on resuming
    assert list(sampler) == whole[1:]
    assert len(sampler) == len(whole)
    sampler.set_epoch(3)
    assert len(list(sampler)) == len(whole)


def test_lightning_finds_set_epoch(sampler_class: type[TrainingSampler]) -> None:
    sampler = sampler_class(PRESENCE, NAMES, 2, 0)
    sampler.sampler.set_epoch(7)
    assert sampler.epoch == 7


@pytest.mark.parametrize(("batch_size", "world_size"), [(25, 1), (2, 100)])
def test_too_few_images_are_an_error_that_says_what_to_do(
    sampler_class: type[TrainingSampler], batch_size: int, world_size: int
) -> None:
    with pytest.raises(
        UserError,
        match=rf"not one batch of {batch_size} for each of {world_size} processes can be made from "
        r"12 images with 20 \(image, task\) pairs; lower data\.batch_size",
    ):
        sampler_class(PRESENCE, NAMES, batch_size, 0, 0, world_size)


@given(
    present=st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=20),
    world_size=st.integers(1, 5),
    asks_absent=st.booleans(),
)
@settings(deadline=None)
def test_evaluation_covers_every_image_with_a_pair_once(
    present: list[list[bool]], world_size: int, asks_absent: bool
) -> None:
    pixels = np.array(present, np.int64) * 3
    samplers = [
        EvaluationSampler(TaskPresence.of_pixels(pixels), rank, world_size, asks_absent)
        for rank in range(world_size)
    ]
    shares = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(share) for share in shares]
    # Where absent tasks are asked, an image that shows none is asked for them.
    expected = [image for image, tasks in enumerate(present) if asks_absent or any(tasks)]
    drawn = [[image for image in share if image != NO_IMAGE] for share in shares]
    assert sorted(image for share in drawn for image in share) == expected
    assert all(first < second for share in drawn for first, second in pairwise(share))
    # Processes take the same number of steps together, and no more than they need.
    assert {len(share) for share in shares} == {-(-len(expected) // world_size)}


def test_plans_are_those_of_whole_tables() -> None:
    """The numbers are of the code that kept a whole table of images and tasks."""
    table = (np.random.default_rng(0).random((3000, 150)) < 0.06).astype(np.int64)
    table[::50] = 0
    digests = {}
    for name, sampler in SAMPLERS.items():
        presence = TaskPresence.of_pixels(table)
        plan = sampler(presence, [""] * 150, 10, 7).plan(np.random.default_rng([7, 2]))
        content = b"".join(part.astype(np.int64).tobytes() for part in plan)
        digests[name] = hashlib.sha256(content).hexdigest()[:16]
    assert digests == DIGESTS


states = arrays(np.int8, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(0, 2))


def presence_of(states: NDArray[np.int8], lists_absent: bool) -> TaskPresence:
    """Of absent (0), present (1) and unknown (2) pairs, as either kind of list says it."""
    presence = TaskPresence.of_pixels((states == 1).astype(np.int64))
    images, listed = np.nonzero(states == (0 if lists_absent else 2))
    return TaskPresence(
        *(presence.num_tasks, presence.own, presence.sources),
        *(presence.offsets, presence.task_ids, presence.pixels),
        *(np.searchsorted(images, np.arange(len(states) + 1)), listed),
        np.full(len(states), lists_absent),
    )


@given(
    of_datasets=st.lists(st.tuples(states, st.booleans()), min_size=1, max_size=3),
    name=st.sampled_from(sorted(SAMPLERS)),
    batch_size=st.integers(1, 3),
)
@settings(deadline=None)
def test_a_pair_of_which_nobody_knows_is_never_drawn(
    of_datasets: list[tuple[NDArray[np.int8], bool]], name: str, batch_size: int
) -> None:
    presence = TaskPresence.joined([presence_of(*dataset) for dataset in of_datasets])
    table = np.concatenate([states for states, _ in of_datasets])
    for image, own in enumerate(table):
        assert presence.unknown(image).tolist() == np.flatnonzero(own == 2).tolist()
    try:
        sampler = SAMPLERS[name](presence, NAMES, batch_size, 0)
    except UserError:
        return
    for draw in (draw for batch in batches_of(sampler) for draw in batch):
        state = table[draw.image, draw.task_id]
        if name == "images" and not (table[draw.image] == 1).any():
            assert state == 0
        else:
            assert state == 1


def test_an_image_of_which_nothing_is_known_is_left_out() -> None:
    table = np.array([[2, 2, 2], [2, 0, 2], [1, 2, 2]], np.int8)
    for lists_absent in (False, True):
        sampler = ImageSampler(presence_of(table, lists_absent), NAMES, 1, 0)
        draws = [draw[:2] for batch in batches_of(sampler) for draw in batch]
        assert sorted(draws) == [(1, 1), (2, 0)]


def test_an_image_of_several_datasets_is_asked_for_its_own_tasks_alone() -> None:
    whole = pixels_of([0], [], [], num_images=20)
    parts = [TaskPresence.of_pixels(whole, own) for own in ([0, 1], [0, 2])]
    sampler = ImageSampler(TaskPresence.joined(parts), NAMES, 40, 0)
    asked = {(draw.image < 20, draw.task_id) for draw in batches_of(sampler)[0]}
    assert asked == {(True, 0), (True, 1), (False, 0), (False, 2)}


def test_a_thousand_tasks_are_planned_without_a_whole_table() -> None:
    number, num_tasks, each = 20_000, 1203, 8
    task_ids = np.random.default_rng(0).integers(0, num_tasks // each, (number, each))
    task_ids += np.arange(each) * (num_tasks // each)
    empty = TaskPresence.of_pixels(np.zeros((0, num_tasks), np.int64))
    nothing = np.zeros(number + 1, np.int64)
    presence = TaskPresence(
        *(num_tasks, empty.own, nothing[1:], np.arange(number + 1) * each, task_ids.ravel()),
        *(np.ones(number * each, np.int64), nothing, nothing[:0], np.zeros(number, np.bool_)),
    )
    names = [""] * num_tasks
    for sampler in (ImageSampler(presence, names, 10, 0), MixedSampler(presence, names, 10, 0)):
        tracemalloc.start()
        images, asked = sampler.plan(np.random.default_rng(0))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (task_ids[images] == asked[:, None]).any(axis=1).all()
        assert most < 100 * 2**20  # a whole table of random numbers alone has 183 MiB
