"""MSD: binary masks in GDD's layout."""

from pathlib import Path

from fake_datasets.gdd import NUMBERS, draw_pair


def make(root: Path) -> None:
    for split, numbers in NUMBERS.items():
        for number in numbers:
            draw_pair(root / split, f"{number}_512x640.jpg", number)
