"""Write the tables of recipes anew, from docs/results: ``make recipes`` runs it."""

from pathlib import Path

from seg_training.tables.new_classes_document import with_curves
from seg_training.tables.recipes_document import with_main_rows, with_tables
from seg_training.tables.words_document import with_words

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENTS = {
    DOCS / "recipes.md": with_tables,
    DOCS.parent / "README.md": with_main_rows,
    DOCS / "new_classes.md": with_curves,
    DOCS / "words.md": with_words,
}

if __name__ == "__main__":
    for document, filled in DOCUMENTS.items():
        text = filled(document.read_text(encoding="utf-8"), DOCS / "results")
        document.write_text(text, encoding="utf-8")
