import logging

import pytest

from seg_training.errors import UserError
from seg_training.networks.recogniser_labels import match_labels


def test_labels_are_found_by_name_and_by_synonym(caplog: pytest.LogCaptureFixture) -> None:
    labels = ["other", "Wall", "auto, car", "door", "glass;window", "window"]
    with caplog.at_level(logging.INFO):
        channels = match_labels(
            labels, ["car", "glazed", "wall", "mug"], [[], ["door", "window"], [], ["cup"]]
        )
    assert channels == [[2], [3, 4, 5], [1], []]
    assert "knows 3 of 4 tasks, by other names: car is auto, car; glazed is door and" in caplog.text
    assert "does not know mug: their margins are learnt constants" in caplog.text


def test_names_of_files_are_names_of_labels() -> None:
    """As where classes are asked for: an underscore is a space, and accents have two forms."""
    labels = ["traffic light", "Swimming_Pool", "jalapen\u0303o"]
    tasks = ["traffic_light", "swimming pool", "jalape\u00f1o"]
    assert match_labels(labels, tasks) == [[0], [1], [2]]


def test_a_label_is_of_the_task_that_has_its_name() -> None:
    assert match_labels(["screen", "tv"], ["tv", "screen"], [["screen"], []]) == [[1], [0]]


def test_what_is_none_of_the_labels_is_no_task_though_one_is_called_so() -> None:
    labels = ["other", "Other", "sky"]
    assert match_labels(labels, ["Other", "sky"], other_channel=True) == [[1], [2]]
    assert match_labels(labels[:1] + labels[2:], ["rest", "sky"], [["other"], []], True) == [
        [],
        [1],
    ]
    assert match_labels(labels[::2], ["other", "sky"]) == [[0], [1]]


def test_a_recogniser_that_knows_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="knows none of the tasks mug, cup: its labels are sky"):
        match_labels(["sky", "tree"], ["mug", "cup"])


def test_all_labels_of_one_task_leave_nothing_to_compare_with() -> None:
    labels, tasks, words = ["mug", "cup"], ["vessel", "spoon"], [["cup", "mug"], []]
    with pytest.raises(UserError, match="mug, cup, is vessel, and nothing is left to compare"):
        match_labels(labels, tasks, words)
    assert match_labels(labels, tasks, words, overlapping=True) == [[0, 1], []]
    assert match_labels(["mug"], tasks, words) == [[0], []]
    assert match_labels(["other", *labels], tasks, words, other_channel=True) == [[1, 2], []]
    assert match_labels([*labels, "table"], tasks, words) == [[0, 1], []]
