"""Which classes are probably in a picture, by the recogniser of a network that is calibrated."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.networks.network import Recognition
from seg_training.prediction.averaged_probabilities import Look, Looks, recognitions

__all__ = [
    "Recognised",
    "check_tells_presence",
    "likeliest_first",
    "look_for",
    "recognise_picture",
]

_MOST_SAID = 4  # classes of a picture that are not there


class Recognised(NamedTuple):
    """What the recogniser says of a picture as a whole, as the network was trained to see it.

    Attributes:
        known: what it said in each look, the plainest first, for the classes that are asked in it.
        presence: per class of the network how likely it is there, None where that is not known.
        least: from which presence on a class is looked for.
    """

    known: dict[Look, Recognition]
    presence: tuple[float | None, ...]
    least: float

    @property
    def plainest(self) -> tuple[Look, Recognition]:
        """The look that the network was trained to, and what it said there."""
        return next(iter(self.known.items()))

    def likely(self, task_ids: Iterable[int]) -> list[int]:
        """Choose the classes that are worth asking; those of which nobody knows are.

        Args:
            task_ids: of the network.
        """
        scores = ((task_id, self.presence[task_id]) for task_id in task_ids)
        return [task_id for task_id, score in scores if score is None or score >= self.least]


def check_tells_presence(network: Network) -> None:
    """Refuse to ask only what is there where nothing tells that.

    Raises:
        UserError: if the network does not tell.
    """
    if not network.tells_presence:
        lacks = "calibrated presence" if network.recognises else "recogniser"
        raise UserError(
            f"only-present: this network has no {lacks}, and does not say which classes are in a "
            "picture; leave only-present out"
        )


def look_for(recall: int, network: Network) -> None:
    """Let a network look for more of what is there, or for less.

    Args:
        recall: of what is there, how much is to be found, in percent.
        network: that tells presence.

    Raises:
        UserError: if it was not calibrated for that.
    """
    presence = network.config.presence or {}
    least_at = presence.get("least_at", {})
    if str(recall) not in least_at:
        known = ", ".join(least_at) or "that of 90 alone, by an older version: leave recall out"
        raise UserError(f"recall {recall}: this network was calibrated for {known}")
    network.config.presence = {**presence, "least": least_at[str(recall)]}


def likeliest_first(left_out: Mapping[str, float]) -> str:
    """Name classes that are probably not there, with their presence: a few of them.

    Args:
        left_out: presence by name.
    """
    ranked = sorted(left_out.items(), key=lambda each: (-each[1], each[0]))
    shown = [f"{name} ({score:.2f})" for name, score in ranked[:_MOST_SAID]]
    more = len(ranked) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def recognise_picture(
    network: Network, picture: NDArray[np.uint8], looks: Looks
) -> Recognised | None:
    """Ask what is in a picture.

    Args:
        network: in evaluation mode.
        picture: (H, W, 3) uint8 RGB.
        looks: at the picture; what is there is seen as :func:`recognitions` says.

    Returns:
        None where the network does not tell.
    """
    calibration = network.config.presence
    if not network.tells_presence or calibration is None:
        return None
    known = recognitions(network, picture, looks)
    seen = next(iter(known.values()))  # all have the same presence
    scores = seen.presence[0].tolist()
    presence = tuple(None if math.isnan(score) else score for score in scores)
    return Recognised(known, presence, calibration["least"])
