"""A static page that runs a network in the browser; nothing that a person drops is uploaded."""
