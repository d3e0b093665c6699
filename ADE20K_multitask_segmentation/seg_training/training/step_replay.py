"""Running a step that was not finite again, to see where its first such number comes from."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import Precision
from torch import Tensor, nn

from seg_training.checkpoints.checkpoint_reading import check_content
from seg_training.checkpoints.whole_checkpoints import read_whole
from seg_training.datasets.batches import Batch
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import load_module
from seg_training.training.held_step import BAD_STEP, restore_random_states
from seg_training.training.trainer import build_trainer, prepare_network

__all__ = ["ReplayedStep", "find_bad_step", "read_bad_step", "replay_step"]

_PARTS = {"hyper_parameters", "state_dict", "step", "loss", "scale", "batches", "random"}


@dataclass
class ReplayedStep:
    """What a step did, once more.

    Attributes:
        step: which one.
        loss: of its last batch, when it was kept.
        images: the names of the images, per batch.
        losses: of its batches, now.
        found: where numbers were not finite, the first one first: in the weights before the step,
            then as it ran, forward and backward.
    """

    step: int
    loss: float
    images: list[list[str]]
    losses: list[float] = field(default_factory=list)
    found: list[str] = field(default_factory=list)


def find_bad_step(path: Path) -> Path:
    """Find the step that a run kept.

    Args:
        path: the file, or a run's folder.

    Raises:
        UserError: if there is none.
    """
    file = path / BAD_STEP if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"there is no {file}: a training writes {BAD_STEP} into its folder when the loss or "
            "the gradient of a step is not finite. Give that file or the run's folder"
        )
    return file


def replay_step(file: Path, device: torch.device) -> ReplayedStep:
    """Run a kept step again: with its weights, batches, random numbers and precision.

    Args:
        file: as :func:`find_bad_step` gives it.
        device: to run it on; the very same numbers come on the same kind of device alone.

    Raises:
        UserError: if the file is damaged, or none of a step.
    """
    content = read_bad_step(file)
    config = content["hyper_parameters"]["config"]
    module = load_module(content).train()
    prepare_network(module.network, {**config["trainer"], "compile": False})
    precision = _precision(config["trainer"], device)
    precision.convert_module(module.to(device))
    replayed = ReplayedStep(
        content["step"],
        content["loss"],
        [
            [name for own in batches.values() for name in own["name"]]
            for batches in content["batches"]
        ],
    )
    replayed.found += [
        f"the weight {name}, before the step"
        for name, own in module.named_parameters()
        if not _is_finite(own)
    ]
    with _watched(module, replayed.found):
        for batches, states in zip(content["batches"], content["random"], strict=True):
            restore_random_states(states, device)
            moved = precision.convert_input(_moved(batches, device))
            with precision.forward_context():
                losses, _ = module.losses(moved)
            loss = torch.stack(list(losses.values())).sum()
            replayed.losses.append(loss.item())
            if not _is_finite(loss):
                replayed.found.append(f"the loss: {loss.item()}")
            (loss * (content["scale"] or 1.0) / len(content["batches"])).backward()  # type: ignore[no-untyped-call]
    return replayed


def read_bad_step(file: Path) -> dict[str, Any]:
    """Read a step that a training kept.

    Args:
        file: as :func:`find_bad_step` gives it.

    Raises:
        UserError: if the file is damaged, or none of a step.
    """
    try:
        content = read_whole(file)
    except UserError:
        raise
    except Exception as error:  # what is no such file raises nearly anything
        raise UserError(
            f"{file} cannot be read ({type(error).__name__}): it is no {BAD_STEP}"
        ) from error
    if not isinstance(content, dict) or not content.keys() >= _PARTS:
        raise UserError(f"{file} is no {BAD_STEP}: expected what a training wrote of a step")
    check_content(content, file)
    return content


def _precision(settings: Mapping[str, Any], device: torch.device) -> Precision:
    """Give what a training of these settings computes with."""
    accelerator = "cpu" if device.type == "cpu" else "auto"
    here = {"accelerator": accelerator, "devices": 1, "enable_progress_bar": False}
    given = {key: settings[key] for key in ("precision", "deterministic") if key in settings}
    return build_trainer({**here, **given}, logger=False).precision_plugin


def _moved(batches: Mapping[str, Mapping[str, Any]], device: torch.device) -> dict[str, Batch]:
    """Make batches of their fields, on a device."""

    def moved(value: Any) -> Any:
        return value.to(device) if isinstance(value, Tensor) else value

    return {
        name: Batch(**{key: moved(value) for key, value in fields.items()})
        for name, fields in batches.items()
    }


@contextmanager
def _watched(module: nn.Module, found: list[str]) -> Iterator[None]:
    """Note every place where numbers are not finite, as it comes."""
    handles: list[Any] = []

    def see(place: str, values: Any) -> None:
        if place not in found and not all(map(_is_finite, _tensors(values))):
            found.append(place)

    def after(name: str, kind: str, own: nn.Module, inputs: Any, outputs: Any) -> None:
        see(f"the output of {name} ({kind})", outputs)
        for tensor in _tensors(outputs):
            if tensor.requires_grad:
                place = f"the gradient at the output of {name} ({kind})"
                handles.append(
                    tensor.register_hook(  # type: ignore[no-untyped-call]
                        partial(see, place)
                    )
                )

    def before(name: str, kind: str, own: nn.Module, inputs: Any) -> None:
        see(f"the input of {name} ({kind})", inputs)

    for name, own in module.named_modules():
        kind = type(own).__name__
        handles.append(own.register_forward_pre_hook(partial(before, name, kind)))
        handles.append(own.register_forward_hook(partial(after, name, kind)))
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            place = f"the gradient of the weight {name}"
            handles.append(
                parameter.register_hook(  # type: ignore[no-untyped-call]
                    partial(see, place)
                )
            )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(values: Any) -> Iterable[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


def _is_finite(values: Tensor) -> bool:
    return not values.is_floating_point() or bool(values.detach().isfinite().all())
