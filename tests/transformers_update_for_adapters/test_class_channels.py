"""The control: a channel per class at the head's end, of which that of the asked class counts."""

from collections.abc import Callable

import pytest
import torch
from small_networks import photo, small_network

from seg_training.export.network_graphs import ClassGraph, ImageGraph, WholeGraph
from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation
from transformers_update_for_adapters.changed_classes import with_classes

MakeConfig = Callable[..., TASFormerConfig]
IDS = torch.tensor([3, 0, 3, 1])


@pytest.fixture
def model(make_config: MakeConfig) -> TASFormerForSemanticSegmentation:
    torch.manual_seed(0)
    return TASFormerForSemanticSegmentation(make_config("channels")).eval()


@torch.no_grad()
def test_the_answer_is_the_heads_channel_of_the_class(
    model: TASFormerForSemanticSegmentation,
) -> None:
    pixels = torch.randn(4, 3, 64, 96)
    every = model.decode_head(model.segformer.plain_features(pixels))
    assert every.shape[1] == model.config.num_tasks == 5
    logits = model(pixels, task_ids=IDS).logits
    assert logits.shape == (4, 1, 16, 24)
    for row, task in enumerate(IDS):
        torch.testing.assert_close(logits[row, 0], every[row, task])
    shared = model(pixels, task_ids=IDS[:1]).logits  # one class that all share
    torch.testing.assert_close(shared, every[:, 3:4])
    rows = torch.tensor([2, 0, 0, 1])
    asked = model(pixels, task_ids=IDS, image_rows=rows).logits[:, 0]
    torch.testing.assert_close(asked, every[rows, IDS])
    with pytest.raises(ValueError, match="'channels' needs task_ids"):
        model(pixels)


def test_a_step_teaches_the_channel_of_the_asked_class_alone(
    model: TASFormerForSemanticSegmentation,
) -> None:
    labels = torch.randint(0, 2, (2, 64, 64))
    model.train()
    loss = model(torch.randn(2, 3, 64, 64), task_ids=torch.tensor([4, 1]), labels=labels).loss
    loss.backward()
    gradient = model.decode_head.classifier.weight.grad
    assert gradient is not None
    taught = gradient.flatten(1).abs().sum(dim=1) > 0
    assert taught.tolist() == [False, True, False, False, True]


@torch.no_grad()
def test_a_network_of_one_class_answers_and_learns_another(make_config: MakeConfig) -> None:
    torch.manual_seed(0)
    config = make_config("channels", num_tasks=1, task_names=["tree"], crop_size=[64, 96])
    model = TASFormerForSemanticSegmentation(config).eval()
    pixels, asked = torch.randn(2, 3, 64, 96), torch.tensor([0])
    every = model.upsample(model.decode_head(model.segformer.plain_features(pixels)), (64, 96))
    answer = model.class_logits(pixels, asked)
    torch.testing.assert_close(answer, every)
    picture = photo(64, 96)
    grown = model.learn_class("mug", [picture], [picture[..., 0] > 128])
    assert torch.equal(grown.class_logits(pixels, asked), answer)
    with pytest.raises(ValueError, match="can be renamed alone"):
        with_classes(grown, {"mug": [1]})


@torch.no_grad()
def test_graphs_compute_what_the_network_does() -> None:
    network = small_network("channels")
    pictures = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None]
    expected = network.task_logits(pictures, IDS)
    assert (expected[:, 0] - expected[:, 1]).abs().max() > 0.1
    found = ClassGraph(network)(ImageGraph(network)(pictures), IDS[None])
    for logits in (found, WholeGraph(network)(pictures, IDS[None])):
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
