"""How well classes are learnt from a few pictures: held out of a base training, then added."""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import RESULTS, load_network, save_network
from seg_training.errors import UserError, listed, suggest
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.files.text_files import write_json
from seg_training.networks import Network
from seg_training.new_classes.class_adding import config_of_grown, learn_from_data
from seg_training.new_classes.fine_tuning import fine_tune
from seg_training.new_classes.labelled_pictures import data_as_shown, draw_pictures, read_pictures
from seg_training.results.code_versions import code_versions
from seg_training.results.results_json import result_to_json
from transformers_update_for_adapters.class_learning import LEARNT, LearningSettings
from transformers_update_for_adapters.class_starts import NEAREST

__all__ = ["FINE_TUNING", "HELD_OUT", "METHODS_OF_CURVES", "STAND_IN", "CurveCell", "measure_cell"]

_log = logging.getLogger(__name__)

HELD_OUT: dict[str, dict[str, str | None]] = {
    "ccp": {
        "jeans": "pants",
        "hat": "accessories",
        "skirt": "dress",
        "coat": "jacket",
        "sweater": "sweatshirt",
    },
    "camvid": {"car": None, "tree": None},
}
"""The classes that are held out, and which known one a person would ask for instead, if any."""

FINE_TUNING, STAND_IN = "fine_tuning", "stand_in"
METHODS_OF_CURVES = (*LEARNT, FINE_TUNING, STAND_IN)
"""What may be measured: what is learnt of a class, or of everything; or nothing, from no picture: a
known class is asked for instead."""


@dataclass(frozen=True)
class CurveCell:
    """One measurement.

    Attributes:
        data: one of :data:`HELD_OUT`.
        way: one of :data:`METHODS_OF_CURVES`.
        pictures: of each class, at least.
        seed: of the base training, and of all that is drawn.
        start: where embeddings begin, one of ``STARTS``.
        names: of the held-out classes; none for those of :data:`HELD_OUT`.
    """

    data: str
    way: str
    pictures: int
    seed: int
    start: str = NEAREST
    names: tuple[str, ...] = ()

    @property
    def held_out(self) -> dict[str, str | None]:
        """By the held-out classes, which known one a person would ask for instead, if any."""
        usual = HELD_OUT[self.data]
        return {name: usual.get(name) for name in self.names or usual}

    def file(self, output: Path) -> Path:
        """Say where its result is."""
        start = "" if self.start == NEAREST else f"from_{self.start}_"
        name = f"{self.pictures}_pictures_{start}seed{self.seed}.json"
        return output / self.data / self.way / name


def measure_cell(cell: CurveCell, base: Path, data_root: Path, output: Path) -> bool:
    """Add the held-out classes to a base training, and evaluate them on the validation split.

    Args:
        cell: what is measured.
        base: the run of the base training, without these classes.
        data_root: where the pictures are.
        output: the folder of results.

    Returns:
        Whether it was measured now; what has a result is left alone.

    Raises:
        UserError: if the base or the data are not there, if the base knows a class that was to be
            held out, or if the folder has results of other classes.
    """
    file = cell.file(output)
    names = list(cell.held_out)
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))["new"]
        if set(before) != set(names):
            raise UserError(
                f"{file} is of {listed(list(before))}, not of {listed(names)}; choose another "
                "--output"
            )
        return False
    network = load_network(base)
    if known := [name for name in names if name in network.task_names]:
        raise UserError(f"{base} was trained on {listed(known)}; give a base without these")
    _keep_base(base, output / cell.data / "base" / f"seed{cell.seed}.json")
    own = read_checkpoint(base)["hyper_parameters"]["config"]
    data = {**own["data"], "root": str(data_root)}
    config = {**own, "data": data, "tasks": {"classes": [*network.task_names, *names]}}
    started, cpu = time.time(), time.process_time()
    grown, about = _learn(cell, network, config, names)
    seconds = {"wall": time.time() - started, "cpu": time.process_time() - cpu}
    asked = list(grown.task_names) if cell.way == FINE_TUNING else names
    if cell.way == STAND_IN:
        asked = [name for name, other in cell.held_out.items() if other]
    per_class = _evaluated(grown, config, asked, file.with_suffix(""), data_root)
    write_json(
        {
            "data": cell.data,
            "method": cell.way,
            "start": cell.start,
            "pictures": cell.pictures,
            "seed": cell.seed,
            "new": {name: per_class.get(name, 0.0) for name in names},
            "old": {name: per_class[name] for name in asked if name not in names} or None,
            **about,
            "seconds": {key: round(value, 1) for key, value in seconds.items()},
            **code_versions(),
        },
        file,
    )
    return True


def _keep_base(base: Path, file: Path) -> None:
    """Keep what the base reaches on its own classes: they stay so where classes are added."""
    if file.is_file():
        return
    try:
        per_class = json.loads((base / RESULTS).read_text(encoding="utf-8"))["per_class"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{base / RESULTS} cannot be read: let the training end first") from error
    old = {name: own["bIoU_calibrated"] for name, own in per_class.items() if own["num_masks"]}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json({"old": old}, file)


def _learn(
    cell: CurveCell, network: Network, config: dict[str, Any], names: Sequence[str]
) -> tuple[Network, dict[str, Any]]:
    if cell.way == STAND_IN:
        return _renamed(network, cell.held_out), {}
    data = data_as_shown(config, network)
    if cell.way == FINE_TUNING:
        places = draw_pictures(data, names, cell.pictures, cell.seed)
        pictures = read_pictures(network, data, places, [*network.task_names, *names])
        model = fine_tune(network.model, names, pictures, cell.seed)
        return Network(model).eval(), {"pictures_together": len(places)}
    settings = LearningSettings(cell.way, cell.start, cell.seed)
    grown = learn_from_data(network, data, settings, cell.pictures)
    expected = {name: own._asdict() for name, own in grown.expected.items()}
    return grown.network, {"pictures_together": grown.pictures, "expected": expected}


def _renamed(network: Network, stand_ins: dict[str, str | None]) -> Network:
    """Let known classes answer for others."""
    names = list(network.task_names)
    for name, other in stand_ins.items():
        if other is None:
            continue
        if other not in names:
            raise UserError(f"the base has no class '{other}'{suggest(other, names)}")
        names[names.index(other)] = name
    network.config.task_names = names
    return network


def _evaluated(
    network: Network, config: dict[str, Any], asked: Sequence[str], folder: Path, root: Path
) -> dict[str, float]:
    """Evaluate classes on the validation split: calibrated bIoU in percent by name."""
    if not asked:
        return {}
    folder.parent.mkdir(parents=True, exist_ok=True)
    evaluated = {
        **config_of_grown(config, network, config),
        "tasks": {"classes": list(asked)},
        "metrics": "biou",
    }
    try:
        save_network(folder, network, evaluated)
        result, module = evaluate(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    per_class = result_to_json(result, module.task_names, module.dataset_names)["per_class"]
    return {
        name: per_class[name]["bIoU_calibrated"]
        for name in asked
        if per_class.get(name, {}).get("num_masks")
    }
