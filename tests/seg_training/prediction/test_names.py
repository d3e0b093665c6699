from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seg_training.config import compose_config
from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.loading import DataModule
from seg_training.errors import UserError
from seg_training.prediction.names import find_tasks, label_sources

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture(scope="module")
def ade20k() -> tuple[tuple[str, ...], DataModule]:
    """All tasks of ADE20K; its folder is not set, and not needed."""
    config = compose_config("ade20k_adapter", ["model.pretrained=null"], CONFIGS)
    labels = label_sources(config, ())
    assert labels is None  # the vocabulary is another: only names remain
    names = tuple(ADE20K(".").classes.short_names().values())
    labels = label_sources(config, names)
    assert labels is not None
    return names, labels


def test_names_and_synonyms_lead_to_the_task(ade20k: tuple[tuple[str, ...], DataModule]) -> None:
    names, labels = ade20k
    for name in ("car", "auto", "automobile", "Auto"):
        assert find_tasks([name], names, labels) == {names.index("car"): "car"}
    found = find_tasks(["sky", "tree", "sky"], names, labels)
    assert list(found.values()) == ["sky", "tree"]
    assert list(found) == [names.index("sky"), names.index("tree")]


def test_all_are_all(ade20k: tuple[tuple[str, ...], DataModule]) -> None:
    names, labels = ade20k
    assert find_tasks(["all"], names, labels) == dict(enumerate(names))
    with pytest.raises(UserError, match="'all' stands alone"):
        find_tasks(["all", "sky"], names, labels)


def test_a_word_of_two_classes_is_ambiguous(ade20k: tuple[tuple[str, ...], DataModule]) -> None:
    names, labels = ade20k
    with pytest.raises(UserError, match=r"'screen' is ambiguous: ask for 'screen;.*' or 'scr"):
        find_tasks(["screen"], names, labels)


def test_unknown_names_are_answered_with_close_ones(
    ade20k: tuple[tuple[str, ...], DataModule],
) -> None:
    names, labels = ade20k
    with pytest.raises(UserError, match="no class 'automobil'; did you mean 'automobile'"):
        find_tasks(["automobil"], names, labels)
    words = "no class 'xyz'; .*no class 'flor'; did you mean 'floor'.*knows 2: floor, glass; 'all' "
    with pytest.raises(UserError, match=words):
        find_tasks(["xyz", "glass", "flor"], ("floor", "glass"), None)


def test_a_group_of_classes_answers_to_each_of_them(
    fake_folder: Callable[[], Path], fake_classes: dict[str, Any]
) -> None:
    config = compose_config("folder_adapter", ["model.pretrained=null"], CONFIGS)
    config["data"]["classes"] = fake_classes
    config["tasks"] = {"classes": {"plants": ["tree"], "ground": ["road"]}}
    names = ("plants", "ground")
    labels = label_sources(config, names)
    assert find_tasks(["shrub", "street"], names, labels) == {0: "plants", 1: "ground"}
    with pytest.raises(UserError, match="no class 'car'"):  # of the dataset, not of the network
        find_tasks(["car"], names, labels)
