"""A web page that asks networks for classes of a picture, for people who just want to see it."""
