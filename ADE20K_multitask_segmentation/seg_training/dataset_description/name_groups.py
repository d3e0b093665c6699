"""Groups of images with near-identical names: frames of one video, copies of one photo."""

import re
from collections.abc import Sequence

import numpy as np

__all__ = ["name_groups", "seeded_share"]

_ROBOFLOW = re.compile(r"(_jpe?g|_png)?\.rf\.\w+$")  # one photo, augmented several times
_NUMBER = re.compile(r"[_\-. ]?[a-z]?\d+$", re.IGNORECASE)
_FEWEST_GROUPS = 5
_RUNS = 20  # of neighbours, where names tell of no groups


def name_groups(stems: Sequence[str]) -> list[list[int]]:
    """Group images whose names differ in a number, or in what a tool has appended, alone.

    Where such groups are too few or too large to be shared out, there are runs of neighbours
    in the order of the names instead: frames of one video are then parted at their ends only.

    Args:
        stems: names without suffix, with their folders.

    Returns:
        For each group the places of its images, in order of the names.
    """
    order = sorted(range(len(stems)), key=lambda place: _in_order(stems[place]))
    copies: dict[str, list[int]] = {}  # of one photo
    series: dict[str, list[int]] = {}
    for place in order:
        photo = _ROBOFLOW.sub("", stems[place])
        copies.setdefault(photo, []).append(place)
        series.setdefault(_NUMBER.sub("", photo), []).append(place)
    largest = max(map(len, series.values()), default=0)
    if len(series) >= _FEWEST_GROUPS and largest <= len(stems) / 3:
        return list(series.values())
    photos = list(copies.values())
    runs = np.array_split(np.arange(len(photos)), min(_RUNS, len(photos)) or 1)
    return [[place for photo in run for place in photos[photo]] for run in runs if len(run)]


def seeded_share(stems: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Part images into two, whole groups of :func:`name_groups` at a time.

    Args:
        stems: names without suffix, with their folders; at least two.
        share: of the second part, which gets one image at least, as does the first.
        seed: decides which.

    Returns:
        Places of the first part and of the second, in order.
    """
    groups = name_groups(stems)
    if len(groups) == 1:  # of one photo, all of them
        groups = [[place] for place in groups[0]]
    wanted = min(max(1, round(share * len(stems))), len(stems) - 1)
    most = min(round(wanted * 1.2), len(stems) - 1)
    taken: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(groups)):
        group = groups[number]
        if len(taken) < wanted and len(taken) + len(group) <= most:
            taken += group
    if not taken:  # every group is larger than the share
        taken = sorted(groups, key=len)[0]
    return sorted(set(range(len(stems))) - set(taken)), sorted(taken)


def _in_order(stem: str) -> list[tuple[int, str]]:
    """Order numbers by their value: frame 2 comes before frame 10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", stem)
    ]
