"""Results to look at: HTML pages that need no other file and no internet."""
