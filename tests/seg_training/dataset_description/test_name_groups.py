"""Groups of images with near-identical names, and shares of whole groups."""

from hypothesis import given
from hypothesis import strategies as st

from seg_training.dataset_description.name_groups import name_groups, seeded_share


def test_frames_of_videos_stay_together() -> None:
    stems = [f"video{video}_f{frame:04d}" for frame in range(4) for video in range(5)]
    groups = name_groups(stems)
    assert [{stems[place].partition("_")[0] for place in group} for group in groups] == [
        {f"video{video}"} for video in range(5)
    ]


def test_folders_of_videos_stay_together() -> None:
    stems = [f"{video}/{frame}" for video in "abcdef" for frame in range(3)]
    assert len(name_groups(stems)) == 6


def test_copies_of_one_photo_stay_together() -> None:
    """Roboflow augments each photo several times."""
    stems = [f"IMG_{photo}_jpg.rf.{copy:032x}" for photo in range(40) for copy in range(3)]
    for group in name_groups(stems):
        photos = [stems[place].partition(".rf.")[0] for place in group]
        assert all(photos.count(photo) == 3 for photo in photos)


def test_neighbours_stay_together_where_names_tell_of_no_videos() -> None:
    stems = [f"frame{number}" for number in range(100)]  # in order of numbers, not of letters
    assert name_groups(stems) == [list(range(first, first + 5)) for first in range(0, 100, 5)]


def test_digits_that_are_no_numbers_stay_text() -> None:
    """Python takes "²" for a digit, and none for a number."""
    assert name_groups(["5²", "5³", "a10", "a9"]) == [[0], [1], [3], [2]]


def test_a_share_is_the_same_each_time_and_of_whole_groups() -> None:
    stems = [f"{video}_{frame}" for video in "abcdefghij" for frame in range(10)]
    train, val = seeded_share(stems, 0.2, seed=0)
    assert (len(train), len(val)) == (80, 20)
    assert not {stems[place][0] for place in train} & {stems[place][0] for place in val}
    assert (train, val) == seeded_share(stems, 0.2, seed=0)
    assert val != seeded_share(stems, 0.2, seed=1)[1]


@given(
    stems=st.lists(
        st.from_regex(r"[ab]{0,2}_?\d{0,3}(_jpg\.rf\.\d)?", fullmatch=True),
        min_size=2,
        max_size=60,
        unique=True,
    ),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 3),
)
def test_each_image_is_in_one_part_and_none_is_empty(
    stems: list[str], share: float, seed: int
) -> None:
    train, val = seeded_share(stems, share, seed)
    assert sorted([*train, *val]) == list(range(len(stems)))
    assert train
    assert val
