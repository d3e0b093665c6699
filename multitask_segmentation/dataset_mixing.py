"""How the batches of several datasets become the batches of one training."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np

from seg_training.datasets.prompt_samplers import Draw, ResumableSampler, TrainingSampler
from seg_training.errors import UserError

__all__ = ["BatchOfEach", "OneStream"]


class _Mixing(ResumableSampler):
    """Draws of several samplers, each of which starts again, shuffled anew, when it is used up.

    A dataset begins every epoch with a new pass, so that a run can go on from any epoch and batch
    without what was drawn before.
    """

    def __init__(self, samplers: Sequence[TrainingSampler]) -> None:
        self._samplers = samplers

    @abstractmethod
    def _most_passes(self, sampler: TrainingSampler) -> int:
        """Bound the passes of one sampler in an epoch: they have numbers of their own."""

    def _endless(self, source: int, start: int) -> Iterator[list[Draw]]:
        """Yield batches of one dataset without end, from the epoch's batch ``start`` on."""
        sampler = self._samplers[source]
        done, skipped = divmod(start, len(sampler))
        first_pass = self.epoch * self._most_passes(sampler) + done
        for sampler.epoch in count(first_pass):
            sampler.start = skipped if sampler.epoch == first_pass else 0
            for batch in sampler:
                yield [draw._replace(source=source) for draw in batch]


class BatchOfEach(_Mixing):
    """One batch of each dataset per step, as published (Lightning's ``max_size_cycle``).

    An epoch is as long as the largest dataset's; the smaller ones start again.
    """

    def __len__(self) -> int:
        """Batches of the dataset that has most."""
        return max(len(sampler) for sampler in self._samplers)

    def _most_passes(self, sampler: TrainingSampler) -> int:
        return math.ceil(len(self) / len(sampler))

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield the draws of one batch of each dataset, one dataset after the other."""
        streams = [self._endless(source, self.start) for source in range(len(self._samplers))]
        for _ in range(self.start, len(self)):
            yield [draw for stream in streams for draw in next(stream)]


class OneStream(_Mixing):
    """All datasets in one stream of single draws, each with its share of them.

    An epoch has as many draws as the datasets have together. In each epoch every dataset has
    exactly its share of them, to the nearest draw, in random order.
    """

    def __init__(
        self,
        samplers: Sequence[TrainingSampler],
        weights: Sequence[float] | None,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Prepare to mix.

        Args:
            samplers: each dataset's, with a batch size of 1, for one process.
            weights: how often each dataset comes, in relation to the others; by its number of
                draws by default.
            batch_size: draws per batch.
            seed: decides the order of the datasets.
            rank: which process this is.
            world_size: how many processes share the batches.

        Raises:
            UserError: if not one full batch can be made for every process.
        """
        super().__init__(samplers)
        sizes = [len(sampler) for sampler in samplers]
        shares = np.array(sizes if weights is None else weights, np.float64)
        self._shares = shares / shares.sum()
        self._num_draws = sum(sizes)
        self._batch_size = batch_size
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        if len(self) == 0:
            raise UserError(
                f"not one batch of {batch_size} for each of {world_size} processes can be made "
                f"from {self._num_draws} draws; lower data.batch_size"
            )

    def __len__(self) -> int:
        """Batches per epoch of this process; all processes have the same number."""
        return self._num_draws // (self._batch_size * self._world_size)

    def _most_passes(self, sampler: TrainingSampler) -> int:
        return math.ceil(self._num_draws / len(sampler))

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield this process's batches of the epoch, from ``start`` on."""
        size, all_batches = self._batch_size, len(self) * self._world_size
        ends = np.rint(np.cumsum(self._shares) * all_batches * size).astype(np.int64)
        sources = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        sources = np.random.default_rng([self._seed, self.epoch]).permutation(sources)
        streams = [self._endless(source, 0) for source in range(len(self._samplers))]
        draws = (draw for source in sources for draw in next(streams[source]))
        for batch in range(all_batches):
            drawn = list(islice(draws, size))
            if batch % self._world_size == self._rank and batch // self._world_size >= self.start:
                yield drawn
