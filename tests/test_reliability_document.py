"""docs/reliability.md promises nothing without a test."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCUMENT = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")


def promises() -> list[list[str]]:
    table = DOCUMENT.split("## Promised")[1].split("## Not promised")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_promise_names_tests_that_there_are() -> None:
    assert len(promises()) > 15
    for what, holds, proof in promises():
        named = re.findall(r"`(tests/[^`]+)::(\w+)`", proof)
        assert what
        assert holds
        assert named or proof.startswith("the same: "), proof
        for file, test in named:
            text = (REPOSITORY / file).read_text(encoding="utf-8")
            assert re.search(rf"^def {test}\(", text, re.MULTILINE), f"{file}::{test}"
