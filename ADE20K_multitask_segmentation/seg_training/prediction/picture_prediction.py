"""Predicting: from a checkpoint, pictures and names of classes to a folder of results."""

import errno
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.commands.devices import AUTO, find_device
from seg_training.commands.progress_bars import tracked
from seg_training.errors import UserError
from seg_training.files.atomic_writes import remove_abandoned
from seg_training.files.user_paths import user_path
from seg_training.networks import Network
from seg_training.networks.class_scores import SCORES, class_scores
from seg_training.pictures.picture_reading import (
    allow_pixels,
    check_is_file,
    read_header,
    read_image,
    unreadable,
)
from seg_training.prediction.asked_classes import asked_classes
from seg_training.prediction.averaged_probabilities import Looks, class_probabilities
from seg_training.prediction.classes_in_picture import (
    check_tells_presence,
    likeliest_first,
    look_for,
    recognise_picture,
)
from seg_training.prediction.existing_results import containing_result, settings_of
from seg_training.prediction.picture_sources import Picture, local_file
from seg_training.prediction.pictures_to_paint import find_pictures_anywhere
from seg_training.prediction.prediction_options import (
    check_looks,
    check_pixels,
    check_rankseg,
    check_threshold,
)
from seg_training.prediction.result_writing import PictureResult
from seg_training.prediction.words_in_result import words_of_class, words_settings
from seg_training.settings import choose
from transformers_update_for_adapters import asks_for_all
from transformers_update_for_adapters.class_thresholds import (
    paints_by_rankseg,
    probability_thresholds,
    thresholds_in_picture,
)
from transformers_update_for_adapters.expected_iou import RANKSEG
from transformers_update_for_adapters.near_words import NEAREST

__all__ = [
    "ENGINES",
    "Outcome",
    "Painter",
    "Prediction",
    "PredictionReport",
    "chosen_thresholds",
    "predict",
    "result_settings",
    "settings_for_picture",
    "start_painting",
    "write_result",
]

_MOST_COLOURS = 255  # of a palette, besides that of no class

_log = logging.getLogger(__name__)

# Of a disk that takes no further result either.
_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass
class PredictionReport:
    """What became of the pictures.

    Attributes:
        written: those with a new result.
        kept: those whose result was there already.
        others: those with a result of another picture or other settings, or not a whole one, which
            was left as it is.
        failed: those that could not be read, with the reason.
        refused: those whose result could not be written, with the reason.
        left: those that were not come to, because the disk was full, say.
    """

    written: list[Picture] = field(default_factory=list)
    kept: list[Picture] = field(default_factory=list)
    others: list[Picture] = field(default_factory=list)
    failed: dict[Picture, str] = field(default_factory=dict)
    refused: dict[Picture, str] = field(default_factory=dict)
    left: list[Picture] = field(default_factory=list)

    def take(self, picture: Picture, name: str, outcome: "Outcome") -> None:
        """Take down what became of a picture.

        Args:
            picture: which.
            name: of its result.
            outcome: what :meth:`Painter.paint` gave.
        """
        if outcome.kind in ("failed", "refused"):
            getattr(self, outcome.kind)[picture] = outcome.words
        else:
            getattr(self, outcome.kind).append(picture)
            if outcome.words:
                _log.info("%s: %s", name, outcome.words)


