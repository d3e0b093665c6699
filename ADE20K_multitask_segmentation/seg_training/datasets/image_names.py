"""Finding the image that a list or an annotation file means, however it writes its name."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from seg_training.files.file_names import in_one_form
from seg_training.files.file_suffixes import IMAGE_SUFFIXES, UNREAD_SUFFIXES

__all__ = ["ImageNames"]


class ImageNames:
    """From written names, with or without suffix and folders, to those of images."""

    def __init__(self, images: Mapping[str, str], image_suffix: str = "") -> None:
        """Take the images.

        Args:
            images: files by their names.
            image_suffix: end of the files' names that the images' names do not have.
        """
        self._images = images
        self._suffix = image_suffix
        self._by_last: dict[str, list[str]] = {}
        for name in images:
            self._by_last.setdefault(name.rpartition("/")[2], []).append(name)

    def find(self, written: str) -> list[str]:
        """Give the name of the image that is meant.

        Folders that nobody knows here are passed over: ``/exports/a.jpg`` is ``a``.

        Args:
            written: a path of any system.

        Returns:
            One name; none where there is no such image; several where folders do not tell which.
        """
        name = self.name_of(written)
        parts = name.split("/")
        for first in range(len(parts)):
            below = "/".join(parts[first:])
            for each in (below, below.removesuffix(self._suffix)):
                if each in self._images:
                    return [each]
        last = parts[-1]
        return self._by_last.get(last) or self._by_last.get(last.removesuffix(self._suffix), [])

    @staticmethod
    def name_of(written: str) -> str:
        """Leave the suffix out, and write the rest as images' names are.

        Args:
            written: a path of any system.
        """
        path = PurePosixPath(written.strip().replace("\\", "/"))
        is_picture = path.suffix.lower() in (*IMAGE_SUFFIXES, *UNREAD_SUFFIXES)
        return in_one_form((path.with_suffix("") if is_picture else path).as_posix())
