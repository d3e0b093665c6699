from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitask_segmentation.dataset_mixing import BatchOfEach, OneStream
from seg_training.datasets.prompt_samplers import Draw, ImageSampler, ResumableSampler
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError


def sampler_of(
    num_images: int, batch_size: int = 1, rank: int = 0, world_size: int = 1
) -> ImageSampler:
    """Draw from images that all show the one task."""
    presence = TaskPresence.of_pixels(np.ones((num_images, 1), np.int64))
    return ImageSampler(presence, ["floor"], batch_size, num_images, rank, world_size)


def epoch_of(sampler: ResumableSampler, epoch: int = 0, start: int = 0) -> list[list[Draw]]:
    sampler.set_epoch(epoch)
    sampler.start = start
    return list(sampler)


def test_each_step_has_a_batch_of_each_and_the_shorter_ones_start_again() -> None:
    sampler = BatchOfEach([sampler_of(10, 2), sampler_of(4, 2), sampler_of(6, 3)])
    batches = epoch_of(sampler)
    assert len(sampler) == len(batches) == 5
    for batch in batches:
        assert [draw.source for draw in batch] == [0, 0, 1, 1, 2, 2, 2]
    images = [[d.image for batch in batches for d in batch if d.source == s] for s in range(3)]
    assert sorted(images[0]) == list(range(10))
    # Two whole passes over four images and half a third one, each shuffled anew.
    passes = [images[1][:4], images[1][4:8], images[1][8:]]
    assert sorted(passes[0]) == sorted(passes[1]) == [0, 1, 2, 3]
    assert len(set(passes[2])) == 2
    assert sorted(images[2][:6]) == sorted(images[2][6:12]) == list(range(6))


def test_passes_are_shuffled_anew_within_an_epoch_and_between_epochs() -> None:
    sampler = BatchOfEach([sampler_of(40, 1), sampler_of(8, 1)])
    orders = []
    for epoch in range(3):
        images = [draw.image for batch in epoch_of(sampler, epoch) for draw in batch if draw.source]
        orders += [tuple(images[first : first + 8]) for first in range(0, 40, 8)]
    assert len(set(orders)) == 15


@pytest.mark.parametrize("mode", ["each", "stream"])
def test_no_draw_number_comes_twice_in_a_run(mode: str) -> None:
    sizes = (12, 5, 3)
    sampler: ResumableSampler
    if mode == "each":
        sampler = BatchOfEach([sampler_of(size, 2 if size > 3 else 1) for size in sizes])
    else:
        sampler = OneStream([sampler_of(size) for size in sizes], [1, 3, 2], 2, seed=0)
    numbers = Counter(
        (draw.source, draw.number)
        for epoch in range(4)
        for batch in epoch_of(sampler, epoch)
        for draw in batch
    )
    assert set(numbers.values()) == {1}


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    batch_size=st.integers(1, 3),
    epoch=st.integers(0, 3),
    start=st.integers(0, 12),
    stream=st.booleans(),
)
def test_starting_in_the_middle_gives_the_rest(
    sizes: list[int], batch_size: int, epoch: int, start: int, stream: bool
) -> None:
    def make() -> ResumableSampler:
        if stream:
            return OneStream([sampler_of(3 * size) for size in sizes], None, batch_size, seed=3)
        return BatchOfEach([sampler_of(3 * size, batch_size) for size in sizes])

    assert epoch_of(make(), epoch, start) == epoch_of(make(), epoch)[start:]


def test_the_stream_has_each_datasets_share_in_random_order() -> None:
    sampler = OneStream([sampler_of(30), sampler_of(10)], [1, 3], 4, seed=0)
    batches = epoch_of(sampler)
    assert len(sampler) == len(batches) == 10
    draws = [draw for batch in batches for draw in batch]
    assert Counter(draw.source for draw in draws) == {0: 10, 1: 30}
    of_second = [draw.image for draw in draws if draw.source == 1]
    for first in range(0, 30, 10):
        assert sorted(of_second[first : first + 10]) == list(range(10))
    changes = sum(a.source != b.source for a, b in pairwise(draws))
    assert 8 <= changes <= 20
    assert epoch_of(sampler, 1) != batches


def test_without_weights_every_draw_of_every_dataset_comes_once() -> None:
    draws = Counter(
        (draw.source, draw.image)
        for batch in epoch_of(OneStream([sampler_of(7), sampler_of(2)], None, 3, seed=0))
        for draw in batch
    )
    assert draws == Counter([(0, image) for image in range(7)] + [(1, 0), (1, 1)])


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    weight=st.floats(0.1, 10),
    batch_size=st.integers(1, 4),
)
def test_shares_are_exact_to_the_nearest_draw(
    sizes: list[int], weight: float, batch_size: int
) -> None:
    weights = [weight * (1 + source) for source in range(len(sizes))]
    samplers = [sampler_of(4 * size) for size in sizes]
    draws = [d for b in epoch_of(OneStream(samplers, weights, batch_size, seed=1)) for d in b]
    drawn = Counter(draw.source for draw in draws)
    for source, own in enumerate(weights):
        assert (
            abs(drawn[source] - len(draws) * own / sum(weights)) <= 1 + 1e-9
        )  # of a sum of floats


@pytest.mark.parametrize("epoch", [0, 2])
def test_processes_share_the_batches(epoch: int) -> None:
    sizes = (14, 6)

    def stream(rank: int, world_size: int) -> list[list[Draw]]:
        samplers = [sampler_of(size) for size in sizes]
        return epoch_of(OneStream(samplers, None, 2, 0, rank, world_size), epoch)

    alone = stream(0, 1)
    assert [stream(rank, 2) for rank in range(2)] == [alone[0::2], alone[1::2]]

    def each(rank: int) -> list[list[Draw]]:
        return epoch_of(BatchOfEach([sampler_of(size, 2, rank, 2) for size in sizes]), epoch)

    assert [len(each(rank)) for rank in range(2)] == [3, 3]
    images = [d.image for rank in range(2) for b in each(rank) for d in b if d.source == 0]
    assert len(set(images)) == 12


def test_a_batch_that_cannot_be_filled_is_an_error() -> None:
    with pytest.raises(UserError, match=r"not one batch of 9 for each of 1 processes .* 8 draws"):
        OneStream([sampler_of(5), sampler_of(3)], None, 9, seed=0)


def test_lightning_finds_where_to_set_the_epoch() -> None:
    sampler = BatchOfEach([sampler_of(4, 2)])
    assert sampler.sampler is sampler
    sampler.start = 1
    sampler.set_epoch(0)
    assert sampler.start == 1
    sampler.set_epoch(1)
    assert sampler.start == 0
