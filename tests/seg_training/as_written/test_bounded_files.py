"""YAML and JSON of others: what would take for ever, or fill the memory, is an error in words."""

import time

import pytest
import yaml

from seg_training.as_written.bounded_json import read_json
from seg_training.as_written.bounded_yaml import read_bounded


@pytest.mark.parametrize("text", ["[" * 1_000_000, "{a: " * 100_000, "- " * 100_000])
def test_what_nests_without_end_is_refused_at_once(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(yaml.YAMLError, match="nested more than 100 levels deep"):
        read_bounded(text)
    assert time.monotonic() - began < 30  # YAML's own reader takes hours for the first


@pytest.mark.parametrize(
    "text", ["a: 2001-02-30", f"a: {'9' * 5000}", "? [a]\n: b", "a: !!binary 'x'", "&a [*a]"]
)
def test_values_that_cannot_be_are_errors_of_yaml(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        read_bounded(text)


def test_json_that_nests_without_end_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json("[" * 100_000)
    assert read_json(b'{"a": [1, null]}') == {"a": [1, None]}
