"""Loading the authors' released weights."""

from collections.abc import Mapping

from torch import Tensor

from seg_training.errors import UserError
from seg_training.networks.network import Network
from transformers_update_for_adapters import released_weights

__all__ = ["load_reference_state_dict", "load_released_state_dict"]


def load_released_state_dict(network: Network, state_dict: Mapping[str, Tensor]) -> None:
    """Load the weights of a checkpoint that the authors released.

    Args:
        network: of the method and the number of tasks of the file.
        state_dict: names as released, with or without ``mask_net.``, in the file's order.

    Raises:
        UserError: if the weights do not fit the network; the message says why.
    """
    try:
        released_weights.load_released_state_dict(network.model, state_dict)
    except ValueError as error:
        raise UserError(f"cannot load the released weights: {error}") from error


load_reference_state_dict = load_released_state_dict  # the name that people have in their code
