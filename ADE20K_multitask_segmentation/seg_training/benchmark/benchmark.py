"""The whole benchmark: what is measured, on what, with which settings."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from rich.progress import Progress

from seg_training.benchmark.contenders import contenders
from seg_training.benchmark.many_classes import ManyClasses, measure_many_classes
from seg_training.benchmark.networks import NetworkFigures, measure_networks
from seg_training.errors import UserError
from seg_training.networks import build_network
from seg_training.settings import choose

__all__ = ["PARTS", "BenchmarkResult", "Settings", "run_benchmark"]

PARTS = ("networks", "many_classes")
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
    """

    machine: str
    settings: Settings
    networks: Sequence[NetworkFigures] = ()
    many_classes: Sequence[ManyClasses] = field(default=())


def run_benchmark(settings: Settings) -> BenchmarkResult:
    """Measure.

    Args:
        settings: what.

    Raises:
        UserError: if a setting is not possible on this machine.
    """
    parts = [choose(part, {part: part for part in PARTS}, "--only") for part in settings.parts]
    device = _device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    images = torch.randint(
        0, 256, (settings.batch_size, 3, settings.size, settings.size), dtype=torch.uint8
    ).to(device)
    task_ids = torch.arange(settings.batch_size, device=device) % _NUM_TASKS
    networks: Sequence[NetworkFigures] = ()
    many: Sequence[ManyClasses] = ()
    with Progress(transient=True) as progress:
        if "networks" in parts or not parts:
            rounds = 3 * (settings.rounds + 1)
            bar = progress.add_task("networks", total=rounds)
            networks = measure_networks(
                contenders(_NUM_TASKS, device),
                images,
                task_ids,
                settings.rounds,
                lambda: progress.advance(bar),
            )
        if "many_classes" in parts or not parts:
            bar_2 = progress.add_task(
                "many classes", total=len(settings.classes) * (settings.rounds + 1)
            )
            network = build_network("adapter_hf", _NUM_TASKS).to(device)
            many = measure_many_classes(
                network,
                images[:1],
                settings.classes,
                settings.rounds,
                lambda: progress.advance(bar_2),
            )
    return BenchmarkResult(_machine(device), settings, networks, many)


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
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or f"{os.cpu_count()} cores"
