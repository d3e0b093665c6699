"""Transformers' Trainer, told which pixels' labels count."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from functools import wraps
from typing import Any

import torch

__all__ = ["let_trainers_count"]

_COUNTING = "_get_num_items_in_batch"


def let_trainers_count() -> bool:
    """Let every Trainer divide the loss of a step by the labels that count in all its batches.

    A Trainer counts what is not -100 before the model sees a batch, and asks nobody; SegFormer's
    ignored label is 255. So the counting is wrapped, once: a model with ``countable_labels``, such
    as ours, says which labels are to count. Nothing changes for other models.

    Returns:
        Whether the Trainer counts so; where it does not, it must average its batches instead.
    """
    from transformers import Trainer  # slow, and loaded already where somebody makes one

    stock = getattr(Trainer, _COUNTING, None)
    if stock is None or hasattr(stock, "asks_the_model"):
        return stock is not None

    @wraps(stock)
    def count(trainer: Any, batches: list[Any], device: torch.device) -> Any:
        countable = getattr(trainer.model, "countable_labels", None)
        if countable is not None:
            if trainer.label_smoother is not None:
                raise ValueError(
                    "label_smoothing_factor smooths over classes in the last axis, which these "
                    "logits have not; leave it at 0"
                )
            batches = [
                {**batch, "labels": countable(batch["labels"])}
                if torch.is_tensor(batch.get("labels"))
                else batch
                for batch in batches
            ]
        return stock(trainer, batches, device)

    count.asks_the_model = True  # type: ignore[attr-defined]
    setattr(Trainer, _COUNTING, count)
    return True
