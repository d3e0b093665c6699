"""ADE20K: all 151 label values in every image."""

from pathlib import Path

import numpy as np
from PIL import Image

from fake_datasets.drawing import draw_image, grid_labels

NUM_IMAGES = {"training": ("train", 10), "validation": ("val", 2)}


def make(root: Path) -> None:
    for split, (short, count) in NUM_IMAGES.items():
        images, annotations = root / "images" / split, root / "annotations" / split
        images.mkdir(parents=True)
        annotations.mkdir(parents=True)
        for number in range(count):
            labels = grid_labels(range(151), number).astype(np.uint8)
            name = f"ADE_{short}_{number + 1:08d}"
            Image.fromarray(draw_image(labels, number)).save(images / f"{name}.jpg", quality=95)
            Image.fromarray(labels).save(annotations / f"{name}.png")
