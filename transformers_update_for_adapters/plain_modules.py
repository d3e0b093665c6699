"""Modules that are what their class says: to compute them from their weights, to draw these."""

from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

__all__ = ["DrawsItself", "is_plain"]

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def is_plain(module: nn.Module, *classes: type[nn.Module]) -> bool:
    """Tell whether calling a module does what one of these classes does, and nothing more.

    It does not where a library put another module in its place (peft, ``torch.ao``), another
    ``forward`` into it (accelerate), hooks or parametrizations onto it, or weights that are no
    numbers in memory (offloaded, or quantised by torchao). Hooks on all modules of a process are
    not looked at: those who count and profile have them.

    Args:
        module: of a model; itself, not what is in it.
        *classes: what it may be; not a subclass.
    """
    return (
        type(module) in classes
        and "forward" not in vars(module)
        and not any(getattr(module, hooks) for hooks in _HOOKS)
        and all(_is_there(each) for each in module._parameters.values())
        and all(_is_there(each) for each in module._buffers.values())
    )


def _is_there(tensor: Tensor | None) -> bool:
    return tensor is None or not (tensor.is_meta or is_traceable_wrapper_subclass(tensor))


class DrawsItself:
    """A module whose ``reset_parameters`` draws its weights, in a Transformers model, too.

    It has to use ``transformers.initialization``, which leaves loaded weights alone, or to be a
    layer of PyTorch.
    """

    def reset_parameters(self) -> None:
        """Draw the weights."""
        super().reset_parameters()  # type: ignore[misc]
