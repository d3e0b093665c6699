"""Networks with random weights that are small, and paint about half of a picture."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seg_training.networks import Network, build_network
from seg_training.networks.painted_networks import build_painted_network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation

__all__ = ["SMALL", "photo", "recognising_network", "small_network", "tell_classes_apart"]

SMALL: dict[str, Any] = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 16,
    "task_embedding_dim": 12,
    "projector_hidden_dim": 10,
    "projector_dim": 6,
}
NAMES = ["tree", "sky", "car", "road", "wall"]


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture: (height, width, 3) uint8."""
    coarse = np.random.default_rng(seed).random((1, 3, 5, 6))
    smooth = torch.nn.functional.interpolate(
        torch.from_numpy(coarse), size=(height, width), mode="bicubic"
    )
    return (smooth[0].permute(1, 2, 0).clamp(0, 1) * 255).to(torch.uint8).numpy()


def small_network(
    method: str = "adapter_hf", crop_size: tuple[int, int] = (64, 96), **options: Any
) -> Network:
    """A network of five classes, in evaluation mode, that knows its crop size."""
    torch.manual_seed(0)
    shape = [3, crop_size[0] // 4, crop_size[1] // 4]
    network = build_network(
        method, 5, task_names=NAMES, **(SMALL | {"task_map_shape": shape} | options)
    ).eval()
    network.config.crop_size = list(crop_size)
    network.config.task_synonyms = [["shrub"], [], ["auto", "motorcar"], [], []]
    tell_classes_apart(network.model)
    picture = torch.from_numpy(photo(*crop_size)).permute(2, 0, 1)[None]
    head = network.model.decode_head.classifier
    with torch.no_grad():
        head.weight.mul_(5 / network.task_logits(picture, torch.arange(5)).std())
        if method != "segformer":
            head.bias.sub_(network.task_logits(picture, torch.arange(5)).median())
    return network


def recognising_network(method: str = "adapter_hf", **options: Any) -> Network:
    """The same classes over a recogniser that does not know the last, with thresholds and gains.

    Presence is calibrated for tree, which is usually there, sky, which is not, and road.
    """
    recogniser = small_network("segformer")
    sizes = {"task_map_shape": [3, 16, 24], "resize_embedding": True}
    sizes |= {name: SMALL[name] for name in SMALL if name.startswith(("task_", "projector_"))}
    network = build_painted_network(
        recogniser.model,
        [[1], [2], [3], [4], []],
        {"method": method, **sizes},
        labels=["other", *NAMES],
        source="nvidia/segformer-b0",
        license="other",
        num_tasks=5,
        task_names=NAMES,
        **options,
    ).eval()
    network.config.crop_size = [64, 96]
    network.config.task_synonyms = recogniser.config.task_synonyms
    network.config.thresholds = [0.0, -1.0, 1.0, 0.5, -0.5]
    network.config.painted_gains = [1.0, 0.5, 0.25, 1.0, 1.0]
    network.config.presence = {"scale": 1.0, "bias": [9.0, -12.0, None, 0.0, None], "least": 0.25}
    tell_classes_apart(network.model)
    picture = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None]
    head = network.model.decode_head.classifier
    with torch.no_grad():
        torch.nn.init.normal_(head.weight)
        painted = network.task_logits(picture, torch.tensor([4]))  # of the margin 0
        head.weight.mul_(5 / painted.std())
        head.bias.sub_(painted.median() * 5 / painted.std())
        network.model.unknown_margins.fill_(0.25)  # type: ignore[union-attr]
    return network


def tell_classes_apart(model: TASFormerForSemanticSegmentation) -> None:
    """Make the classes matter: in a network so narrow, fresh adapters hardly do anything."""
    hypernet = model.segformer.hypernet
    if hypernet is not None:
        with torch.no_grad():
            for layer in hypernet.modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.mul_(12)
