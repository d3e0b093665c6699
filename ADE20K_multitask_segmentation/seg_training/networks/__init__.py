"""The methods behind one interface."""

from seg_training.networks.network import Network
from seg_training.networks.network_building import build_network
from seg_training.networks.released_state_dict import (
    load_reference_state_dict,
    load_released_state_dict,
)

__all__ = ["Network", "build_network", "load_reference_state_dict", "load_released_state_dict"]
