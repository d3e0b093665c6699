"""The whole benchmark: its parts, settings and result."""

import logging
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from seg_training.benchmark.contenders import (
    Contender,
    contenders,
    stock_huggingface,
    training_variants,
)
from seg_training.benchmark.cost_growth import NUM_STEPS, Growth, measure_growth
from seg_training.benchmark.evaluation_speed import (
    Evaluated,
    EvaluationFigures,
    evaluated_checkpoint,
    evaluated_untrained,
    measure_evaluation,
)
from seg_training.benchmark.export_speed import ExportFigures, measure_exports
from seg_training.benchmark.loading_speed import DataFigures, make_images, measure_data
from seg_training.benchmark.many_classes_speed import (
    NUM_KNOWN_STEPS,
    KnownClasses,
    ManyClasses,
    measure_known_classes,
    measure_many_classes,
)
from seg_training.benchmark.network_speed import (
    NetworkFigures,
    TrainingFigures,
    measure_networks,
    measure_training,
    training_step,
)
from seg_training.benchmark.operation_profile import Profile, matrix_product_rate, measure_profile
from seg_training.benchmark.present_classes_curve import (
    AskedPart,
    CountedImages,
    count_images,
    measure_present_curve,
)
from seg_training.benchmark.present_classes_speed import (
    PresentClasses,
    measure_present_classes,
    painted_untrained,
)
from seg_training.benchmark.recipe_speed import RecipeTime, measure_recipes
from seg_training.benchmark.start_time import StartFigures, measure_start
from seg_training.commands.devices import find_device
from seg_training.commands.progress_bars import is_watched
from seg_training.evaluation.checkpoint_evaluation import restore
from seg_training.files.cleaning_up import scratch_folder
from seg_training.networks import build_network
from seg_training.settings import choose

__all__ = ["PARTS", "BenchmarkResult", "Settings", "run_benchmark"]

