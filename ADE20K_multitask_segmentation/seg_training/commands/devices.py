"""The device that a command works on."""

import torch

from seg_training.errors import UserError
from seg_training.settings import choose

__all__ = ["AUTO", "find_device"]

AUTO = "auto"
"""A GPU where there is one."""


def find_device(name: str, option: str, auto: bool = False) -> torch.device:
    """Find the device of a name.

    Args:
        name: ``cpu``, ``cuda`` or ``mps``.
        option: what it was given by, for the message.
        auto: whether ``auto`` is a name, too.

    Raises:
        UserError: if there is no such name, or no such device on this machine.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    known = {AUTO: True, **available} if auto else available
    if not choose(name, known, option):
        there = ", ".join(device for device, is_there in available.items() if is_there)
        raise UserError(f"{option} {name}: there is none on this machine (there is: {there})")
    if name == AUTO:
        name = next(device for device in ("cuda", "mps", "cpu") if available[device])
    return torch.device(name)
