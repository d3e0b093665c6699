"""Numbers in text of others: digits that Python turns into a number whatever they are."""

import re

__all__ = ["number_of_digits"]

# int() refuses thousands of digits, and "²", which is a digit for str.isdigit().
_DIGITS = re.compile(r"[0-9]{1,18}")


def number_of_digits(text: str) -> int | None:
    """Give the number that is written in 1 to 18 digits; None of anything else.

    Args:
        text: of a file, a header, a name.
    """
    return int(text) if _DIGITS.fullmatch(text) else None
