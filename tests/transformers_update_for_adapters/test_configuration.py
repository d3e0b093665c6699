from pathlib import Path

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
