"""What visitors of the web page send: pictures, and masks that they painted in them."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from faults.fuzzed_parser import Parser, picture
from PIL import Image

from seg_training.errors import UserError
from seg_training.web_app import uploaded_pictures
from seg_training.web_app.painted_pictures import read_painted

__all__ = ["upload_parsers"]

_LINES = ("seg_training.web_app.painted_pictures",)


def _address(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _read_sent(file: Path) -> None:
    """Read a request's JSON as Gradio hands it on."""
    try:
        sent = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError("no JSON, which is not handed on") from error
    read_painted(sent)


def _read_mask(file: Path) -> None:
    shown = {"name": "a", "picture": _address(picture("png"))}
    read_painted([{**shown, "mask": _address(file.read_bytes())}])


def _read_upload(file: Path) -> None:
    """Read a picture that is sent, under a bound on pixels that files of a few kilobytes exceed."""
    with mock.patch.object(uploaded_pictures, "MOST_PIXELS", 2**20):
        uploaded_pictures.read_upload(file)


def upload_parsers() -> Iterator[Parser]:
    """Make valid content for each parser."""
    image, other, mask = picture("png"), picture("jpeg"), _of_size(32, 24, 1)
    sent = [{"name": "a", "picture": _address(image), "mask": _address(mask)}]
    larger = [{**sent[0], "picture": _address(_of_size(2000, 3))}]
    smaller = [{**sent[0], "mask": _address(_of_size(3, 3))}]
    black = [{**sent[0], "mask": _address(_of_size(32, 24))}]
    others = ([], {}, [5], sent * 21, larger, smaller, black, [{"name": "a", "picture": 5}])
    yield Parser("painted pictures", "sent.json", json.dumps(sent).encode(), _read_sent, _LINES,
                 others=tuple(json.dumps(each).encode() for each in others))  # fmt: skip
    yield Parser("painted picture", "mask.png", mask, _read_mask, _LINES,
                 others=(picture("jpeg", "L"), picture("png", "P"), other))  # fmt: skip
    yield Parser("upload", "a.png", image, _read_upload,
                 ("seg_training.web_app.uploaded_pictures",),
                 others=(other, picture("webp"),
                         *(_of_size(side, side) for side in (1100, 9000))))  # fmt: skip


def _of_size(width: int, height: int, colour: int = 0) -> bytes:
    """Draw a black picture, or a white one."""
    written = io.BytesIO()
    Image.new("1", (width, height), colour).save(written, "png")
    return written.getvalue()
