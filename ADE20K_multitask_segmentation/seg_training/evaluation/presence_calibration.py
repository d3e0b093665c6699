"""From the recogniser's features to probabilities that a class is in a picture."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["RECALLS", "fit_presence"]

_RECALL = 90
RECALLS = (50, 60, 70, 80, _RECALL, 95, 99)
"""Of the pairs that are there, what shares may be looked for, in percent; usually the 90."""

_ROUNDING = 1e-5  # share of a score by which float32, in which pictures have theirs, may be less

_PRIOR = 1.0  # variance of a class's bias about the common one: few pictures move it little


def fit_presence(
    features: NDArray[np.float64], present: NDArray[np.float64]
) -> dict[str, Any] | None:
    """Fit logistic regressions of one scale for all classes, and a bias for each.

    A class's bias is drawn towards the common one, as much as its pictures leave open.

    Args:
        features: (N, K), of N pictures; nan where a class is unknown to the recogniser.
        present: (N, K), 1 where the picture shows the class, 0 where not, nan where nobody knows.

    Returns:
        ``scale``; ``bias`` by class, None where all known pictures show it, or none; ``least``, the
        probability from which on a class is looked for: nine tenths of the pairs that are there
        have it, and it is at most 0.5; ``least_at``, the probability for each of :data:`RECALLS`,
        from 90 on at most 0.5, so that who looks for more than usual does not find less;
        and ``gate``, that from which on it is painted where all classes are asked and what is
        absent should not be: the Matthews correlation of found and there, times the share of what
        is there that is found, is largest with it. None where there is no such class.
    """
    known = np.isfinite(features) & np.isfinite(present)
    there = np.where(known, present, 0).sum(axis=0)
    measured = (there > 0) & (there < known.sum(axis=0))
    if not measured.any():
        return None
    counted = known & measured
    classes = np.nonzero(counted)[1]
    scale, biases = _fit(features[counted], present[counted], classes, features.shape[1])
    scores = 1 / (1 + np.exp(-(scale * features[counted] + biases[classes])))
    is_there = present[counted] == 1
    of_present = np.sort(scores[is_there])
    least_at = {
        percent: _reached(of_present[(100 - percent) * len(of_present) // 100])
        for percent in RECALLS
    }
    for percent, found in least_at.items():
        if percent >= _RECALL:  # what is more likely there is looked for
            least_at[percent] = min(found, 0.5)
    return {
        "scale": scale,
        "bias": [
            bias if is_measured else None
            for bias, is_measured in zip(biases.tolist(), measured.tolist(), strict=True)
        ],
        "least": least_at[_RECALL],
        "least_at": {str(percent): found for percent, found in least_at.items()},
        "gate": _reached(_gate(scores, is_there)),
    }


def _reached(score: float) -> float:
    """Give a bound that pictures of this very score reach, and those as sure as can be are many."""
    return float(score) * (1 - _ROUNDING)


def _gate(scores: NDArray[np.float64], is_there: NDArray[np.bool_]) -> float:
    """Find the score from which on the answer "there" is best."""
    candidates = np.unique(scores[is_there])
    # Of each candidate: how many pairs are found, and how many of those are there.
    found = len(scores) - np.searchsorted(np.sort(scores), candidates)
    right = is_there.sum() - np.searchsorted(np.sort(scores[is_there]), candidates)
    number, true = float(len(scores)), float(is_there.sum())
    spread = np.sqrt(found * (number - found) * true * (number - true))
    correlation = np.divide(
        number * right - found * true, spread, out=np.zeros_like(spread), where=spread > 0
    )
    return float(candidates[(correlation * right).argmax()])


def _fit(
    features: NDArray[np.float64],
    present: NDArray[np.float64],
    classes: NDArray[np.int64],
    num_classes: int,
) -> tuple[float, NDArray[np.float64]]:
    """Maximise the likelihood of all pairs with the prior: a scale above 0, and (K,) biases."""
    x, y = torch.from_numpy(features), torch.from_numpy(present)
    rows = torch.from_numpy(classes)
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    common = torch.zeros((), dtype=torch.float64, requires_grad=True)
    own = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_scale, common, own], max_iter=500, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = log_scale.exp() * x + common + own[rows]
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="sum")
        total = entropy + (own**2).sum() / (2 * _PRIOR)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return float(log_scale.detach().exp()), (common + own).detach().numpy()
