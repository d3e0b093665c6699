"""Pictures: read from files, resized, written on."""
