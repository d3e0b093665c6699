"""A training loader that remembers where it is, so that an interrupted run goes on exactly."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from seg_training.datasets.batches import Batch
from seg_training.datasets.plain_spoken_loader import workers_in_words
from seg_training.datasets.prompt_samplers import ResumableSampler

__all__ = ["ResumableLoader"]


class ResumableLoader(DataLoader[Batch]):
    """A loader over a :class:`ResumableSampler` whose state goes into checkpoints.

    Counts the batches that were handed out, not those that workers have already fetched. Lightning
    finds ``state_dict`` and ``load_state_dict`` by itself.
    """

    batch_sampler: ResumableSampler

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # a plain iterator is enough
        """Yield the epoch's batches from where the sampler starts.

        A generator, so that the sampler is asked only once Lightning has set the epoch.
        """
        sampler = self.batch_sampler
        with workers_in_words():
            for batch in super().__iter__():
                sampler.start += 1
                yield batch
        sampler.start = 0

    def state_dict(self) -> dict[str, Any]:
        """Give the epoch and how many of its batches were handed out."""
        return {"epoch": self.batch_sampler.epoch, "start": self.batch_sampler.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.batch_sampler.epoch = state["epoch"]
        self.batch_sampler.start = state["start"]
