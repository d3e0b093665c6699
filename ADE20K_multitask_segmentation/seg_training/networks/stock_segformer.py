"""What a stock SegFormer of others says of itself: read, bounded, and without code of others."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from io import BytesIO
from pathlib import Path

from transformers import SegformerConfig, SegformerForSemanticSegmentation

from seg_training.errors import UserError
from seg_training.networks.foreign_code import refuse_foreign_code
from seg_training.networks.network_extent import check_entries, check_memory, check_numbers
from seg_training.networks.stored_tensors import check_growth, check_tensors

__all__ = ["stock_config"]

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
