"""Examples as files and as pictures; the pictures are checked pixel by pixel."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from seg_training.errors import UserError
from seg_training.results.prediction_examples import (
    Example,
    comparison_picture,
    examples_picture,
    load_examples,
    save_examples,
)
from seg_training.results.sample_pictures import PREDICTED, TRUE

WIDTH, CAPTION, GAP = 30, 16, 4


def example(name: str, prompts: tuple[str, ...], height: int = 20, painted: int = 1) -> Example:
    """A grey image; the prediction is its top left pixel, the truth its second row."""
    masks = torch.zeros(2, len(prompts), height, WIDTH, dtype=torch.bool)
    masks[0, :, 0, :painted] = True
    masks[1, :, 1] = True
    image = torch.full((3, height, WIDTH), 100, dtype=torch.uint8)
    return Example(name, image, prompts, masks[0], masks[1])


def tile(picture: Tensor, row: int, column: int, height: int = 20) -> Tensor:
    """Cut one picture out, without its caption."""
    top = row * (height + CAPTION + GAP) + CAPTION
    left = column * (WIDTH + GAP)
    return picture[:, top : top + height, left : left + WIDTH]


def tinted(color: tuple[int, int, int]) -> list[int]:
    return [int(100 * 0.4 + 0.6 * value) for value in color]


def test_files_give_back_what_was_saved(tmp_path: Path) -> None:
    saved = [example("a", ("sky", "chest of drawers/wardrobe")), example("b/c", ("sky",), 12)]
    save_examples(saved, tmp_path / "new" / "examples")
    loaded = load_examples(tmp_path / "new" / "examples")
    assert [(one.name, one.prompts) for one in loaded] == [(one.name, one.prompts) for one in saved]
    for one, other in zip(loaded, saved, strict=True):
        for kind in ("image", "predicted", "truth"):
            assert torch.equal(getattr(one, kind), getattr(other, kind))
            assert getattr(one, kind).dtype == getattr(other, kind).dtype


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    assert load_examples(tmp_path / "nothing") == []
    save_examples([example("a", ("sky",))], tmp_path)
    (tmp_path / "0_0_true.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"cannot read the examples in .*0_0_true.*delete the fold"):
        load_examples(tmp_path)
    save_examples([example("a", ("sky",), 30)], tmp_path / "other")
    (tmp_path / "0_0_true.png").write_bytes((tmp_path / "other" / "0_0_true.png").read_bytes())
    with pytest.raises(UserError, match=r"pictures 0_\*\.png have different sizes"):
        load_examples(tmp_path)
    (tmp_path / "0_0_true.png").write_bytes((tmp_path / "0_image.png").read_bytes())
    with pytest.raises(UserError, match=r"a picture 0_\*_true\.png is no mask"):
        load_examples(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write into .*file"):
        save_examples([], tmp_path / "file")


def test_predictions_stand_above_the_truth() -> None:
    picture = examples_picture([example("a", ("sky", "road")), example("b", ("sky",), 12)])
    assert picture.shape == (3, 2 * 36 + 2 * 28 + 3 * GAP, 3 * WIDTH + 2 * GAP)
    assert (tile(picture, 0, 0) == 100).all()
    assert (tile(picture, 1, 0) == 255).all()  # "truth:"
    for column in (1, 2):
        assert tile(picture, 0, column)[:, 0, 0].tolist() == tinted(PREDICTED)
        assert (tile(picture, 0, column)[:, 1:] == 100).all()
        assert tile(picture, 1, column)[:, 1, 5].tolist() == tinted(TRUE)
    last_row = picture[:, -12:]
    assert last_row[:, 1, WIDTH + GAP].tolist() == tinted(TRUE)
    assert (last_row[:, :, 2 * (WIDTH + GAP) :] == 255).all()  # "b" has one prompt less


def test_single_prompts_stand_in_one_row() -> None:
    picture = examples_picture([example("a", ("sky",)), example("b", ("road",))])
    assert picture.shape == (3, 2 * 36 + GAP, 3 * WIDTH + 2 * GAP)
    assert tile(picture, 1, 1)[:, 0, 0].tolist() == tinted(PREDICTED)
    assert tile(picture, 1, 2)[:, 1, 0].tolist() == tinted(TRUE)


def test_methods_stand_side_by_side() -> None:
    prompts = ("sky", "road", "car")
    picture = comparison_picture(
        {
            "one": [example("a", prompts), example("b", prompts)],
            "two": [example("b", prompts[::-1], painted=2), example("a", ("road",), painted=3)],
        }
    )
    assert picture is not None
    # Of "a" only "road" was asked of both; of "b" two of three are shown.
    assert picture.shape == (3, 3 * 36 + 2 * GAP, 4 * WIDTH + 3 * GAP)
    for row in range(3):
        assert (tile(picture, row, 0) == 100).all()
        assert tile(picture, row, 1)[:, 1, 0].tolist() == tinted(TRUE)
        painted = [(tile(picture, row, column)[1] != 100).sum().item() for column in (2, 3)]
        assert painted == [1, 3 if row == 0 else 2]


def test_methods_without_a_common_prompt_have_no_picture() -> None:
    assert comparison_picture({}) is None
    assert comparison_picture({"one": [example("a", ("sky",))], "two": []}) is None
