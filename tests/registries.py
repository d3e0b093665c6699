"""What configs choose from, put back after a test that adds something of its own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from seg_training.datasets.annotation_kinds.annotation_registry import ANNOTATIONS
from seg_training.datasets.augmentations import AUGMENTATIONS
from seg_training.datasets.data_module import DATASETS
from seg_training.datasets.prompt_samplers import SAMPLERS
from seg_training.training.losses import LOSSES
from seg_training.training.optimizers import OPTIMIZERS, SCHEDULES

__all__ = ["registries_kept"]


REGISTRIES = (DATASETS, ANNOTATIONS, SAMPLERS, AUGMENTATIONS, LOSSES, OPTIMIZERS, SCHEDULES)


@contextmanager
def registries_kept() -> Iterator[None]:
    """Forget what is added within."""
    with ExitStack() as stack:
        for registry in REGISTRIES:
            stack.enter_context(patch.dict(registry))
        yield
