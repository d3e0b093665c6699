"""What files of each kind may say besides the valid one: other varieties, and wrong ones.

Damage at random hardly finds two images of one id. These are damaged like the valid file is.
"""

import copy
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from fake_datasets import annotated
from PIL import Image

__all__ = ["odd_coco", "odd_contents"]

_ANCHORS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 8)]
).encode()
_DEEP = b"".join(b" " * level + b"a:\n" for level in range(102))
_YAML = (_ANCHORS, _DEEP, b"a: &a [*a]\n", b"a: 2001-02-30\n")

_CLASSES = (
    b'classes: {1: "\\u00e9", 2: "e\\u0301"}\n',
    b"classes: {1: a}\nother: x\n",
    b"classes: {1: a}\nignore: {1: 2}\n",
    b"classes: {1: a}\nother: [1]\n",
    b"classes: {99999999999: a}\n",
    b"classes: {1: ''}\n",
    b'classes: {1: "a\\ab"}\n',
    b'classes: {1: "\\u200b"}\n',
    b"classes: {1: all}\n",
    b"classes: {1: '${x}'}\n",
    b"classes: x\n",
    *(text.replace(b"a0", b"classes", 1) for text in _YAML),
)
_CONFIGS = (
    b"tasks: {classes: ['']}\ndata: {classes: {classes: {1: ''}}}\n",
    b'data: {classes: {classes: {1: "\\u200b", 2: "a\\ab"}}}\n',
    b"data: {classes: {classes: {1: all}, other: x}}\n",
    b"data: {classes: {classes: {1: '${x}'}, ignore: {1: 2}}}\n",
    *_YAML,
)

_NAMES = (b"names: [[a]]\n", b"names: {0: car, x: tree}\n", b"names: 5\n", b"#" * (2**20 + 1))
_LINES = (
    b"0 .1 .1 .5 .5\n",
    b"0 .1 .1 .5 .5 .2\n",
    b"9 .1 .1 .5 .5 .2 .8\n",
    b"\n0 0 0 5 5 9 .1\n",
    b"1 nan 0 .5 .5 .9 .1\n",
)


def _changed(content: Any, *changes: Callable[[Any], Any]) -> tuple[bytes, ...]:
    """Write content once for each change."""
    written = []
    for change in changes:
        own = copy.deepcopy(content)
        change(own)
        written.append(json.dumps(own).encode())
    return tuple(written)


def _coco(content: Any) -> tuple[bytes, ...]:
    """Let COCO's files contradict themselves, and draw what cannot be."""
    images, shown, categories = content["images"], content["annotations"], content["categories"]
    height, width = images[0]["height"], images[0]["width"]

    def drawn(segmentation: Any) -> Callable[[Any], Any]:
        def change(own: Any) -> None:
            own["annotations"][0].update(image_id=images[0]["id"], segmentation=segmentation)

        return change

    def lengths(counts: Any) -> Callable[[Any], Any]:
        return drawn({"size": [height, width], "counts": counts})

    return _changed(
        content,
        lambda own: own["images"].append({**images[0], "file_name": "other.jpg"}),
        lambda own: own["images"].append({**images[0], "id": 10**6}),
        lambda own: own["categories"].append({**categories[0], "name": "another"}),
        lambda own: own["categories"].append({**categories[0], "id": "x"}),
        lambda own: own["categories"].append({"id": 10**6, "name": "another"}),
        lambda own: own["annotations"].append({**shown[0], "category_id": 10**7}),
        lambda own: own["annotations"].append({**shown[0], "image_id": 10**7}),
        lambda own: own["images"][0].update(height=10**6, width=10**6),
        lambda own: own["images"][0].update(height=None, width=-1),
        *map(drawn, ([], [[1, 1]], [[1, 1, 2, 2, 3]], [[1, 1, 2, 2, 3, "x"]], 5, {"size": [1]})),
        *map(drawn, ([[0, 0, 1e9, 0, 1e9, 1e9]], [[0, 0, float("nan"), 0, 1, 1]])),
        *map(lengths, ([-1, height * width + 1], [height * width], [1], [], "", "PPPP0", "~", "o")),
        *map(lengths, ("oooooooo0", ["x"], [10**30])),
    )


def _panoptic(content: Any) -> tuple[bytes, ...]:
    first = content["annotations"][0]
    return _changed(
        content,
        lambda own: own["annotations"].append(first),
        lambda own: own["annotations"].append({**first, "file_name": "x.png", "image_id": 10**6}),
        lambda own: own["annotations"][0]["segments_info"].append({"id": 5, "category_id": 99}),
    )


def _pictures(kind: str) -> tuple[bytes, ...]:
    """Write other depths, signs, turns, and several pictures in one file."""
    ramp = np.arange(24 * 32).reshape(24, 32)
    several: dict[str, Any] = {
        "save_all": True, "append_images": [Image.fromarray(ramp.astype(np.uint8))]
    }  # fmt: skip
    turned = Image.Exif()
    turned[0x0112] = 6
    made: dict[str, list[tuple[Any, dict[str, Any]]]] = {
        "tiff": [
            (ramp.astype(np.uint8), {"tiffinfo": {339: 2}}),
            ((ramp - 100).astype(np.int32), {}),
            (ramp.astype(np.int32), {}),
            (ramp.astype(np.uint16), {}),
            (ramp.astype(np.float32), {}),
            (ramp.astype(np.uint8), several),
        ],
        "png": [(ramp.astype(np.uint16) * 80, {}), (ramp % 2 > 0, {})],
        "jpeg": [(ramp.astype(np.uint8), {"exif": turned})],
        "gif": [(ramp.astype(np.uint8), several)],
    }
    contents = []
    for values, options in made[kind]:
        stream = io.BytesIO()
        Image.fromarray(values).save(stream, kind, **options)
        contents.append(stream.getvalue())
    return tuple(contents)


def odd_contents() -> dict[str, tuple[bytes, ...]]:
    """Give them by the name of the kind of files."""
    own = annotated.coco_content("train")
    ids = [{"id": 1, "category_id": 1}]
    panoptic = {
        "images": [{"id": 0, "file_name": "train_0.jpg"}],
        "annotations": [{"image_id": 0, "file_name": "train_0.png", "segments_info": ids}],
        "categories": own["categories"],
    }
    return {
        "model folder's config.yaml": _YAML,
        "classes file": _CLASSES,
        "config": _CONFIGS,
        "table": (b"x" * 140_000 + b"\n", b'"\n', b"wnid\tclass\n1\t2\t3\n"),
        "COCO's polygons": _coco(own),
        "YOLO's lines": _LINES,
        "YOLO's names": _NAMES,
        "panoptic JSON": _panoptic(panoptic),
        "TIFF": _pictures("tiff"),
        "PNG": _pictures("png"),
        "JPEG": _pictures("jpeg"),
        "GIF": _pictures("gif"),
        "results of a cell": (b"{}", b'{"bIoU": "x"}', b'{"bIoU": 1, "curves": 5}', b"[]"),
        "result of a prediction": (
            b'{"being_replaced": ["000_a_mask.png", "000_../../a_mask.png", 5]}',
            b'{"threshold": 1, "label_map": null, "classes": [{"mask": "../../x_mask.png"}]}',
        ),
    }


def odd_coco(content: bytes) -> tuple[bytes, ...]:
    """Do the same to a file of COCO's own.

    Args:
        content: of a valid one.
    """
    return _coco(json.loads(content))
