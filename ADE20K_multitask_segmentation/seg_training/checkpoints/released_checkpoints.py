"""Turning a checkpoint that the authors released into a folder of ours."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from seg_training.checkpoints.checkpoint_files import missing_file
from seg_training.checkpoints.model_folders import describe_network, save_network
from seg_training.checkpoints.restricted_pickle import read_inert
from seg_training.config import compose_config, default_config_dir
from seg_training.datasets.task_synonyms import task_synonyms
from seg_training.errors import UserError
from seg_training.files.output_checks import check_new_folder
from seg_training.files.user_paths import user_path
from seg_training.networks import Network, build_network, load_released_state_dict
from seg_training.networks.network_building import OF_RECOGNISERS
from seg_training.settings import choose
from seg_training.tasks import LabelClasses, TaskTable
from transformers_update_for_adapters import METHODS, released_method

__all__ = ["convert_checkpoint", "read_released", "released_network"]

_log = logging.getLogger(__name__)

EXPERIMENTS = {
    "segformer": "ade20k_segformer",
    "emb": "ade20k_emb",
    "vsa_emb": "ade20k_vsa_emb",
    "adapter_hf": "ade20k_adapter",
    "adapter_hf++": "ade20k_adapter_pp",
}
"""Each method's config."""


def convert_checkpoint(
    source: str | Path,
    method: str | None,
    output: str | Path,
    *,
    tasks: str | None = None,
    overrides: Sequence[str] = (),
    config_dir: Path | None = None,
) -> Network:
    """Write a released checkpoint as a folder for evaluation and for ``from_pretrained``.

    Nothing in the checkpoint is run.

    Args:
        source: the released file, of Lightning 1.5.
        method: the network's method; None is the one that the names of the weights tell.
        output: the folder to write, which must not hold anything.
        tasks: a file of ``configs/tasks``; by default ADE20K's with as many classes as the weights
            have tasks.
        overrides: changes to the method's config for ADE20K, as on the command line.
        config_dir: the folder of the configs; ``configs`` in the current folder by default.

    Returns:
        The network, in evaluation mode.

    Raises:
        UserError: if the file cannot be read safely or is of another method or number of tasks,
            if the tasks are not known, or if the folder cannot be written.
    """
    if method is not None:
        choose(method, EXPERIMENTS, "--method")
    output = user_path(output)
    check_new_folder(output)
    weights, found = read_released(user_path(source))
    if found != (method or found):
        raise UserError(f"{source} is of method '{found}', not '{method}': give --method {found}")
    network, config, tasks = _network_of(source, weights, found, tasks, overrides, config_dir)
    save_network(output, network, config)
    _log.info("%s: %s with the %d tasks of %s", output, found, network.num_tasks, tasks)
    return network.eval()


def released_network(source: Path) -> Network | None:
    """Read a released checkpoint as :func:`convert_checkpoint` would, and write nothing.

    Args:
        source: an existing file.

    Returns:
        The network, in evaluation mode; None where the file is none that the authors released.

    Raises:
        UserError: if it is one, of tasks that are not known.
    """
    try:
        weights, method = read_released(source)
    except UserError:
        return None
    return _network_of(source, weights, method)[0].eval()


def _network_of(
    source: str | Path,
    weights: Mapping[str, Tensor],
    method: str,
    tasks: str | None = None,
    overrides: Sequence[str] = (),
    config_dir: Path | None = None,
) -> tuple[Network, dict[str, Any], str]:
    """Build the network of released weights, described, with its experiment's config and tasks."""
    experiment = EXPERIMENTS[method]
    method_class = METHODS[method]
    counts = method_class.released_counts(weights)
    config_dir = (config_dir or default_config_dir()).absolute()
    tasks = tasks or _tasks_of_ade20k(counts, method, config_dir)
    config = compose_config(experiment, [f"tasks={tasks}", *overrides], config_dir)
    classes = LabelClasses.from_package("seg_training.datasets", "ade20k_classes.yaml")
    table = TaskTable(classes, config["tasks"].get("classes", "all"))
    names = table.names
    if counts and len(names) not in counts:
        raise UserError(
            f"{source} is of {_either(counts)} tasks, but {tasks} has {len(names)}; give --tasks a "
            "file of configs/tasks with as many classes"
        )

    config["model"]["pretrained"] = None
    if "other_channel" in method_class.fields:
        config["model"]["other_channel"] = len(names) in counts[1:]
    model = {key: value for key, value in config["model"].items() if key not in OF_RECOGNISERS}
    network = build_network(num_tasks=len(names), task_names=list(names), **model)
    load_released_state_dict(network, weights)
    maps, rows = network.model.task_maps, method_class.released_maps(len(names))
    if maps is not None and rows is not None:
        maps.weight.data = maps.weight.data[rows]
        if "num_vectors" in method_class.fields:
            config["model"]["num_vectors"] = network.config.num_vectors = len(rows)
    origin = {"pretrained": "a MiT backbone, by the authors", "dataset": config["data"]["dataset"]}
    network.config.crop_size = list(config["data"]["crop_size"])
    network.config.task_synonyms = task_synonyms([table])
    describe_network(network, config, origin={**origin, "released": Path(source).name})
    return network, config, tasks


def read_released(source: Path) -> tuple[Mapping[str, Tensor], str]:
    """Read released weights, and tell their method; nothing in the file is run.

    Args:
        source: the released file.

    Raises:
        UserError: if it cannot be read safely, or holds no released weights.
    """
    if source.is_dir():
        raise UserError(f"{source} is a folder; give the released .ckpt file")
    if not source.is_file():
        raise missing_file(source, "checkpoint")
    content = read_inert(source)
    weights = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise UserError(f"{source} is no checkpoint: it holds no state_dict of tensors")
    found = released_method(weights)
    if found is None:
        raise UserError(
            f"{source} is no released checkpoint of TASFormer; what train.py wrote needs no "
            f"conversion. Its weights are called {', '.join(list(weights)[:3]) or 'nothing'}"
        )
    return weights, found


def _tasks_of_ade20k(counts: Sequence[int], method: str, config_dir: Path) -> str:
    files = {file.stem for file in (config_dir / "tasks").glob("ade20k_*.yaml")}
    for count in counts:
        if f"ade20k_{count}" in files:
            return f"ade20k_{count}"
    found = (
        f"the weights are of {_either(counts)} tasks, for which there is no file in configs/tasks"
        if counts
        else f"the weights of '{method}' do not tell the number of tasks"
    )
    raise UserError(f"{found}; add --tasks with one (ADE20K's: {', '.join(sorted(files))})")


def _either(counts: Sequence[int]) -> str:
    return " or ".join(map(str, counts))
