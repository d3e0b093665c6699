"""What knowing many classes costs, on images so small that only the memory means something."""

from pathlib import Path

import pytest
import torch

from seg_training.benchmark import many_classes_speed
from seg_training.benchmark.many_classes_speed import NUM_KNOWN_STEPS, measure_known_classes

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_an_evaluation_takes_no_more_memory_with_more_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_classes_speed, "_KNOWN", (20, 300))
    monkeypatch.setattr(many_classes_speed, "_METHODS", {"adapter_hf": "adapter_hf"})
    monkeypatch.setattr(many_classes_speed, "_ASKED_ALL", ("adapter_hf",))
    monkeypatch.setattr(many_classes_speed, "_NUM_EVALUATED", 2)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    steps: list[int] = []
    figures = measure_known_classes(tmp_path, images, 1, CONFIGS, lambda: steps.append(1))
    assert len(steps) == len(figures) == 3 < NUM_KNOWN_STEPS
    step, evaluation, everything = figures
    assert [each.what for each in figures] == [
        "training step",
        "evaluation",
        "evaluation, all asked",
    ]
    for each in figures:
        assert list(each.timings) == list(each.peak_bytes) == [20, 300]
        assert all(timing.median > 0 for timing in each.timings.values())
    (few, many), (few_asked, many_asked) = (
        [each.peak_bytes[number] or 0 for number in (20, 300)] for each in (evaluation, everything)
    )
    assert 0 < many < 1.05 * few  # less, if anything: of so many no adapters are kept
    assert many_asked > 2 * few_asked
    assert all(step.peak_bytes.values())