def predict(
    ckpt: str | Path,
    pictures: Sequence[str],
    classes: Sequence[str],
    output: Path,
    threshold: float | str | None = None,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    window: int | None = None,
    overwrite: bool = False,
    device: str = AUTO,
    max_pixels: int | None = None,
    only_present: bool | None = None,
    engine: str = "process",
    unknown: str = NEAREST,
    recall: int | None = None,
) -> PredictionReport:
    """Paint classes on pictures and write a folder for each.

    Args:
        ckpt: a checkpoint, a run's folder or a model folder.
        pictures: files, folders or patterns; addresses of object stores, parquet files.
        classes: names or synonyms, or ``all``.
        output: where the folders go.
        threshold: probabilities from it on are the class, in (0, 1); or ``rankseg``, for each class
            the mask whose expected IoU is largest; by default what the network was calibrated with,
            and 0.5 where it was not.
        flip: average with the mirrored picture.
        scales: of the crop size, to average over.
        window: side of windows, in the picture's own pixels, to look at one by one.
        overwrite: write results anew that are there already.
        device: ``cpu``, ``cuda`` or ``mps``; ``auto`` for a GPU where there is one.
        max_pixels: height times width of the largest picture that is read; Pillow's 179 million by
            default.
        only_present: ask only classes that are probably there, and those of which nobody knows; by
            default of ``all``, where the network tells what is there.
        engine: one of :data:`ENGINES`.
        unknown: what a name is that the network does not know: ``nearest``, the class whose name is
            nearest in meaning, if that is near and the text encoder is installed; ``zero_shot``, a
            class of its own, of networks trained with ``model.words=true``; or ``error``.
        recall: where only what is there is asked, how much of it is to be found, in percent: 50,
            60, 70, 80, 90, 95 or 99; by default 90. From 90 on what is more likely there than not
            is asked, too.

    Returns:
        What became of the pictures: one that cannot be read, or whose result cannot be written,
        does not stop the rest; a disk that takes nothing more does.

    Raises:
        UserError: if the checkpoint, a name, a path or an option is wrong.
    """
    asked = Prediction(
        *(str(ckpt), tuple(classes), user_path(output), threshold, flip, tuple(scales), window),
        *(overwrite, device, max_pixels, only_present, unknown, recall),
    )
    paint = choose(engine, ENGINES, "--engine")
    asked.check()
    return paint(asked, find_pictures_anywhere(pictures))


@dataclass(frozen=True)
class Prediction:
    """What is asked of each picture, wherever it is painted; see :func:`predict`."""

    ckpt: str
    classes: tuple[str, ...]
    output: Path
    threshold: float | str | None = None
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    window: int | None = None
    overwrite: bool = False
    device: str = AUTO
    max_pixels: int | None = None
    only_present: bool | None = None
    unknown: str = NEAREST
    recall: int | None = None

    def check(self) -> None:
        """Refuse what is wrong whatever the network is.

        Raises:
            UserError: if an option or the output is.
        """
        if self.threshold is not None:
            check_threshold(self.threshold)
        check_looks(self.scales, self.window)
        if self.max_pixels is not None:
            check_pixels(self.max_pixels)
        output = self.output
        if not output.is_dir() and (output.exists() or output.is_symlink()):
            what = "a link to nothing" if output.is_symlink() else "a file"
            raise UserError(f"output {output} is {what}; give a folder")
        if (above := containing_result(output / "any")) is not None:
            raise UserError(
                f"output {output} lies in a picture's result, {above}; give another folder"
            )

    def painter(self) -> "Painter":
        """Load the network.

        Raises:
            UserError: if the checkpoint, a name or the device is wrong.
        """
        if self.max_pixels is not None:
            allow_pixels(self.max_pixels)
        network = load_network(self.ckpt).to(find_device(self.device, "device", auto=True))
        asked = asked_classes(self.classes, network, self.unknown)
        network, tasks = asked.network, asked.tasks
        looks = Looks.of_network(network, self.flip, self.scales, self.window)
        only_present = self.only_present
        if only_present or self.recall is not None:
            check_tells_presence(network)
        write_empty = not asks_for_all(self.classes, network.config)
        if only_present is None:
            only_present = not write_empty and network.tells_presence
        if self.recall is not None:
            if not only_present:
                raise UserError(
                    f"recall {self.recall} is of what is there, but all classes are asked; add "
                    "--only-present, or leave --ask-all out"
                )
            look_for(self.recall, network)
        thresholds = chosen_thresholds(network, tasks, self.threshold)
        file = find_checkpoint(self.ckpt)
        settings = result_settings(
            file, network, tasks, write_empty, thresholds, looks, only_present
        )
        settings |= words_settings(asked)
        return Painter(self.output, network, tasks, looks, settings, self.overwrite)


class Outcome(NamedTuple):
    """What became of a picture.

    Attributes:
        kind: ``written``, ``kept``, ``others``, ``failed``, ``refused`` or ``left``: a list of
            :class:`PredictionReport`.
        words: why it is not written, or what was not found.
    """

    kind: str
    words: str = ""


