"""Numbers that a user may give for a prediction. Nothing here needs PyTorch."""

from collections.abc import Sequence

from seg_training.errors import UserError

__all__ = ["check_looks", "check_pixels", "check_threshold"]

_LARGEST_SCALE = 4
_SMALLEST_WINDOW = 32


def check_threshold(threshold: float) -> None:
    """Refuse what is no probability.

    Raises:
        UserError: if it is not in (0, 1).
    """
    if not 0 < threshold < 1:
        raise UserError(f"threshold {threshold}: expected a probability above 0 and below 1")


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
