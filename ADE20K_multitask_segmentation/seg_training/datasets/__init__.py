"""Datasets of label maps, and what turns them into batches of class prompts."""
