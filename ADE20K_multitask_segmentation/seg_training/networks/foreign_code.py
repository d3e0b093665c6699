"""What a network's description may not name: code of others, to be fetched and run."""

from collections.abc import Mapping
from typing import Any

from seg_training.errors import UserError

__all__ = ["refuse_foreign_code"]

_IMPLEMENTATIONS = ("attn_implementation", "_attn_implementation")


def refuse_foreign_code(described: Mapping[str, Any], where: str) -> None:
    """Refuse kernels of the Hub: Transformers fetches what has such a name, and runs it.

    Args:
        described: a network, as config.json and checkpoints describe it.
        where: that stands, for the message.

    Raises:
        UserError: if it names one.
    """
    for key in _IMPLEMENTATIONS:
        named = described.get(key)
        for each in named.values() if isinstance(named, Mapping) else (named,):
            if "/" in str(each):
                raise UserError(
                    f"{where} names {each!r} as its {key}: code from the Hub, which is not run. "
                    "Take the entry out, or put 'sdpa' or 'eager' there"
                )
