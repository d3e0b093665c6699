"""Pictures in object stores and in parquet files have the results that files have."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seg_training.errors import UserError
from seg_training.prediction import picture_sources
from seg_training.prediction.picture_prediction import PredictionReport
from seg_training.prediction.picture_sources import find_elsewhere, is_elsewhere, local_file
from seg_training.prediction.pictures_to_paint import find_pictures_anywhere

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
Predict = Callable[..., PredictionReport]
NAMES = ("a.png", "b/a.png", "b/c d#1%.jpg")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in NAMES:
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(file)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "photos" / ".hidden.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def as_png(grey: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), grey, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*.png")
        if file.is_file()
    }


def test_a_store_has_the_names_and_results_of_a_folder(
    photos: Path, predict: Predict, tmp_path: Path
) -> None:
    address = f"file://{photos}"
    found = find_pictures_anywhere([address])
    assert list(found.values()) == list(find_pictures_anywhere([str(photos)]).values())
    assert [str(each) for each in found] == [f"{address}/{name}" for name in NAMES]
    report = predict([address], tmp_path / "stored")
    assert len(report.written) == len(NAMES)
    assert len(predict([str(photos)], tmp_path / "files").written) == len(NAMES)
    assert contents(tmp_path / "stored") == contents(tmp_path / "files")
    assert f'"image": "{address}/a.png"' in (tmp_path / "stored" / "a" / "result.json").read_text()
    assert len(predict([address], tmp_path / "stored").kept) == len(NAMES)


def test_one_file_or_a_pattern_of_a_store(photos: Path) -> None:
    assert list(find_pictures_anywhere([f"file://{photos}/b/a.png"]).values()) == ["a"]
    assert list(find_pictures_anywhere([f"file://{photos}/*/*"]).values()) == ["a", "c d#1%"]


@pytest.mark.parametrize("as_struct", [True, False])
def test_rows_are_pictures(as_struct: bool, predict: Predict, tmp_path: Path) -> None:
    """In several groups of rows, as large files have."""
    pictures = [as_png(grey) for grey in range(0, 250, 50)]
    column: list[Any] = (
        [{"bytes": one, "path": None} for one in pictures] if as_struct else pictures
    )
    table = arrow.table({"label": range(5), "image": column})
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=2)
    for given in (str(tmp_path / "rows.parquet"), f"file://{tmp_path}/rows.parquet"):
        found = find_pictures_anywhere([given])
        assert list(found.values()) == [f"rows/{number:06d}" for number in range(5)]
        assert [each.content() for each in reversed(found)] == pictures[::-1]  # type: ignore[union-attr]
    report = predict([tmp_path / "rows.parquet"], tmp_path / "out")
    assert len(report.written) == 5
    assert (
        f'"image": "{tmp_path}/rows.parquet#3"'
        in (tmp_path / "out" / "rows" / "000003" / "result.json").read_text()
    )


def test_a_row_without_a_picture_and_a_broken_file_do_not_stop_the_rest(
    photos: Path, predict: Predict, tmp_path: Path
) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    rows = [{"bytes": as_png(9), "path": None}, {"bytes": None, "path": "there.png"}]
    parquet.write_table(arrow.table({"photo": rows}), tmp_path / "rows.parquet")
    report = predict([f"file://{photos}", tmp_path / "rows.parquet"], tmp_path / "out")
    assert len(report.written) == len(NAMES) + 1
    said = list(report.failed.values())
    assert said[0].startswith(f"cannot read image file://{photos}/broken.png: it is no picture")
    assert said[1].startswith(f"{tmp_path}/rows.parquet#1 holds no picture in column 'photo'")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("file:///no/where", r"file:///no/where: there is no picture \(looked for \.jpg"),
        ("nosuch://bucket/photos", "nosuch://bucket/photos: Protocol not known: nosuch"),
        ("/no/rows.parquet", "cannot read /no/rows.parquet: "),
    ],
)
def test_what_is_not_there_is_said(given: str, words: str) -> None:
    assert is_elsewhere(given)
    with pytest.raises(UserError, match=words):
        find_elsewhere(given)


def test_a_package_that_a_store_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(UserError, match="s3://bucket/photos: Install s3fs to access S3"):
        find_elsewhere("s3://bucket/photos")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"label": [1]}, r"has 0 columns that may hold pictures \(\) of label"),
        ({"left": [b"1"], "right": [b"2"]}, r"has 2 columns .* \(left, right\)"),
    ],
)
def test_which_column_holds_pictures_must_be_clear(
    columns: dict[str, Any], words: str, tmp_path: Path
) -> None:
    parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet")
    with pytest.raises(UserError, match=words):
        find_elsewhere(str(tmp_path / "rows.parquet"))


def test_bounds_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.parquet"
    parquet.write_table(arrow.table({"image": [b"x" * 100] * 3}), file)
    monkeypatch.setattr(picture_sources, "_MOST_UNPACKED", 20)
    with pytest.raises(UserError, match="bytes in one group of rows, more than 20: write it with"):
        next(iter(find_elsewhere(str(file)))).content()  # type: ignore[union-attr]
    monkeypatch.setattr(picture_sources, "_MOST_ROWS", 2)
    with pytest.raises(UserError, match="has 3 rows, more than 2: write it as several files"):
        find_elsewhere(str(file))


def test_a_bit_that_is_another_ends_no_process(tmp_path: Path) -> None:
    whole = io.BytesIO()
    parquet.write_table(arrow.table({"image": [b"x"]}), whole, store_schema=False)
    content = whole.getvalue()
    refused = 0
    for bit in range(8 * len(content)):
        place, of_byte = divmod(bit, 8)
        flipped = bytes([content[place] ^ (1 << of_byte)])
        file = tmp_path / f"{bit}.parquet"  # each its own: opened tables are kept by their names
        file.write_bytes(content[:place] + flipped + content[place + 1 :])
        try:
            for picture in find_elsewhere(str(file)):
                with local_file(picture):
                    pass
        except UserError:
            refused += 1
    assert refused > 4 * len(content), refused


def test_what_is_here_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").mkdir()
    assert not is_elsewhere(str(tmp_path / "rows.parquet"))
    assert not is_elsewhere("photos/a.png")
    with local_file(tmp_path / "a.png") as file:
        assert file == tmp_path / "a.png"
