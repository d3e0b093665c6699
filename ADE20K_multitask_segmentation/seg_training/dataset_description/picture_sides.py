"""The sides that pictures are paired by: files of one folder whose names end alike."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from seg_training.dataset_description.picture_looks import looks_of
from seg_training.dataset_description.role_words import Role, ends_in_role, role_of
from seg_training.dataset_description.split_words import SPLIT, split_path
from seg_training.files.file_names import in_one_form

__all__ = ["Key", "Side", "document_sides", "picture_sides", "prefixes"]

_FEWEST = 0.1  # of a folder's files: fewer with an ending of their own are called so by chance
_PHOTOS = (".jpg", ".jpeg", ".webp")


class Key(NamedTuple):
    """What an image and its annotation have in common.

    Attributes:
        split: as the folders call it; empty where there is none.
        name: below the side's folder, without its ending and suffix.
    """

    split: str
    name: str


@dataclass(frozen=True)
class Side:
    """Files that are images, or annotations of one kind.

    Attributes:
        folder: they lie in it or below; with :data:`SPLIT` where it names the split; ``.`` for the
            dataset's own.
        ending: of all their names, without suffix: ``_mask``.
        role: what they are; empty where nothing has said so yet.
        files: relative to the dataset's folder.
    """

    folder: str
    ending: str
    role: Role
    files: dict[Key, PurePosixPath] = field(repr=False)

    @property
    def is_photos(self) -> bool:
        """Whether most files are of a kind that label maps never are."""
        photos = sum(path.suffix.lower() in _PHOTOS for path in self.files.values())
        return photos * 2 > len(self.files)


def picture_sides(root: Path, pictures: Sequence[PurePosixPath]) -> list[Side]:
    """Sort pictures by folder and by how their names end, and say what they are.

    Names count first, then the kind of file, then what a few of them look like.

    Args:
        root: the dataset's folder.
        pictures: relative to it.

    Raises:
        UserError: if a picture cannot be read.
    """
    sides = [side for files in _by_folder(pictures).values() for side in _sides_of(files)]
    sides = [part for side in sides for part in _derived_apart(side)]
    names_mislead = len(sides) > 1 and all(side.role == "label" for side in sides)
    return [_looked_at(side, root) if names_mislead or not side.role else side for side in sides]


def document_sides(documents: Sequence[PurePosixPath]) -> list[Side]:
    """Sort documents by folder and suffix; what they are, their content has to say.

    Args:
        documents: relative to the dataset's folder.
    """
    sides = []
    for suffix in sorted({path.suffix.lower() for path in documents}):
        own = [path for path in documents if path.suffix.lower() == suffix]
        for files in _by_folder(own).values():
            sides.append(Side(files.folder, "", files.role, files.files))
    return sides


def prefixes(name: str) -> list[tuple[str, str]]:
    """Cut a name at each place where a word ends, the longest beginning first.

    Args:
        name: ``a_left_2``.

    Returns:
        Beginning and rest: ``("a_left", "_2")`` and ``("a", "_left_2")``.
    """
    start = name.rfind("/") + 2
    places = [place for place in range(len(name) - 1, start - 1, -1) if name[place] in "_-. "]
    return [(name[:place], name[place:]) for place in places]


class _Files(NamedTuple):
    folder: str
    role: Role
    files: dict[Key, PurePosixPath]
    twins: dict[Key, PurePosixPath]  # a.png beside a.jpg


def _by_folder(pictures: Sequence[PurePosixPath]) -> dict[str, _Files]:
    """Find for each picture the folder that says what it is: of all folders above the deepest."""
    by_parent: dict[str, list[PurePosixPath]] = {}
    for path in pictures:
        by_parent.setdefault(path.parent.as_posix(), []).append(path)
    unnamed = [parent for parent in by_parent if _place(parent)[0] is None]
    shared = _common(unnamed) if _hold_both(unnamed, by_parent) else None
    found: dict[str, _Files] = {}
    for parent, paths in by_parent.items():
        folder, split, role = _place(parent)
        if folder is None:
            folder = parent if shared is None else shared
        own = found.setdefault(folder, _Files(folder, role, {}, {}))
        start = 0 if folder == "." else len(folder.replace(SPLIT, split)) + 1
        for path in paths:
            name = in_one_form(path.with_suffix("").as_posix()[start:])
            key = Key(split, name)
            first = own.files.setdefault(key, path)
            if first != path:
                is_photo = path.suffix.lower() in _PHOTOS
                own.files[key] = path if is_photo else first
                own.twins[key] = first if is_photo else path
    return found


def _place(parent: str) -> tuple[str | None, str, Role]:
    """Give the pattern of a folder, its split and what it says of the files."""
    pattern, split = split_path(parent)
    parts = pattern.split("/")
    roles: list[Role] = [role_of(part.replace(SPLIT, " ")) for part in parts]
    says = [place for place, part in enumerate(parts) if roles[place] or SPLIT in part]
    if not says:
        return None, "", ""
    role: Role = next((each for each in reversed(roles) if each), "")
    return "/".join(parts[: says[-1] + 1]), split, role


def _hold_both(parents: Sequence[str], files: dict[str, list[PurePosixPath]]) -> bool:
    """Tell whether folders of several recordings, say, each hold images and annotations."""
    return len(parents) > 1 and all(
        any(ends_in_role(path.stem)[1] == "label" for path in files[parent]) for parent in parents
    )


def _common(parents: Sequence[str]) -> str:
    parts = [parent.split("/") for parent in parents]
    shared = []
    for names in zip(*parts, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared) or "."


def _sides_of(files: _Files) -> list[Side]:
    if not files.twins:
        return _by_ending(files.folder, files.role, files.files)
    photos = Side(files.folder, "", "image", files.files)
    return [photos, Side(files.folder, "", "label", files.twins)]


def _by_ending(folder: str, role: Role, files: dict[Key, PurePosixPath]) -> list[Side]:
    """Part a folder's files by the ends of their names that say what they are."""
    ends = {key: ends_in_role(key.name.rpartition("/")[2]) for key in files}
    often = Counter(end for end, _ in ends.values() if end)
    real = {end for end, number in often.items() if number >= _FEWEST * len(files)}
    parts: dict[str, Side] = {}
    for key, path in files.items():
        end, said = ends[key]
        if end not in real:
            end, said = "", ""
        part = parts.setdefault(end, Side(folder, end, said or role, {}))
        part.files[Key(key.split, key.name.removesuffix(end))] = path
    bare = parts.get("")
    if bare and not bare.role and any(part.role == "label" for part in parts.values()):
        parts[""] = replace(bare, role="image")
    return list(parts.values())


def _derived_apart(side: Side) -> list[Side]:
    """Part ``a_cat.png`` and ``a_dog.png`` from ``a.jpg``, where they lie in one folder."""
    if side.role == "label" or side.ending:
        return [side]
    derived = {
        key: path
        for key, path in side.files.items()
        if path.suffix.lower() not in _PHOTOS
        and any(Key(key.split, start) in side.files for start, _ in prefixes(key.name))
    }
    rest = {key: path for key, path in side.files.items() if key not in derived}
    if len(derived) < len(rest) / 4:
        return [side]
    return [replace(side, role="image", files=rest), replace(side, role="label", files=derived)]


def _looked_at(side: Side, root: Path) -> Side:
    if side.is_photos:
        return replace(side, role="image")
    look = looks_of([root / path for path in side.files.values()])
    return replace(side, role="image" if look.kind == "photo" else "label")
