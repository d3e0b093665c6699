"""What JSON and text files beside images hold: LabelMe's shapes, YOLO's polygons, COCO's lists."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from seg_training.as_written.bounded_json import read_json
from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.folder_contents import FolderContents
from seg_training.dataset_description.picture_looks import spread
from seg_training.dataset_description.picture_sides import Key, Side, document_sides
from seg_training.dataset_description.side_matching import Matching, match_sides
from seg_training.dataset_description.split_words import split_path, split_stem
from seg_training.dataset_description.yolo_names import yolo_names
from seg_training.datasets.image_names import ImageNames
from seg_training.errors import UserError

__all__ = ["document_candidates"]

_LOOKED_AT = 5  # of documents that there is one of for each image
_LISTS = ("images", "annotations")  # of COCO's files
_MOST_LISTS = 40  # of documents that list many images
_BOX = re.compile(r"\d+(?:\s+[-+.\deE]+){4}\s*")
_POLYGON = re.compile(r"\d+(?:\s+[-+.\deE]+){6,}\s*")


def document_candidates(
    contents: FolderContents, sides: Sequence[Side]
) -> tuple[list[Candidate], list[str]]:
    """Find annotations in JSON and text files.

    Args:
        contents: of the dataset's folder.
        sides: its pictures.

    Returns:
        What may be annotations, and what was seen that is none.
    """
    candidates: list[Candidate] = []
    notes: list[str] = []
    of_one_image: set[PurePosixPath] = set()
    for images in (side for side in sides if side.role != "label"):
        for documents in document_sides(contents.documents_of(".json", ".txt")):
            matching = match_sides(images, documents)
            if matching is None or matching.relation != "plain":
                continue
            files = spread([contents.root / file for file in matching.files], _LOOKED_AT)
            kind = _kind_of_each(files)
            if kind == "boxes":
                notes.append(
                    f"the text files in {documents.folder} hold boxes, and no outlines: boxes are "
                    "no masks, and are left out"
                )
            elif kind:
                candidates.append(_of_each(contents, kind, images, matching))
            if kind:
                of_one_image |= set(matching.files)
    lists = [path for path in contents.documents_of(".json") if path not in of_one_image]
    of_lists, damaged = _of_lists(contents.root, lists[:_MOST_LISTS], sides)
    return [*candidates, *of_lists], [*notes, *damaged]


def _of_each(contents: FolderContents, kind: str, images: Side, matching: Matching) -> Candidate:
    folder, annotated = matching.side.folder, matching.images
    if kind == "labelme":
        return Candidate(kind, images, folder, annotated, about="LabelMe's JSON files")
    names, said = yolo_names(contents, [contents.root / file for file in matching.files])
    return Candidate(
        kind,
        images,
        folder,
        {  # YOLO writes no file where there is no object
            split: own | {key for key in images.files if key.split in (split, "")}
            for split, own in annotated.items()
        },
        {} if names is None else {"names": names},
        unannotated="empty",
        about="YOLO's polygons",
        notes=(said,) if said else (),
    )


def _kind_of_each(files: Sequence[Path]) -> str:
    """Say what documents are that there is one of for each image."""
    if files[0].suffix.lower() == ".json":
        contents = [_read_json(file)[0] for file in files]
        labelme = [isinstance(each, dict) and "shapes" in each for each in contents]
        return "labelme" if any(labelme) else ""
    lines = [line for file in files for line in _lines(file)]
    if any(_POLYGON.fullmatch(line) for line in lines):
        return "yolo"
    return "boxes" if lines and all(_BOX.fullmatch(line) for line in lines) else ""


def _of_lists(
    root: Path, files: Sequence[PurePosixPath], sides: Sequence[Side]
) -> tuple[list[Candidate], list[str]]:
    """Find COCO's files, those of several splits together, and what cannot be read.

    Raises:
        UserError: if one that cannot be read is named as those are that can.
    """
    by_pattern: dict[str, dict[str, Mapping[str, Any]]] = {}
    damaged: dict[PurePosixPath, str] = {}
    for path in files:
        content, reason = _read_json(root / path)
        if reason:
            damaged[path] = reason
        if isinstance(content, dict) and all(map(_are_entries, map(content.get, _LISTS))):
            pattern, split = _pattern(path)
            by_pattern.setdefault(pattern, {})[split] = content
    for path, reason in damaged.items():
        if _pattern(path)[0] in by_pattern:
            raise UserError(
                f"cannot read {root / path}: {reason}. Files of other splits are named like it and "
                "can be read; mend it, or take it away"
            )
    candidates = []
    of_images = [side for side in sides if side.role == "image"] or sides
    for pattern, contents in by_pattern.items():
        is_panoptic = any(
            "segments_info" in each for own in contents.values() for each in own["annotations"][:1]
        )
        found = [
            candidate
            for images in of_images
            if (candidate := _of_list(pattern, contents, images, sides, is_panoptic))
        ]
        if found:
            candidates.append(max(found, key=lambda candidate: candidate.number))
    return _joined(candidates, files), [
        f"{path} cannot be read ({reason}): left out" for path, reason in damaged.items()
    ]


def _joined(candidates: list[Candidate], files: Sequence[PurePosixPath]) -> list[Candidate]:
    """Take COCO files of one folder together, where each lists other images: two people's, say."""
    joined = []
    for folder in {PurePosixPath(each.labels).parent for each in candidates}:
        own = [each for each in candidates if PurePosixPath(each.labels).parent == folder]
        first = own[0]
        there = [path for path in files if path.parent == folder]
        keys = [key for each in own for images in each.annotated.values() for key in images]
        is_one = (
            len(there) == len(own) > 1
            and len(set(keys)) == len(keys)
            and all(each.kind == "coco" and each.images is first.images for each in own)
        )
        if not is_one:
            joined += own
            continue
        annotated: dict[str, frozenset[Key]] = {}
        for each in own:
            for split, images in each.annotated.items():
                annotated[split] = annotated.get(split, frozenset()) | images
        joined.append(replace(first, labels=folder.as_posix(), annotated=annotated))
    return joined


