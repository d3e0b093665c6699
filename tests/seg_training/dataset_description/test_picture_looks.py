"""What pictures look like, told from a few of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seg_training.dataset_description.picture_looks import looks_of, spread

SIZE = (60, 80)


def blocks(*values: int) -> NDArray[np.uint8]:
    """Draw bars of equal width."""
    return np.repeat(np.array(values, np.uint8), SIZE[1] // len(values))[None].repeat(SIZE[0], 0)


def soft_mask() -> NDArray[np.uint8]:
    ramp = np.linspace(0, 255, 20).astype(np.uint8)
    row = np.concatenate([np.zeros(30, np.uint8), ramp, np.full(30, 255, np.uint8)])
    return row[None].repeat(SIZE[0], 0)


def smaller_mask() -> NDArray[np.uint8]:
    """A mask at half its size: five shades."""
    mask = blocks(0, 255)
    mask[:, 39:41] = (64, 191)
    mask[30, 38:42] = 128
    return mask


def noise(*size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)


def coloured(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([labels, labels // 2, 255 - labels], axis=2)


@pytest.mark.parametrize(
    ("draw", "kind"),
    [
        (lambda: blocks(0, 1, 2, 255), "label_maps"),
        (lambda: blocks(0, 20, 40, 255), "label_maps"),
        (lambda: blocks(0, 1), "label_maps"),
        (lambda: blocks(0, 127, 255), "label_maps"),
        (lambda: blocks(0, 255), "binary"),
        (lambda: blocks(0, 255) == 255, "binary"),
        (soft_mask, "binary"),
        (smaller_mask, "binary"),
        (lambda: noise(*SIZE), "photo"),
        (lambda: noise(*SIZE, 3), "photo"),
        (lambda: coloured(blocks(0, 50, 100, 200)), "colours"),
        (lambda: np.stack([blocks(0, 1, 2)] * 3, 2), "grey_as_colour"),
        (lambda: np.stack([blocks(0, 255)] * 3, 2), "binary"),
        (lambda: blocks(0, 3, 9).astype(np.uint16) * 1000, "label_maps"),
    ],
)
def test_kinds(tmp_path: Path, draw: Callable[[], NDArray[np.uint8]], kind: str) -> None:
    Image.fromarray(draw()).save(tmp_path / "a.png")
    assert looks_of([tmp_path / "a.png"]).kind == kind


def test_colours_of_a_jpeg_are_blurred(tmp_path: Path) -> None:
    labels = blocks(0, 50, 100, 200)
    labels[20:40, 10:60] = 150
    Image.fromarray(coloured(labels)).resize((640, 480), 0).save(tmp_path / "a.jpg", quality=60)
    assert looks_of([tmp_path / "a.jpg"]).kind in ("colours", "blurred_colours")


def test_masks_that_were_saved_as_jpeg(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[11:44, 13:59] = 255
    Image.fromarray(mask).save(tmp_path / "a.jpg", quality=80)
    assert looks_of([tmp_path / "a.jpg"]).kind == "binary"


def test_many_classes_and_unlabelled_pixels_are_no_mask(tmp_path: Path) -> None:
    labels = np.full(SIZE, 255, np.uint8)
    labels[:, :75] = np.repeat(np.arange(15, dtype=np.uint8), 5)[None]
    Image.fromarray(labels).save(tmp_path / "a.png")
    assert looks_of([tmp_path / "a.png"]).kind == "label_maps"


def test_empty_masks_are_masks_beside_others(tmp_path: Path) -> None:
    for name, values in (("a", (0, 255)), ("b", (0, 0)), ("c", (255, 255))):
        Image.fromarray(blocks(*values)).save(tmp_path / f"{name}.png")
    look = looks_of(sorted(tmp_path.iterdir()))
    assert (look.kind, look.values) == ("binary", {0, 255})


def test_a_few_files_are_from_all_over() -> None:
    files = [Path(str(number)) for number in range(100)]
    few = spread(files, 5)
    assert [int(path.name) for path in few] == [0, 25, 50, 74, 99]
    assert spread(files[:3], 5) == files[:3]
