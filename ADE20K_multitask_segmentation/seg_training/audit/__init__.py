"""The audit of a dataset before training: what would go wrong is listed."""
