"""Run lengths and polygons, beside pycocotools' own reading of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_masks

from seg_training.datasets.annotation_kinds.object_drawing import (
    DrawingError,
    Drawn,
    _unpacked,
    of_mask,
    of_polygons,
    of_segmentation,
)

MASKS = st.builds(
    lambda height, width, seed, share: (
        np.random.default_rng(seed).random((height, width)) < share
    ).astype(np.uint8),
    *(st.integers(1, 40), st.integers(1, 400), st.integers(0, 2**32)),
    st.sampled_from([0, 0.01, 0.5, 0.99, 1]),
)


@given(MASKS)
def test_packed_run_lengths_are_what_pycocotools_packed(shown: np.ndarray) -> None:
    packed = coco_masks.encode(np.asfortranarray(shown))["counts"]
    flat = shown.ravel(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
    lengths = np.diff([0, *changes, flat.size])
    assert _unpacked(packed).tolist() == lengths.tolist()
    for counts in (packed.decode(), lengths.tolist()):
        drawn = Drawn(shown.shape)
        drawn.add(3, of_segmentation({"size": list(shown.shape), "counts": counts}, shown.shape))
        [(value, mask)] = drawn.masks()
        assert value == 3
        assert np.array_equal(mask, shown)


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30))
def test_any_text_of_run_lengths_is_read_or_refused(counts: str) -> None:
    try:
        parts = of_segmentation({"size": [7, 9], "counts": counts}, (7, 9))
    except DrawingError:
        return
    drawn = Drawn((7, 9))
    drawn.add(1, parts)
    [(_, mask)] = drawn.masks()
    assert mask.shape == (7, 9)


def test_objects_of_a_class_are_joined_and_what_has_no_area_is_empty() -> None:
    drawn = Drawn((10, 12))
    drawn.add(1, of_polygons([[0, 0, 4, 0, 4, 4, 0, 4]], (10, 12)))
    drawn.add(1, [of_mask(np.eye(10, 12))])
    drawn.add(2, of_polygons([[1, 1, 5, 5]], (10, 12)))
    masks = dict(drawn.masks())
    expected = np.eye(10, 12, dtype=np.uint8)
    expected[:4, :4] = 1
    assert np.array_equal(masks[1], expected)
    assert not masks[2].any()


def test_a_polygon_may_be_beyond_the_border_by_what_rounding_explains() -> None:
    drawn = Drawn((10, 12))
    drawn.add(1, of_polygons([[-0.5, -0.5, 12.6, -0.5, 12.6, 10.4, -0.5, 10.4]], (10, 12)))
    assert dict(drawn.masks())[1].all()
    with pytest.raises(DrawingError, match="leads outside the image of 12x10 pixels"):
        of_polygons([[0, 0, 13.1, 0, 5, 5]], (10, 12))
