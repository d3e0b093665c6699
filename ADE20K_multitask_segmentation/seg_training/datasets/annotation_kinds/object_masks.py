"""One mask file per object: as one per class, with a number at the end of each name."""

import re
from collections.abc import Mapping
from typing import ClassVar

from seg_training.datasets.annotation_kinds.annotation_reader import Place
from seg_training.datasets.annotation_kinds.mask_files import ClassMasks

__all__ = ["ObjectMasks"]

_NUMBER = re.compile(r"[_\-. ]?\d+$")


class ObjectMasks(ClassMasks):
    """``car/a_1.png``, ``a_car_1.png``, or in a folder of the image ``a/car_1.png``."""

    layouts: ClassVar[Mapping[str, None]] = dict.fromkeys(["folder", "suffix", "image"])

    def __init__(
        self,
        place: Place,
        layout: str = "folder",
        threshold: int = 127,
        shows: str | None = None,
    ) -> None:
        """Say what the files are called.

        Args:
            place: where the masks are.
            layout: ``folder``: ``car/a_1.png``; ``suffix``: ``a_car_1.png``; ``image``:
                ``a/car_1.png``.
            threshold: a pixel is of the object if it is brighter, 0 to 254.
            shows: the class of all objects, where their names do not say it: then they are
                ``a_1.png``, or of the layout ``image`` anything in the folder ``a``.
        """
        super().__init__(place, layout, threshold)
        self._shows = shows

    def _image_and_class(self, stem: str, images: Mapping[str, str]) -> tuple[str | None, str]:
        if self._layout == "image":
            name, _, rest = stem.rpartition("/")
            return (name if name in images else None), self._shows or _NUMBER.sub("", rest)
        if self._shows is not None:
            name = stem if stem in images else _NUMBER.sub("", stem)
            return (name if name in images else None), self._shows
        if self._layout == "suffix":
            named, rest = super()._image_and_class(stem, images)
            return named, _NUMBER.sub("", rest)
        shown, _, name = stem.partition("/")
        name = name if name in images else _NUMBER.sub("", name)
        return (name if name in images else None), shown

    def _expected(self, name: str) -> str:
        end = self.place.label_suffix
        if self._layout == "image":
            return f"{name}/{self._shows or '<class>'}_1{end}.png"
        if self._shows is not None:
            return f"{name}_1{end}.png"
        layout = f"<class>/{name}" if self._layout == "folder" else f"{name}_<class>"
        return f"{layout}_1{end}.png"
