"""Digits that int() would refuse are no number."""

import pytest

from seg_training.as_written.plain_digits import number_of_digits


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)),
        *((text, None) for text in ("", "-1", "1.0", " 1", "1\n", "²", "٣", "9" * 19, "9" * 5000)),
    ],
)
def test_what_is_a_number(text: str, number: int | None) -> None:
    assert number_of_digits(text) == number
