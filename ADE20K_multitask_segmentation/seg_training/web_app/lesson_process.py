"""The process that learns a class: it takes nothing from other visitors, and can be ended."""

import logging
import os
import threading
from collections.abc import Sequence
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network, save_network
from seg_training.errors import counted
from seg_training.networks import Network
from seg_training.new_classes.class_adding import config_of_grown
from seg_training.web_app.painted_pictures import PaintedPicture
from transformers_update_for_adapters.few_pictures import UNLABELLED

__all__ = ["Lesson", "Refusal", "take_lesson"]

_NICE = 10  # those who only look come first


class Lesson(NamedTuple):
    """What is to be learnt by one network.

    Attributes:
        ckpt: of the network.
        device: that learns.
        name: of the new class.
        pictures: with masks of it.
        folder: a model folder that is written.
    """

    ckpt: Path
    device: str
    name: str
    pictures: Sequence[PaintedPicture]
    folder: Path


class Refusal(NamedTuple):
    """Why a class cannot be learnt, in words for the visitor."""

    words: str


def take_lesson(lesson: Lesson, told: Connection) -> None:
    """Learn a class in this process; it is told how far that is, in words, or a refusal.

    Args:
        lesson: what is to be learnt.
        told: takes strings, and at most one :class:`Refusal`, after which nothing comes.
    """
    threading.Thread(target=_end_with_the_page, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
    _tell_log_lines(told)
    told.send("Loading the network")
    network = load_network(lesson.ckpt).to(lesson.device)
    told.send(f"Learning from {counted(len(lesson.pictures), 'picture')}")
    images = [picture for picture, _ in lesson.pictures]
    # What nobody knows is -1: 255 is the class where a mask has no ones.
    masks = [np.where(mask == UNLABELLED, -1, mask.astype(np.int16)) for _, mask in lesson.pictures]
    try:
        learnt = network.model.learn_class(lesson.name, images, masks)
    except ValueError as error:  # what a network says of its arguments
        told.send(Refusal(str(error)))
        return
    told.send("Keeping what was learnt")
    grown = Network(learnt.cpu())
    config = read_checkpoint(lesson.ckpt)["hyper_parameters"]["config"]
    save_network(lesson.folder, grown, config_of_grown(config, grown))


def _end_with_the_page() -> None:
    """Leave nothing behind where the page ends in whatever way."""
    page = parent_process()
    if page is not None:
        wait([page.sentinel])
        os._exit(1)


def _tell_log_lines(told: Connection) -> None:
    """Say what the learning logs to whoever waits for it."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.send(record.getMessage())

    log = logging.getLogger("transformers_update_for_adapters")
    log.addHandler(Teller())
    log.setLevel(logging.INFO)
