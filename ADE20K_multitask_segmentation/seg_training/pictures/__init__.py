"""Pictures: read, resized, written on."""
