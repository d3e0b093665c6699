"""Masks for pictures: from a checkpoint, files and the names of classes to a folder of results."""
