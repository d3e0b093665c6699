"""The names that the authors' released checkpoints use, and ours.

The released networks were files copied over Transformers 4.19, so most names are that version's.
A table of patterns says where each tensor goes; nothing may be left over.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .configuration_tasformer import TASFormerConfig
from .methods import METHODS
from .modeling_tasformer import TASFormerForSemanticSegmentation

__all__ = ["Place", "load_released_state_dict", "place_of", "released_method"]

# The released Lightning module kept its network in this attribute.
_LIGHTNING_PREFIX = "mask_net."

# The stock head's last layers, which the released emb and vsa_emb hold but never use.
_DEAD = re.compile(r"segformer_decoder\.(linear_fuse|batch_norm|classifier)\.")

# Tried in this order on every name, each at most once; {b} is a number.
_RENAMES = [
    (re.compile(pattern), target)
    for pattern, target in (
        (r"^(segformer\.segformer|tasformer\.segformer|segformer_model)\.encoder\.", "segformer."),
        (r"^(segformer|tasformer)\.decode_head\.", "decode_head."),
        (r"^segformer_decoder\.linear_c\.", "decode_head.linear_c."),
        (r"^(linear_c|linear_fuse|batch_norm|classifier)\.", r"decode_head.\1."),
        (r"\.linear_c\.", ".linear_projections."),
        (
            r"^segformer\.task(_block)?_hypernet\.task_embeding_generator\.",
            "segformer.hypernet.projector.",
        ),
        (r"^segformer\.patch_embeddings\.(\d+)\.", r"segformer.stages.\1.patch_embeddings."),
        (r"^segformer\.block\.(\d+)\.", r"segformer.stages.\1.blocks."),
        (r"^segformer\.layer_norm\.(\d+)\.", r"segformer.stages.\1.layer_norm."),
        (r"\.attention\.self\.query\.", ".attention.q_proj."),
        (r"\.attention\.self\.key\.", ".attention.k_proj."),
        (r"\.attention\.self\.value\.", ".attention.v_proj."),
        (r"\.attention\.self\.sr\.", ".attention.sequence_reduction.sequence_reduction."),
        (r"\.attention\.self\.layer_norm\.", ".attention.sequence_reduction.layer_norm."),
        (r"\.attention\.output\.dense\.", ".attention.o_proj."),
        (r"\.mlp\.dense(\d)\.", r".mlp.fc\1."),
        (r"\.layer_norm_1\.", ".layernorm_before."),
        (r"\.layer_norm_2\.", ".layernorm_after."),
        (r"\.meta_down_sampler\.weight_generator\.", ".down."),
        (r"\.meta_down_sampler\.bias_generator\.", ".down_bias."),
        (r"\.meta_up_sampler\.weight_generator\.", ".up."),
        (r"\.meta_up_sampler\.bias_generator\.", ".up_bias."),
        (r"\.post_layernorm_hypernet\.weight_generator\.", ".gamma."),
        (r"\.post_layernorm_hypernet\.bias_generator\.", ".beta."),
        (r"^segformer\.adapters\.(\d+)\.", r"segformer.hypernet.generators.\1."),
    )
]
_BLOCK_ADAPTER = re.compile(r"^segformer\.stages\.(\d+)\.blocks\.(\d+)\.adapters\.")

# One tensor per task or block there, one row of a tensor here.
_ROWS = (
    (
        re.compile(r"^segformer\.task_embeddings\.(\d+)$"),
        "segformer.hypernet.task_embeddings.weight",
        0,
    ),
    (
        re.compile(r"^segformer\.layer_id_embeddings\.(\d+)$"),
        "segformer.hypernet.block_embeddings.weight",
        0,
    ),
    (re.compile(r"^task_embeddings\.(\d+)$"), "task_maps.weight", 0),
    (re.compile(r"^task_emb_(\d+)$"), "task_maps.weight", 1),
)


class Place(NamedTuple):
    """Where a released tensor goes."""

    name: str
    """A name in our model's ``state_dict``."""
    row: int | None = None
    """The row of that tensor, or None for the whole."""


