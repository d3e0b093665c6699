"""Building a network from the name of its method."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import get_annotations
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import SegformerConfig
from transformers.utils import logging as transformers_logging

from seg_training.errors import UserError, suggest
from seg_training.files.user_paths import is_hub_name, user_path
from seg_training.networks.network import Network
from seg_training.networks.stock_segformer import stock_config
from seg_training.settings import choose
from transformers_update_for_adapters import (
    METHODS,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
)
from transformers_update_for_adapters.backbones import BACKBONES, backbone_of
from transformers_update_for_adapters.methods import methods_that_read
from transformers_update_for_adapters.new_names import take_names

__all__ = [
    "OF_A_TRAINING",
    "OF_RECOGNISERS",
    "SIZES",
    "as_plain",
    "build_network",
    "check_settings",
    "quiet_transformers",
    "sizes_of_before",
    "sizes_of_weights",
]

log = logging.getLogger(__name__)

# What a MiT's config.json decides; the rest of it is about ImageNet.
_BACKBONE_FIELDS = (
    "num_channels",
    "num_encoder_blocks",
    "depths",
    "sr_ratios",
    "hidden_sizes",
    "patch_sizes",
    "strides",
    "num_attention_heads",
    "mlp_ratios",
    "hidden_act",
)

SIZES = (*_BACKBONE_FIELDS, "decoder_hidden_size")

# What is known of a trained network is no option of a new one.
_DESCRIPTIONS = (
    "crop_size",
    "fingerprint",
    "iou_temperature",
    "measured",
    "origin",
    "presence",
    "task_synonyms",
    "thresholds",
    "view",
)

# Settings of the model section that are of a training, and not of the network's configuration.
OF_RECOGNISERS = ("recogniser", "shared_backbone")
OF_A_TRAINING = ("pretrained", "backbone", *OF_RECOGNISERS)


def build_network(
    method: str,
    num_tasks: int,
    pretrained: str | Path | None = None,
    backbone: str | None = None,
    recogniser: str | None = None,
    shared_backbone: bool = True,
    word_vectors: bool = True,
    **options: Any,
) -> Network:
    """Build a network.

    Args:
        method: ``segformer``, ``emb``, ``vsa_emb``, ``adapter_hf`` or ``adapter_hf++``; or the
            control ``channels``.
        num_tasks: the number of classes K.
        pretrained: where the backbone's weights come from: a name on the Hugging Face hub such as
            ``nvidia/mit-b0``, a local folder, or None to start from random weights.
        backbone: one of ``BACKBONES``, with the decoder's width that goes with it unless
            ``decoder_hidden_size`` says another. None is that of ``pretrained``, or ``b0``.
        recogniser: of a config's model section: None here; see :func:`build_painted_network` for a
            network on a recogniser.
        shared_backbone: likewise; read with a recogniser alone.
        word_vectors: with ``words``: encode the names; not where weights that are loaded next have
            their vectors, so that no text encoder is needed.
        **options: fields of ``TASFormerConfig``, such as ``other_channel`` or ``task_names``.

    Returns:
        The network, in training mode.

    Raises:
        UserError: if the method, an option or the pretrained weights are not usable.
    """
    if recogniser is not None:
        raise UserError(
            f"recogniser={recogniser}: build a network on a recogniser by "
            "seg_training.networks.painted_networks.build_painted_network, or train it (train.py)"
        )
    if method not in METHODS:
        raise UserError(
            f"unknown method '{method}'{suggest(method, METHODS)}; known are {', '.join(METHODS)}"
        )
    known = _option_names()
    for name in options:
        if name not in known:
            raise UserError(
                f"unknown option '{name}' for the network{suggest(name, known)}; "
                f"known are {', '.join(known)}"
            )
    options |= {"method": method, "num_tasks": num_tasks}
    if pretrained is None:
        config = _make_config(**_with_backbone(backbone, options))
        model = TASFormerForSemanticSegmentation(config)
    else:
        model = _load_backbone(str(pretrained), backbone, options)
    if options.get("words") and word_vectors:
        _take_names(model)
    return Network(model).train()  # Transformers loads in evaluation mode


def _take_names(model: TASFormerForSemanticSegmentation) -> None:
    try:
        take_names(model)
    except (ValueError, ImportError) as error:
        raise UserError(f"model.words=true: {error}") from error


def check_settings(model: Mapping[str, Any]) -> None:
    """Refuse settings that a training with this method would not read.

    Args:
        model: the config's model section; unknown names are for :func:`build_network`.

    Raises:
        UserError: says which methods read it.
    """
    method = model.get("method")
    for name in model:
        readers = methods_that_read(name)
        is_off = name == "words" and not model[name]  # all configs list it
        if readers and method in METHODS and method not in readers and not is_off:
            raise UserError(
                f"model.{name}={model[name]} does nothing with model.method={method}: only "
                f"{', '.join(readers)} {'reads' if len(readers) == 1 else 'read'} it. Leave it "
                "out, or choose another model (a whole one: model=...)"
            )
    if model.get("recogniser") and method in METHODS and not METHODS[method].prompted:
        raise UserError(
            f"model.recogniser={model['recogniser']} does nothing with model.method={method}, "
            "which labels every pixel itself. Leave it out, or choose a class-prompted method"
        )
    if "semantic_loss_ignore_index" in model:
        raise UserError(
            "model.semantic_loss_ignore_index does nothing in a training: the dataset says which "
            "pixels are ignored. Leave it out"
        )


def sizes_of_weights(model: Mapping[str, Any], network: Network) -> dict[str, Any]:
    """List what pretrained weights or a recogniser decided, and not the settings.

    With them, the network of a checkpoint is built without these weights.

    Returns:
        Fields of the configuration, as plain lists and numbers.
    """
    options = {name: own for name, own in model.items() if name not in OF_A_TRAINING}
    options["num_tasks"] = network.num_tasks
    settings = _make_config(**_with_backbone(model.get("backbone"), options))
    found = {name: as_plain(getattr(network.config, name)) for name in (*SIZES, "recognition")}
    return {name: own for name, own in found.items() if own != as_plain(getattr(settings, name))}


def sizes_of_before(model: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the settings of a training that goes on: what weights decided stays.

    Args:
        model: the config's model section.
        before: that of the checkpoint.
    """
    if before.get("recognition") is not None:
        return {name: before[name] for name in (*SIZES, "recognition") if name in before} | {
            **model,
            "recogniser": before["recogniser"],
        }
    if model.get("pretrained") is None or before.get("pretrained") is None:
        return dict(model)
    return {name: own for name, own in before.items() if name in SIZES} | dict(model)


