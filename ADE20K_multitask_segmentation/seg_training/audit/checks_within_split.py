"""What can be wrong with the files and labels of one split."""

from collections.abc import Iterator, Mapping, Sequence

from seg_training.audit.audit_findings import LabelCount, Problem, Severity
from seg_training.audit.decoded_splits import ReadLabelMap, ReadPair
from seg_training.datasets.segmentation_dataset import OfficialCounts, Pairing
from seg_training.errors import counted, listed

__all__ = [
    "check_files",
    "check_kinds",
    "check_looks",
    "check_official_counts",
    "check_pairing",
    "check_values",
]

_TINY_RANGE, _DARK = 32, 64  # of 256 values, between an image's darkest and brightest; up to there
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_LITTLE = 0.01  # of all published (image, class) pairs


def _problem(
    kind: str, severity: Severity, what: str, files: Mapping[str, str], cure: str = ""
) -> Iterator[Problem]:
    """Say how many files there are of a kind that should not be; nothing where there is none."""
    if files:
        yield Problem(kind, severity, f"{what}: {len(files)}{cure}", files)


def check_pairing(pairing: Pairing, cure_of_unlabelled: str) -> Iterator[Problem]:
    """Find images without label map, and label maps without image.

    Args:
        pairing: of a split.
        cure_of_unlabelled: what the dataset says to do about the former.
    """
    missing = {
        pair.image: f"{pair.image}: expected {pair.label_map}{pairing.near(pair.label_map)}"
        for pair in pairing.without_label_map
    }
    images = len(missing) + len(pairing.files)
    cure = f" of {images}. {cure_of_unlabelled}"
    yield from _problem("no_label_map", "error", "images without label map", missing, cure)
    left_out = {file: file for file in pairing.without_image}
    what = "label maps without image, which are left out"
    yield from _problem("no_image", "warning", what, left_out)


def check_kinds(unread: Sequence[str]) -> Iterator[Problem]:
    """Say which pictures are left out because of their kind.

    Args:
        unread: files among the images of a split.
    """
    what, cure = "pictures of kinds that are not read", ". Save them as PNG or JPEG"
    return _problem("unread_kind", "warning", what, {file: file for file in unread}, cure)


def check_files(pairs: Sequence[ReadPair]) -> Iterator[Problem]:
    """Find files that cannot be read, and pairs whose sizes differ."""
    unreadable, several, unusable, mismatched = {}, {}, {}, {}
    for image, label_map in pairs:
        if image.fault:
            unreadable[image.file] = image.fault
        if image.header and image.header.frames > 1:
            several[image.file] = f"{image.file}: {image.header.frames} frames or pages"
        if label_map and label_map.fault:
            unusable[label_map.file] = label_map.fault
        if not (label_map and image.header and image.size and label_map.size):
            continue
        if image.size != label_map.size:
            mismatched[label_map.file] = (
                f"{label_map.file} is {label_map.size}, its image {image.file} {image.size}"
                f"{image.header.before_turning(label_map.size)}"
            )
    what = "images of several frames or pages"
    cure = ". Save the one that is meant as a file of its own"
    yield from _problem("unreadable_image", "error", "images that cannot be read", unreadable)
    yield from _problem("several_frames", "error", what, several, cure)
    yield from _problem("unusable_label_map", "error", "label maps that cannot be used", unusable)
    what = "label maps of another size than their image"
    cure = ". Make them the same size (width x height) or remove the pair"
    yield from _problem("size_mismatch", "error", what, mismatched, cure)


def check_looks(pairs: Sequence[ReadPair]) -> Iterator[Problem]:
    """Find images that can be read, but perhaps not as they are meant."""
    tiny, unchecked = {}, {}
    for image, label_map in pairs:
        if not image.header:
            continue
        if image.brightest < _DARK or image.brightest - image.darkest < _TINY_RANGE:
            tiny[image.file] = f"{image.file}: {image.darkest} to {image.brightest} of 0 to 255"
        orientation, (height, width) = image.header.orientation, image.header.size
        is_checked = orientation == 1 or (orientation in _SIDEWAYS and height != width)
        if label_map and not is_checked and not label_map.is_turned:
            unchecked[image.file] = f"{image.file}: EXIF orientation {orientation}"
    cure = ". Are their values stored in another range than 0 to 255, or of 16 bit?"
    yield from _problem("tiny_range", "warning", "images of nearly one brightness", tiny, cure)
    what = "images that EXIF data turns, but not into another size"
    cure = ". Their label maps must fit the picture as a viewer shows it: look at some of them"
    yield from _problem("unchecked_orientation", "warning", what, unchecked, cure)


def check_values(
    label_maps: Sequence[ReadLabelMap], labels: Sequence[LabelCount]
) -> Iterator[Problem]:
    """Find label values without a meaning."""
    unknown = {label.value: label for label in labels if label.role == "unknown"}
    if not unknown:
        return
    files = {}
    for label_map in label_maps:
        own = [
            f"{value} ({counted(pixels, 'pixel')})"
            for value, pixels in label_map.pixels.items()
            if value in unknown
        ]
        if own:
            files[label_map.file] = f"{label_map.file}: {listed(own)}"
    values = [
        f"{value} ({counted(label.pixels, 'pixel')} in {counted(label.images, 'file')})"
        for value, label in unknown.items()
    ]
    message = (
        f"label values without a name: {listed(values)}. Mend the files, or name the values in the "
        "classes file of your own data: under 'classes', 'other' (background for every task) or "
        "'ignore' (left out)"
    )
    yield Problem("unknown_value", "error", message, files)


def check_official_counts(
    pairs: Sequence[ReadPair], labels: Sequence[LabelCount], official: OfficialCounts
) -> Iterator[Problem]:
    """Compare a split with what was published of it.

    Labels that mean something else, shifted by one say, differ in most classes. What differs a
    little may be another release, and can be trained on.
    """
    if len(pairs) != official.images:
        message = f"{len(pairs):,} images; the published split has {official.images:,}"
        yield Problem("official_images", "warning", message)
        return
    published = official.per_value
    different = [
        label for label in labels if label.images != published.get(label.value, label.images)
    ]
    all_counted = all(label_map and not label_map.fault for _, label_map in pairs)
    if not different or not all_counted:  # what could not be counted is named elsewhere
        return
    classes = listed(
        [
            f"{label.name} in {label.images:,} (published: {published[label.value]:,})"
            for label in different
        ]
    )
    difference = sum(abs(label.images - published[label.value]) for label in different)
    num_pairs = sum(published.values())
    if difference > _LITTLE * num_pairs:
        message = (
            f"classes that do not occur in as many images as published: {classes}. The label maps "
            "are not the published ones; get them anew (DATASET_PREPARATION.md)"
        )
        yield Problem("official_counts", "error", message)
    else:
        message = (
            f"differs a little from the published split, by {difference:,} of {num_pairs:,} pairs "
            f"of image and class: {classes}. If you did not change label maps yourself, get them "
            "anew (DATASET_PREPARATION.md)"
        )
        yield Problem("official_counts", "warning", message)