def _of_list(
    pattern: str,
    contents: Mapping[str, Mapping[str, Any]],
    images: Side,
    sides: Sequence[Side],
    is_panoptic: bool,
) -> Candidate | None:
    """Find the images that a list means, where they are on this side."""
    annotated: dict[str, frozenset[Key]] = {}
    for split, content in contents.items():
        own = {key.name: key for key in images.files if not split or key.split in (split, "")}
        names = ImageNames(dict.fromkeys(own, ""), images.ending)
        written = [str(entry.get("file_name", "")) for entry in content["images"]]
        found = {own[name] for each in written for name in names.find(each)[:1]}
        for of_split in {key.split or split for key in found}:
            there = frozenset(key for key in found if (key.split or split) == of_split)
            annotated[of_split] = annotated.get(of_split, frozenset()) | there
    if not annotated:
        return None
    if not is_panoptic:
        has_masks = any(
            each.get("segmentation") for own in contents.values() for each in own["annotations"]
        )
        if not has_masks:
            return None
        return Candidate("coco", images, pattern, annotated, about="COCO's JSON")
    pictures = {
        PurePosixPath(str(each.get("file_name", ""))).stem
        for own in contents.values()
        for each in own["annotations"]
    }
    for labels in sides:
        stems = {path.stem for path in labels.files.values()}
        if labels is not images and labels.role != "image" and stems & pictures:
            return Candidate(
                "panoptic",
                images,
                labels.folder,
                annotated,
                {"file": pattern},
                about="COCO's panoptic PNGs",
            )
    return None


def _pattern(path: PurePosixPath) -> tuple[str, str]:
    """Take the split's name out of a document's path."""
    stem, split = split_stem(path.stem)
    if split:
        return path.with_name(f"{stem}{path.suffix}").as_posix(), split
    folder, split = split_path(path.parent.as_posix())
    return (PurePosixPath(folder) / path.name).as_posix(), split


def _are_entries(listed: Any) -> bool:
    return isinstance(listed, list) and all(isinstance(each, dict) for each in listed)


def _read_json(path: Path) -> tuple[Any, str]:
    """Read a document, or say why it cannot be read."""
    try:
        return read_json(path.read_bytes(), object_hook=_without_outlines), ""
    except (OSError, ValueError, RecursionError) as error:
        return None, str(error) or type(error).__name__


def _without_outlines(content: dict[str, Any]) -> dict[str, Any]:
    """Keep of outlines and pictures that they are there: those of COCO take gigabytes."""
    for key in ("segmentation", "imageData"):
        if key in content:
            content[key] = bool(content[key])
    return content


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]