def as_plain(value: Any) -> Any:
    """Give a field of a configuration as configs have it: a list for a tuple."""
    return list(value) if isinstance(value, tuple) else value


def _with_backbone(backbone: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Put the backbone's sizes into the options."""
    if backbone is None:
        return options
    sizes = choose(backbone, BACKBONES, "backbone")._asdict()
    for name in ("depths", "hidden_sizes", "num_attention_heads"):
        if name in options and list(options[name]) != sizes[name]:
            raise UserError(
                f"{name} is {list(options[name])}, but that of backbone {backbone} is "
                f"{sizes[name]}; leave one of them out"
            )
    return sizes | options


def _option_names() -> list[str]:
    names = {*get_annotations(TASFormerConfig), *get_annotations(SegformerConfig)}
    names |= {name for method in METHODS.values() for name in method.fields}
    given = {"method", "num_tasks", *_DESCRIPTIONS}
    unread = {"layer_norm_eps", "reshape_last_stage"}
    return sorted((names - given - unread) | {"attn_implementation"})


def _make_config(**values: Any) -> TASFormerConfig:
    try:
        return TASFormerConfig(**values)
    except (ValueError, StrictDataclassError) as error:
        raise UserError(f"the network's options do not fit: {error}") from error


def _load_backbone(
    pretrained: str, name: str | None, options: dict[str, Any]
) -> TASFormerForSemanticSegmentation:
    path, is_local = user_path(pretrained), not is_hub_name(pretrained)
    if is_local and not path.is_dir():
        raise UserError(
            f"pretrained is '{pretrained}', but there is no such folder; give a folder with "
            "config.json and model.safetensors, a name on the Hugging Face hub such as "
            "nvidia/mit-b0, or model.pretrained=null to train from scratch"
        )
    if is_local and not (path / "config.json").is_file():
        raise UserError(f"'{pretrained}' is no complete Hugging Face model: it has no config.json")
    source = str(path) if is_local else pretrained
    model: TASFormerForSemanticSegmentation
    try:
        with quiet_transformers():
            backbone = stock_config(source)
            architecture = {field: getattr(backbone, field) for field in _BACKBONE_FIELDS}
            found = backbone_of(backbone)
            if getattr(backbone, "rounds", None):
                raise UserError(_has_added_classes(pretrained))
            if name is not None and found != name:
                raise UserError(_of_another(pretrained, name, found, backbone))
            config = _make_config(**(architecture | _with_backbone(name or found, options)))
            # Sizes that do not match are named below; Transformers lists them in its report only.
            model, info = TASFormerForSemanticSegmentation.from_pretrained(
                source, config=config, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"the pretrained weights do not fit: {error}") from error
    except Exception as error:  # a damaged file raises nearly anything
        raise UserError(_unreadable(pretrained, is_local, error)) from error
    if mismatched := sorted(info["mismatched_keys"]):
        name, found, expected = mismatched[0]
        raise UserError(
            f"the weights in '{pretrained}' do not fit: {name} is {tuple(found)}, but the network "
            f"has {tuple(expected)}"
        )
    new, unexpected = info["missing_keys"], info["unexpected_keys"]
    log.info(
        "pretrained %s: %d tensors loaded, %d new, %d unexpected%s",
        pretrained,
        len(model.state_dict()) - len(new),
        len(new),
        len(unexpected),
        f" ({', '.join(sorted(unexpected)[:5])})" if unexpected else "",
    )
    return model


def _has_added_classes(pretrained: str) -> str:
    return (
        f"'{pretrained}' has classes that were added to a trained network, each by itself: a "
        "training of what all classes share would not keep them. Give the network of before "
        "(model.pretrained=...), and train with all classes; or let it learn the new ones again "
        "from more pictures (scripts/add_classes.py)"
    )


def _of_another(pretrained: str, name: str, found: str | None, backbone: SegformerConfig) -> str:
    sizes = choose(name, BACKBONES, "backbone")
    return (
        f"the weights in '{pretrained}' are of {found or 'no known backbone'} (depths "
        f"{list(backbone.depths)}, widths {list(backbone.hidden_sizes)}), but backbone is {name} "
        f"({sizes.depths}, {sizes.hidden_sizes}); give weights of {name}, such as "
        f"nvidia/mit-{name}, or pretrained=null for random ones, or leave backbone out"
    )


def _unreadable(pretrained: str, is_local: bool, error: Exception) -> str:
    if is_local:
        return f"'{pretrained}' is no complete Hugging Face model: {error}"
    return (
        f"cannot get '{pretrained}' from the Hugging Face hub: {error}\n"
        "Without the hub, train from scratch (model.pretrained=null), or copy the model's folder "
        "to this machine and name it (model.pretrained=/path/to/mit-b0)."
    )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep Transformers from listing new weights, which are expected, and from progress bars."""
    verbosity = transformers_logging.get_verbosity()
    progress_bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if progress_bar:
            transformers_logging.enable_progress_bar()
