"""Lists of the images of a split, one to a line: ``ImageSets/Segmentation/train.txt``, say."""

from collections.abc import Mapping
from pathlib import Path

from seg_training.datasets.image_names import ImageNames
from seg_training.errors import UserError, listed, suggest
from seg_training.files.user_paths import user_path

__all__ = ["list_of_split", "listed_images", "lists_elsewhere"]

_NOT_THERE = "-1"  # second column of Pascal VOC's lists of one class


def list_of_split(root: Path, pattern: str, split: str) -> Path:
    """Find the list of a split: below the dataset's folder, or else where the pattern leads.

    Args:
        root: the dataset's folder.
        pattern: a path, ``{split}`` in it.
        split: which part of the dataset.

    Raises:
        UserError: if there is none.
    """
    name = pattern.replace("{split}", split)
    elsewhere = user_path(name)
    for path in (root / name, elsewhere):
        if path.is_file():
            return path
    there = sorted((root / name).parent.glob(f"*{Path(name).suffix}"))
    found = suggest(Path(name).name, [path.name for path in there]) or (
        f" (there: {listed([path.name for path in there], 8)})" if there else ""
    )
    raise UserError(
        f"split list {root / name} does not exist{found}; it has the name of an image in each "
        "line. Set data.split_list, or data.split_list=null for all images of the split's folder"
    )


def lists_elsewhere(root: Path, pattern: str) -> bool:
    """Tell whether lists of splits lie relative to where the command is run, not below the data."""
    any_split = pattern.replace("{split}", "*")
    if user_path(pattern).is_absolute() or any(root.glob(any_split)):
        return False
    return any(Path().glob(any_split))


def listed_images(path: Path, images: Mapping[str, str], image_suffix: str = "") -> list[str]:
    """Read a list: in each line a name, or a path, with or without suffix.

    What follows in a line is another file, or, of Pascal VOC, whether the image shows the class
    that the list is of: ``-1`` leaves it out.

    Args:
        path: the list.
        images: all files by their names.
        image_suffix: end of the files' names that the images' names do not have.

    Returns:
        Names of images, in their own order.

    Raises:
        UserError: if it lists nothing, or an image that is not there or may be one of several.
    """
    names = ImageNames(images, image_suffix)
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"cannot read split list {path}: {error.strerror}") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    found: set[str] = set()
    missing = []
    for line in lines:
        named = names.find(line)  # a name may have spaces
        if not named:
            first, *rest = line.replace(",", " ").split() or [line]
            if rest == [_NOT_THERE]:
                continue
            named = names.find(first)
        if len(named) > 1:
            raise UserError(
                f"{path} lists '{line}', which may be {images[named[0]]} or {images[named[1]]}; "
                "write the folder, too"
            )
        if not named:
            missing.append(line)
        found.update(named)
    if missing:
        near = suggest(ImageNames.name_of(missing[0]), images)
        raise UserError(
            f"{len(missing)} of {len(lines)} images that {path} lists are not there; the first is "
            f"'{missing[0]}'{near}. Add the image, or remove the line"
        )
    if not found:
        raise UserError(f"{path} lists no image; expected the name of one in each line")
    return sorted(found)
