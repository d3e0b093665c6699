"""The networks that the benchmark compares: our methods, and those of others."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SegformerConfig, SegformerDecodeHead, SegformerForSemanticSegmentation

from seg_training.networks import Network, build_network
from seg_training.training.trainer import prepare_network
from transformers_update_for_adapters import METHODS

__all__ = [
    "HUGGING_FACE",
    "Contender",
    "contenders",
    "stock_huggingface",
    "training_variants",
    "with_stock_head",
]

HUGGING_FACE = "stock, Hugging Face"
MODELS_PYTORCH = "smp, mit_b0"

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Contender:
    """A network with one way to call it.

    Attributes:
        name: what tables call it.
        module: the network.
        logits: from (B, 3, H, W) uint8 images and (B,) int64 task ids to (B, 1, H, W) logits.
    """

    name: str
    module: nn.Module
    logits: Callable[[Tensor, Tensor], Tensor]


def contenders(num_tasks: int, device: torch.device) -> list[Contender]:
    """Build our methods and the peers that are installed, with random weights.

    Args:
        num_tasks: K of our methods; the peers have one output channel.
        device: where they are to be.
    """
    own = []
    for name, method in METHODS.items():
        options: dict[str, Any] = (
            {"resize_embedding": True} if "resize_embedding" in method.fields else {}
        )
        network = build_network(name, num_tasks, **options).to(device)
        own.append(Contender(name, network, network))
    return [*own, stock_huggingface(device), *_models_pytorch(device)]


def stock_huggingface(device: torch.device, attention: str = "sdpa") -> Contender:
    """Build Hugging Face's SegFormer-B0 with one output channel."""
    settings: dict[str, Any] = {"num_labels": 1, "attn_implementation": attention}
    model: Any = SegformerForSemanticSegmentation(SegformerConfig(**settings))
    model.to(device)

    def logits(images: Tensor, _task_ids: Tensor) -> Tensor:
        small = model(_normalised(images)).logits
        return F.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)

    return Contender(HUGGING_FACE, model, logits)


def training_variants(num_tasks: int, device: torch.device, compiled: bool) -> list[Contender]:
    """Build ``adapter_hf`` once for each way of training it, the plain one first.

    Args:
        num_tasks: K.
        device: where they are to be.
        compiled: whether to compile one of them too, which takes minutes.
    """

    def build(**options: bool) -> Network:
        network = build_network("adapter_hf", num_tasks).to(device)
        prepare_network(network, options)
        return network

    plain, one_class, mixed = build(), build(), build()
    checkpointed = build(activation_checkpointing=True)

    def in_mixed_precision(images: Tensor, task_ids: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return cast(Tensor, mixed(images, task_ids))

    variants = [
        Contender("plain", plain, plain),
        Contender(
            "one class in the batch",
            one_class,
            lambda images, ids: one_class(images, ids[:1].expand(len(ids))),
        ),
        Contender("activation_checkpointing=true", checkpointed, checkpointed),
        Contender("precision=bf16-mixed", mixed, in_mixed_precision),
    ]
    if compiled:
        network = build(compile=True)
        variants.append(Contender("compile=true", network, network))
    return variants


def with_stock_head(network: Network) -> Callable[[Tensor, Tensor], Tensor]:
    """Give the same network with the stock head: fusing after upsampling.

    Args:
        network: one of the adapter methods; it stays as it is.

    Returns:
        From images and task ids to logits, as the network itself.
    """
    head = network.model.decode_head

    def logits(images: Tensor, task_ids: Tensor) -> Tensor:
        outputs = network.model.segformer(
            _normalised(images), task_ids=task_ids, output_hidden_states=True
        )
        small = SegformerDecodeHead.forward(head, outputs.hidden_states)
        return network.model.upsample(small, images.shape[-2:])

    return logits


def _models_pytorch(device: torch.device) -> list[Contender]:
    """Build segmentation_models_pytorch's SegFormer with mit_b0, where it is installed."""
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        return []
    model = smp.Segformer("mit_b0", encoder_weights=None, classes=1).to(device)
    return [Contender(MODELS_PYTORCH, model, lambda images, _ids: model(_normalised(images)))]


def _normalised(images: Tensor) -> Tensor:
    mean, std = (
        torch.tensor(values, device=images.device)[:, None, None] for values in (_MEAN, _STD)
    )
    return (images / 255 - mean) / std
