"""A few pictures of a dataset's training split, with masks of the classes that are to be learnt."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError, listed
from seg_training.networks import Network
from transformers_update_for_adapters.few_pictures import UNLABELLED, LabelledPicture
from transformers_update_for_adapters.task_names import known_as

__all__ = ["data_as_shown", "draw_pictures", "new_names", "one_dataset", "read_pictures"]

_log = logging.getLogger(__name__)


def data_as_shown(config: Mapping[str, Any], network: Network) -> DataModule:
    """Build the data of a config as a network is shown them.

    Args:
        config: the experiment's, as plain dicts.
        network: of whose crop size and view the pictures are to be.

    Raises:
        UserError: if a setting is wrong.
    """
    shown = {
        **config["data"],
        "crop_size": list(network.crop_size),
        "view": network.config.view,
        "calibration_share": 0,
    }
    return build_data_module(shown, config["tasks"], config["seed"])


def new_names(network: Network, names: Sequence[str]) -> list[str]:
    """List the classes that a network does not know; of the others it is said.

    Args:
        network: with names.
        names: of a dataset's tasks.

    Raises:
        UserError: if it knows them all.
    """
    means = {name: known_as(name, network.config) for name in names}
    new = [name for name, own in means.items() if own is None]
    known = [name if own == name else f"{name} (as {own})" for name, own in means.items() if own]
    if not new:
        raise UserError(
            f"the network knows all classes of these data already: {listed(known, 20)}; give data "
            "with others, or tasks.classes=[...] with names of your own"
        )
    if known:
        _log.info("known already, and left as they are: %s", listed(known, 20))
    return new


def draw_pictures(data: DataModule, names: Sequence[str], most: int | None, seed: int) -> list[int]:
    """Choose training pictures, so many that show each class.

    Args:
        data: of one dataset.
        names: of some of its tasks.
        most: of each class; None for all. A picture that shows several counts for each of them.
        seed: decides which.

    Returns:
        Places of the images in the training split.

    Raises:
        UserError: if no picture shows one of the classes.
    """
    _, presence = one_dataset(data).trained_images()
    ids = [data.task_names.index(name) for name in names]
    shown = np.zeros((len(presence), len(ids)), bool)
    for image in range(len(presence)):
        shown[image] = np.isin(ids, presence.present(image))
    lacking = [name for row, name in enumerate(names) if not shown[:, row].any()]
    if lacking:
        raise UserError(
            f"no training picture shows {listed(lacking)}; label some, or leave the class out by "
            "tasks.classes=[...]"
        )
    order = np.random.default_rng(seed).permutation(len(presence))
    chosen: list[int] = []
    for row in np.argsort(shown.sum(axis=0), kind="stable"):  # rare ones first
        lacks = (len(order) if most is None else most) - int(shown[chosen, row].sum())
        further = [int(image) for image in order if shown[image, row] and image not in set(chosen)]
        chosen += further[: max(0, lacks)]
    return chosen


def read_pictures(
    network: Network, data: DataModule, places: Sequence[int], names: Sequence[str]
) -> list[LabelledPicture]:
    """Read training pictures as a network is shown them.

    Args:
        network: that they are for.
        data: of :func:`data_as_shown`.
        places: from :func:`draw_pictures`.
        names: of the classes whose masks are wanted.
    """
    samples, _ = one_dataset(data).trained_images()
    ids = torch.tensor([data.task_names.index(name) for name in names])
    pictures = []
    for place in places:
        image, _, truth, *_ = samples[place]
        masks = truth.resized((image.shape[-2], image.shape[-1])).masks(ids)
        masks[~truth.known[ids]] = UNLABELLED
        [pixel_values] = network.normalised(image[None].to(network.mean.device))
        pictures.append(LabelledPicture(pixel_values, masks))
    return pictures


def one_dataset(data: DataModule) -> Any:
    """Give the dataset that classes are learnt from.

    Raises:
        UserError: if there are several.
    """
    sources = list(data.sources().values())
    if len(sources) != 1:
        raise UserError(
            f"these data are {len(sources)} datasets; classes are learnt from one at a time: give "
            "a config of one"
        )
    return sources[0]
