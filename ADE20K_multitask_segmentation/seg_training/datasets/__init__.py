"""Datasets, and what turns them into batches of class prompts."""
