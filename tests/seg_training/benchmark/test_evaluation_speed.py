"""Both ways of evaluating come to the same."""

from pathlib import Path

import pytest

from seg_training.benchmark.evaluation_speed import (
    evaluated_checkpoint,
    evaluated_untrained,
    measure_evaluation,
)
from seg_training.benchmark.loading_speed import make_images
from seg_training.errors import UserError

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_pair_by_pair_and_all_at_once_are_the_same_biou(tmp_path: Path) -> None:
    make_images(tmp_path / "data", number=3, different=2)
    evaluated = evaluated_untrained(tmp_path / "data", tmp_path / "cache", 64, "cpu", CONFIGS)
    pairs = []
    figures = measure_evaluation(evaluated, lambda: pairs.append(1))
    # An untrained network's logits are near zero: roundings decide single pixels.
    assert figures.biou == pytest.approx(figures.plain_biou, abs=1e-2)
    assert figures.biou > 0
    assert figures.images == 3
    assert figures.pairs == len(pairs) == evaluated.num_pairs > 9
    assert min(figures.ours, figures.plain) > 0


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing_here"):
        evaluated_checkpoint(tmp_path / "nothing_here", "cpu", CONFIGS)
