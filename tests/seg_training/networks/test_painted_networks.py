from typing import Any

import pytest
import torch

from seg_training.errors import UserError
from seg_training.networks import Network, build_network
from seg_training.networks.painted_networks import build_painted_network
from transformers_update_for_adapters.methods import METHODS

SIZES: dict[str, Any] = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 16,
}
PROMPTED = [name for name, method in METHODS.items() if method.prompted]
NAMES = ["tree", "sky", "car"]


def plain() -> Network:
    torch.manual_seed(1)
    network = build_network("segformer", 3, task_names=NAMES, **SIZES).train()
    for _ in range(3):  # statistics that are no longer those of a new network
        network.label_logits(torch.rand(2, 3, 64, 64))
    return network.eval()


def painted(recogniser: Network, method: str, **options: Any) -> Network:
    return build_painted_network(
        recogniser.model,
        [[1], [2], [3]],
        {"method": method, "pretrained": None, "resize_embedding": True} | options,
        labels=["other", *NAMES],
        source="a run",
        num_tasks=3,
        task_names=NAMES,
    )


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("method", PROMPTED)
def test_a_new_one_answers_as_its_recogniser_to_the_bit(method: str, shared: bool) -> None:
    recogniser = plain()
    network = build_painted_network(
        recogniser.model,
        [[1], [2], [3]],
        {"method": method, "pretrained": None, "resize_embedding": True},
        labels=["other", *NAMES],
        source="a run",
        num_tasks=3,
        task_names=NAMES,
        shared_backbone=shared,
    )
    head, source = network.model.decode_head, recogniser.model.decode_head
    assert torch.equal(head.batch_norm.running_mean, source.batch_norm.running_mean)
    assert head.batch_norm.running_mean.any()  # type: ignore[union-attr]
    channels = METHODS[method].head_channels(network.config)
    assert head.classifier.out_channels == channels
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(network.label_logits(images), recogniser.label_logits(images))
        z = recogniser.model(recogniser.normalised(images)).logits
        for task in range(3):
            asked = torch.full((2,), task)
            expected = network.model.upsample(network.model.margins(z, asked[:, None]), (64, 96))
            assert torch.equal(network(images, asked), expected)
            assert torch.equal(network.eval()(images, asked), expected)
            network.train()


def several_at_once() -> Network:
    """A SegFormer whose classes may be on the same pixel."""
    torch.manual_seed(1)
    options = {"other_channel": False, "overlapping": True}
    return build_network("segformer", 3, task_names=NAMES, **SIZES, **options).eval()


@torch.no_grad()
def test_where_classes_may_overlap_a_channel_is_its_own_margin() -> None:
    recogniser = several_at_once()
    images, every = torch.rand(2, 3, 64, 96), torch.arange(3)
    z = recogniser.label_logits(images)
    torch.testing.assert_close(recogniser.task_logits(images, every), z)
    ids, rows = torch.tensor([2, 0, 1]), torch.tensor([0, 1, 1])
    torch.testing.assert_close(recogniser(images, ids, rows)[:, 0], z[rows, ids])
    recognised = recogniser.recognise(images)
    assert recognised is not None
    likely = recognised.label_logits.sigmoid().flatten(2).topk(3, dim=2).values.mean(dim=2)
    torch.testing.assert_close(recognised.presence, likely)

    network = build_painted_network(
        recogniser.model,
        [[0], [1], []],
        {"method": "adapter_hf", "pretrained": None},
        labels=NAMES,
        source="a run",
        num_tasks=3,
        task_names=NAMES,
        overlapping=True,
    )
    small = recogniser.model(recogniser.normalised(images)).logits
    for task in range(2):
        asked = torch.full((2,), task)
        expected = network.model.upsample(small[:, task, None], (64, 96))
        assert torch.equal(network(images, asked), expected)
    assert not network(images, torch.full((2,), 2)).any()  # unknown: a learnt constant, from 0


def test_channels_that_do_not_compete_leave_nothing_to_other() -> None:
    with pytest.raises(UserError, match="overlapping is True, and so is other_channel"):
        build_network("segformer", 3, **SIZES, overlapping=True)
    with pytest.raises(ValueError, match="the classes of this model may overlap: give no labels"):
        several_at_once().model(torch.rand(1, 3, 64, 64), labels=torch.zeros(1, 64, 64).long())


def test_sizes_are_those_of_the_recogniser() -> None:
    recogniser = plain()
    assert list(painted(recogniser, "adapter_hf").config.hidden_sizes) == SIZES["hidden_sizes"]
    with pytest.raises(UserError, match=r"model.depths=\[2, 2, 2, 2\], but that of the recogniser"):
        painted(recogniser, "adapter_hf", depths=[2, 2, 2, 2])
    with pytest.raises(UserError, match="backbone=b1, but the recogniser a run is of another"):
        painted(recogniser, "adapter_hf", backbone="b1")


def test_presence_and_labels_need_something_that_recognises() -> None:
    network = build_network("adapter_hf", 3, **SIZES)
    images = torch.rand(1, 3, 64, 64)
    assert network.recognise(images) is None
    with pytest.raises(ValueError, match="networks with a recogniser, this is 'adapter_hf'"):
        network.label_logits(images)
