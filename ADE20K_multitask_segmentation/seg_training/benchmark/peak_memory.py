"""Memory that a pass takes at its peak and keeps for the backward pass; its arithmetic."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["multiply_adds", "peak_bytes", "saved_bytes"]

_PROCESS = Path("/proc/self")
_RESET_PEAK = "5"


def peak_bytes(way: Callable[[], Any], device: torch.device) -> int | None:
    """Measure the most memory that is in use while something runs.

    Returns:
        On a GPU the bytes of all tensors, on a CPU those of the whole process; None where the
        system does not say.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        way()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    try:  # as Linux tells it
        (_PROCESS / "clear_refs").write_text(_RESET_PEAK)
        way()
        [peak] = re.findall(r"VmHWM:\s+(\d+) kB", (_PROCESS / "status").read_text())
    except OSError:
        return None
    return 1024 * int(peak)


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
