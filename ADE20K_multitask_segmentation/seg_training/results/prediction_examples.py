"""Examples: a few images of the validation split with what a network paints on them, kept as files.

The results page of a run shows its own; the report of the tables puts those of several methods side
by side.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seg_training.as_written.bounded_json import read_json
from seg_training.errors import UnwritableError, UserError
from seg_training.files.atomic_writes import replacing
from seg_training.files.text_files import write_json
from seg_training.pictures.channel_order import channels_first, channels_last
from seg_training.results.sample_pictures import PREDICTED, TRUE, caption, paint, rows_picture

__all__ = ["Example", "comparison_picture", "examples_picture", "load_examples", "save_examples"]

_LIST = "examples.json"


@dataclass(frozen=True)
class Example:
    """An image, and for each prompt what a network painted and what is true.

    Attributes:
        name: the image's, with its dataset's in front where there are several.
        image: (3, h, w) uint8 RGB, in the image's own proportions.
        prompts: T names of classes.
        predicted: (T, h, w) bool.
        truth: (T, h, w) bool.
    """

    name: str
    image: Tensor
    prompts: tuple[str, ...]
    predicted: Tensor
    truth: Tensor


def save_examples(examples: Sequence[Example], folder: Path) -> None:
    """Write examples as PNG files with a list of them.

    Args:
        examples: what to keep.
        folder: where to; it is made.

    Raises:
        UserError: if they cannot be written there.
    """
    listed = [{"name": example.name, "prompts": list(example.prompts)} for example in examples]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableError(f"cannot write into {folder}: {error}") from error
    for number, example in enumerate(examples):
        _save(channels_last(example.image), folder / f"{number}_image.png")
        for prompt in range(len(example.prompts)):
            for kind, masks in (("predicted", example.predicted), ("true", example.truth)):
                _save(masks[prompt].numpy(), folder / f"{number}_{prompt}_{kind}.png")
    write_json({"examples": listed}, folder / _LIST)


def _save(pixels: NDArray[Any], file: Path) -> None:
    with replacing(file) as unfinished:
        Image.fromarray(pixels).save(unfinished, format="PNG")


def load_examples(folder: Path) -> list[Example]:
    """Read what :func:`save_examples` wrote.

    Returns:
        Empty where nothing was kept.

    Raises:
        UserError: if a file is missing or damaged.
    """
    if not (folder / _LIST).is_file():
        return []
    try:
        listed = read_json((folder / _LIST).read_text(encoding="utf-8"))["examples"]
        examples = [
            Example(
                name=entry["name"],
                image=channels_first(_read(folder / f"{number}_image.png")),
                prompts=tuple(entry["prompts"]),
                predicted=_read_masks(folder, number, len(entry["prompts"]), "predicted"),
                truth=_read_masks(folder, number, len(entry["prompts"]), "true"),
            )
            for number, entry in enumerate(listed)
        ]
        for number, example in enumerate(examples):
            sizes = {each.shape[1:] for each in (example.image, example.predicted, example.truth)}
            if len(sizes) > 1:
                raise ValueError(f"the pictures {number}_*.png have different sizes")
        return examples
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(
            f"cannot read the examples in {folder}: {error}; delete the folder to do without"
        ) from error


def _read(file: Path) -> NDArray[Any]:
    with Image.open(file) as picture:
        return np.array(picture)


def _read_masks(folder: Path, number: int, prompts: int, kind: str) -> Tensor:
    masks = [_read(folder / f"{number}_{prompt}_{kind}.png") for prompt in range(prompts)]
    if any(mask.dtype != np.bool_ for mask in masks):
        raise ValueError(f"a picture {number}_*_{kind}.png is no mask")
    return torch.from_numpy(np.stack(masks))


def examples_picture(examples: Sequence[Example]) -> Tensor:
    """Show several prompts on the same images: two rows each, predictions above the truth.

    Where every image has one prompt only, both stand in one row.

    Args:
        examples: whose pictures all have one width.

    Returns:
        (3, h, w) uint8 RGB.
    """
    rows = []
    single = all(len(example.prompts) == 1 for example in examples)
    for example in examples:
        predicted = [caption(example.image, example.name)]
        true = [] if single else [caption(torch.full_like(example.image, 255), "truth:")]
        for prompt, painted, truth in zip(
            example.prompts, example.predicted, example.truth, strict=True
        ):
            predicted.append(
                caption(paint(example.image, painted, PREDICTED), f"predicted: {prompt}")
            )
            true.append(caption(paint(example.image, truth, TRUE), f"true: {prompt}"))
        rows += [[*predicted, *true]] if single else [predicted, true]
    return rows_picture(rows)


def comparison_picture(
    by_method: Mapping[str, Sequence[Example]], prompts_per_image: int = 2
) -> Tensor | None:
    """Put methods side by side, as the paper's figure does: image, truth, each method's mask.

    Args:
        by_method: what each method painted; images and prompts that all of them have are shown.
        prompts_per_image: rows per image at the most.

    Returns:
        (3, h, w) uint8 RGB; None where there is no prompt that all were asked.
    """
    asked = [
        {
            (example.name, prompt): (example, place)
            for example in examples
            for place, prompt in enumerate(example.prompts)
        }
        for examples in by_method.values()
    ]
    rows: list[list[Tensor]] = []
    rows_of_image: Counter[str] = Counter()
    for key, (example, place) in asked[0].items() if asked else ():
        name, prompt = key
        if rows_of_image[name] == prompts_per_image or not all(key in own for own in asked):
            continue
        rows_of_image[name] += 1
        row = [caption(example.image, example.name)]
        row.append(caption(paint(example.image, example.truth[place], TRUE), f"true: {prompt}"))
        for method, own in zip(by_method, asked, strict=True):
            theirs, their_place = own[key]
            painted = paint(example.image, theirs.predicted[their_place], PREDICTED)
            row.append(caption(painted, method))
        rows.append(row)
    return rows_picture(rows) if rows else None
