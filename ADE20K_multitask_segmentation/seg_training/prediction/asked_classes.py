"""From the names that a user asks for to a network's tasks."""

from collections.abc import Sequence

from seg_training.errors import UserError
from seg_training.networks import Network
from transformers_update_for_adapters import find_tasks

__all__ = ["named_tasks"]


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
