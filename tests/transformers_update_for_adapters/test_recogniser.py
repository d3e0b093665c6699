import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation
from transformers_update_for_adapters.methods import METHODS
from transformers_update_for_adapters.presence_scores import presence_features, presence_scores
from transformers_update_for_adapters.recogniser import copy_into_head
from transformers_update_for_adapters.task_channels import TaskChannels

PROMPTED = [name for name, method in METHODS.items() if method.prompted]
MakeConfig = Callable[..., TASFormerConfig]

# Task 1 has two labels, task 2 is unknown, label 0 is of no task.
RECOGNITION = {"num_labels": 6, "channels": [[1], [2, 3], [], [4], [5]], "overlapping": False}
IDS = torch.arange(5)


def recognising(
    make_config: MakeConfig, method: str, shared: bool = True, **options: Any
) -> TASFormerForSemanticSegmentation:
    torch.manual_seed(0)
    recognition = RECOGNITION | {"shared_backbone": shared}
    return TASFormerForSemanticSegmentation(
        make_config(method, recognition=recognition, resize_embedding=True, **options)
    )


def still(model: TASFormerForSemanticSegmentation) -> dict[str, Tensor]:
    """What is held still."""
    parts: dict[str, nn.Module | None] = {"recogniser": model.recogniser}
    if model.recogniser is not None and model.recogniser.segformer is None:
        parts["stages"] = model.segformer.stages
    return {
        f"{part}.{name}": tensor.clone()
        for part, module in parts.items()
        if module is not None
        for name, tensor in module.state_dict().items()
    }


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("method", PROMPTED)
def test_before_the_first_step_every_logit_is_the_margin_to_the_bit(
    make_config: MakeConfig, method: str, shared: bool
) -> None:
    model = recognising(make_config, method, shared)
    assert model.recogniser is not None
    copy_into_head(model.decode_head, model.recogniser.decode_head)
    pixel_values = torch.randn(2, 3, 64, 96)
    for training in (True, False):
        model.train(training)
        for task in range(5):
            asked = torch.full((2,), task)
            logits = model(pixel_values, task_ids=asked).logits
            z = model.label_logits(pixel_values)
            assert torch.equal(logits, model.margins(z, asked[:, None]))
    assert not model(pixel_values, task_ids=torch.tensor([2, 2])).logits.any()  # unknown: from 0


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("method", PROMPTED)
def test_all_ways_to_ask_agree(make_config: MakeConfig, method: str, shared: bool) -> None:
    model = recognising(make_config, method, shared).eval()
    nn.init.normal_(model.unknown_margins)  # type: ignore[arg-type]
    pixel_values = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        one_by_one = torch.cat(
            [model(pixel_values, task_ids=torch.full((2,), task)).logits for task in range(5)], 1
        )
        recognition = model.recognise(pixel_values)
        by_parts = model.logits_for_tasks(recognition, IDS)
        rows = model(
            pixel_values, task_ids=torch.tensor([3, 0, 2]), image_rows=torch.tensor([1, 0, 1])
        ).logits
        full = model.upsample(one_by_one, (64, 96))
        together = model.class_logits(pixel_values, IDS)
        with model.kept():
            kept = model.class_logits(pixel_values, IDS, model.recognise(pixel_values))
    torch.testing.assert_close(by_parts, one_by_one, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(together, full, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(kept, full, atol=1e-6, rtol=1e-5)
    expected = torch.stack([one_by_one[1, 3], one_by_one[0, 0], one_by_one[1, 2]])
    torch.testing.assert_close(rows[:, 0], expected, atol=1e-6, rtol=1e-5)


def test_the_recogniser_is_the_plain_network(make_config: MakeConfig) -> None:
    """Its labels are those of a SegFormer of the same weights."""
    plain = TASFormerForSemanticSegmentation(
        make_config("segformer", num_tasks=6, other_channel=False)
    ).eval()
    model = recognising(make_config, "adapter_hf").eval()
    model.segformer.stages.load_state_dict(plain.segformer.stages.state_dict())
    assert model.recogniser is not None
    model.recogniser.decode_head.load_state_dict(plain.decode_head.state_dict())
    pixel_values = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = plain(pixel_values).logits
        torch.testing.assert_close(model.label_logits(pixel_values), expected)
        torch.testing.assert_close(model.recognise(pixel_values).label_logits, expected)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("method", PROMPTED)
def test_held_still_whatever_is_done(make_config: MakeConfig, method: str, shared: bool) -> None:
    # What is trained may drop whole blocks, which then learn nothing.
    drop_path_rate = 0.5 if shared else 0.0
    model = recognising(make_config, method, shared, drop_path_rate=drop_path_rate).train()
    before = still(model)
    others = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    labels = torch.randint(0, 2, (2, 64, 64))
    for _ in range(2):
        optimizer.zero_grad()
        loss = model(torch.randn(2, 3, 64, 64), task_ids=torch.tensor([2, 1]), labels=labels).loss
        loss.backward()
        optimizer.step()
    after = still(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    moved = [name for name, p in model.named_parameters() if name in others]
    same = [n for n in moved if torch.equal(others[n], dict(model.named_parameters())[n])]
    assert same == []  # and all the rest is trained
    assert model.unknown_margins is not None
    assert model.unknown_margins[2] != 0
    assert not model.recogniser.training  # type: ignore[union-attr]
    assert not any(m.training for m in model.recogniser.modules())  # type: ignore[union-attr]
    assert model.decode_head.training


def test_saved_and_loaded_it_is_still_held(make_config: MakeConfig, tmp_path: Path) -> None:
    model = recognising(make_config, "adapter_hf").eval()
    model.config.presence = {"scale": 2.0, "bias": [0.5, None, None, 1.0, 0.0], "least": 0.1}
    model.save_pretrained(tmp_path)
    loaded = TASFormerForSemanticSegmentation.from_pretrained(tmp_path)
    pixel_values = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(
            loaded.class_logits(pixel_values, IDS), model.class_logits(pixel_values, IDS)
        )
        torch.testing.assert_close(
            loaded.recognise(pixel_values).presence,
            model.recognise(pixel_values).presence,
            equal_nan=True,
        )
    assert not any(p.requires_grad for p in loaded.recogniser.parameters())
    assert not any(p.requires_grad for p in loaded.segformer.stages.parameters())
    assert copy.deepcopy(loaded).train().segformer.stages.training is False


def test_without_a_recogniser_there_is_nothing_to_ask(make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config("emb", resize_embedding=True))
    with pytest.raises(ValueError, match="method 'emb' has no recogniser here"):
        model.recognise(torch.randn(1, 3, 64, 64))


def test_the_baseline_recognises_by_itself(make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config("segformer")).eval()
    pixel_values = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        recognition = model.recognise(pixel_values)
        assert torch.equal(recognition.label_logits, model(pixel_values).logits)
        again = model.class_logits(pixel_values, IDS, recognition)
        assert torch.equal(again, model.class_logits(pixel_values, IDS))
    assert recognition.shared is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": [[1], [2]]}, "channels of 2 tasks, but num_tasks is 5"),
        ({"channels": [[1], [6], [], [], []]}, "has 6 labels, and so no channel 6"),
        ({"channels": [[1], [1], [], [], []]}, "gives channel 1 to two tasks"),
    ],
)
def test_a_recognition_that_cannot_be_is_refused(
    make_config: MakeConfig, change: dict[str, Any], message: str
) -> None:
    recognition = RECOGNITION | {"shared_backbone": True} | change
    with pytest.raises(ValueError, match=message):
        make_config("adapter_hf", recognition=recognition)


def test_the_baseline_takes_no_recogniser(make_config: MakeConfig) -> None:
    with pytest.raises(ValueError, match="'segformer' labels every pixel itself"):
        make_config("segformer", recognition=RECOGNITION | {"shared_backbone": True})


def test_presence_by_hand() -> None:
    """Of 200 pixels the two surest count; the scale and the class's bias make it a probability."""
    channels = TaskChannels([[0], [1], []], 2, overlapping=True)
    z = torch.full((1, 2, 10, 20), -9.0)
    z[0, 0, 3, 4], z[0, 0, 5, 6] = torch.logit(torch.tensor([0.9, 0.5]))
    [features] = presence_features(z, channels)
    surest = torch.tensor([(0.9 + 0.5) / 2, torch.tensor(-9.0).sigmoid().item()])
    torch.testing.assert_close(features[:2], torch.logit(surest), atol=1e-4, rtol=1e-4)
    assert features[2].isnan()
    [plain] = presence_scores(z, channels)
    torch.testing.assert_close(plain[:2], surest, atol=1e-5, rtol=1e-4)
    [scores] = presence_scores(z, channels, {"scale": 2.0, "bias": [0.5, None, 1.0]})
    expected = (2 * torch.logit(torch.tensor(0.7)) + 0.5).sigmoid()
    torch.testing.assert_close(scores[0], expected)
    assert scores[1:].isnan().all()


@pytest.mark.parametrize("method", PROMPTED)
def test_a_shared_backbone_embeds_an_image_once(make_config: MakeConfig, method: str) -> None:
    model = recognising(make_config, method).eval()
    seen: list[int] = []
    first = model.segformer.stages[0].patch_embeddings
    first.register_forward_hook(lambda *_: seen.append(1))
    pixel_values = torch.randn(2, 3, 64, 64)
    model(pixel_values, task_ids=torch.tensor([0, 3]))
    assert len(seen) == 1
    with torch.no_grad():
        model.class_logits(pixel_values, IDS, model.recognise(pixel_values))
    assert len(seen) == 2
