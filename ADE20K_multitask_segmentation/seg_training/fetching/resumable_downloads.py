"""Downloads by HTTP that go on where they were cut, and are there as a whole or not at all."""

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from seg_training.as_written.bounded_json import read_json
from seg_training.as_written.plain_digits import number_of_digits
from seg_training.commands.progress_bars import tracked_bytes
from seg_training.errors import Interrupted, UserError
from seg_training.fetching.disk_space import check_space

__all__ = ["PAUSES", "download", "file_sum", "part_size"]

_log = logging.getLogger(__name__)

PAUSES = (1, 5, 15, 30)
"""Seconds before the next try, after so many in a row that brought nothing new."""

_CHUNK = 2**20
_SILENCE_SECONDS = 60
_AGENT = "tasformer (scripts/fetch_dataset.py)"
_MAY_PASS = (408, 425, 429)  # and all from 500 on: the server's own trouble
_PARTIAL, _BEYOND_THE_END = 206, 416


@dataclass(frozen=True)
class _Version:
    """Which version of a file a server has: only a part of the same one can be gone on with.

    Attributes:
        url: where it is.
        mark: a strong ``ETag``, or ``Last-Modified``; empty where the server gives neither.
        length: bytes of the whole file; None where the server does not say.
    """

    url: str
    mark: str
    length: int | None

    @classmethod
    def of(cls, url: str, headers: Message, length: str | None) -> Self:
        tag = headers.get("ETag", "")
        # A weak tag says that the content means the same, not that its bytes are.
        mark = tag if tag.startswith('"') else headers.get("Last-Modified", "")
        return cls(url, mark, number_of_digits(length or ""))

    def may_be(self, other: Self) -> bool:
        """Tell whether nothing says that another is meant: a partial answer need not say all."""
        return (not other.mark or other.mark == self.mark) and other.length in (None, self.length)


class _Part:
    """What has come of a file so far, and beside it a note of which version that is."""

    def __init__(self, file: Path) -> None:
        self.file = file.with_name(f"{file.name}.part")
        self._note = file.with_name(f"{file.name}.part.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.is_file() else 0

    def version(self, url: str) -> _Version | None:
        """Say what it is a part of; None where nothing of this address can be gone on with."""
        try:
            version = _Version(**read_json(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return version if self.size and version.url == url else None

    def begin(self, version: _Version) -> None:
        """Forget what has come: that of another version comes now."""
        self.file.write_bytes(b"")
        self._note.write_text(json.dumps(asdict(version)), encoding="utf-8")

    def become(self, file: Path) -> None:
        self.file.replace(file)
        self._note.unlink(missing_ok=True)

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def download(url: str, file: Path, sha1: str = "", pauses: Sequence[float] = PAUSES) -> None:
    """Fetch a file; what came of it before is kept and gone on with, if it is still the same.

    A connection that breaks is made again. Where the server knows no ranges, or has another
    version of the file by now, it begins anew.

    Args:
        url: where it is; may lead elsewhere.
        file: what it becomes, in an existing folder; until then it is ``<file>.part``.
        sha1: what its sum must be, in hexadecimal; not known where empty.
        pauses: seconds before each further try, if the last one brought nothing new.

    Raises:
        UserError: if the server refuses or stays away, if the disk has no room, or if the file has
            another sum.
        Interrupted: on Ctrl-C; the part stays.
    """
    part = _Part(file)
    best, failed = part.size, 0
    try:
        while (problem := _receive(url, part, file.name)) is not None:
            # Where it begins anew each time, what is there may shrink.
            best, failed = (part.size, 0) if part.size > best else (best, failed + 1)
            if failed > len(pauses):
                raise UserError(
                    f"{url}: {problem}. {part.size:,} bytes are there; the same command goes on "
                    "from there, later perhaps"
                )
            _log.warning("%s: %s; trying again", url, problem)
            time.sleep(pauses[max(failed - 1, 0)] if pauses else 0)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted; {part.size:,} bytes of {file.name} are kept, and the same command goes "
            "on from there"
        ) from stop
    if sha1 and (found := file_sum(part.file, "sha1")) != sha1:
        part.remove()
        raise UserError(
            f"{url}: what came has the sha1 {found}, but {sha1} was published: it was damaged on "
            "its way, or the publisher has changed the file. It was removed; give the same command "
            "again, and if it comes out the same, get the file by hand"
        )
    part.become(file)


def file_sum(file: Path, algorithm: str) -> str:
    """Compute a file's sum.

    Args:
        file: an existing one.
        algorithm: ``sha1`` or ``sha256``.

    Returns:
        In hexadecimal.
    """
    with file.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()


def part_size(file: Path) -> int:
    """Count the bytes that are there of a file, whole or in part.

    Args:
        file: what is, or is to be, downloaded.
    """
    return file.stat().st_size if file.is_file() else _Part(file).size


def _receive(url: str, part: _Part, title: str) -> str | None:
    """Ask for what is missing and write it; None, or what came in between and may pass."""
    try:
        version = part.version(url)
        if version is not None and version.length == part.size:
            return None
        answer = _ask(url, version, part.size)
        with closing(answer):
            return _write(url, answer, version, part, title)
    except HTTPError as error:
        error.close()
        if error.code == _BEYOND_THE_END and part.size:
            part.remove()
            return "the server's file is shorter than what has come of it, so it begins anew"
        if error.code in _MAY_PASS or error.code >= 500:
            return f"the server answers {error.code} ({error.reason})"
        raise UserError(
            f"{url}: the server answers {error.code} ({error.reason}): the file is no longer "
            "there, or not for everybody. Get it by hand from the dataset's page"
        ) from error
    except (OSError, HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def _ask(url: str, version: _Version | None, size: int) -> HTTPResponse:
    # A coded answer, compressed say, has a length and ranges of its own.
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if version is not None:
        headers["Range"] = f"bytes={size}-"
        if version.mark:
            headers["If-Range"] = version.mark
    answer = urlopen(Request(url, headers=headers), timeout=_SILENCE_SECONDS)
    if not isinstance(answer, HTTPResponse):  # FTP has no ranges
        answer.close()
        raise UserError(f"{url} leads to {answer.url}, which is no address of the web")
    return answer


def _write(
    url: str, answer: HTTPResponse, version: _Version | None, part: _Part, title: str
) -> str | None:
    if answer.status == _PARTIAL:
        given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        sent = _Version.of(url, answer.headers, given[2] if given else None)
        is_next = given is not None and int(given[1]) == part.size
        if version is None or not is_next or not version.may_be(sent):
            part.remove()
            return "the server has another version of the file by now, so it begins anew"
        now = version
    else:
        if version is not None:
            _log.info("%s: the server sends the whole file, so it begins anew", url)
        now = _Version.of(url, answer.headers, answer.headers.get("Content-Length"))
        with _writing(part.file):
            part.begin(now)
    if now.length is not None:
        check_space(part.file.parent, now.length - part.size, f"the rest of {title}")
    with (
        part.file.open("ab", buffering=0) as file,
        tracked_bytes(title, now.length, part.size) as advance,
    ):
        while chunk := answer.read(_CHUNK):
            with _writing(part.file):
                file.write(chunk)
            advance(len(chunk))
    if now.length is not None and part.size < now.length:
        return f"the connection ended after {part.size:,} of {now.length:,} bytes"
    return None


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Tell a disk's errors from a connection's, which may pass."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {file}: {error.strerror}; make room, and give the same command again"
        ) from error
