"""What a loader says whose workers die."""

import pytest

from seg_training.datasets.plain_spoken_loader import PlainSpokenLoader, workers_in_words
from seg_training.errors import UserError


class Failing:
    """A dataset whose reading fails as PyTorch says it."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        if index:
            raise RuntimeError(self.words)
        return 7


# As PyTorch 2 says it.
NO_MEMORY = (
    "DataLoader worker (pid 9) is killed by signal: Bus error. It is possible that dataloader's "
    "workers are out of shared memory. Please try to raise your shared memory limit.",
    "unable to write to file </torch_12_34_5>: No space left on device (28)",
    "unable to open shared memory object </torch_12_34_5> in read-write mode: Permission denied",
)
BUS_ERROR = (("Bus error. ", "too little shared memory"),)


@pytest.mark.parametrize("words", NO_MEMORY)
def test_too_little_shared_memory_is_said_with_a_cure(words: str) -> None:
    batches = iter(PlainSpokenLoader(Failing(words), batch_size=1))  # type: ignore[arg-type]
    assert next(batches).item() == 7
    with pytest.raises(UserError, match=r"too little shared memory .*--shm-size=8g.*num_workers=0"):
        next(batches)


def test_a_killed_worker_is_said_and_other_errors_are_as_they_were() -> None:
    with (
        pytest.raises(UserError, match="was killed, for want of memory perhaps"),
        workers_in_words(),
    ):
        raise RuntimeError("DataLoader worker (pid 9) is killed by signal: Killed.")
    gone = RuntimeError("DataLoader worker (pid(s) 9) exited unexpectedly")
    with (
        pytest.raises(UserError, match=r"was killed, for want of memory .* exited unexpectedly"),
        workers_in_words(),
    ):
        raise gone
    for reason, said in (("Killed", "for want of memory .* signal: Killed"), *BUS_ERROR):
        with pytest.raises(UserError, match=said), workers_in_words():
            # What PyTorch makes of it where its handler comes while a batch is awaited.
            raise gone from RuntimeError(f"DataLoader worker (pid 9) is killed by signal: {reason}")
    with pytest.raises(RuntimeError, match=r"^a fault$"), workers_in_words():
        raise RuntimeError("a fault")
