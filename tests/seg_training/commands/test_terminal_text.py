"""What a class, a dataset or a file is called stands in every table as it is."""

import io
from pathlib import Path

import pytest
from odd_names import ODD_NAMES
from rich.console import Console
from rich.table import Table

from seg_training.audit.audit_findings import (
    DatasetAudit,
    LabelCount,
    Problem,
    Size,
    Sizes,
    SplitAudit,
    TaskCount,
)
from seg_training.audit.audit_report import show_counts, show_problems
from seg_training.commands.terminal_text import add_plain_row, plain, terminal_table
from seg_training.datasets.own_folder import Folder
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.evaluation.threshold_sweep import show_thresholds
from seg_training.results.printed_table import show_result
from seg_training.tasks import LabelClasses, TaskTable
from transformers_update_for_adapters.printable_text import printable


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=400)


def text_of(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def result_of(names: tuple[str, ...], sources: int = 0) -> BinaryIoUResult:
    per_class = {task: (float(task), 1) for task in range(len(names))}
    own = BinaryIoUResult(50.0, len(names), per_class, 10.0, interval=(40.0, 60.0))
    own.per_source = dict.fromkeys(range(sources), own)
    return own


def test_brackets_colons_and_line_breaks_stand_for_themselves(console: Console) -> None:
    table = Table("a", "b")
    add_plain_row(table, "[void]", "x\ny", style="bold")
    console.print(table)
    console.print(plain(":car: [/left] \x1b[31m"))
    text = text_of(console)
    assert "│ [void] │ x\\ny │" in text
    assert ":car: [/left] \\x1b[31m" in text


def test_numbers_of_a_table_stand_at_the_right(console: Console) -> None:
    table = terminal_table("Figures", ("network", "size", "milliseconds"), "small print", 2)
    table.add_row("a", "1", "5")
    console.print(table)
    lines = [line.strip() for line in text_of(console).splitlines()]
    assert lines[0] == "Figures"
    assert "│ a       │ 1    │            5 │" in lines
    assert lines[-1] == "small print"


def test_letters_of_all_scripts_and_what_joins_them_are_printable() -> None:
    for text in ("汽车", "می\u200cشود", "e\u0301", "👩\u200d🚒", "a\u00a0b", "😀"):
        assert printable(text) == text
    assert printable("a\u202eb\udcff\r") == r"a\u202eb\udcff\r"


def test_results_show_every_class_and_every_dataset(console: Console) -> None:
    datasets = ["[/x]", "[b]"]
    show_result(result_of(ODD_NAMES, sources=2), ODD_NAMES, datasets, console)
    lines = [line.split("│") for line in text_of(console).splitlines()]
    rows = [[cell.strip() for cell in line[1:-1]] for line in lines if len(line) == 6]
    for dataset in (*datasets, "all"):
        for task, name in enumerate(ODD_NAMES):
            shown = printable(name).strip()
            assert [dataset, shown, "1", f"{task:.1f}"] in rows


def test_thresholds_show_every_class(console: Console) -> None:
    show_thresholds({0.5: result_of(ODD_NAMES)}, ODD_NAMES, console)
    for name in ODD_NAMES:
        assert f"│ {printable(name)} " in text_of(console)


def test_an_audit_shows_every_class_split_and_file(console: Console, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        classes = LabelClasses({0: name, 1: "b"})
        dataset = Folder(tmp_path / "[/data]", classes=classes.to_mapping())
        label = LabelCount(0, name, "class", "[/task]", 1, 10, 0.5, None)
        split = SplitAudit(
            *("[/split]", 1, 1),
            sizes=Sizes(Size(1, 2), Size(1, 2), Size(1, 2), 1),
            labels=[label, label],
            tasks=[TaskCount(name, 1, 10)],
            problems=[Problem("odd", "error", f"of {name}", {"[/x].png": f"[/x].png: {name}"})],
        )
        audit = DatasetAudit("[/d]", dataset, TaskTable(classes), {"fit": split}, [])
        show_counts([audit], console)
        show_problems([audit], console)
        text = text_of(console)
        assert f"{printable(name)}, in 1 image" in text
        assert f"[/d]: split '[/split]': of {printable(name)}" in text
        assert f"  [/x].png: {printable(name)}" in text
        assert "[/d] (Folder) in " in text
