import sys

import pytest

from seg_training.commands.process_ranks import process_rank

VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


@pytest.mark.parametrize("name", VARIABLES)
def test_without_lightning_the_environment_tells(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric.utilities.rank_zero", None)  # type: ignore[arg-type]
    for each in VARIABLES:
        monkeypatch.delenv(each, raising=False)
    assert process_rank() == 0
    monkeypatch.setenv(name, "3")
    assert process_rank() == 3


def test_lightning_knows_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several machines each has a process whose local rank is 0."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(rank_zero_only, "rank", 8)
    assert process_rank() == 8
