"""ADE20K: all 151 label values in every training image, the first 13 in those to evaluate."""

from pathlib import Path

import numpy as np
from PIL import Image

from fake_datasets.drawing import draw_image, grid_labels

SPLITS = {"training": ("train", 10, 151), "validation": ("val", 2, 13)}
"""Short name, number of images and of label values: each value is a mask to ask for."""


def make(root: Path) -> None:
    for split, (short, count, num_values) in SPLITS.items():
        images, annotations = root / "images" / split, root / "annotations" / split
        images.mkdir(parents=True)
        annotations.mkdir(parents=True)
        for number in range(count):
            labels = grid_labels(range(num_values), number).astype(np.uint8)
            name = f"ADE_{short}_{number + 1:08d}"
            Image.fromarray(draw_image(labels, number)).save(images / f"{name}.jpg", quality=95)
            Image.fromarray(labels).save(annotations / f"{name}.png")
