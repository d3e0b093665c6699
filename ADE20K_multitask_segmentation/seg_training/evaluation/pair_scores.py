"""Scores of a pair of image and task: a number beside its counts, for what counts cannot tell."""

from collections.abc import Callable

import torch
from torch import Tensor

from seg_training.errors import UserError
from seg_training.evaluation.pair_table import COLUMNS
from seg_training.networks.class_scores import SCORES

__all__ = ["PAIR_SCORES", "pair_scores", "score_names"]

PAIR_SCORES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {}
"""Scores that need the truth, by their names in tables and files.

Each takes (T, h, w) float probabilities at crop size, and at the image's own size the (T, H, W)
bool prediction and the (T, H, W) uint8 masks in {0, 1, 255 = nobody labelled}, and gives (T,)
numbers; nan where there is none. Those that need no truth are
:data:`seg_training.networks.class_scores.SCORES`: predictions have them too.
"""


def score_names() -> tuple[str, ...]:
    """List the scores that are registered now.

    Raises:
        UserError: if one has the name of another column of the table of pairs.
    """
    names = (*SCORES, *PAIR_SCORES)
    for name in names:
        if name in COLUMNS or names.count(name) > 1:
            raise UserError(f"the table of pairs has a column '{name}' already: rename the score")
    return names


def pair_scores(probabilities: Tensor, predicted: Tensor, masks: Tensor) -> Tensor:
    """Compute every score of T pairs.

    Args:
        probabilities: (T, h, w) float in [0, 1].
        predicted: (T, H, W) bool.
        masks: (T, H, W) uint8.

    Returns:
        (T, S) float32, in the order of :func:`score_names`.

    Raises:
        UserError: if a score is not one number for each pair.
    """
    given = {name: score(probabilities) for name, score in SCORES.items()}
    given |= {name: score(probabilities, predicted, masks) for name, score in PAIR_SCORES.items()}
    for name, values in given.items():
        if values.shape != (len(masks),):
            raise UserError(
                f"score '{name}' has the shape {tuple(values.shape)}; expected a number for each "
                f"of {len(masks)} tasks, ({len(masks)},)"
            )
    return torch.stack([values.float() for values in given.values()], dim=1)
