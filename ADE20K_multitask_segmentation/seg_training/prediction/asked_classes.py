"""From the names that a user asks for to a network's tasks."""

from collections.abc import Sequence
from typing import NamedTuple

from seg_training.errors import UserError
from seg_training.networks import Network
from transformers_update_for_adapters import find_tasks
from transformers_update_for_adapters.near_words import NEAREST, NearWord, understand
from transformers_update_for_adapters.new_names import knowing

__all__ = ["Asked", "asked_classes", "named_tasks"]


class Asked(NamedTuple):
    """What was asked for.

    Attributes:
        network: that is asked; a copy that knows more where names are painted without training.
        tasks: task id to the task's own name, in the order that was asked for.
        taken: by a name that is not known, the nearest class, which is asked in its place.
        new: by a name painted without training, the nearest class.
    """

    network: Network
    tasks: dict[int, str]
    taken: dict[str, NearWord]
    new: dict[str, NearWord]


def asked_classes(asked: Sequence[str], network: Network, unknown: str = NEAREST) -> Asked:
    """Find the tasks of names, known or near ones, or let the network know them.

    Args:
        asked: names, synonyms or near words; or ``all`` alone.
        network: whose configuration has the names.
        unknown: what a name that is not known may be, see ``near_words.UNKNOWN``.

    Raises:
        UserError: if names are not known, close ones are suggested; or if a network was trained
            without words, or the text encoder is missing, where it is needed.
    """
    try:
        model, new = knowing(network.model, asked, unknown)
        network = Network(model).eval() if new else network
        task_ids, taken = understand(asked, network.config, unknown)
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from error
    tasks = {task_id: network.task_names[task_id] for task_id in task_ids}
    return Asked(network, tasks, taken, new)


def named_tasks(asked: Sequence[str], network: Network) -> dict[int, str]:
    """Find the tasks of names.

    Args:
        asked: names or synonyms, or ``all`` alone.
        network: whose configuration has the names.

    Returns:
        Task id to the task's own name, in the order that was asked for.

    Raises:
        UserError: if names are not known; close ones are suggested.
    """
    try:
        task_ids = find_tasks(asked, network.config)
    except ValueError as error:
        raise UserError(str(error)) from error
    return {task_id: network.task_names[task_id] for task_id in task_ids}
