"""Binary masks of the floor, without splits."""

from pathlib import Path

from fake_datasets.gdd import draw_pair


def make(root: Path) -> None:
    for number in range(10):
        draw_pair(root, f"floor{number}.png", number)
