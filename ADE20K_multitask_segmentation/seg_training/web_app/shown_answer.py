"""What is shown of an answer at a threshold: the classes found, an overlay, masks."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_training.prediction.joint_label_map import JointLabelMap
from seg_training.results.overlays import Colour, tinted
from seg_training.web_app.painters import Answer

__all__ = ["ShownAnswer", "ShownClass", "show"]


@dataclass(frozen=True)
class ShownClass:
    """One class of an answer.

    Attributes:
        name: the task's.
        colour: in the overlay.
        mask: bool, of the size of the probabilities: the pixels from the threshold on.
        share_percent: of the picture.
        confidence: the mean probability in the mask; None where nothing was found.
        highest: the highest probability of any pixel.
        presence: how likely the class is in the picture at all; None where that is not known.
    """

    name: str
    colour: Colour
    mask: NDArray[np.bool_]
    share_percent: float
    confidence: float | None
    highest: float
    presence: float | None = None

    @property
    def found(self) -> bool:
        """Whether any pixel reaches the threshold."""
        return self.confidence is not None


@dataclass(frozen=True)
class ShownAnswer:
    """An answer at a threshold.

    Attributes:
        overlay: (h, w, 3) uint8 RGB: the picture, tinted by the most probable class of each pixel.
        classes: in the order that they were asked for.
    """

    overlay: NDArray[np.uint8]
    classes: list[ShownClass]


def show(
    answer: Answer,
    tasks: Mapping[int, str],
    colours: Mapping[str, Colour],
    threshold: float | Mapping[str, float],
    opacity: float,
) -> ShownAnswer:
    """Draw an answer; no network is needed.

    Args:
        answer: a network's.
        tasks: task id to name, of those that were asked for.
        colours: of the names.
        threshold: probabilities from it on are the class; of all classes, or by their names.
        opacity: of the colours in the overlay, in [0, 1].
    """
    height, width = answer.picture.shape[:2]
    label_map = JointLabelMap((height, width))
    classes = []
    for task_id, name in tasks.items():
        probability = answer.probabilities[task_id]
        least = threshold if isinstance(threshold, float | int) else threshold[name]
        mask = probability >= least
        if mask.any():
            competes = task_id not in answer.unknown
            label_map.add(task_id, _enlarged(probability, (height, width)), least, competes)
        classes.append(
            ShownClass(
                name,
                colours[name],
                mask,
                share_percent=100 * float(mask.mean()),
                confidence=float(probability[mask].mean()) if mask.any() else None,
                highest=float(probability.max()),
                presence=None if answer.presence is None else answer.presence[task_id],
            )
        )
    shown = {
        task_id + 1: colours[name]
        for (task_id, name), own in zip(tasks.items(), classes, strict=True)
        if own.found
    }
    return ShownAnswer(tinted(answer.picture, label_map.labels, shown, opacity), classes)


def _enlarged(probability: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    if probability.shape == size:
        return probability
    enlarged = cv2.resize(probability, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)
