import json
from pathlib import Path

import pytest

from seg_training.errors import UserError
from seg_training.tables.recipe_cells import RECIPE_ROWS, RECIPE_SCALES
from seg_training.tables.recipes_document import with_main_rows, with_tables

NAMES = ("steps", *(scale.name for scale in RECIPE_SCALES))
EMPTY = "# Recipes\n\n" + "\n".join(
    f"before {name}\n<!-- {name}: begin (make) -->\n<!-- {name}: end -->\nafter {name}"
    for name in NAMES
)


def test_a_result_stands_in_its_row_with_the_steps_of_both_phases(tmp_path: Path) -> None:
    folder = tmp_path / "recipes_ccp" / "table1" / "adapter_hf"
    folder.mkdir(parents=True)
    numbers = dict(bIoU=40.0, bIoU_calibrated=42.0, mIoU=11.0, mIoU_with_other=14.0, cg_bIoU=18.5)
    for seed in range(2):
        content = {key: number + 2 * seed for key, number in numbers.items()}
        content |= {"steps": 225, "seconds": 120, "first_phase": {"steps": 1275, "seconds": 240}}
        (folder / f"seed{seed}.json").write_text(json.dumps(content))
    text = with_tables(EMPTY, tmp_path)
    assert (  # the deviation of two numbers that differ by 2 is the root of 2
        "| TASFormer (HF adapter), painted | 41.0 ± 1.4 | 43.0 ± 1.4 | 12.0 ± 1.4 | 15.0 ± 1.4 | "
        "not measured | 19.5 ± 1.4 | not measured |\n"
    ) in text
    assert "| table1/adapter_hf | 1 | 42.0 |  | 44.0 |  |  |  | 1,500 | 6.0 |" in text
    assert "2 of 46 runs are there." in text
    assert "0 of 46 runs are there." in text
    assert (
        "python scripts/reproduce_tables.py --scale recipes_ccp --data-root /path/to/ccp "
        "--only table1/channels\n"
    ) in text


def test_a_short_table_has_the_rows_that_were_run_and_their_main_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "recipes_ccp" / "table1" / "channels"
    folder.mkdir(parents=True)
    content = dict(bIoU=40.0, bIoU_calibrated=42.0, mIoU=11.0, mIoU_with_other=14.0, cg_bIoU=18.5)
    (folder / "seed0.json").write_text(json.dumps({**content, "steps": 450}))
    text = with_main_rows(EMPTY, tmp_path)
    assert (
        "CCP at 192x128, 35 classes, 1,500 steps in all, in percent:\n\n"
        "| recipe | bIoU | bIoU, calibrated | mIoU | mIoU with other |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| control: a channel per class, painted | 40.0 | 42.0 | 11.0 | 14.0 |\n"
        "\n<!-- recipes_ccp: end -->"
    ) in text
    assert "11 classes, 2,000 steps in all, in percent: nothing of it has been run.\n" in text


def test_what_is_between_the_marks_alone_is_written_and_again_the_same(tmp_path: Path) -> None:
    text = with_tables(EMPTY, tmp_path)
    for line in EMPTY.splitlines():
        assert text.splitlines().count(line) >= 1
    assert with_tables(text, tmp_path) == text
    for row in RECIPE_ROWS.values():
        assert f"| {row.label} | {row.about} |" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_document_without_marks_is_refused(name: str, tmp_path: Path) -> None:
    damaged = EMPTY.replace(f"<!-- {name}: end -->", "")
    with pytest.raises(UserError, match=f"the document has no <!-- {name}: begin -->"):
        with_tables(damaged, tmp_path)
