"""The whole benchmark: what is measured, on what, with which settings."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.progress import Progress

from seg_training.benchmark.contenders import contenders
from seg_training.benchmark.data import DataFigures, measure_data
from seg_training.benchmark.many_classes import ManyClasses, measure_many_classes
from seg_training.benchmark.networks import NetworkFigures, measure_networks
from seg_training.errors import UserError
from seg_training.networks import build_network
from seg_training.settings import choose

__all__ = ["PARTS", "BenchmarkResult", "Settings", "run_benchmark"]

PARTS = ("networks", "many_classes", "data")
_NUM_TASKS = 150


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        parts: of :data:`PARTS`; empty for all.
        device: ``cpu``, ``cuda`` or ``mps``.
        threads: of PyTorch on the CPU; None for its own choice.
        rounds: how often each is timed.
        size: height and width of the images.
        batch_size: of the training step.
        classes: how many to ask of one image.
    """

    parts: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int | None = None
    rounds: int = 5
    size: int = 320
    batch_size: int = 10
    classes: tuple[int, ...] = (1, 10, 150)


@dataclass(frozen=True)
class BenchmarkResult:
    """What was measured.

    Attributes:
        machine: processor, threads and versions.
        settings: what was asked for.
        networks: forward pass and training step of each network.
        many_classes: many classes of one image.
        data: start-up and training items.
    """

    machine: str
    settings: Settings
    networks: Sequence[NetworkFigures] = ()
    many_classes: Sequence[ManyClasses] = ()
    data: DataFigures | None = None


def run_benchmark(settings: Settings) -> BenchmarkResult:
    """Measure.

    Args:
        settings: what.

    Raises:
        UserError: if a setting is not possible on this machine.
    """
    known = {part: part for part in PARTS}
    parts = [choose(part, known, "--only") for part in settings.parts or PARTS]
    device = _device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    images = torch.randint(
        0, 256, (settings.batch_size, 3, settings.size, settings.size), dtype=torch.uint8
    ).to(device)
    task_ids = torch.arange(settings.batch_size, device=device) % _NUM_TASKS
    networks: Sequence[NetworkFigures] = ()
    many_classes: Sequence[ManyClasses] = ()
    data = None
    with Progress(transient=True) as progress:

        def bar(title: str, steps: int) -> Callable[[], None]:
            return partial(progress.advance, progress.add_task(title, total=steps))

        if "networks" in parts:
            networks = measure_networks(
                contenders(_NUM_TASKS, device),
                images,
                task_ids,
                settings.rounds,
                bar("networks", 3 * (settings.rounds + 1)),
            )
        if "many_classes" in parts:
            many_classes = measure_many_classes(
                build_network("adapter_hf", _NUM_TASKS).to(device),
                images[:1],
                settings.classes,
                settings.rounds,
                bar("many classes", len(settings.classes) * (settings.rounds + 1)),
            )
        if "data" in parts:
            with TemporaryDirectory() as folder:
                data = measure_data(Path(folder), bar("data", 5))
    return BenchmarkResult(_machine(device), settings, networks, many_classes, data)


def _device(name: str) -> torch.device:
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not choose(name, available, "--device"):
        there = ", ".join(device for device, is_there in available.items() if is_there)
        raise UserError(f"--device {name}: there is none on this machine (there is: {there})")
    return torch.device(name)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        processor = f"{_processor()}, {torch.get_num_threads()} threads"
    return f"{processor}, torch {torch.__version__}, Python {platform.python_version()}"


def _processor() -> str:
    """Name the processor, as Linux does; other systems say less."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or f"{os.cpu_count()} cores"
