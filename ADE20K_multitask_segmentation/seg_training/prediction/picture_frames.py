"""How many pictures a file holds, where only the first is looked at."""

from pathlib import Path

from PIL import Image

from transformers_update_for_adapters.pictures import number_of_frames

__all__ = ["frames_of"]


def frames_of(file: Path) -> int:
    """Count the frames or pages of a picture that was read from a file.

    Args:
        file: one that can be read.
    """
    with Image.open(file) as picture:
        return number_of_frames(picture)
