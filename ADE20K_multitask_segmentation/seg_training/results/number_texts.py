"""Numbers as people read them, and that there is none."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["calibrated_of", "interval_text", "known", "measured_text"]


def interval_text(bounds: Sequence[float | None] | None) -> str:
    """Write an interval; empty where it is not known.

    Args:
        bounds: low and high, in percent; None or nan where they are not known.
    """
    low, high = known(bounds) or (None, None)
    return "" if low is None or high is None else f"{low:.1f} to {high:.1f}"


def known(bounds: Sequence[float | None] | None) -> Sequence[float] | None:
    """Give an interval, or None where it is not known."""
    low, high = bounds or (None, None)
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return None
    return (low, high)


def calibrated_of(results: Mapping[str, Any]) -> float | None:
    """Give the calibrated bIoU where it is another number than that at 0, in percent.

    Args:
        results: as ``results.json`` has them, or of one class or dataset in them; earlier ones know
            of none.
    """
    calibrated: float | None = results.get("bIoU_calibrated")
    known_one = calibrated is not None and not math.isnan(calibrated)
    return calibrated if known_one and calibrated != results["bIoU"] else None


def measured_text(biou: float | None) -> str:
    """Write a number in percent, or that there is none.

    Args:
        biou: None or nan where nothing was measured.
    """
    return "not measured" if biou is None or math.isnan(biou) else f"{biou:.1f}"
