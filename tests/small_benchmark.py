"""The benchmark on so little that its figures mean nothing, for tests of everything else."""

from typing import Any

import pytest

from seg_training.benchmark import cost_growth as growth
from seg_training.benchmark import loading_speed as data
from seg_training.benchmark import many_classes_speed as many_classes
from seg_training.benchmark import whole_benchmark as benchmark
from seg_training.benchmark.export_speed import ExportFigures, measure_exports
from seg_training.networks import Network, build_network

QUICK = ["--rounds", "1", "--size", "64", "--batch-size", "2", "--classes", "1", "3"]
NUM_EVALUATED = 4

WHOLE_BENCHMARK = "python scripts/benchmark.py --page benchmark.html"
"""As it is documented."""


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make what the options do not set small as well."""
    for name, few in (("_CLASSES", (1, 3)), ("_BATCHES", (1, 2)), ("_SIZES", (32, 64))):
        monkeypatch.setattr(growth, name, few)
    monkeypatch.setattr(many_classes, "_KNOWN", (20, 30))
    monkeypatch.setattr(many_classes, "_NUM_EVALUATED", 1)
    few_methods = {name: name for name in ("adapter_hf", "segformer")}
    monkeypatch.setattr(many_classes, "_METHODS", few_methods)
    monkeypatch.setattr(benchmark, "_NUM_EVALUATED", NUM_EVALUATED)
    monkeypatch.setattr(benchmark, "_NUM_STARTED", 100)
    monkeypatch.setattr(data, "_NUM_FILES", 600)
    monkeypatch.setattr(benchmark, "measure_exports", _measure_exports_of_a_shallow_network)


def _measure_exports_of_a_shallow_network(_network: Network, *rest: Any) -> list[ExportFigures]:
    network = build_network("adapter_hf", 150, depths=[1, 1, 1, 1]).eval()
    return measure_exports(network, *rest)
