"""Holding parts of a network still while the rest is trained."""

from typing import Any

from torch import nn

from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.settings import choose

__all__ = ["freeze_parts", "parts_of"]

_PART_OF = {"stages": "backbone", "decode_head": "head", "recogniser": "recogniser"}


def parts_of(network: Network) -> dict[str, list[nn.Module]]:
    """List a network's parts that have weights, of any method by the same names.

    Returns:
        ``backbone``: the encoder; ``conditioning``: what a task changes the network by, its
        hypernetwork or its maps; ``head``: the decoder; ``recogniser``: what is held still anyway.
        Each with its modules.
    """
    model = network.model
    children = {**dict(model.segformer.named_children()), **dict(model.named_children())}
    parts: dict[str, list[nn.Module]] = {
        "backbone": [],
        "conditioning": [],
        "head": [],
        "recogniser": [],
    }
    for name, module in children.items():
        if module is not model.segformer and any(True for _ in module.parameters()):
            parts[_PART_OF.get(name, "conditioning")].append(module)
    return {name: modules for name, modules in parts.items() if modules}


def freeze_parts(network: Network, names: Any) -> None:
    """Hold parts of a network still: their weights, and what else training changes.

    They compute as in evaluation: without dropout and drop path, and batch normalisation uses and
    keeps the statistics that it has.

    Args:
        network: of any method.
        names: the config's ``trainer.freeze``: some of :func:`parts_of`, or None.

    Raises:
        UserError: if it has no such part, or if nothing would be left to train.
    """
    if names is None:
        return
    if not isinstance(names, list | tuple):
        raise UserError(f"trainer.freeze={names!r}: expected a list, [backbone] say, or null")
    parts = parts_of(network)
    for name in names:
        for module in choose(name, parts, f"part in trainer.freeze of model {network.method}:"):
            module.requires_grad_(False).eval()
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UserError(f"trainer.freeze={list(names)} leaves nothing to train; leave a part out")