class Painter:
    """Paints pictures one by one, as one process does, or each of a cluster.

    Attributes:
        network: whose weights count.
        settings: from :func:`result_settings`.
    """

    def __init__(
        self,
        output: Path,
        network: Network,
        tasks: Mapping[int, str],
        looks: Looks,
        settings: Mapping[str, Any],
        overwrite: bool,
    ) -> None:
        """Start; see :func:`write_result`.

        Args:
            output: where the results' folders go.
            network: in evaluation mode.
            tasks: task id to name.
            looks: how to look at pictures.
            settings: from :func:`result_settings`.
            overwrite: write results anew that are there already.
        """
        self.network = network
        self.settings = settings
        self._output = output
        self._tasks = tasks
        self._looks = looks
        self._overwrite = overwrite
        self._sources: dict[tuple[int, int], Picture] = {}  # of the results so far, by their places
        self._is_full = False

    def paint(self, picture: Picture, name: str) -> Outcome:
        """Paint a picture, unless its result is there.

        Args:
            picture: any.
            name: of its result.
        """
        if self._is_full:
            return Outcome("left")
        try:
            with local_file(picture) as file:
                return self._paint(picture, file, name)
        except UserError as error:
            return Outcome("failed", str(error))

    def _paint(self, picture: Picture, file: Path, name: str) -> Outcome:
        folder = self._output / name
        own = settings_for_picture(self.settings, file)
        there = None if self._overwrite else settings_of(folder)
        pixels = read_image(file) if there is None else None
        frames = read_header(file).frames if there is None else 1
        outcome = Outcome("written")
        try:
            if folder.exists() and (other := self._sources.get(_place(folder))) is not None:
                raise UserError(f"it has the result of {other} already")
            if pixels is None:
                outcome = Outcome("kept" if there == own else "others")
            else:
                left_out = write_result(
                    *(folder, picture, pixels, self.network, self._tasks, self._looks, own, frames)
                )
                if left_out:
                    outcome = Outcome("written", f"not found: {likeliest_first(left_out)}")
            self._sources[_place(folder)] = picture
        except (OSError, UnicodeEncodeError, UserError) as error:  # of a name in ASCII
            self._is_full = _takes_nothing_more(error)
            return Outcome("refused", f"cannot write {folder}: {error}")
        return outcome


def _paint_here(asked: Prediction, names: Mapping[Picture, str]) -> PredictionReport:
    """Paint one picture after the other."""
    painter = asked.painter()
    start_painting(asked, names, painter.network)
    report = PredictionReport()
    with painter.network.kept():
        for picture, name in tracked(names.items(), "Predicting"):
            report.take(picture, name, painter.paint(picture, name))
    return report


def _paint_on_ray(asked: Prediction, names: Mapping[Picture, str]) -> PredictionReport:
    from seg_training.prediction.ray_engine import paint_on_ray  # which needs what is above

    return paint_on_ray(asked, names)


ENGINES: dict[str, Callable[[Prediction, Mapping[Picture, str]], PredictionReport]] = {
    "process": _paint_here,
    "ray": _paint_on_ray,
}
"""What paints pictures: this process, or the workers of a Ray cluster."""


def start_painting(asked: Prediction, names: Mapping[Picture, str], network: Network) -> None:
    """Tidy up what killed commands have left, and say what is unusual.

    Args:
        asked: of each picture.
        names: of all results.
        network: that will paint.
    """
    if network.num_tasks > _MOST_COLOURS:
        _log.warning(
            "label maps of %d classes are grey of 16 bit: a palette has 256 colours",
            network.num_tasks,
        )
    for folder in {(asked.output / name).parent for name in names.values()}:
        remove_abandoned(folder)


def _takes_nothing_more(error: BaseException | None) -> bool:
    """Whether a disk would refuse the next result, too."""
    if isinstance(error, UserError):
        error = error.__cause__
    return isinstance(error, OSError) and error.errno in _NO_MORE


