"""Rows of Hugging Face's datasets: unpacked once, refused where they hold no pictures."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets import annotated
from PIL import Image

from seg_training.datasets.annotation_kinds import unpacked_rows
from seg_training.datasets.annotation_kinds.unpacked_rows import IMAGES, LABEL_MAPS, Rows, unpacked
from seg_training.datasets.own_folder import Folder
from seg_training.errors import UserError

pytest.importorskip("datasets")
pyarrow = pytest.importorskip("pyarrow")


def picture(form: str, size: tuple[int, int] = (6, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("L", size, 3).save(stream, form)
    return stream.getvalue()


def rows_of(folder: Path, image: list[Any], label: list[Any]) -> Rows:
    from pyarrow import parquet

    folder.mkdir(exist_ok=True)
    file = folder / "train.parquet"
    parquet.write_table(pyarrow.table({"image": image, "label": label}), file)
    return Rows(str(folder), "train", (file,))


def stored(content: bytes | None, path: str | None = None) -> dict[str, Any]:
    return {"bytes": content, "path": path}


def test_pictures_are_copied_as_they_are_and_arrays_become_some(tmp_path: Path) -> None:
    jpeg = picture("JPEG")
    labels = np.arange(24).reshape(4, 6) + 250
    rows = rows_of(tmp_path / "data", [stored(jpeg)], [labels.tolist()])
    folder = unpacked(rows, "image", "label", tmp_path / "cache")
    assert (folder / IMAGES / "000000.jpg").read_bytes() == jpeg
    made = np.asarray(Image.open(folder / LABEL_MAPS / "000000.png"))
    assert np.array_equal(made, labels)


def test_they_are_unpacked_once_and_anew_when_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [stored(picture("PNG"))]
    rows = rows_of(tmp_path / "data", own, own)
    first = unpacked(rows, "image", "label", tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(unpacked_rows, "_write", None)
        assert unpacked(rows, "image", "label", tmp_path / "cache") == first
    rows_of(tmp_path / "data", own * 2, own * 2)
    os.utime(rows.files[0], (1, 1))
    second = unpacked(rows, "image", "label", tmp_path / "cache")
    assert second != first
    assert not first.exists()
    assert len(list((second / IMAGES).iterdir())) == 2


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (
            stored(picture("PNG")),
            stored(picture("JPEG")),
            r"row 0 of split 'train' of .*data: its "
            r"label map is a JPEG or WebP picture, whose values are not exact\. Export it as PNG",
        ),
        (
            stored(None, "/etc/passwd"),
            stored(picture("PNG")),
            r"row 0 .* column 'image' holds no picture, but the name of a file \(/etc/passwd\); "
            r"export the dataset with its pictures",
        ),
        (stored(picture("GIF")), stored(picture("PNG")), r"a picture of a kind that is not read"),
        (stored(picture("PNG")), [[1, 2], [-3, 4]], r"column 'label' is neither a picture nor"),
        (stored(picture("PNG")), [1, 2], r"neither a picture nor \(height, width\) whole numbers"),
    ],
)
def test_rows_that_hold_no_pictures_are_refused(
    tmp_path: Path, image: Any, label: Any, message: str
) -> None:
    rows = rows_of(tmp_path / "data", [image], [label])
    with pytest.raises(UserError, match=message):
        unpacked(rows, "image", "label", tmp_path / "cache")
    assert not list((tmp_path / "cache" / "unpacked").glob("*"))


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    own = [stored(picture("PNG"))]
    rows = rows_of(tmp_path / "data", own, own)
    with pytest.raises(
        UserError, match=r"no column 'labels'; did you mean 'label'\? \(there is: im"
    ):
        unpacked(rows, "image", "labels", tmp_path / "cache")


def test_without_the_library_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [stored(picture("PNG"))]
    rows = rows_of(tmp_path / "data", own, own)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(unpacked_rows.importlib, "import_module", missing)
    with pytest.raises(
        UserError, match=r"read by the library 'datasets': pip install -e '\.\[hub\]'"
    ):
        unpacked(rows, "image", "label", tmp_path / "cache")


def test_a_name_of_the_hub_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    """What is asked of the hub is answered by a folder here."""
    import datasets

    annotated.write_parquet(tmp_path / "data")
    load: Callable[..., Any] = datasets.load_dataset
    asked = []

    def answer(name: str, **options: Any) -> Any:
        asked.append((name, options))
        files = [str(tmp_path / "data" / "data" / f"{options['split']}-00000-of-00001.parquet")]
        return load("parquet", data_files={"rows": files}, split="rows", streaming=True)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda name, file, **_: str(tmp_path / "data" / file)
    )
    annotation = {"name": "parquet", "image": "pixel_values", "revision": "v2"}
    dataset = Folder("nobody/streets", {}, annotation=annotation)
    assert len(dataset.files("train")) == 5
    assert dataset.settings()["root"] == "nobody/streets"
    assert asked == [("nobody/streets", {"split": "train", "revision": "v2", "streaming": True})]
    read = dataset.annotation(dataset.files("train")[2].label_map)
    assert np.array_equal(read.values, annotated.label_map_of("train", 2))


def test_it_is_unpacked_below_the_datasets_own_cache_folder(tmp_path: Path) -> None:
    annotated.write_parquet(tmp_path / "data")
    annotation = {"name": "parquet", "image": "pixel_values"}
    dataset = Folder(tmp_path / "data", {}, labels="data/{split}-*.parquet", annotation=annotation)
    dataset.cache_dir = tmp_path / "cache"
    assert Path(dataset.files("val")[0].image).is_relative_to(tmp_path / "cache" / "unpacked")
    with pytest.raises(
        UserError, match=r"no parquet file .*data/test-\*\.parquet; set data\.labels"
    ):
        dataset.files("test")
