"""Checkpoints and model folders: found, read, saved, turned from released ones."""
