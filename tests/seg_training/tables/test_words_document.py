"""Tables of words: what was measured stands there, by hand; the rest was not run."""

import json
from pathlib import Path

import pytest

from seg_training.errors import UserError
from seg_training.tables.words_document import with_words

MARKS = "".join(
    f"<!-- {name}: begin -->\n<!-- {name}: end -->\n"
    for name in ("words", "words_synonyms", "words_starts")
)


def test_nothing_was_run(tmp_path: Path) -> None:
    text = with_words(MARKS, tmp_path)
    assert text.count("Nothing of it has been run.") == 3
    assert with_words(text, tmp_path) == text
    with pytest.raises(UserError, match="words_starts: begin"):
        with_words(MARKS.partition("<!-- words_starts")[0], tmp_path)


def test_starts_by_hand(tmp_path: Path) -> None:
    def keep(start: str, seed: int, bag: float, coat: float) -> None:
        file = tmp_path / f"words/starts/ccp/embedding/5_pictures_from_{start}_seed{seed}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        new = {"bag": bag, "coat": coat}
        about = {"method": "embedding", "pictures": 5, "seed": seed, "start": start}
        file.write_text(json.dumps({**about, "new": new}))

    keep("random", 0, 10, 20)
    keep("random", 1, 20, 30)
    keep("words", 0, 30, 40)
    text = with_words(MARKS, tmp_path)
    assert "Mean of bag, coat:" in text
    # Random (15 + 25) / 2, words 35.
    assert "| embedding | 5 | 20.0 | not run | not run | 35.0 | +15.0 | 2 |" in text


def test_near_synonyms_have_a_table_of_their_own(tmp_path: Path) -> None:
    own = {"asked_as": "purse", "bIoU": 33.3, "num_masks": 2}
    way = {"bIoU": 33.3, "bIoU_calibrated": 34.4, "per_name": {"bag": own}}
    content = {"words": True, "nearness": {"bag": 0.8}, "ways": {"zero-shot": way}}
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "synonyms_words_seed0.json").write_text(json.dumps(content))
    (tmp_path / "words" / "synonyms_neighbours.json").write_text("{}")
    before, _, after = with_words(MARKS, tmp_path).partition("<!-- words_synonyms: begin")
    assert "33.3 (purse)" in after
    assert "Nothing of it has been run." in before
