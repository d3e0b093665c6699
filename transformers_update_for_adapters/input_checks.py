"""Checks of ids and labels that cost nothing: no waiting for a GPU, no branch in a graph."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from .configuration_tasformer import TASFormerConfig

__all__ = [
    "can_look_at",
    "check_asked_ids",
    "check_images_and_ids",
    "check_known_ids",
    "check_labels",
    "check_values",
    "wrong_values",
]

_MOST_SHOWN = 5


def can_look_at(values: Tensor) -> bool:
    """Tell whether reading values is free: on a GPU it makes the host wait, in a graph it fails."""
    return values.device.type == "cpu" and _is_plain(values)


def check_values(values: Tensor, good: Tensor, name: str, expected: str) -> None:
    """Refuse wrong values.

    On a CUDA device they stop the program with the same words, but as a failed assertion of the
    device, which the host need not wait for.

    Args:
        values: what is checked.
        good: bool, of the same shape: which values are right.
        name: what the values are, for the message.
        expected: what they should be, for the message.

    Raises:
        ValueError: if one is wrong.
    """
    if can_look_at(values):
        if not good.all():
            raise ValueError(wrong_values(values[~good].tolist(), name, expected))
    elif values.is_cuda and _is_plain(values):
        torch._assert_async(good.all(), f"{name}: expected {expected}"[:250])


def wrong_values(wrong: Iterable[float], name: str, expected: str) -> str:
    """Say which values are wrong, the first few of them."""
    found = sorted(set(wrong))
    more = " and more" if len(found) > _MOST_SHOWN else ""
    shown = ", ".join(
        format(value, "g" if isinstance(value, float) else "") for value in found[:_MOST_SHOWN]
    )
    return f"{name} hold {shown}{more}; expected {expected}"


def check_images_and_ids(
    config: TASFormerConfig,
    pixel_values: Tensor,
    task_ids: Tensor | None,
    image_rows: Tensor | None = None,
) -> None:
    """Refuse images and ids that do not belong together or do not fit the network.

    Args:
        config: of the network.
        pixel_values: should be (B, 3, H, W) float.
        task_ids: should be (B,) or (1,) int64 in [0, num_tasks), on the same device; not looked at
            by a method that is not prompted.
        image_rows: (N,), of which image each of N ids is, where they are not of one each.

    Raises:
        ValueError: if one is something else; the message says what it is.
    """
    if pixel_values.ndim != 4 or pixel_values.shape[1] != config.num_channels:
        raise ValueError(
            f"pixel_values has shape {tuple(pixel_values.shape)}; expected "
            f"(B, {config.num_channels}, H, W)"
        )
    if not pixel_values.is_floating_point():
        raise ValueError(
            f"pixel_values is {pixel_values.dtype}; expected normalised float images, as "
            "TASFormerImageProcessor makes them"
        )
    if task_ids is None or not config.method_class.prompted:
        return
    _check_is_tensor(task_ids)
    # Sizes are compared one by one: comparing shapes would fix them in an export.
    number = (pixel_values if image_rows is None else image_rows).shape[0]
    if task_ids.ndim != 1 or task_ids.shape[0] not in (1, number):
        raise ValueError(
            f"task_ids has shape {tuple(task_ids.shape)}; expected one id per image, "
            f"({number},), or (1,) for one that all share"
        )
    if task_ids.device != pixel_values.device:
        raise ValueError(
            f"task_ids is on {task_ids.device}, but pixel_values on {pixel_values.device}; move "
            "both to the network's device"
        )
    check_asked_ids(config, task_ids, (1,))


def check_asked_ids(config: TASFormerConfig, task_ids: Tensor, dimensions: Sequence[int]) -> None:
    """Refuse what are no ids of a network's classes.

    Args:
        config: of the network.
        task_ids: should be int64 in [0, num_tasks).
        dimensions: how many it may have.

    Raises:
        ValueError: if it is something else; the message says what it is.
    """
    _check_is_tensor(task_ids)
    if task_ids.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"task_ids is {task_ids.dtype}; expected int64")
    if task_ids.ndim not in dimensions:
        expected = " or ".join(("", "(T,)", "(B, T)")[number] for number in dimensions)
        raise ValueError(f"task_ids has shape {tuple(task_ids.shape)}; expected {expected}")
    check_known_ids(task_ids, config.num_tasks)


def check_known_ids(task_ids: Tensor, num_tasks: int) -> None:
    """Refuse ids of no class.

    Args:
        task_ids: integers, of any shape.
        num_tasks: the network has the ids below.

    Raises:
        ValueError: if there is another one; the message names it.
    """
    good = (task_ids >= 0) & (task_ids < num_tasks)
    check_values(task_ids, good, "task_ids", f"ids from 0 to {num_tasks - 1}")


def check_labels(labels: Tensor, num_values: int, ignore: int, name: str, ignore_name: str) -> None:
    """Refuse labels that a loss cannot mean.

    Args:
        labels: of any shape.
        num_values: the values 0 to ``num_values - 1`` are right.
        ignore: so is this one, which does not count.
        name: what the labels are, for the message.
        ignore_name: where the ignored value comes from, for the message.

    Raises:
        ValueError: if there is another value; the message names it.
    """
    whole = labels.long()
    good = ((whole >= 0) & (whole < num_values) | (whole == ignore)) & (whole == labels)
    expected = f"0 to {num_values - 1}, or {ignore}{ignore_name} where a pixel does not count"
    check_values(labels, good, name, expected)


def _check_is_tensor(task_ids: object) -> None:
    if not isinstance(task_ids, Tensor):
        raise ValueError(f"task_ids is {task_ids!r}; expected a tensor of int64")


def _is_plain(values: Tensor) -> bool:
    if type(values) not in (Tensor, nn.Parameter) or torch.compiler.is_compiling():
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(values)  # by vmap or grad
    return values.numel() > 0 and not wrapped
