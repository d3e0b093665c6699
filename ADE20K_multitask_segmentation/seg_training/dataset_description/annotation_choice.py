"""Which of the annotations in a folder are taken, and what is said where there are none."""

from collections.abc import Sequence

from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.folder_contents import FolderContents
from seg_training.dataset_description.json_documents import document_candidates
from seg_training.dataset_description.parquet_files import parquet_candidates
from seg_training.dataset_description.picture_annotations import picture_candidates
from seg_training.dataset_description.picture_sides import Side, picture_sides
from seg_training.dataset_description.role_words import words_of
from seg_training.errors import UserError, counted

__all__ = ["choose_annotations"]

_KINDS = (
    *("coco", "class_masks", "panoptic", "labelme", "yolo", "voc", "label_maps", "colours"),
    *("binary", "object_masks", "parquet"),
)
"""What is taken first of annotations of as many images: what names its classes says most."""

_OF_OBJECTS = frozenset(["object", "objects", "instance", "instances", "depth", "edge", "edges"])
_SEE = "DATASET_PREPARATION.md shows the trees that are understood"


def choose_annotations(contents: FolderContents) -> tuple[Candidate, list[str]]:
    """Find the annotations of a folder's images, and take those of most images.

    Args:
        contents: of the folder.

    Returns:
        The annotations, and what was seen besides them.

    Raises:
        UserError: if there are none, or if no image is found for them.
    """
    sides = picture_sides(contents.root, contents.pictures)
    candidates = list(picture_candidates(contents.root, sides))
    of_documents, notes = document_candidates(contents, sides)
    candidates += [*of_documents, *parquet_candidates(contents)]
    if not candidates:
        raise UserError(_nothing_found(contents, sides, notes))
    best = max(candidates, key=_rank)
    for other in candidates:
        if other is not best and other.labels != best.labels:
            notes.append(
                f"{other.labels} holds {other.about}, too, of {counted(other.number, 'image')}: "
                "left out"
            )
    return best, notes


def _rank(candidate: Candidate) -> tuple[int, bool, int]:
    words = [*words_of(candidate.labels), *words_of(candidate.label_ending)]
    is_of_objects = bool(_OF_OBJECTS & set(words)) and candidate.kind in ("colours", "label_maps")
    return (candidate.number, not is_of_objects, -_KINDS.index(candidate.kind))


def _nothing_found(contents: FolderContents, sides: Sequence[Side], notes: Sequence[str]) -> str:
    images = [side for side in sides if side.role == "image"]
    labels = [side for side in sides if side.role == "label"]
    number = sum(len(side.files) for side in images)
    if notes:
        return f"no annotations found in {contents.root}: {notes[0]}. {_SEE}"
    if not labels:
        seen = ""
        if contents.documents:
            one = min(contents.documents, key=lambda path: (len(path.parts), path))
            seen = f"and {counted(len(contents.documents), 'document')} ({one} for one) "
        return (
            f"{contents.root} holds {counted(number, 'image')} {seen}and no annotations that are "
            "understood: add label maps, masks, or a COCO file, say; annotation tools export "
            f"these, too. {_SEE}. To paint the images with a network that is trained already: "
            "predict.py"
        )
    first = next(iter(labels[0].files.values()))
    if not images:
        return (
            f"{contents.root} holds {counted(len(labels[0].files), 'label map')} ({first} for "
            f"one) and no images; add the images that they are of. {_SEE}"
        )
    image = next(iter(images[0].files.values()))
    if {key.name for key in images[0].files} & {key.name for key in labels[0].files}:
        return (
            f"images and annotations in {contents.root} have the same names, in folders of other "
            f"splits: {image.parent} and {first.parent}, for one. Call the splits the same on "
            "both sides"
        )
    return (
        f"no annotation in {contents.root} has the name of an image: there are images such as "
        f"{image} and annotations such as {first}. Names have to be the same up to an ending "
        f"(a.jpg, a_mask.png). {_SEE}"
    )
