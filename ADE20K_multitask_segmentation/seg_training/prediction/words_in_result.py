"""What a result says of names that the network was not trained with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional as F

from seg_training.networks import Network
from seg_training.prediction.asked_classes import Asked
from seg_training.prediction.classes_in_picture import Recognised
from transformers_update_for_adapters.new_names import nearest_margins

__all__ = ["words_of_class", "words_settings"]

_TAKEN, _NEW = "taken_for", "zero_shot"


def words_settings(asked: Asked) -> dict[str, Any]:
    """List, for the settings that are kept with results, what names were taken for.

    Args:
        asked: by a user.

    Returns:
        Nothing where all names are the network's own. Else ``taken_for``, by the name that was
        asked for, and ``zero_shot``, by the name that is painted without training: the nearest
        class and the cosine to it.
    """
    kinds = {_TAKEN: asked.taken, _NEW: asked.new}
    return {
        kind: {
            name: {"nearest": own.name, "nearness": round(own.nearness, 4)}
            for name, own in words.items()
        }
        for kind, words in kinds.items()
        if words
    }


def words_of_class(
    network: Network,
    recognised: Recognised | None,
    name: str,
    settings: Mapping[str, Any],
    mask: NDArray[np.bool_],
) -> dict[str, Any]:
    """Say of one class of a result for which names it was taken, or how it is painted untrained.

    Args:
        network: that knows the class, if only by its name.
        recognised: what its recogniser said of the picture, if it can tell.
        name: of the class.
        settings: of the result.
        mask: (H, W) bool, where it is painted.

    Returns:
        Fields of the class in ``result.json``: ``asked_as``; or ``zero_shot`` with ``nearest``,
        ``nearness`` and ``margin``, the mean probability in the mask that the recogniser alone sees
        the nearest class there, None where it cannot tell.
    """
    as_other = [other for other, own in settings.get(_TAKEN, {}).items() if own["nearest"] == name]
    fields: dict[str, Any] = {"asked_as": as_other} if as_other else {}
    if name in settings.get(_NEW, {}):
        margin = None
        if recognised is not None and mask.any():
            margin = _mean_margin(network, recognised, name, mask)
        fields[_NEW] = {**settings[_NEW][name], "margin": margin}
    return fields


def _mean_margin(
    network: Network, recognised: Recognised, name: str, mask: NDArray[np.bool_]
) -> float:
    look, recognition = recognised.plainest
    task_id, shown = network.task_names.index(name), look.shown
    alone = nearest_margins(network.model, recognition, [task_id], shown.size)
    height, width = shown.picture
    seen = F.interpolate(
        alone[..., :height, :width].float(), size=mask.shape, mode="bilinear", align_corners=False
    )
    return round(float(seen[0, 0].sigmoid().cpu().numpy()[mask].mean()), 4)
