"""No checkpoint is ever half there, and none is read that was changed."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_datasets import folder
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.whole_checkpoints import read_whole, write_whole
from seg_training.errors import UnwritableError, UserError
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

CONTENT: dict[str, Any] = {
    "state_dict": {"weight": torch.arange(6.0)},
    "hyper_parameters": {"config": {"seed": 1}, "task_names": ["sky"]},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_whole(CONTENT, tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def test_what_was_written_is_read_by_us_and_by_pytorch(file: Path) -> None:
    for content in (
        read_whole(file),
        read_checkpoint(file),
        torch.load(file, weights_only=True),
        torch.load(file, weights_only=True, mmap=True),
    ):
        assert content["hyper_parameters"] == CONTENT["hyper_parameters"]
        assert content["state_dict"]["weight"].tolist() == [0, 1, 2, 3, 4, 5]


def test_one_flipped_byte_anywhere_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.ckpt is damaged: .* Copy it again"):
            read_checkpoint(file)


@pytest.mark.parametrize("missing", [1, 50, 88, 89, 200, 900])
def test_a_part_alone_is_refused(file: Path, missing: int) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-missing])
    if missing == 88:  # the sum alone: as an earlier version wrote it
        assert len(whole) - missing == whole.rfind(b"PK\x05\x06") + 22
        assert read_checkpoint(file)["state_dict"]["weight"].tolist() == [0, 1, 2, 3, 4, 5]
        return
    with pytest.raises(UserError, match=r"a\.ckpt is "):
        read_checkpoint(file)


def test_a_changed_weight_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.ckpt"
    torch.save(CONTENT, file)
    assert read_checkpoint(file)["state_dict"]["weight"].tolist() == [0, 1, 2, 3, 4, 5]
    data = bytearray(file.read_bytes())
    data[data.index(torch.tensor([3.0, 4.0]).numpy().tobytes()) + 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"old\.ckpt is damaged: its part .* is not what"):
        read_checkpoint(file)


class FullDisk:
    """Lets so many checkpoints be written, and a part of the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, whole: int) -> None:
        self._left = whole
        self._write = Path.write_bytes
        monkeypatch.setattr(Path, "write_bytes", lambda file, data: self.write(file, data))

    def write(self, file: Path, data: Any) -> int:
        if file.suffix == ".ckpt":
            if not self._left:
                self._write(file, bytes(data)[:1000])
                raise OSError(errno.ENOSPC, "No space left on device")
            self._left -= 1
        return self._write(file, data)


def test_what_cannot_be_written_leaves_what_was_there(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()
    FullDisk(monkeypatch, 0)
    with pytest.raises(UnwritableError, match=r"cannot write .*a\.ckpt: .*No space left on device"):
        write_whole({**CONTENT, "more": 1}, file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_ends_a_training_and_the_best_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.make(tmp_path / "data")
    run = tmp_path / "run"
    FullDisk(monkeypatch, 2)  # the best and the last after the first step
    with pytest.raises(UserError) as failed:
        train(small_config(tmp_path / "data", run, "trainer.max_steps=4"))
    first, kept = str(failed.value).splitlines()
    assert "No space left on device" in first
    last, best = (run / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    assert kept == f"Kept: {last}, {best}"
    assert sorted(run.glob("checkpoints/*")) == [best, last]
    monkeypatch.undo()
    for each in (best, last):
        assert read_checkpoint(each)["global_step"] == 1
    again = small_config(tmp_path / "data", run, "trainer.max_steps=4", f"ckpt_path={run}")
    assert read_checkpoint(train({**again, "run_dir": None}).run_dir)["global_step"] >= 1
