"""Which pairs are present, absent or unknown, against sets made by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seg_training.datasets.task_presence import TaskPresence


@given(
    arrays(np.int64, st.tuples(st.integers(0, 5), st.integers(1, 4)), elements=st.integers(0, 2))
)
def test_a_whole_table_comes_back(pixels: np.ndarray) -> None:
    presence = TaskPresence.of_pixels(pixels)
    assert len(presence) == len(pixels)
    assert presence.num_pairs == (pixels > 0).sum()
    for image, own in enumerate(pixels):
        assert presence.present(image).tolist() == np.flatnonzero(own).tolist()
        assert presence.pixels_of(image).tolist() == own[own > 0].tolist()
        assert presence.absent(image).tolist() == np.flatnonzero(own == 0).tolist()
        assert presence.unknown(image).tolist() == []
    for task in range(pixels.shape[1]):
        assert presence.images_of(task).tolist() == np.flatnonzero(pixels[:, task]).tolist()
    assert presence.images_per_task.tolist() == (pixels > 0).sum(axis=0).tolist()


def test_lists_of_absent_and_of_unknown_tasks() -> None:
    presence = TaskPresence(
        num_tasks=5,
        own=(np.array([0, 1, 2, 3]),),
        sources=np.zeros(2, np.int64),
        offsets=np.array([0, 1, 2]),
        task_ids=np.array([0, 1]),
        pixels=np.array([7, 8]),
        listed_offsets=np.array([0, 2, 3]),
        listed=np.array([2, 4, 3]),
        lists_absent=np.array([True, False]),
    )
    assert presence.absent(0).tolist() == [2]  # 4 is not its own
    assert presence.unknown(0).tolist() == [1, 3, 4]
    assert presence.absent(1).tolist() == [0, 2]
    assert presence.unknown(1).tolist() == [3, 4]


def test_pairs_that_another_dataset_labels_are_unknown() -> None:
    first = TaskPresence.of_pixels(np.array([[5, 0, 0]]), own=[0, 1])
    second = TaskPresence.of_pixels(np.array([[0, 0, 6], [0, 0, 0]]), own=[2])
    joined = TaskPresence.joined([first, second])
    assert len(joined) == 3
    assert [joined.present(image).tolist() for image in range(3)] == [[0], [2], []]
    assert [joined.absent(image).tolist() for image in range(3)] == [[1], [], [2]]
    assert [joined.unknown(image).tolist() for image in range(3)] == [[2], [0, 1], [0, 1]]
    assert joined.images_of(2).tolist() == [1]
