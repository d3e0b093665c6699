"""What is in which image as a whole table, to look at."""

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.task_presence import TaskPresence


def pixel_table(presence: TaskPresence) -> NDArray[np.int64]:
    """(N, K), pixels of each task in each image."""
    pixels = np.zeros((len(presence), presence.num_tasks), np.int64)
    for image, own in enumerate(pixels):
        own[presence.present(image)] = presence.pixels_of(image)
    return pixels
