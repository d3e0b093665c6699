"""Trained networks from folders and checkpoints, under the name that people have in their code."""

from seg_training.checkpoints.model_folders import load_network

__all__ = ["load_network"]
