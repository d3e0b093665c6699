"""How well names are painted that a network was never trained on, beside classes in their place.

Each way of painting is a network and, per name, the id that it is asked for in the name's place.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.config import override_config, plain_config
from seg_training.datasets.data_module import build_data_module
from seg_training.errors import UserError, suggest
from seg_training.evaluation.checkpoint_evaluation import load_module, run_validation
from seg_training.files.text_files import write_json
from seg_training.networks import Network
from seg_training.networks.network import Recognition
from seg_training.training.trainer import build_trainer
from transformers_update_for_adapters.near_words import nearest_tasks
from transformers_update_for_adapters.new_names import stand_in, with_names
from transformers_update_for_adapters.weights_fingerprint import fingerprint

__all__ = ["MARGIN", "NEAREST", "SPELLING", "ZERO_SHOT", "UntrainedNames", "Way", "measure_ways"]

ZERO_SHOT, NEAREST, MARGIN, SPELLING = "zero-shot", "nearest word", "its margin", "spelling"
"""Ways of painting a name: by its own embedding; as the class nearest in meaning; as what the
recogniser alone says of that; as the class that is written most alike."""


_log = logging.getLogger(__name__)


class Way(NamedTuple):
    """A way of painting names.

    Attributes:
        network: that is asked.
        task_ids: per name what it is asked for.
        asked_as: per name the known class that this is, or whose margin it has.
    """

    network: Network
    task_ids: list[int]
    asked_as: dict[str, str]


class UntrainedNames:
    """A trained network, and names that it was not trained on, on a validation split."""

    def __init__(
        self, ckpt: str | Path, names: Sequence[str], overrides: Sequence[str], config_dir: Path
    ) -> None:
        """Load the network and find the data.

        Args:
            ckpt: a checkpoint or a run's folder.
            names: of classes of its data.
            overrides: changes to its config, ``data.root=...`` say.
            config_dir: where groups are looked up.

        Raises:
            UserError: if the data have no such class, or if the network was trained on it.
        """
        self.names = list(names)
        checkpoint = read_checkpoint(ckpt)
        trained = plain_config(checkpoint["hyper_parameters"]["config"])
        here = {**trained["trainer"], "accelerator": "cpu", "devices": 1}
        config = override_config({**trained, "trainer": here}, overrides, config_dir.absolute())
        self._config = {**config, "metrics": "biou", "tasks": {"classes": self.names}}
        self._module = load_module(checkpoint, self._config)
        self.network = self._module.network
        known = self.network.task_names
        if trained_on := [name for name in names if name in known]:
            raise UserError(
                f"the network was trained on '{trained_on[0]}': give names that it was not "
                "trained on"
            )
        self._data = build_data_module(
            config["data"], self._config["tasks"], config["seed"], vocabulary=self.names
        )

    def ways(self, neighbours: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, Way]]:
        """List the ways of painting the names.

        Args:
            neighbours: further ones: by the way's name, the known class for each name.

        Yields:
            A way's name and the way; without words there is none of its own for a name.

        Raises:
            UserError: if a way lacks a name, or has a class that the network does not know.
        """
        network, known = self.network, self.network.task_names
        nearest = [stand_in(name, network.config).task_id for name in self.names]
        if network.config.words:
            grown = Network(with_names(network.model, self.names, nearest)).eval()
            own = [grown.task_names.index(name) for name in self.names]
            yield ZERO_SHOT, Way(grown, own, self._named(nearest))
        closest = [nearest_tasks(name, network.config)[0].task_id for name in self.names]
        yield NEAREST, Way(network, closest, self._named(closest))
        if network.model.recogniser is not None:
            yield MARGIN, Way(_without_paint(network), nearest, self._named(nearest))
        alike = [get_close_matches(name, known, n=1, cutoff=0)[0] for name in self.names]
        by_spelling = dict(zip(self.names, alike, strict=True))
        for kind, classes in {SPELLING: by_spelling, **neighbours}.items():
            for name in self.names:
                if classes.get(name) not in known:
                    raise UserError(
                        f"neighbours '{kind}' have for '{name}' the class {classes.get(name)!r}, "
                        f"which the network does not know{suggest(str(classes.get(name)), known)}"
                    )
            ids = [known.index(classes[name]) for name in self.names]
            yield kind, Way(network, ids, self._named(ids))

    def nearness(self) -> dict[str, float]:
        """Say how near the nearest class is to each name, as a cosine."""
        return {name: nearest_tasks(name, self.network.config)[0].nearness for name in self.names}

    def measure(self, way: Way) -> dict[str, Any]:
        """Measure bIoU of the names, over the masks of the validation split.

        Args:
            way: to paint them.

        Returns:
            ``bIoU`` and ``bIoU_calibrated`` in percent, and by name the same with ``num_masks``
            and, in ``asked_as``, the known class.
        """
        self._module.network = cast(Network, _AskedAs(way.network, way.task_ids))
        self._module.task_names = tuple(self.names)
        trainer = build_trainer(self._config["trainer"], logger=False)
        result = run_validation(trainer, self._module, self._data)
        return {
            "bIoU": result.bIoU,
            "bIoU_calibrated": result.bIoU_calibrated,
            "per_name": {
                name: {
                    "asked_as": way.asked_as[name],
                    "bIoU": result.per_class[task_id][0],
                    "bIoU_calibrated": result.per_class_calibrated.get(task_id),
                    "num_masks": result.per_class[task_id][1],
                }
                for task_id, name in enumerate(self.names)
            },
        }

    def _named(self, task_ids: Sequence[int]) -> dict[str, str]:
        known = self.network.task_names
        return {name: known[own] for name, own in zip(self.names, task_ids, strict=True)}


def measure_ways(
    untrained: UntrainedNames, neighbours: Mapping[str, Mapping[str, str]], file: Path
) -> dict[str, Any]:
    """Measure all ways of painting; what a file has already is not measured again.

    Args:
        untrained: network, names and data.
        neighbours: further ways, as :meth:`UntrainedNames.ways` takes them.
        file: JSON, written after each way.

    Returns:
        What is in the file: by whether the network has ``words``, the names' ``nearness`` to the
        nearest class, and by way what :meth:`UntrainedNames.measure` gave.

    Raises:
        UserError: if the file is of another network, or of other names.
    """
    network = untrained.network
    content: dict[str, Any] = {
        "network": fingerprint(network.config, network.state_dict()),
        "words": bool(network.config.words),
        "nearness": untrained.nearness(),
        "ways": {},
    }
    if file.exists():
        content["ways"] = _measured_before(file, content)
    for name, way in untrained.ways(neighbours):
        before = content["ways"].get(name, {}).get("per_name", {})
        if {each: own["asked_as"] for each, own in before.items()} == way.asked_as:
            continue
        _log.info("%s: %s", name, ", ".join(f"{a} as {b}" for a, b in way.asked_as.items()))
        content["ways"][name] = untrained.measure(way)
        write_json(content, file)
    return content


def _measured_before(file: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        ways = dict(before["ways"])
        is_same = before["network"] == content["network"]
        is_same &= before["nearness"].keys() == content["nearness"].keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file} is there already, and no result of this command; choose another file"
        ) from error
    if not is_same:
        raise UserError(
            f"{file} is there already, of another network or of other names; choose another file"
        )
    return ways


class _AskedAs(nn.Module):
    """A network under other ids: of name k it is asked ``task_ids[k]``."""

    task_ids: Tensor

    def __init__(self, network: Network, task_ids: Sequence[int]) -> None:
        super().__init__()
        self.inner = network
        self.config = network.config
        self.gate = network.gate
        self.part_of_picture = network.part_of_picture
        self.register_buffer("task_ids", torch.tensor(list(task_ids)), persistent=False)

    def recognise(self, images: Tensor) -> Recognition | None:
        recognition = self.inner.recognise(images)
        if recognition is None:
            return None
        return recognition._replace(presence=recognition.presence[:, self.task_ids])

    def task_logits(
        self, images: Tensor, names: Tensor, recognition: Recognition | None = None
    ) -> Tensor:
        return self.inner.task_logits(images, self.task_ids[names], recognition)

    def bounds(self, logits: Tensor, names: Tensor) -> Tensor | None:
        return self.inner.bounds(logits, self.task_ids[names])

    @contextmanager
    def kept(self) -> Iterator[None]:
        with self.inner.kept():
            yield


def _without_paint(network: Network) -> Network:
    """Copy a network with a recogniser, of which the margins alone are left."""
    alone = deepcopy(network)
    alone.config.painted_gains = [0.0] * network.num_tasks
    return alone
