"""Results to look at and to keep: tables, files, pictures, pages that need no internet."""
