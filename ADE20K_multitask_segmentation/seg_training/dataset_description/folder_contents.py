"""What files a folder holds that may be somebody's data: pictures, documents, archives."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from seg_training.errors import UserError, counted, listed, suggest
from seg_training.files.file_suffixes import IMAGE_SUFFIXES
from seg_training.files.found_files import find_files

__all__ = ["DOCUMENT_SUFFIXES", "FolderContents", "check_folder", "folder_contents"]

DOCUMENT_SUFFIXES = (".json", ".txt", ".yaml", ".yml", ".csv", ".names", ".parquet")
"""Of files that may hold annotations, names of classes, or lists of images."""

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_MOST_NAMED = 3


@dataclass(frozen=True)
class FolderContents:
    """What lies below a folder; paths are relative to it, in order.

    Attributes:
        root: the folder.
        pictures: files of kinds that are read as images or label maps.
        documents: files of :data:`DOCUMENT_SUFFIXES`.
        notes: what was left out, each a sentence.
    """

    root: Path
    pictures: tuple[PurePosixPath, ...]
    documents: tuple[PurePosixPath, ...]
    notes: tuple[str, ...] = ()

    def documents_of(self, *suffixes: str) -> list[PurePosixPath]:
        """List the documents with one of these suffixes, given in lower case."""
        return [path for path in self.documents if path.suffix.lower() in suffixes]


def folder_contents(root: Path) -> FolderContents:
    """List what a folder holds; hidden files, and what systems leave in folders, are passed over.

    Args:
        root: the folder.

    Raises:
        UserError: if it is no folder, cannot be looked into, or holds neither pictures nor Parquet
            files.
    """
    check_folder(root)
    found = find_files(root, (*IMAGE_SUFFIXES, *DOCUMENT_SUFFIXES, *_ARCHIVES), once=False)
    if found.unreachable:
        path, reason = min(found.unreachable.items())
        raise UserError(
            f"{path} cannot be looked into: {reason}. Mount, copy or unlock what is behind it, or "
            "remove it"
        )
    by_suffix: dict[str, list[Path]] = {}
    for file in found.files:
        by_suffix.setdefault(file.suffix.lower(), []).append(file)

    def below(suffixes: tuple[str, ...]) -> tuple[PurePosixPath, ...]:
        files = [file for suffix in suffixes for file in by_suffix.get(suffix, ())]
        # Cutting the text is many times faster than relative_to, and there may be 100,000.
        start = len(str(root)) + 1
        return tuple(PurePosixPath(file.as_posix()[start:]) for file in sorted(files))

    pictures, documents = below(IMAGE_SUFFIXES), below(DOCUMENT_SUFFIXES)
    archives = below(_ARCHIVES)
    if not pictures and not any(path.suffix.lower() == ".parquet" for path in documents):
        raise UserError(_nothing_there(root, documents, archives, found.unread))
    notes = [found.not_followed_in_words(), found.unread_in_words()]
    if archives:
        notes.append(
            f"{counted(len(archives), 'archive')} not looked into "
            f"({listed([str(path) for path in archives], _MOST_NAMED)}); unpack what belongs to "
            "the data"
        )
    return FolderContents(root, pictures, documents, tuple(filter(None, notes)))


def check_folder(root: Path) -> None:
    """Check that there is such a folder.

    Args:
        root: the folder.

    Raises:
        UserError: if there is none, or it is a file.
    """
    if root.is_dir():
        return
    if root.is_file():
        cure = "unpack it first, and give" if root.suffix.lower() in _ARCHIVES else "give"
        raise UserError(f"{root} is a file; {cure} the folder that holds images and annotations")
    parent = root.absolute().parent
    there = [path.name for path in parent.glob("*/")] if parent.is_dir() else []
    raise UserError(
        f"folder {root} does not exist{suggest(root.name, there) or '.'} Give the folder that "
        "holds images and annotations"
    )


def _nothing_there(
    root: Path,
    documents: tuple[PurePosixPath, ...],
    archives: tuple[PurePosixPath, ...],
    unread: list[Path],
) -> str:
    if archives:
        return (
            f"{root} holds archives and no pictures: {listed([*map(str, archives)], _MOST_NAMED)}. "
            "Unpack them first, and give the folder that they were unpacked to"
        )
    if unread:
        kinds = ", ".join(sorted({path.suffix.lower() for path in unread}))
        return (
            f"{root} holds pictures of kinds that are not read alone ({kinds}), {unread[0].name} "
            f"for one; save them as PNG or JPEG (read are {', '.join(IMAGE_SUFFIXES)})"
        )
    what = f"{listed([*map(str, documents)], _MOST_NAMED)} and no pictures" if documents else "none"
    return f"no images in {root}: expected {', '.join(IMAGE_SUFFIXES)} files; found {what}"
