"""Real pictures to compare runtimes on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.images import read_image
from seg_training.evaluation import restore
from seg_training.prediction.pictures_to_paint import find_pictures

__all__ = ["example_pictures"]

_MOST = 6


def example_pictures(
    given: Sequence[str] | None, ckpt: str, overrides: Sequence[str], config_dir: Path
) -> list[NDArray[np.uint8]]:
    """Read a few pictures.

    Args:
        given: files, folders or patterns; None for validation images of the checkpoint's data.
        ckpt: the checkpoint.
        overrides: changes to its config.
        config_dir: where groups are looked up.

    Returns:
        (h, w, 3) uint8 RGB each; at the crop size where they are validation images.

    Raises:
        UserError: if there are none.
    """
    if given:
        files = list(find_pictures(given))
        return [read_image(files[place]) for place in _spread(len(files))]
    _, data, _ = restore(ckpt, overrides, config_dir)
    data.setup("validate")
    samples, task_pixels = data.validation_samples()
    chosen = [samples[place] for place in _spread(len(task_pixels))]
    return [sample.image.permute(1, 2, 0).numpy() for sample in chosen]


def _spread(number: int) -> list[int]:
    return [round(place) for place in np.linspace(0, number - 1, min(_MOST, number))]
