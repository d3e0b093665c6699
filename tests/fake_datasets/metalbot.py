"""Metalbot: pictures and nothing else."""

from pathlib import Path

from PIL import Image

from fake_datasets.drawing import draw_image, grid_labels


def make(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        image = draw_image(grid_labels(range(4), number), number)
        Image.fromarray(image).save(root / f"{number:04d}.jpg", quality=95)
