"""New classes for a trained network, from a few pictures, and other changes of its class list."""
