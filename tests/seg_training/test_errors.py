import pytest

from seg_training.errors import UserError, counted, listed, suggest
from transformers_update_for_adapters import TASFormerConfig, find_task


def test_things_are_counted_in_words() -> None:
    assert [counted(number, "image") for number in (0, 1, 2_000)] == [
        "0 images",
        "1 image",
        "2,000 images",
    ]


def test_lists_end_in_how_many_more_there_are() -> None:
    assert listed([]) == ""
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listed([str(number) for number in range(1_500)]) == "0, 1, 2, 3, 4 and 1,495 more"


@pytest.mark.parametrize("word", ["tre", "Sky", "truck", "zzz", "wal"])
def test_both_packages_suggest_the_same(word: str) -> None:
    """Two copies, because the models' package imports PyTorch and nothing of this one."""
    names = ["tree", "trees", "skyy", "wall", "walls", "wally", "truc"]
    with pytest.raises(ValueError, match="knows no class") as error:
        find_task(word, TASFormerConfig(num_tasks=len(names), task_names=names))
    assert str(error.value).endswith(f"'{word}'{suggest(word, names)}")


def test_what_others_wrote_is_cut_out_of_a_message() -> None:
    said = str(UserError(f"a.txt: '{'9' * 100_000}' is no name. Correct it"))
    assert said.startswith("a.txt: '999")
    assert said.endswith("99' is no name. Correct it")
    assert " [...] " in said
    assert len(said) < 10_100
    assert str(UserError("short")) == "short"
