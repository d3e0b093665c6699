"""A training: from a config to a run's folder."""