def place_of(name: str, config: TASFormerConfig) -> Place | None:
    """Find where a released tensor goes.

    Args:
        name: its name, with or without ``mask_net.``.
        config: the configuration of our model.

    Returns:
        Its place (a name that is not known stays as it is), or None for a dead weight.
    """
    name = name.removeprefix(_LIGHTNING_PREFIX)
    if _DEAD.match(name):
        return None
    for pattern, target in _RENAMES:
        name = pattern.sub(target, name)
    if match := _BLOCK_ADAPTER.match(name):
        stage, block = map(int, match.groups())
        generator = sum(config.depths[:stage]) + block
        name = f"segformer.hypernet.generators.{generator}.{name[match.end() :]}"
    for pattern, target, first in _ROWS:
        if match := pattern.match(name):
            return Place(target, int(match[1]) - first)
    return Place(name)


def released_method(names: Mapping[str, object]) -> str | None:
    """Tell the method of a released ``state_dict`` by its names, or None if it is no such file."""
    bare = {name.removeprefix(_LIGHTNING_PREFIX) for name in names}
    prefixes = {
        method.released_prefix: name for name, method in METHODS.items() if method.released_prefix
    }
    for prefix in sorted(prefixes, key=len, reverse=True):  # one begins as another
        if any(name.startswith(prefix) for name in bare):
            return prefixes[prefix]
    return None


def load_released_state_dict(
    model: TASFormerForSemanticSegmentation, state_dict: Mapping[str, Tensor]
) -> None:
    """Load the weights of a released checkpoint; the model's dtype and device stay.

    Strict: every tensor of ours must come from the file and every name of the file must be known.
    Where two names are one tensor of ours (``linear_c`` of emb and vsa_emb), the later wins.

    Args:
        model: of the method and the number of tasks of the file.
        state_dict: names as released, with or without ``mask_net.``, in the file's order.

    Raises:
        ValueError: if the file is of another method or number of tasks, or if names or shapes
            differ; the message says which. The model is then unchanged.
    """
    config = model.config
    found = released_method(state_dict)
    if found is None:
        raise ValueError("this is no released state_dict: it holds none of the names known")
    if found != config.method:
        raise ValueError(
            f"the weights are of method '{found}', but the network's method is '{config.method}'"
        )

    wholes: dict[str, Tensor] = {}
    rows: dict[str, dict[int, Tensor]] = {}
    for released_name, tensor in state_dict.items():
        place = place_of(released_name, config)
        if place is None:
            continue
        if place.row is None:
            wholes[place.name] = tensor
        else:
            rows.setdefault(place.name, {})[place.row] = tensor

    expected = model.state_dict()
    for name, by_row in rows.items():
        if name not in expected:
            raise ValueError(f"the file holds {name}, which the network has not")
        ours = expected[name]
        if sorted(by_row) != list(range(len(ours))):
            option = "num_vectors" if "num_vectors" in config.method_class.fields else "num_tasks"
            raise ValueError(
                f"the file holds {len(by_row)} rows of {name}, but the network {len(ours)}: "
                f"it was built with {option}={getattr(config, option)}"
            )
        wholes[name] = torch.stack([by_row[row].squeeze(0) for row in range(len(ours))])

    missing = sorted(expected.keys() - wholes.keys())
    unknown = sorted(wholes.keys() - expected.keys())
    if missing or unknown:
        raise ValueError(
            f"the names do not fit: {len(missing)} missing ({', '.join(missing[:3])}), "
            f"{len(unknown)} unknown ({', '.join(unknown[:3])})"
        )
    for name, tensor in wholes.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{name} is {tuple(tensor.shape)} in the file, but {tuple(expected[name].shape)} "
                f"in the network, which has {config.num_labels} output channels"
            )
    model.load_state_dict(wholes)
