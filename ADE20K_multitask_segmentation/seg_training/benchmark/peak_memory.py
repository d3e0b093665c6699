"""Memory that a pass takes at its peak and keeps for the backward pass; its arithmetic."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["multiply_adds", "peak_bytes", "saved_bytes"]


def peak_bytes(way: Callable[[], Any], device: torch.device) -> int | None:
    """Measure the most bytes of tensors that are in use at once while something runs.

    Returns:
        Beside what was there before; None on a device that does not say.
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        way()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        return None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        way()
    recorded = profiled.profiler
    assert recorded is not None  # for mypy
    events: Any = recorded.kineto_results
    changes = [each.nbytes() for each in events.events() if each.name() == "[memory]"]
    return max(accumulate(changes), default=0)


def saved_bytes(forward: Callable[[], Any], module: nn.Module) -> int:
    """Count the bytes that autograd keeps of a forward pass; each storage counts once.

    Args:
        forward: runs the pass; its result must need gradients.
        module: whose parameters and buffers do not count: they are there anyway.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in module.state_dict().values()}
    kept: dict[int, int] = {}
    held: list[Tensor] = []  # or a freed storage's address could come again

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    return sum(kept.values())


def multiply_adds(forward: Callable[[], Any]) -> int:
    """Count the multiply-adds of matrix products, convolutions and attention.

    Args:
        forward: runs the pass, with eager attention: PyTorch's counter misses the fused one on
            CPUs.
    """
    with torch.no_grad():
        forward()  # what is made once and kept does not count
        with FlopCounterMode(display=False) as counter:
            forward()
    return int(counter.get_total_flops()) // 2