PARTS = (
    "networks",
    "training",
    "recipes",
    "many_classes",
    "known_classes",
    "present_classes",
    "exports",
    "data",
    "evaluation",
    "start",
    "growth",
    "profile",
)
_NUM_TASKS = 150
_PROFILED = "adapter_hf"
_EXPORTS_ASKED = (1, 10)  # classes
_NUM_PRESENT = 9
_RECIPES = ("adapter_hf", "adapter_hf++", "channels")
_NUM_EVALUATED = 20
_NUM_STARTED = 2_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        project: the folder with ``train.py``, ``eval.py`` and ``configs``.
        parts: of :data:`PARTS`; empty for all.
        device: ``cpu``, ``cuda`` or ``mps``.
        threads: of PyTorch on the CPU; None for its own choice.
        rounds: how often each is timed.
        size: height and width of the images.
        batch_size: of the training step.
        classes: how many to ask of one image.
        ckpt: a run's folder or checkpoint whose validation split is evaluated, and asked for what
            is there; by default an untrained network is, on made-up images.
        compiled: whether to compile a network too.
    """

    project: Path = Path()
    parts: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int | None = None
    rounds: int = 5
    size: int = 320
    batch_size: int = 10
    classes: tuple[int, ...] = (1, 10, 150)
    ckpt: Path | None = None
    compiled: bool = False


@dataclass(frozen=True)
class BenchmarkResult:
    """What was measured; a part that was not asked for is empty.

    Attributes:
        machine: processor, threads and versions.
        settings: what was asked for.
        networks: forward pass and training step of each network.
        training: ways of training one of them, Hugging Face's network first.
        recipes: trainings in two phases, beside SegFormer's.
        many_classes: many classes of one image.
        known_classes: networks that know many classes, beside such that know few.
        present_classes: asking what is in an image, beside asking all classes.
        present_curve: the same of a trained network, by how much of what is there is to be found.
        exports: exported files beside PyTorch, on the CPU.
        data: start-up and training items.
        evaluation: of a validation split.
        start: of the commands.
        growth: of cost with classes, batch and size.
        profiles: of a training step and of many classes.
    """

    machine: str
    settings: Settings
    networks: Sequence[NetworkFigures] = ()
    training: Sequence[TrainingFigures] = ()
    recipes: Sequence[RecipeTime] = ()
    many_classes: Sequence[ManyClasses] = ()
    known_classes: Sequence[KnownClasses] = ()
    present_classes: PresentClasses | None = None
    present_curve: Sequence[AskedPart] = ()
    exports: Sequence[ExportFigures] = ()
    data: DataFigures | None = None
    evaluation: EvaluationFigures | None = None
    start: StartFigures | None = None
    growth: Sequence[Growth] = ()
    profiles: Sequence[Profile] = ()


def run_benchmark(settings: Settings) -> BenchmarkResult:
    """Measure.

    Raises:
        UserError: if a setting is not possible on this machine.
    """
    known = {part: part for part in PARTS}
    parts = [choose(part, known, "--only") for part in settings.parts or PARTS]
    device = find_device(settings.device, "--device")
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    with scratch_folder() as folder:
        # What has bars of its own comes before ours.
        evaluated = _evaluated(settings, folder) if "evaluation" in parts else None
        counted = _counted(settings, device) if "present_classes" in parts else None
        watched = is_watched()
        with Progress(transient=True, disable=not watched) as progress:

            def bar(title: str, steps: int) -> Callable[[], None]:
                if not watched:
                    _log.info("measuring: %s", title)
                return partial(progress.advance, progress.add_task(title, total=steps))

            return _measure(settings, parts, device, evaluated, counted, folder, bar)


def _measure(
    settings: Settings,
    parts: Sequence[str],
    device: torch.device,
    evaluated: Evaluated | None,
    counted: CountedImages | None,
    folder: Path,
    bar: Callable[[str, int], Callable[[], None]],
) -> BenchmarkResult:
    torch.manual_seed(0)
    images = torch.randint(
        0, 256, (settings.batch_size, 3, settings.size, settings.size), dtype=torch.uint8
    ).to(device)
    task_ids = torch.arange(settings.batch_size, device=device) % _NUM_TASKS
    rounds = settings.rounds
    figures: dict[str, Any] = {}  # by the attributes of the result
    if "networks" in parts:
        compared = contenders(_NUM_TASKS, device)
        each_round = bar("networks", 3 * (rounds + 1))
        figures["networks"] = measure_networks(compared, images, task_ids, rounds, each_round)
    if "training" in parts:
        variants = training_variants(_NUM_TASKS, device, settings.compiled)
        compared = [stock_huggingface(device), *variants]
        each_round = bar("ways of training", rounds + 1)
        figures["training"] = measure_training(compared, images, task_ids, rounds, each_round)
    if "recipes" in parts:
        each_round = bar("recipes", rounds + 1)
        figures["recipes"] = measure_recipes(_RECIPES, _NUM_TASKS, images, rounds, each_round)
    if "many_classes" in parts:
        network = build_network(_PROFILED, _NUM_TASKS).to(device)
        each_round = bar("many classes", len(settings.classes) * (rounds + 1))
        figures["many_classes"] = measure_many_classes(
            network, images[:1], settings.classes, rounds, each_round
        )
    if "known_classes" in parts:
        figures["known_classes"] = measure_known_classes(
            folder / "known",
            images,
            rounds,
            settings.project / "configs",
            bar("few and many known classes", NUM_KNOWN_STEPS),
        )
    if "present_classes" in parts:
        figures["present_classes"] = measure_present_classes(
            painted_untrained(_PROFILED, _NUM_TASKS).to(device),
            images[:1],
            _NUM_PRESENT,
            rounds,
            bar("present classes", rounds + 1),
        )
    if counted is not None:
        each_round = bar("what is there, by recall", rounds + 1)
        figures["present_curve"] = measure_present_curve(counted, rounds, each_round)
    if "exports" in parts:
        each_round = bar("exported files", len(_EXPORTS_ASKED) * (rounds + 1))
        exported = build_network(_PROFILED, _NUM_TASKS).eval()
        figures["exports"] = measure_exports(
            exported, images[:1].cpu(), _EXPORTS_ASKED, folder, rounds, each_round
        )
    if "data" in parts:
        figures["data"] = measure_data(folder / "data", bar("data", 6))
    if evaluated is not None:
        each_pair = bar("evaluation", evaluated.num_pairs)
        figures["evaluation"] = measure_evaluation(evaluated, each_pair)
    if "start" in parts:
        root = folder / "start" / "images"
        make_images(root, _NUM_STARTED, _NUM_EVALUATED)
        figures["start"] = measure_start(
            settings.project,
            root,
            folder / "start",
            rounds,
            settings.batch_size,
            bar("starting up", 3 * (rounds + 1)),
        )
    if "growth" in parts:
        each_step = bar("growth", NUM_STEPS)
        figures["growth"] = measure_growth(_NUM_TASKS, settings.size, device, rounds, each_step)
    if "profile" in parts:
        each_step = bar("profile", 3)
        figures["profiles"] = _profiles(settings, device, images, task_ids, each_step)
    return BenchmarkResult(_machine(device), settings, **figures)


def _evaluated(settings: Settings, folder: Path) -> Evaluated:
    """Prepare what is evaluated."""
    accelerator = settings.device
    config_dir = settings.project / "configs"
    if settings.ckpt is not None:
        return evaluated_checkpoint(settings.ckpt, accelerator, config_dir)
    make_images(folder / "evaluated", _NUM_EVALUATED, _NUM_EVALUATED)
    return evaluated_untrained(
        folder / "evaluated", folder / "cache", settings.size, accelerator, config_dir
    )


def _counted(settings: Settings, device: torch.device) -> CountedImages | None:
    """Ask the trained network that is given, if any."""
    if settings.ckpt is None:
        return None
    changes = [f"trainer.accelerator={settings.device}"]
    module, data, _ = restore(settings.ckpt, changes, settings.project / "configs")
    return count_images(module.to(device), data)


def _profiles(
    settings: Settings,
    device: torch.device,
    images: torch.Tensor,
    task_ids: torch.Tensor,
    each_step: Callable[[], None],
) -> list[Profile]:
    peak_rate = matrix_product_rate(device)
    each_step()
    network = build_network(_PROFILED, _NUM_TASKS).to(device)
    contender = Contender(_PROFILED, network, network)
    step = measure_profile(
        f"training step of {len(images)} images",
        training_step(contender, images, task_ids),
        device,
        peak_rate,
    )
    each_step()
    number = max(settings.classes)
    asked = torch.arange(number, device=device) % _NUM_TASKS
    network.eval()
    with torch.inference_mode():
        many = measure_profile(
            f"{number} classes of one image",
            lambda: network.task_logits(images[:1], asked),
            device,
            peak_rate,
        )
    each_step()
    return [step, many]


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
