"""Fetching what publishers offer: downloads that go on where they were cut, careful unpacking."""
