"""Names of classes and pictures as names of files, on every system."""

import hashlib
import re
import sys
import unicodedata

__all__ = ["file_name", "folder_name", "in_one_form"]

_MOST_BYTES = 240  # of the 255 that file systems take: a suffix may follow
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def in_one_form(name: str) -> str:
    """Compose ``é`` and its like, which Unicode has in two forms; copying files changes it."""
    return unicodedata.normalize("NFC", name)


def file_name(name: str, most_bytes: int = _MOST_BYTES) -> str:
    """Keep the letters, digits, ``_`` and ``-`` of a name, as far as there is room for them.

    Where the system's names are ASCII, other letters are their numbers: ``u6c7d``.

    Args:
        name: of a class, say; different ones may become the same.
        most_bytes: in UTF-8.
    """
    encoding = sys.getfilesystemencoding()
    kept = "".join(letter if _stays(letter) else " " for letter in name)
    kept = kept.encode(encoding, "backslashreplace").decode(encoding).replace("\\", "")
    return _cut(re.sub(r" +", "_", kept), most_bytes).strip("_")


def folder_name(name: str) -> str:
    """Keep a name where it can be that of a folder on every system; else change its end.

    Args:
        name: of a picture without its suffix, say; has no separators.

    Returns:
        Different for different names: what is changed ends in a hash of what it was.
    """
    encoded = name.encode(errors="surrogateescape")
    bare = name.rstrip(". ")  # "." and ".." are other folders, and Windows leaves such ends out
    if bare == name and len(encoded) <= _MOST_BYTES and not _WINDOWS_DEVICE.fullmatch(name):
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return f"{_cut(bare, _MOST_BYTES - len(digest) - 1)}-{digest}"


def _stays(letter: str) -> bool:
    # Marks are parts of letters: accents, and most vowels of India's scripts.
    return letter.isalnum() or letter in "_-" or unicodedata.category(letter).startswith("M")


def _cut(name: str, most_bytes: int) -> str:
    """Leave out what is beyond a number of bytes, in whole letters."""
    encoded = name.encode(errors="surrogateescape")
    if len(encoded) <= most_bytes:
        return name
    return encoded[:most_bytes].decode(errors="ignore")
