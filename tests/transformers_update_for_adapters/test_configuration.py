import json
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub.errors import StrictDataclassError

from transformers_update_for_adapters import METHODS, TASFormerConfig


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("other_channel", [True, False])
def test_only_the_baseline_has_a_channel_per_class(method: str, other_channel: bool) -> None:
    config = TASFormerConfig(method=method, num_tasks=12, other_channel=other_channel)
    assert config.num_labels == (12 + other_channel if method == "segformer" else 1)


def test_channels_have_names(tmp_path: Path) -> None:
    names = {"task_names": ["tree", "sky"], "num_tasks": 2}
    config = TASFormerConfig(method="segformer", **names)
    assert config.id2label == {0: "other", 1: "tree", 2: "sky"}
    assert TASFormerConfig(method="segformer", other_channel=False, **names).id2label[1] == "sky"
    config.save_pretrained(tmp_path)
    assert TASFormerConfig.from_pretrained(tmp_path).label2id == {"other": 0, "tree": 1, "sky": 2}
    assert TASFormerConfig(**names).id2label == {0: "the class that was asked for"}


def test_defaults_are_the_published_network() -> None:
    config = TASFormerConfig()
    assert config.method == "adapter_hf"
    assert tuple(config.hidden_sizes) == (32, 64, 160, 256)
    assert config.drop_path_rate == 0.1
    assert config.classifier_dropout_prob == 0.1
    assert (config.task_embedding_dim, config.projector_hidden_dim, config.projector_dim) == (
        512,
        256,
        64,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"method": "adapter"},
            "method is 'adapter'; known are segformer, emb, vsa_emb, adap",
        ),
        ({"num_tasks": 0}, "num_tasks is 0; it must be 1 or more"),
        ({"num_vectors": -1}, "num_vectors is -1; it must be 1 or more"),
        (
            {"num_tasks": 3, "task_names": ["a", "b"]},
            "task_names has 2 entries, but num_tasks is 3",
        ),
        ({"task_map_shape": [10, 80]}, r"task_map_shape is \(10, 80\); expected"),
        ({"adapter_reduction": 7}, "adapter_reduction is 7, which does not divide .* width 32"),
    ],
)
def test_a_wrong_value_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TASFormerConfig(**options)


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(StrictDataclassError, match="'num_tasks' expected int, got str"):
        TASFormerConfig(num_tasks="12")


def test_reduction_does_not_matter_without_adapters() -> None:
    assert TASFormerConfig(method="emb", adapter_reduction=7).method == "emb"


def segformer(**options: Any) -> TASFormerConfig:
    return TASFormerConfig(method="segformer", **options)


@pytest.mark.parametrize("method", METHODS)
def test_a_configuration_is_made_again_from_what_it_says(method: str, tmp_path: Path) -> None:
    config = TASFormerConfig(method=method, num_tasks=2, task_names=["tree", "other"])
    again = TASFormerConfig(**config.to_dict())
    config.to_json_file(tmp_path / "c.json")
    for same in (again, TASFormerConfig.from_json_file(tmp_path / "c.json"), deepcopy(config)):
        assert same.to_dict() == config.to_dict()
        assert same.label2id == {name: index for index, name in same.id2label.items()}


def test_names_of_channels_are_names_of_tasks() -> None:
    labels = {0: "other", 1: "tree", 2: "sky"}
    assert segformer(num_tasks=2, id2label=labels).task_names == ["tree", "sky"]
    config = segformer(num_tasks=2)
    config.label2id = {"other": 0, "tree": 1, "sky": 2}
    assert config.task_names == ["tree", "sky"]
    assert config.id2label == labels


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_tasks": 3}, "task_names has 2 entries, but num_tasks is 3; to change both"),
        ({"task_names": ["a", "b"]}, "call a channel 'tree' that is 'a'; they follow from task_n"),
        ({"id2label": {0: "other", 1: "a", 2: "sky"}}, "label2id is not the inverse of id2label"),
        ({"other_channel": False}, "say 3 labels, but 2 tasks have 2 output channels; give num_t"),
        ({"num_labels": 2}, "num_labels is 2, but id2label or label2id name 3"),
        ({"method": "emb"}, "say 3 labels, but method 'emb' has one output channel"),
    ],
)
def test_a_part_that_no_longer_fits_is_refused(changed: dict[str, Any], message: str) -> None:
    old = segformer(num_tasks=2, task_names=["tree", "sky"]).to_dict()
    with pytest.raises(ValueError, match=message):
        TASFormerConfig(**(old | changed))


@pytest.mark.parametrize("method", ["segformer", "adapter_hf"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 3),
        ("task_names", ["a"]),
        ("task_names", ["a", "a"]),
        ("task_synonyms", [["x"]]),
        ("thresholds", [0.5]),
        ("thresholds", [0.5, math.inf]),
        ("id2label", {0: "a", 1: "b"}),
        ("label2id", {"a": 0}),
        ("num_labels", 2),
        ("method", "adapter"),
    ],
)
def test_what_is_set_afterwards_fits_or_is_refused(method: str, field: str, value: Any) -> None:
    config = TASFormerConfig(method=method, num_tasks=2, task_names=["tree", "sky"])
    before = config.to_dict()
    with pytest.raises(
        ValueError, match=r"entries, but|twice|labels, but|call a chan|method is|has inf; expected"
    ):
        setattr(config, field, value)
    assert config.to_dict() == before


