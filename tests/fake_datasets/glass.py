"""Binary masks of the glass, without splits."""

from pathlib import Path

from fake_datasets.gdd import draw_pair


def make(root: Path) -> None:
    for number in range(10):
        draw_pair(root, f"glass{number}.png", number)
