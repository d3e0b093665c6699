"""Configs and class files as people write them, whatever YAML and Hydra would make of it."""