PRESENCE: dict[str, Any] = {"scale": 1.5, "bias": [0.5, None], "least": 0.25}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("presence", {**PRESENCE, "bias": [0.5]}, "presence has 1 biases, but num_tasks is 2"),
        ("presence", {**PRESENCE, "bias": 0.5}, r"presence has 0\.5 biases"),
        (
            "presence",
            {**PRESENCE, "bias": [0.5, "1"]},
            "presence has the bias 1; expected a finite",
        ),
        ("presence", {**PRESENCE, "bias": [0.5, math.nan]}, "presence has the bias nan"),
        (
            "presence",
            {**PRESENCE, "scale": 0},
            "presence has the scale 0; expected a finite number",
        ),
        ("presence", {**PRESENCE, "scale": math.inf}, "presence has the scale inf"),
        (
            "presence",
            {**PRESENCE, "least": 1.5},
            r"presence has least 1\.5; expected a number from",
        ),
        ("presence", {**PRESENCE, "gate": None}, "presence has gate None; expected a number from"),
        (
            "presence",
            {**PRESENCE, "least_at": [0.5]},
            r"least_at \[0\.5\]; expected numbers",
        ),
        ("presence", {**PRESENCE, "least_at": {"90": 1.5}}, r"least_at \{'90': 1\.5\}; expected"),
        ("presence", {**PRESENCE, "least_at": {"100": 0.5}}, "least_at .*, '1' to '99'"),
        ("presence", {**PRESENCE, "least_at": {"9" * 5000: 0.5}}, "least_at .*, '1' to '99'"),
        ("presence", {"scale": 1.0, "bias": [0.0, 0.0]}, "presence has no least; expected scale,"),
        ("iou_temperature", 0.0, r"iou_temperature is 0\.0; expected a finite number above 0"),
        ("iou_temperature", math.inf, "iou_temperature is inf"),
        ("view", "croped", "view is 'croped'; known are squeeze"),
    ],
)
def test_what_was_calibrated_is_checked_when_read_and_when_set(
    field: str, value: Any, message: str, tmp_path: Path
) -> None:
    config = TASFormerConfig(num_tasks=2, presence=PRESENCE, thresholds=[0.0, 1.0])
    before = config.to_dict()
    with pytest.raises(ValueError, match=message):
        setattr(config, field, value)
    assert config.to_dict() == before
    config.save_pretrained(tmp_path)
    assert TASFormerConfig.from_pretrained(tmp_path).presence == PRESENCE
    stored = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(stored | {field: value}))
    with pytest.raises(ValueError, match=message):
        TASFormerConfig.from_pretrained(tmp_path)


def test_a_recognition_of_another_form_is_refused() -> None:
    parts = {"num_labels": 2, "overlapping": False, "shared_backbone": True}
    for channels in ("ab", [[0], ["1"]], [0, 1], None):
        with pytest.raises(ValueError, match="expected their number, and a list of numbers for ea"):
            TASFormerConfig(num_tasks=2, recognition={**parts, "channels": channels})


def test_channels_follow_what_is_set_afterwards() -> None:
    config = segformer(num_tasks=2, task_names=["tree", "sky"])
    config.task_names = ["bush", "sky"]
    assert config.label2id == {"other": 0, "bush": 1, "sky": 2}
    config.other_channel = False
    assert config.id2label == {0: "bush", 1: "sky"}
    config.task_names = None
    config.num_tasks = 3
    assert config.num_labels == 3
    config.method = "emb"
    assert config.id2label == {0: "the class that was asked for"}
    config.num_labels = 1  # as it is


def test_names_may_be_added_to_a_file(tmp_path: Path) -> None:
    segformer(num_tasks=2).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"task_names": ["tree", "sky"]}))
    assert TASFormerConfig.from_pretrained(tmp_path).label2id["sky"] == 2


def test_a_file_that_disagrees_with_itself_is_refused(tmp_path: Path) -> None:
    segformer(num_tasks=2, task_names=["tree", "sky"]).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    stored = json.loads(file.read_text())
    stored["id2label"]["1"] = stored["label2id"]["bush"] = "bush"
    stored["label2id"] = {"other": 0, "bush": 1, "sky": 2}
    file.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="call a channel 'bush' that is 'tree'; they follow from"):
        TASFormerConfig.from_pretrained(tmp_path)


def test_a_class_called_other_is_not_the_channel_of_no_class() -> None:
    config = segformer(num_tasks=2, task_names=["other", "tree"])
    assert config.label2id == {"no class": 0, "other": 1, "tree": 2}


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({"per_class": [1]}, "measured is no result of an evaluation"),
        ({"bIoU": "<b>", "num_masks": 1}, "measured has numbers that are none"),
        (
            {"bIoU": 1.0, "num_masks": 1, "per_class": {"a": 3}},
            "measured has numbers of class 'a' that are none",
        ),
    ],
)
def test_what_was_measured_is_numbers(measured: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TASFormerConfig(num_tasks=1, measured=measured)
    early = {"bIoU": math.nan, "num_masks": np.int64(3), "bIoU_interval": (None, np.float32(1))}
    assert TASFormerConfig(num_tasks=1, measured=early).measured == early
