"""Files and folders: found, named, written as a whole or not at all."""
