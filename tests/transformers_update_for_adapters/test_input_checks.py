from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from transformers_update_for_adapters import (
    METHODS,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
    TASFormerModel,
)
from transformers_update_for_adapters.input_checks import can_look_at

MakeConfig = Callable[..., TASFormerConfig]
PROMPTED = [method for method in METHODS if method != "segformer"]
PIXELS = torch.zeros(2, 3, 64, 64)
IDS = torch.tensor([1, 4])


@pytest.fixture
def make_model(make_config: MakeConfig) -> Callable[..., TASFormerForSemanticSegmentation]:
    def make(method: str, **options: Any) -> TASFormerForSemanticSegmentation:
        return TASFormerForSemanticSegmentation(make_config(method, depths=[1] * 4, **options))

    return make


@pytest.mark.parametrize("method", PROMPTED)
@pytest.mark.parametrize(
    ("task_ids", "message"),
    [
        (torch.tensor([0, -1]), "task_ids hold -1; expected ids from 0 to 4"),
        (torch.tensor([5, 7]), "task_ids hold 5, 7; expected ids from 0 to 4"),
        (
            torch.tensor([[1], [4]]),
            r"task_ids has shape \(2, 1\); expected one id per image, \(2,\)",
        ),
        (torch.tensor([1, 2, 3]), r"task_ids has shape \(3,\); expected one id per image, \(2,\)"),
        (torch.tensor(1), r"task_ids has shape \(\); expected one id per image"),
        (torch.tensor([1.0, 4.0]), r"task_ids is torch.float32; expected int64"),
        (torch.tensor([True, False]), r"task_ids is torch.bool; expected int64"),
        (torch.tensor([1, 2], dtype=torch.uint8), r"task_ids is torch.uint8; expected int64"),
        (
            torch.empty(2, dtype=torch.int64, device="meta"),
            "task_ids is on meta, but pixel_values on",
        ),
    ],
    ids=["below", "above", "column", "too many", "scalar", "float", "bool", "uint8", "device"],
)
def test_wrong_ids_are_refused(
    method: str,
    task_ids: Tensor,
    message: str,
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(method)(PIXELS, task_ids=task_ids)


@pytest.mark.parametrize(
    ("task_ids", "message"),
    [
        (torch.tensor([0, -1]), "task_ids hold -1; expected ids from 0 to 4"),
        (torch.tensor([5]), "task_ids hold 5; expected ids from 0 to 4"),
        (torch.tensor(3), r"task_ids has shape \(\); expected \(T,\)"),
        (torch.tensor([1.0]), r"task_ids is torch.float32; expected int64"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_many_classes_are_refused_in_the_same_way(
    method: str,
    task_ids: Tensor,
    message: str,
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    model = make_model(method).eval()
    with pytest.raises(ValueError, match=message):
        model.class_logits(PIXELS, task_ids)
    if method != "segformer":
        with pytest.raises(ValueError, match=message):
            model.logits_for_tasks(model.shared_features(PIXELS), task_ids)


def test_the_encoder_alone_refuses_them_too(make_config: MakeConfig) -> None:
    model = TASFormerModel(make_config("adapter_hf"))
    with pytest.raises(ValueError, match="task_ids hold -2; expected ids from 0 to 4"):
        model(PIXELS, task_ids=torch.tensor([0, -2]))


def test_the_baseline_does_not_read_ids(
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    assert make_model("segformer")(PIXELS, task_ids=torch.tensor([99])).logits.shape[1] == 6


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PIXELS[0], r"pixel_values has shape \(3, 64, 64\); expected \(B, 3, H, W\)"),
        (
            PIXELS.movedim(1, -1),
            r"pixel_values has shape \(2, 64, 64, 3\); expected \(B, 3, H, W\)",
        ),
        (PIXELS.to(torch.uint8), "pixel_values is torch.uint8; expected normalised float images"),
    ],
)
def test_wrong_images_are_refused(
    pixels: Tensor,
    message: str,
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    with pytest.raises(ValueError, match=message):
        make_model("adapter_hf")(pixels, task_ids=torch.tensor([0]))


def labels(*values: float, dtype: torch.dtype = torch.int64) -> Tensor:
    """(2, 64, 64) of these values and of ones."""
    mask = torch.ones(2, 64, 64, dtype=dtype)
    mask[1, 0, : len(values)] = torch.tensor(values, dtype=dtype)
    return mask


@pytest.mark.parametrize("method", PROMPTED)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (labels(0, 255, 2, 3, 4), "labels hold 2, 3, 4; expected 0 to 1, or 255 .*_ignore_index"),
        (labels(0, -100), "labels hold -100; expected 0 to 1, or 255"),
        (labels(2, 3, 4, 5, 6, 7), "labels hold 2, 3, 4, 5, 6 and more; expected"),
        (labels(0.5, dtype=torch.float32), "labels hold 0.5; expected 0 to 1, or 255"),
        (labels(128, dtype=torch.uint8), "labels hold 128; expected 0 to 1, or 255"),
        (labels(0) * 255, "labels hold 0 and 255, and no 1 so far; expected 1 where the class is"),
        (labels()[:, None], r"labels has shape \(2, 1, 64, 64\); expected \(B, H, W\) with B 2"),
        (labels()[:1], r"labels has shape \(1, 64, 64\); expected \(B, H, W\) with B 2"),
    ],
)
def test_wrong_labels_are_refused(
    method: str,
    given: Tensor,
    message: str,
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(method)(PIXELS, task_ids=IDS, labels=given)


@pytest.mark.parametrize("value", [-1, 6, 254])
def test_a_label_without_a_channel_is_refused(
    value: int, make_model: Callable[..., TASFormerForSemanticSegmentation]
) -> None:
    with pytest.raises(ValueError, match=f"labels hold {value}; expected 0 to 5, or 255"):
        make_model("segformer")(PIXELS, labels=labels(0, 5, 255, value))


def test_another_ignored_value_is_the_only_one(
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    model = make_model("adapter_hf", semantic_loss_ignore_index=-100).eval()
    assert model(PIXELS, task_ids=IDS, labels=labels(0, -100)).loss.isfinite()
    with pytest.raises(ValueError, match="labels hold 255; expected 0 to 1, or -100"):
        model(PIXELS, task_ids=IDS, labels=labels(0, 255))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.float32])
def test_masks_of_zero_and_one_have_any_type(
    dtype: torch.dtype, make_model: Callable[..., TASFormerForSemanticSegmentation]
) -> None:
    model = make_model("emb").eval()
    expected = model(PIXELS, task_ids=IDS, labels=labels(0, 0)).loss
    given = model(PIXELS, task_ids=IDS, labels=labels(0, 0, dtype=dtype)).loss
    torch.testing.assert_close(given, expected, atol=0, rtol=0)


def test_a_class_may_be_absent_among_ignored_pixels(
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    """Once some mask had a 1, 255 cannot be the class."""
    model = make_model("adapter_hf").eval()
    assert model(PIXELS, task_ids=IDS, labels=labels() * 255).loss == 0  # all ignored
    model(PIXELS, task_ids=IDS, labels=labels(0, 255))
    assert model(PIXELS, task_ids=IDS, labels=labels(0) * 255).loss > 0


def test_the_baseline_needs_two_channels_to_learn(
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    model = make_model("segformer", num_tasks=1, other_channel=False)
    assert model(PIXELS).logits.shape[1] == 1
    with pytest.raises(
        ValueError, match=r"the cross-entropy is 0 .* train with other_channel=True"
    ):
        model(PIXELS, labels=labels() * 0)


def test_values_are_left_alone_where_looking_is_not_free(
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    assert can_look_at(IDS)
    assert not can_look_at(IDS.to("meta"))
    assert not can_look_at(IDS[:0])
    with FakeTensorMode():
        with torch.device("cuda"):
            model = make_model("vsa_emb")
            pixels, ids = torch.empty(2, 3, 64, 64), torch.zeros(2, dtype=torch.int64)
            masks = torch.zeros(2, 64, 64, dtype=torch.int64)
        assert not can_look_at(ids)
        assert model(pixels, task_ids=ids, labels=masks).loss.device.type == "cuda"


@pytest.mark.slow
def test_a_compiled_model_has_no_break(
    make_model: Callable[..., TASFormerForSemanticSegmentation],
) -> None:
    model = make_model("adapter_hf").eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        expected = model(PIXELS, task_ids=IDS, labels=labels(0)).loss
        found = compiled(PIXELS, task_ids=IDS, labels=labels(0)).loss
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("method", METHODS)
def test_no_classes_have_no_logits(
    method: str, make_model: Callable[..., TASFormerForSemanticSegmentation]
) -> None:
    nothing = torch.empty(0, dtype=torch.int64)
    logits = make_model(method).eval().class_logits(PIXELS, nothing)
    assert logits.shape == (len(PIXELS), 0, *PIXELS.shape[-2:])


@pytest.mark.parametrize("task_ids", [[0, 1], 3])
def test_ids_that_are_no_tensor_are_refused(
    task_ids: Any, make_model: Callable[..., TASFormerForSemanticSegmentation]
) -> None:
    model = make_model("adapter_hf")
    for ask in (model.class_logits, lambda pixels, ids: model(pixels, task_ids=ids)):
        with pytest.raises(ValueError, match=r"task_ids is .*; expected a tensor of int64"):
            ask(PIXELS, task_ids)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_each_sample_by_itself(
    method: str, make_model: Callable[..., TASFormerForSemanticSegmentation]
) -> None:
    model, images = make_model(method).eval().double(), torch.randn(2, 3, 64, 64).double()
    ids, labels = torch.tensor([0, 3]), torch.randint(0, 2, (2, 64, 64))
    parameters = dict(model.named_parameters())

    def loss(weights: Any, pixels: Tensor, task_id: Tensor, label: Tensor) -> Tensor:
        given = {"task_ids": task_id[None], "labels": label[None]}
        return torch.func.functional_call(model, weights, (pixels[None],), given).loss

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0, 0))
    found = each(parameters, images, ids, labels)
    one = torch.func.grad(loss)(parameters, images[1], ids[1], labels[1])
    for name, gradient in one.items():
        torch.testing.assert_close(found[name][1], gradient)


def test_an_evaluation_may_begin_without_the_class(
    make_model: Callable[..., TASFormerForSemanticSegmentation], caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model("adapter_hf").eval()
    labels = torch.zeros(len(PIXELS), *PIXELS.shape[-2:], dtype=torch.int64)
    labels[:, :3] = 255
    ids = torch.zeros(len(PIXELS), dtype=torch.int64)
    with torch.no_grad():
        assert model(PIXELS, task_ids=ids, labels=labels).loss > 0
    assert "labels hold 0 and 255, and no 1 so far" in caplog.text
    with pytest.raises(ValueError, match="labels hold 0 and 255, and no 1 so far"):
        model(PIXELS, task_ids=ids, labels=labels)
