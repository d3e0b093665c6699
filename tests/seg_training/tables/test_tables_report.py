"""The three files of a report; what the page says is looked for in it."""

import re
from html import unescape
from pathlib import Path

import pytest
import torch

from seg_training.errors import UserError
from seg_training.results.prediction_examples import Example, save_examples
from seg_training.tables.cell_runs import Setting, plan_runs
from seg_training.tables.collected_runs import Result
from seg_training.tables.table_cells import Cell, Entry, Scale, Table
from seg_training.tables.tables_page import report_html
from seg_training.tables.tables_report import write_report
from seg_training.tables.tables_text import csv_text, markdown_text

CELLS = {
    name: Cell(name, "demo.yaml", (), seeds) for name, seeds in (("one", (0, 1)), ("two", (0,)))
}
TABLE = Table(
    "Table 1: bIoU",
    "method",
    ("2",),
    {"<first>": (Entry("one", "bIoU", 48.3),), "second": (Entry("two", "bIoU", 51.1),)},
    "classes",
)
SCALE = Scale("small", "What is measured.", "scenes", CELLS, (TABLE,))
SETTING = Setting("/data")


def result(cell: str, seed: int, biou: float, folder: Path = Path("nowhere")) -> Result:
    content = {
        "bIoU": biou,
        "bIoU_interval": [biou - 1, biou + 2],
        "per_class": {"sky": {"bIoU": biou, "num_masks": 7}},
        "curves": {"loss": [[1, 0.5]], "bIoU": [[1, biou]]},
    }
    return Result(cell, seed, folder / cell / f"seed{seed}" / "results.json", content)


def page(results: list[Result]) -> str:
    runs = plan_runs(SCALE, SCALE.each_cell(), SETTING)
    return report_html(SCALE, results, runs, SETTING)


def rows(html: str) -> list[list[str]]:
    """Cut the table rows into cells, small print behind a bar."""
    return [
        [unescape(cell.replace("<small>", "|").replace("</small>", "")) for cell in cells]
        for row in re.findall("<tr>(.*?)</tr>", html)
        if (cells := re.findall("<td>(.*?)</td>", row))
    ]


def test_the_files_lie_beside_the_runs(tmp_path: Path) -> None:
    results = [result("one", 0, 46.0)]
    folder = tmp_path / "a" / "small"
    files = write_report(SCALE, results, [], SETTING, folder)
    assert {file.relative_to(folder).as_posix(): file.read_text() for file in files} == {
        "report.md": markdown_text(SCALE, results, [], SETTING),
        "report.csv": csv_text(SCALE, results),
        "report.html": report_html(SCALE, results, [], SETTING),
    }
    assert sorted(folder.iterdir()) == sorted(files)


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/small/report\.md: "):
        write_report(SCALE, [], [], SETTING, tmp_path / "file" / "small")


def test_the_page_compares_with_the_paper() -> None:
    html = page([result("one", 0, 46.0), result("one", 1, 49.0)])
    # (46 + 49) / 2 = 47.5, deviation 3 / sqrt(2) = 2.1
    assert ["<first>", "47.5 ± 2.1|2 seeds, paper 48.3, -0.8"] in rows(html)
    assert ["second", "not run|paper 51.1"] in rows(html)
    only = page([result("two", 0, 46.0)])
    assert ["second", "46.0|45.0 to 48.0, paper 51.1, -5.1"] in rows(only)
    assert "What is measured. 2 of 3 runs are there." in html
    assert "<first>" not in html
    one = [["one", "0", "46.0", "45.0 to 48.0"], ["one", "1", "49.0", "48.0 to 51.0"]]
    assert [row[:4] for row in rows(html) if row[0] == "one"] == one


def test_the_page_has_every_command() -> None:
    text = unescape(page([result("two", 0, 46.0)]))
    for row, cell in (("<first>", "one"), ("second", "two")):
        command = (
            f"python scripts/reproduce_tables.py --scale small --data-root /data --only {cell}"
        )
        assert f"<h3>Table 1: {row}</h3>\n<pre>{command}</pre>" in text
    missing, run = (text.index(f"<summary>Cells that were {words}") for words in ("not", "run"))
    for title, after, before in (
        ("one, seed 0", missing, run),
        ("one, seed 1", missing, run),
        ("two, seed 0", run, len(text)),
    ):
        cell, seed = title.split(", seed ")
        place = text.index(
            f"# {title}\npython train.py --config demo.yaml data.root=/data "
            f"run_dir=outputs/tables/small/{cell}/seed{seed} seed={seed}"
        )
        assert after < place < before


def test_a_page_without_results_is_a_plan() -> None:
    html = page([])
    assert "0 of 3 runs are there" in html
    assert "<svg" not in html
    assert "<img" not in html
    assert "Cells that were run" not in html


def test_pictures_come_from_beside_the_results(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = [result("one", 0, 46.0, tmp_path), result("two", 0, 40.0, tmp_path)]
    assert "<img" not in page(results)
    mask = torch.ones(1, 8, 8, dtype=torch.bool)
    example = Example("a", torch.zeros(3, 8, 8, dtype=torch.uint8), ("sky",), mask, mask)
    for each in results:
        save_examples([example], each.file.parent / "examples")
    assert page(results).count('<img src="data:image/jpeg;base64,') == 1
    # Four pictures of 8 pixels and three gaps: image, truth and two methods.
    assert f'width="{4 * 8 + 3 * 4}"' in page(results)

    (results[1].file.parent / "examples" / "0_image.png").write_bytes(b"damaged")
    assert f'width="{3 * 8 + 2 * 4}"' in page(results)
    assert "two/seed0/examples" in caplog.text
