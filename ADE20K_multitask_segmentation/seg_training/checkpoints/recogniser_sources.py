"""A trained SegFormer as the recogniser of another network, wherever it comes from."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import get_annotations
from pathlib import Path
from typing import Any

from transformers import SegformerConfig

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.released_checkpoints import released_network
from seg_training.errors import UserError
from seg_training.files.user_paths import is_hub_name, user_path
from seg_training.networks.network_building import quiet_transformers
from seg_training.networks.stock_segformer import check_pictures, stock_config
from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation
from transformers_update_for_adapters.model_card import NOT_RECORDED

__all__ = ["RecogniserSource", "load_recogniser"]

_NVIDIA = "NVIDIA's for SegFormer, non-commercial"


@dataclass(frozen=True)
class RecogniserSource:
    """A SegFormer, and what is known of it.

    Attributes:
        model: of method ``segformer``.
        labels: the names of its channels.
        license: of its weights; None where they are ours, from random weights.
        overlapping: its labels may be on the same pixel.
        other_channel: its first label is what is none of the others.
    """

    model: TASFormerForSemanticSegmentation
    labels: Sequence[str]
    license: str | None = None
    overlapping: bool = False
    other_channel: bool = False


def load_recogniser(source: str | Path) -> RecogniserSource:
    """Load a SegFormer that was trained: ours, or a stock one of Hugging Face.

    Args:
        source: a run, a checkpoint or a model folder of ours, a checkpoint that the authors
            released, a folder of a stock SegFormer, or a name on the hub.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        UserError: if there is none, or if it is none that labels every pixel.
    """
    path = user_path(source)
    if is_hub_name(str(source)):
        return _stock(str(source), is_local=False)
    if _is_stock(path):
        return _stock(str(path), is_local=True)
    file = find_checkpoint(path)
    network = released_network(file) or load_network(file)
    if network.prompted:
        raise UserError(
            f"model.recogniser={source} is of method '{network.method}', which paints one class at "
            "a time; a recogniser labels every pixel: give one of method 'segformer'"
        )
    config = network.config
    labels = list((config.id2label or {}).values())
    license = _license_of(config.origin)
    return RecogniserSource(
        network.model, labels, license, config.overlapping, config.other_channel
    )


def _license_of(origin: Mapping[str, Any] | None) -> str | None:
    if origin is None or "pretrained" not in origin:
        return NOT_RECORDED
    return _NVIDIA if origin["pretrained"] else None


def _is_stock(path: Path) -> bool:
    config = path / "config.json"
    if not path.is_dir() or not config.is_file():
        return False
    try:
        found, _ = SegformerConfig.get_config_dict(path)
    except (OSError, ValueError, RecursionError):
        return False
    return found.get("model_type") == SegformerConfig.model_type


def _stock(source: str, is_local: bool) -> RecogniserSource:
    """Load weights of Hugging Face's own class."""
    try:
        with quiet_transformers():
            stock = stock_config(source)
            check_pictures(source)
            names: dict[Any, str] = dict(stock.id2label or {})
            labels = [names[channel] for channel in sorted(names)]
            sizes = {name: getattr(stock, name) for name in get_annotations(SegformerConfig)}
            config = TASFormerConfig(
                **sizes, method="segformer", num_tasks=len(labels), other_channel=False
            )
            model, info = TASFormerForSemanticSegmentation.from_pretrained(
                source, config=config, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except UserError as error:
        raise UserError(f"model.recogniser={source}: {error}") from error
    except Exception as error:  # a damaged file raises nearly anything
        hint = (
            ""
            if is_local
            else "\nWithout the hub, copy the model's folder to this machine and name it"
        )
        raise UserError(f"cannot load model.recogniser={source}: {error}{hint}") from error
    lacking = sorted([*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])])
    if lacking:
        raise UserError(
            f"model.recogniser={source} is no SegFormer that labels pixels: it lacks {lacking[0]}"
            f"{f' and {len(lacking) - 1} more weights' if len(lacking) > 1 else ''}; give one that "
            "was fine-tuned for segmentation, such as nvidia/segformer-b0-finetuned-ade-512-512"
        )
    license = _NVIDIA if "nvidia" in source.lower() else NOT_RECORDED
    return RecogniserSource(model.eval(), labels, license)
