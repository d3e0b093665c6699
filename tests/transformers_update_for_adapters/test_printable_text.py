"""Names in Markdown are shown as they are."""

import re

import pytest
from huggingface_hub import ModelCard
from odd_names import ODD_NAMES

from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.model_card import model_card
from transformers_update_for_adapters.printable_text import (
    markdown,
    markdown_code,
    markdown_table,
    printable,
)


def shown(text: str) -> str:
    """Undo what Markdown takes a backslash in front of a mark for."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_mark_of_a_name_is_escaped(name: str) -> None:
    written = markdown(name)
    assert shown(written) == printable(name)
    bare = re.sub(r"\\.", "", written)
    assert not set(bare) & set("*[]<>|`$&#{}\\")


def test_ordinary_names_stay_readable() -> None:
    for name in ("traffic_light", "bed, double", "wall (inner)", "t-shirt", "дорога"):
        assert markdown(name) == name


def test_code_is_fenced_by_more_backticks_than_it_has() -> None:
    assert markdown_code("a") == "`a`"
    assert markdown_code("a``b") == "```a``b```"
    assert markdown_code("`a`") == "`` `a` ``"


def test_numbers_of_a_table_stand_at_the_right() -> None:
    rows = [("a", "1"), ("b", "2")]
    assert markdown_table(("x", "y"), rows) == "| x | y |\n| --- | --- |\n| a | 1 |\n| b | 2 |"
    assert markdown_table(("x", "y"), rows[:1], 1) == "| x | y |\n| --- | ---: |\n| a | 1 |"
    assert markdown_table(("x", "y"), [], 0) == "| x | y |\n| ---: | ---: |"


def test_a_card_takes_any_name() -> None:
    per_class = {name: {"bIoU": 0.0, "num_masks": 3} for name in ODD_NAMES}
    config = TASFormerConfig(
        num_tasks=len(ODD_NAMES),
        task_names=list(ODD_NAMES),
        origin={"dataset": "---\n[x](y)", "pretrained": None},
        measured={"bIoU": 1.0, "num_masks": 3, "per_class": per_class},
    )
    card = ModelCard(str(model_card(config, 100, "a`b")))
    assert card.data.eval_results[0].dataset_name == "---\n[x](y)"
    lines = card.text.splitlines()
    assert "# TASFormer on ---\\\\n\\[x\\](y)" in lines
    for name in ODD_NAMES:
        assert f"| {markdown(name)} | 0.0 | 3 |" in lines
    assert all(line.count("|") - line.count("\\|") == 4 for line in lines if line.startswith("| "))
    assert "<script>" not in card.text
