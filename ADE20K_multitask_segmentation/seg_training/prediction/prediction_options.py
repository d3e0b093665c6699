"""Numbers that a user may give for a prediction. Nothing here needs PyTorch."""

from collections.abc import Sequence
from importlib.util import find_spec

from seg_training.errors import UserError

__all__ = ["as_threshold", "check_looks", "check_pixels", "check_rankseg", "check_threshold"]

_RANKSEG = "rankseg"  # expected_iou.RANKSEG, whose package needs PyTorch

_LARGEST_SCALE = 4
_SMALLEST_WINDOW = 32


def as_threshold(text: str) -> float | str:
    """Read a threshold as it is typed: a number, or the rule's name.

    Raises:
        ValueError: if it is neither.
    """
    return text if text == _RANKSEG else float(text)


def check_threshold(threshold: float | str) -> None:
    """Refuse what is no probability, and no rule.

    Raises:
        UserError: if it is not in (0, 1), nor ``rankseg``, or if the package for that is missing.
    """
    if isinstance(threshold, str):
        check_rankseg(threshold)
    if threshold != _RANKSEG and (isinstance(threshold, str) or not 0 < threshold < 1):
        raise UserError(
            f"threshold {threshold}: expected a probability above 0 and below 1, or {_RANKSEG}"
        )


def check_rankseg(rule: str) -> None:
    """Refuse the rule of the largest expected IoU where its package is missing.

    Args:
        rule: what masks are painted by.

    Raises:
        UserError: if it is ``rankseg``, and that is not installed.
    """
    if rule == _RANKSEG and find_spec(_RANKSEG) is None:
        raise UserError(
            "masks of the largest expected IoU need the package rankseg, which is not installed: "
            "pip install rankseg, or choose thresholds (thresholds=per_class or none, --threshold "
            "0.5)"
        )


def check_looks(scales: Sequence[float], window: int | None) -> None:
    """Refuse scales and windows that make no sense.

    Args:
        scales: of the crop size.
        window: side of windows in pixels, or None.

    Raises:
        UserError: if a scale is not in (0, 4], or a window is too small.
    """
    if not scales or any(not 0 < scale <= _LARGEST_SCALE for scale in scales):
        raise UserError(
            f"scales {list(scales)}: expected numbers above 0, at most {_LARGEST_SCALE}"
        )
    if window is not None and window < _SMALLEST_WINDOW:
        raise UserError(f"window {window}: expected at least {_SMALLEST_WINDOW} pixels")


def check_pixels(max_pixels: int) -> None:
    """Refuse what is no number of pixels.

    Args:
        max_pixels: of the largest picture that is read.

    Raises:
        UserError: if it is below 1.
    """
    if max_pixels < 1:
        raise UserError(f"max-pixels {max_pixels}: expected at least 1")
