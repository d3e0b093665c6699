"""Write the tables of docs/recipes.md anew, from docs/results: ``make recipes`` runs it."""

from pathlib import Path

from seg_training.tables.recipes_document import with_tables

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT = DOCS / "recipes.md"

if __name__ == "__main__":
    text = with_tables(DOCUMENT.read_text(encoding="utf-8"), DOCS / "results")
    DOCUMENT.write_text(text, encoding="utf-8")
