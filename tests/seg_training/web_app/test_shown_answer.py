import numpy as np
import pytest
from numpy.typing import NDArray

from seg_training.results.overlays import Colour
from seg_training.web_app.painters import Answer
from seg_training.web_app.shown_answer import show

RED, BLUE = (250, 10, 20), (20, 30, 200)
COLOURS: dict[str, Colour] = {"tree": RED, "sky": BLUE}
TASKS = {4: "tree", 1: "sky"}


def rows(*values: float) -> NDArray[np.float32]:
    return np.array([values] * 3, np.float32)


ANSWER = Answer(
    np.full((3, 5, 3), 100, np.uint8),
    {4: rows(0.9, 0.7, 0.4, 0.2, 0.1), 1: rows(0.0, 0.8, 0.6, 0.3, 0.3)},
    0.1,
)


def test_shares_confidence_and_masks_at_a_threshold() -> None:
    tree, sky = show(ANSWER, TASKS, COLOURS, 0.5, 0.5).classes
    assert (tree.name, tree.colour, tree.share_percent) == ("tree", RED, pytest.approx(40))
    assert (tree.confidence, tree.highest) == (pytest.approx(0.8), pytest.approx(0.9))
    assert tree.mask[0].tolist() == [True, True, False, False, False]
    assert (sky.share_percent, sky.confidence) == (pytest.approx(40), pytest.approx(0.7))
    tree, sky = show(ANSWER, TASKS, COLOURS, 0.85, 0.5).classes
    assert (tree.found, tree.share_percent) == (True, pytest.approx(20))
    assert (sky.found, sky.share_percent, sky.confidence) == (False, 0, None)
    assert sky.highest == pytest.approx(0.8)


def test_each_class_has_its_own_threshold_and_presence() -> None:
    answer = ANSWER._replace(presence=(None, 0.03, None, None, 0.9))
    tree, sky = show(answer, TASKS, COLOURS, {"tree": 0.85, "sky": 0.25}, 0.5).classes
    assert tree.mask[0].tolist() == [True, False, False, False, False]
    assert sky.mask[0].tolist() == [False, True, True, True, True]
    assert (tree.presence, sky.presence) == (0.9, 0.03)


def test_each_pixel_has_the_colour_of_its_most_probable_class() -> None:
    whole = show(ANSWER, TASKS, COLOURS, 0.25, 1.0).overlay
    # The outermost pixels have no border at their left; of the last two it is all sky.
    assert whole[1, 0].tolist() == list(RED)
    assert whole[1, 4].tolist() == list(BLUE)
    quarter = show(ANSWER, TASKS, COLOURS, 0.25, 0.2).overlay
    assert quarter[1, 0].tolist() == [130, 82, 84]
    nothing = show(ANSWER, TASKS, COLOURS, 0.95, 1.0).overlay
    assert (nothing == 100).all()


def test_classes_beyond_the_255th() -> None:
    names = {299: "tree", 1: "sky"}
    answer = ANSWER._replace(probabilities={299: ANSWER.probabilities[4], 1: rows(*[0.3] * 5)})
    assert show(answer, names, COLOURS, 0.25, 1.0).overlay[1, 0].tolist() == list(RED)


def test_smaller_probabilities_tint_the_whole_picture() -> None:
    answer = Answer(
        np.full((6, 8, 3), 100, np.uint8),
        {4: np.repeat(np.float32([[0.9, 0.1]]), 3, axis=0), 1: np.zeros((3, 2), np.float32)},
        0.1,
    )
    shown = show(answer, TASKS, COLOURS, 0.5, 1.0)
    tree, sky = shown.classes
    assert (tree.share_percent, tree.mask.shape, sky.found) == (50, (3, 2), False)
    assert shown.overlay.shape == (6, 8, 3)
    # From the middle of the one to that of the other, bilinear: 0.9 0.9 0.8 0.6 0.4 0.2 0.1 0.1
    assert (shown.overlay[3, :4] == RED).all()
    assert (shown.overlay[3, 5:] == 100).all()
