from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_networks import SMALL

from seg_training.config import compose_config
from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.task_synonyms import synonyms_of_config, task_synonyms
from seg_training.errors import UserError
from seg_training.networks import build_network
from seg_training.prediction.asked_classes import named_tasks
from seg_training.tasks import LabelClasses, TaskTable

CONFIGS = Path(__file__).parents[3] / "configs"


def test_synonyms_are_those_of_the_dataset_whose_folder_is_not_needed() -> None:
    config = compose_config("ade20k_adapter", ["model.pretrained=null"], CONFIGS)
    assert synonyms_of_config(config, ()) is None  # the vocabulary is another: only names remain
    names = tuple(ADE20K(".").classes.short_names().values())
    words = synonyms_of_config(config, names)
    assert words is not None
    assert len(words) == 150
    assert words[names.index("car")] == ["auto", "automobile", "machine", "motorcar"]
    assert words[names.index("sky")] == []


def test_a_group_of_classes_answers_to_each_of_them(
    fake_folder: Callable[[], Path], fake_classes: dict[str, Any]
) -> None:
    config = compose_config("folder_adapter", ["model.pretrained=null"], CONFIGS)
    config["data"]["classes"] = fake_classes
    config["tasks"] = {"classes": {"plants": ["tree"], "ground": ["road"]}}
    names = ["plants", "ground"]
    network = build_network("adapter_hf", 2, task_names=names, **SMALL)
    network.config.task_synonyms = synonyms_of_config(config, names)
    assert named_tasks(["shrub", "street"], network) == {0: "plants", 1: "ground"}
    with pytest.raises(UserError, match="no class 'car'"):  # of the dataset, not of the network
        named_tasks(["car"], network)


def test_several_datasets_of_before_are_known_by_their_classes() -> None:
    """Also where nobody has imported the package that they come from."""
    config = compose_config("multitask_sun_trans10k", [], CONFIGS)
    words = synonyms_of_config(config, config["tasks"]["classes"])
    assert words is not None
    assert len(words) == len(config["tasks"]["classes"])


def test_words_of_several_tables_add_up_whatever_the_labels() -> None:
    names = ["car", "sky"]
    small = TaskTable(LabelClasses({1: "car;auto", 2: "sky"}), "all", names)
    large = TaskTable(LabelClasses({70_000: "vehicle", 3: "sky"}), {"car": ["vehicle"]}, names)
    assert task_synonyms([small, large]) == [["auto", "vehicle"], []]
