"""Kinds of annotation: how each is found beside the images, and read into values or masks."""
