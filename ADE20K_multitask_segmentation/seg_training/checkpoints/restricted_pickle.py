"""Reading a file that torch.save wrote without importing or running anything that it names."""

import io
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import serialization

from seg_training.errors import UserError
from seg_training.networks.stored_tensors import check_growth, check_tensors

__all__ = ["INERT", "read_inert"]


class _Ignored:
    """Takes the place of an object that is not needed: it holds nothing and does nothing."""

    def __init__(self, *args: Any) -> None:
        """Take what the object would have been made from."""

    def __setstate__(self, state: Any) -> None:
        """Take what the object would have been filled with."""


INERT = (
    "argparse.Namespace",
    "builtins.dict",
    "builtins.float",
    "builtins.int",
    "builtins.list",
    "builtins.str",
    "collections.defaultdict",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.callbacks.finetuning.BackboneFinetuning",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.timer.Timer",
    "typing.Any",
)
"""What a checkpoint of Lightning 1.5 may name beside tensors: read as objects that do nothing."""

# A dict of Lightning's; the unpickler fills no dicts but those of Python's own types.
_ATTRIBUTE_DICT = (OrderedDict, "pytorch_lightning.utilities.parsing.AttributeDict")

_NAME_IN_MESSAGE = re.compile(r"\bGLOBAL (\S+)")


def read_inert(file: Path) -> Any:
    """Read a file of ``torch.save``, in its zip format or in the older one.

    PyTorch's unpickler for weights does the work: it looks names up in a table and knows neither
    imports nor most of pickle's instructions. Tensors go to the CPU. What ``INERT`` names becomes
    an object that does nothing.

    Args:
        file: an existing file; may come from anywhere.

    Returns:
        What was saved.

    Raises:
        UserError: if the file names anything else, or is damaged or no such file.
    """
    try:
        check_growth(file)
        stream = io.BytesIO(file.read_bytes())
        check_tensors(stream, file)
        stream.seek(0)
        with _only_inert_names():
            return torch.load(stream, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        if refused := _NAME_IN_MESSAGE.search(str(error)):
            raise UserError(
                f"{file} names {refused[1]!r}, which no released checkpoint needs; it could run "
                "anything, so the file was not read. If you trust it, load it where it was made "
                "and save its weights alone: "
                "torch.save({'state_dict': checkpoint['state_dict']}, 'weights.ckpt')"
            ) from error
        # PyTorch's advice comes before the reason, and a reference to its documents after it.
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
        raise UserError(
            f"{file} is no file of torch.save that can be read safely, or is damaged or not "
            f"complete ({type(error).__name__}: {reason}); get it again"
        ) from error


@contextmanager
def _only_inert_names() -> Iterator[None]:
    """Allow our names, and for the time those alone: other libraries have allowed theirs."""
    others = serialization.get_safe_globals()
    serialization.clear_safe_globals()
    serialization.add_safe_globals([_ATTRIBUTE_DICT, *((_Ignored, name) for name in INERT)])
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(others)
