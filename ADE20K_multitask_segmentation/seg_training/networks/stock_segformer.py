"""What a stock SegFormer of others says of itself: read, bounded, and without code of others."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
)
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from seg_training.errors import UserError
from seg_training.networks.foreign_code import refuse_foreign_code
from seg_training.networks.network_extent import check_entries, check_memory, check_numbers
from seg_training.networks.stored_tensors import check_growth, check_tensors

__all__ = ["check_pictures", "stock_config"]

_MOST_OF_THE_HUB = 2**28  # numbers: three times those of the largest that was published, b5
_PICKLED = ".bin"
_WEIGHTS = (".safetensors", _PICKLED)


def stock_config(source: str) -> SegformerConfig:
    """Read the configuration of a SegFormer in Hugging Face's form, whose weights are loaded next.

    Args:
        source: a folder, or a name on the hub.

    Raises:
        UserError: if it describes none, one larger than its weights, or names code of others.
        OSError: if there is none.
    """
    where = f"config.json of '{source}'"
    try:
        described, _ = SegformerConfig.get_config_dict(source)
        check_entries(described, where)
        check_numbers(described, where)
        refuse_foreign_code(described, where)
        config: SegformerConfig = SegformerConfig.from_dict(described)
        check_memory(lambda: SegformerForSemanticSegmentation(config), _stored(source), where)
    except (UserError, OSError):
        raise
    except Exception as error:  # a damaged file raises nearly anything
        raise UserError(
            f"{where} describes no SegFormer ({type(error).__name__}: {error}); copy the model's "
            "folder again from where it was made"
        ) from error
    return config


def check_pictures(source: str) -> None:
    """Refuse a SegFormer that was trained on pictures with other numbers than ours.

    Args:
        source: a folder, or a name on the hub; one that does not say it is taken to be as usual.

    Raises:
        UserError: if its ``preprocessor_config.json`` says so, or is damaged.
    """
    name = "preprocessor_config.json"
    try:
        found, _ = SegformerImageProcessor.get_image_processor_dict(source)
        are_usual = _are_usual(found)
    except Exception as error:  # a damaged file raises nearly anything
        if isinstance(error, OSError) and not Path(source, name).is_file():
            return
        raise UserError(
            f"{name} of '{source}' is damaged ({type(error).__name__}: {error}); copy the model's "
            "folder again from where it was made"
        ) from error
    if not are_usual:
        said = ("image_mean", "image_std", "rescale_factor", "do_rescale", "do_normalize")
        told = ", ".join(f"{key} {found[key]}" for key in said if key in found)
        raise UserError(
            f"{name} of '{source}' prepares pictures in another way than this "
            f"project, and its answers would be others: {told}; expected pixels from 0 to 1, less "
            "ImageNet's mean, divided by its standard deviation. Fine-tune it on such pictures, or "
            "give another one"
        )


def _are_usual(found: Mapping[str, Any]) -> bool:
    numbers = (
        ("image_mean", IMAGENET_DEFAULT_MEAN),
        ("image_std", IMAGENET_DEFAULT_STD),
        ("rescale_factor", 1 / 255),
    )
    try:
        are_equal = all(
            np.allclose(found.get(name, usual), usual, atol=1e-4) for name, usual in numbers
        )
    except (TypeError, ValueError):  # no numbers, or not as many
        return False
    return are_equal and all(found.get(name, True) for name in ("do_rescale", "do_normalize"))


def _stored(source: str) -> int:
    """Say how many numbers the weights may have: not more than their files have bytes."""
    folder = Path(source)
    if not folder.is_dir():
        return _MOST_OF_THE_HUB
    files = [file for file in folder.iterdir() if file.suffix in _WEIGHTS]
    for file in files:
        if file.suffix == _PICKLED:
            check_growth(file)
            check_tensors(BytesIO(file.read_bytes()), file)
    return sum(file.stat().st_size for file in files)
