"""Evaluating networks: what is measured of masks and label maps, and how it is averaged."""
