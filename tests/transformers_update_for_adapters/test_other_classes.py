"""A saved model for other classes than its own: the idioms of fine-tuning."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSemanticSegmentation

from transformers_update_for_adapters import (
    METHODS,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
)

NAMES = ["tree", "sky", "car", "road", "wall"]
SYNONYMS = [["shrub"], [], ["auto"], [], []]
MEASURED = {"bIoU": 48.31, "num_masks": 7, "per_class": {}}
PIXELS = torch.zeros(1, 3, 64, 64)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Per method a model of five classes."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def folder(folders: Path, make_config: Callable[..., TASFormerConfig]) -> Callable[..., Path]:
    def make(method: str, other_channel: bool = True) -> Path:
        path = folders / f"{method}-{other_channel}"
        if not path.exists():
            config = make_config(
                method,
                task_names=NAMES,
                task_synonyms=SYNONYMS,
                other_channel=other_channel,
                measured=MEASURED,
                thresholds=[0.0, 1.0, -1.0, 0.5, 0.25],
                depths=[1] * 4,
            )
            TASFormerForSemanticSegmentation(config).save_pretrained(path)
        return path

    return make


def assert_consistent(model: TASFormerForSemanticSegmentation, again: Path) -> None:
    """Names, tasks and channels agree, and saving and loading changes nothing."""
    config = model.config
    assert len(config.task_names or range(config.num_tasks)) == config.num_tasks
    assert len(config.task_synonyms or range(config.num_tasks)) == config.num_tasks
    assert config.label2id == {name: index for index, name in config.id2label.items()}
    assert config.num_labels == len(config.id2label)
    if config.method == "segformer" and config.task_names:
        assert list(config.id2label.values())[-config.num_tasks :] == config.task_names
    model = model.eval()
    ids = torch.tensor([config.num_tasks - 1])
    logits = model(PIXELS, task_ids=ids).logits
    assert logits.shape[1] == config.num_labels
    model.save_pretrained(again)
    loaded = TASFormerForSemanticSegmentation.from_pretrained(again)
    torch.testing.assert_close(loaded(PIXELS, task_ids=ids).logits, logits)
    for field in ("num_tasks", "task_names", "task_synonyms", "id2label", "label2id", "measured"):
        assert getattr(loaded.config, field) == getattr(config, field), field


@pytest.mark.parametrize("method", ["segformer", "vsa_emb", "adapter_hf"])
@pytest.mark.parametrize(
    ("given", "number", "names"),
    [
        ({"num_tasks": 2}, 2, None),
        ({"task_names": ["a", "b"]}, 2, ["a", "b"]),
        ({"num_tasks": 7, "task_synonyms": None}, 7, None),
        ({"task_names": [*NAMES, "lamp"]}, 6, [*NAMES, "lamp"]),
    ],
)
def test_other_tasks_leave_the_old_ones_behind(
    method: str,
    given: dict[str, Any],
    number: int,
    names: list[str] | None,
    folder: Callable[..., Path],
    tmp_path: Path,
) -> None:
    model = AutoModelForSemanticSegmentation.from_pretrained(
        folder(method), ignore_mismatched_sizes=True, **given
    )
    assert (model.config.num_tasks, model.config.task_names) == (number, names)
    assert model.config.task_synonyms is None
    assert model.config.measured is None
    assert model.config.thresholds is None
    assert_consistent(model, tmp_path)


LABELS = {0: "other", 1: "a", 2: "b"}


@pytest.mark.parametrize(
    ("given", "number", "names"),
    [
        ({"num_labels": 3}, 2, None),
        ({"num_labels": 6}, 5, NAMES),
        ({"id2label": LABELS}, 2, ["a", "b"]),
        ({"id2label": {str(index): name for index, name in LABELS.items()}}, 2, ["a", "b"]),
        ({"label2id": {name: index for index, name in LABELS.items()}}, 2, ["a", "b"]),
        (
            {
                "num_labels": 3,
                "id2label": LABELS,
                "label2id": {name: str(index) for index, name in LABELS.items()},
            },
            2,
            ["a", "b"],
        ),
        ({"id2label": LABELS, "task_names": ["a", "b"], "num_tasks": 2}, 2, ["a", "b"]),
    ],
)
def test_labels_are_the_channels_of_the_baseline(
    given: dict[str, Any],
    number: int,
    names: list[str] | None,
    folder: Callable[..., Path],
    tmp_path: Path,
) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(
        folder("segformer"), ignore_mismatched_sizes=True, **given
    )
    assert (model.config.num_tasks, model.config.task_names) == (number, names)
    assert model.config.task_synonyms == (SYNONYMS if number == 5 else None)
    assert_consistent(model, tmp_path)


def test_labels_of_a_baseline_without_other_are_its_tasks(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(
        folder("segformer", other_channel=False),
        ignore_mismatched_sizes=True,
        id2label={0: "a", 1: "b", 2: "other"},
    )
    assert model.config.task_names == ["a", "b", "other"]
    assert_consistent(model, tmp_path)


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("segformer", {"num_labels": 1}, "num_tasks is 0; it must be 1 or more"),
        (
            "segformer",
            {"id2label": {0: "ground", 1: "a", 2: "b"}},
            "call a channel 'ground' that is 'other'",
        ),
        ("segformer", {"id2label": {0: "other", 2: "b"}}, r"the indices \[0, 2\]; expected 0, 1"),
        (
            "segformer",
            {"id2label": LABELS, "label2id": {"other": 0, "b": 1, "a": 2}},
            "label2id is not the inverse of id2label",
        ),
        (
            "segformer",
            {"id2label": LABELS, "num_labels": 5},
            "num_labels is 5, but id2label or label2id name 3",
        ),
        (
            "segformer",
            {"id2label": LABELS, "num_tasks": 3},
            "task_names has 2 entries, but num_tasks is 3",
        ),
        ("segformer", {"id2label": LABELS, "task_names": ["b", "a"]}, "call a channel 'a' that is"),
        ("emb", {"num_labels": 5}, "say 5 labels, but method 'emb' has one output channel"),
        ("adapter_hf", {"id2label": LABELS}, "say 3 labels, but method 'adapter_hf' has one"),
        ("adapter_hf", {"label2id": {"tree": 0}}, "call a channel 'tree' that is 'the class that"),
        (
            "adapter_hf",
            {"num_tasks": 2, "task_names": ["a"]},
            "task_names has 1 entries, but num_tasks is 2",
        ),
        ("adapter_hf", {"task_names": ["a", "a"]}, "task_names has 'a' twice"),
        (
            "adapter_hf",
            {"task_synonyms": [["x"]]},
            "task_synonyms has 1 entries, but num_tasks is 5",
        ),
    ],
)
def test_what_disagrees_is_refused(
    method: str, given: dict[str, Any], message: str, folder: Callable[..., Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        TASFormerForSemanticSegmentation.from_pretrained(
            folder(method), ignore_mismatched_sizes=True, **given
        )


def test_the_same_classes_keep_what_is_known_of_them(folder: Callable[..., Path]) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(
        folder("segformer"), id2label=dict(enumerate(["other", *NAMES])), num_tasks=5
    )
    assert model.config.task_synonyms == SYNONYMS
    assert model.config.measured == MEASURED


@pytest.mark.parametrize("method", METHODS)
def test_another_method_is_another_network(
    method: str, folder: Callable[..., Path], tmp_path: Path
) -> None:
    old = "emb" if method == "segformer" else "segformer"
    model = TASFormerForSemanticSegmentation.from_pretrained(
        folder(old), method=method, ignore_mismatched_sizes=True
    )
    assert model.config.method == method
    assert model.config.task_names == NAMES
    assert model.config.measured is None
    assert model.config.thresholds is None
    assert_consistent(model, tmp_path)


def test_a_backbone_of_another_size_is_refused(folder: Callable[..., Path]) -> None:
    with pytest.raises(
        ValueError, match=r"backbone's weights in .* do not fit: .* is \(32,\), but"
    ):
        TASFormerForSemanticSegmentation.from_pretrained(
            folder("emb"), hidden_sizes=[8, 16, 24, 64], ignore_mismatched_sizes=True
        )


def test_labels_of_another_kind_of_model_are_not_ours(
    make_backbone: Callable[..., tuple[Path, Any]],
) -> None:
    path, _ = make_backbone()  # with ImageNet's labels
    config = TASFormerConfig.from_pretrained(path, method="segformer", num_tasks=3)
    assert config.id2label == {0: "other", 1: "class 0", 2: "class 1", 3: "class 2"}


def test_fields_are_given_to_auto_config_alike(folder: Callable[..., Path]) -> None:
    config, unused = AutoConfig.from_pretrained(
        folder("segformer"), task_names=["a"], unknown=1, return_unused_kwargs=True
    )
    assert config.id2label == {0: "other", 1: "a"}
    assert unused == {"unknown": 1}


def test_a_config_that_was_changed_under_its_model_is_not_saved(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(folder("segformer"))
    model.config.task_synonyms = model.config.thresholds = None
    model.config.task_names = None
    model.config.num_tasks = 2
    with pytest.raises(
        ValueError, match=r"does not describe .*classifier.weight is \(6, .*be \(3,"
    ):
        model.save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []
    model.config.num_tasks, model.config.method = 5, "emb"
    with pytest.raises(ValueError, match=r"the config does not describe .* is not there, but"):
        model.save_pretrained(tmp_path)