def _place(folder: Path) -> tuple[int, int]:
    """Identify a folder, whatever name it is called by: on some disks ``A`` is ``a``."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def chosen_thresholds(
    network: Network, tasks: Mapping[int, str], threshold: float | str | None = None
) -> float | str | dict[str, float]:
    """Choose what classes are painted from.

    Args:
        network: trained.
        tasks: task id to name.
        threshold: for all classes, or ``rankseg``, or None for the network's own.

    Returns:
        A probability for all; or by name, where the network's own are chosen and it has such; or
        ``rankseg``, for each class and picture another one.

    Raises:
        UserError: if a package is needed for it, and is not installed.
    """
    if paints_by_rankseg(network.config, threshold):
        check_rankseg(RANKSEG)
        return RANKSEG
    if isinstance(threshold, float):
        return threshold
    every = probability_thresholds(network.config)
    if network.config.thresholds is None:
        return every[0]
    return {name: every[task_id] for task_id, name in tasks.items()}


def result_settings(
    ckpt: Path,
    network: Network,
    tasks: Mapping[int, str],
    write_empty: bool,
    threshold: float | str | Mapping[str, float],
    looks: Looks,
    only_present: bool = False,
) -> dict[str, Any]:
    """List what results depend on besides the picture; it is kept with them.

    Args:
        ckpt: the checkpoint's file.
        network: from it; another training may have the same place later, so its weights count, too.
        tasks: task id to name.
        write_empty: whether classes that are not found have files, too.
        threshold: from :func:`chosen_thresholds`.
        looks: how the picture is looked at.
        only_present: whether classes that are probably not there are left out.
    """
    settings = {
        "ckpt": str(ckpt.absolute()),
        "weights_sha256": _weights_digest(network),
        "classes": list(tasks.values()),
        "only_found": not write_empty,
        "threshold": threshold,
        "flip": looks.flip,
        "scales": list(looks.scales),
        "window": looks.window,
    }
    # Results of before there was a score, a view or a recogniser stay those of the same settings.
    view = {} if looks.view == "squeeze" else {"view": looks.view}
    told: dict[str, Any] = {}
    if threshold == RANKSEG:
        told["iou_temperature"] = network.config.iou_temperature or 1.0
    if network.config.painted_gains is not None:  # chosen anew, they leave the weights as they are
        told["painted_gains"] = network.config.painted_gains
    if network.tells_presence:
        calibration = json.dumps(network.config.presence, sort_keys=True)
        digest = hashlib.sha256(calibration.encode()).hexdigest()
        told |= {"presence_sha256": digest, "only_present": only_present}
    return settings | view | told | ({"scores": list(SCORES)} if SCORES else {})


def settings_for_picture(settings: Mapping[str, Any], picture: Path) -> dict[str, Any]:
    """Add the picture to what its result depends on: another one may have the same name later.

    Args:
        settings: from :func:`result_settings`.
        picture: the file.

    Raises:
        UserError: if the file cannot be read.
    """
    check_is_file("image", picture)
    try:
        with picture.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise unreadable("image", picture, error) from error
    return {**settings, "image_sha256": digest}


def write_result(
    folder: Path,
    file: Picture,
    picture: NDArray[np.uint8],
    network: Network,
    tasks: Mapping[int, str],
    looks: Looks,
    settings: Mapping[str, Any],
    frames: int = 1,
) -> dict[str, float]:
    """Ask classes of a picture and write their result.

    Class by class: all of a large picture could be too much for the memory.

    Args:
        folder: of the result.
        file: where the picture is.
        picture: (H, W, 3) uint8 RGB.
        network: in evaluation mode.
        tasks: task id to name.
        looks: how to look at the picture.
        settings: from :func:`settings_for_picture`.
        frames: of the file; the first is the picture.

    Returns:
        Name to presence of the classes that were left out, for they are probably not there.

    Raises:
        OSError: if the folder cannot be written.
        UserError: if something else is there.
    """
    recognised = recognise_picture(network, picture, looks)
    presence = recognised.presence if recognised else None
    known = recognised.known if recognised else None
    asked, left_out = list(tasks), {}
    if recognised and settings["only_present"]:
        asked = recognised.likely(tasks)
        left_out = {
            tasks[task_id]: recognised.presence[task_id] or 0.0
            for task_id in tasks
            if task_id not in asked
        }
    threshold = settings["threshold"]
    with PictureResult(
        *(folder, file, picture, threshold, settings, frames, presence, network.unknown_tasks)
    ) as result:
        for task_id, probability in class_probabilities(network, picture, asked, looks, known):
            scores = {score: own for score, [own] in class_scores(probability[None]).items()}
            least = None
            if threshold == RANKSEG:
                maps = probability[None]
                [least] = thresholds_in_picture(network.config, [task_id], maps, threshold)
            own = probability.cpu().numpy()
            name, write_empty = tasks[task_id], not settings["only_found"]
            words = partial(words_of_class, network, recognised, name, settings)
            result.add(task_id, name, own, write_empty, scores, least, words)
        for task_id, name in tasks.items():
            if name in left_out:
                result.leave_out(task_id, name)
        result.finish(network.num_tasks)
    return left_out


def _weights_digest(network: Network) -> str:
    digest = hashlib.sha256()
    for name, weight in network.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
