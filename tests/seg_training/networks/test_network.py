import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from seg_training.errors import UserError
from seg_training.networks import Network, build_network
from transformers_update_for_adapters import METHODS, modeling_tasformer
from transformers_update_for_adapters.task_channels import TaskChannels

TINY: dict[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 16,
    "task_embedding_dim": 12,
    "projector_hidden_dim": 10,
    "projector_dim": 6,
}
SIZES = [(320, 320), (64, 96), (97, 130), (33, 61)]
IDS = torch.tensor([3, 0, 4])


def tiny(method: str, **options: Any) -> Network:
    """A small network in evaluation mode, whose task ids matter from the start.

    With fresh weights of 0.02 the logits of different classes hardly differ.
    """
    torch.set_num_threads(1)
    if method in ("emb", "vsa_emb"):
        options = {"resize_embedding": True} | options
    if method == "vsa_emb":
        options = {"num_vectors": 5} | options
    network = build_network(method, 5, **(TINY | options)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    return network


def images(height: int, width: int, batch: int = 3) -> Tensor:
    return torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_attributes(method: str) -> None:
    network = tiny(method)
    assert network.method == method
    assert network.num_tasks == 5
    assert network.config is network.model.config


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_mixed_batch_equals_its_samples_one_by_one(method: str, size: tuple[int, int]) -> None:
    network, pixels = tiny(method).double(), images(*size)
    logits = network(pixels, IDS)
    assert logits.shape == (3, 1, *size)
    assert logits.dtype == torch.float64
    for sample in range(3):
        one = network(pixels[sample : sample + 1], IDS[sample : sample + 1])
        torch.testing.assert_close(logits[sample], one[0], atol=1e-8, rtol=0)
    assert (network(pixels, (IDS + 1) % 5) - logits).abs().amax() > 1e-4  # the class matters


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_task_logits_equal_forward(
    method: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, pixels = tiny(method).double(), images(*size)
    ids = torch.tensor([4, 0, 2, 2, 1])
    logits = network.task_logits(pixels, ids)
    assert logits.shape == (3, 5, *size)
    for task in range(5):
        one = network(pixels, ids[task].expand(3))
        torch.testing.assert_close(logits[:, task : task + 1], one, atol=1e-8, rtol=0)
    # However many pairs of image and class fit into a chunk: classes of an image, or two images.
    pair = 8 * 16 * 8 * (size[0] // 4 + 1) * (size[1] // 4 + 1)
    for pairs in (0, 2, 10):
        monkeypatch.setattr(modeling_tasformer, "_CHUNK_BYTES", {"cpu": pairs * pair})
        chunked = network.task_logits(pixels, ids)
        torch.testing.assert_close(chunked, logits, atol=1e-8, rtol=0)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([*METHODS]),
    st.integers(1, 2),
    st.integers(33, 110),
    st.integers(33, 110),
    st.data(),
)
@torch.no_grad()
def test_any_size_and_any_ids(
    method: str, batch: int, height: int, width: int, data: st.DataObject
) -> None:
    network, pixels = tiny(method), images(height, width, batch)
    ids = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    logits = network.task_logits(pixels, torch.tensor(ids))
    assert logits.shape == (batch, len(ids), height, width)
    last = network(pixels, torch.full((batch,), ids[-1]))
    torch.testing.assert_close(logits[:, -1:], last, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_bytes_and_floats_give_the_same(method: str) -> None:
    network, pixels = tiny(method), images(64, 64)
    expected = network(pixels, IDS)
    for scaled in (pixels / 255, pixels.double() / 255):
        torch.testing.assert_close(network(scaled, IDS), expected, atol=1e-4, rtol=1e-4)


def test_images_are_normalised_as_published() -> None:
    network = tiny("segformer")
    pixels = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]
    expected = (pixels - mean) / std
    torch.testing.assert_close(network.normalised(pixels), expected.float())
    torch.testing.assert_close(network.double().normalised(pixels), expected, atol=1e-14, rtol=0)
    assert not [name for name in network.state_dict() if not name.startswith("model.")]


@pytest.mark.parametrize("method", METHODS)
def test_upsampling_is_the_published_one(method: str) -> None:
    network, pixels = tiny(method).double(), images(64, 96)
    with torch.no_grad():
        logits = network.label_logits(pixels) if method == "segformer" else network(pixels, IDS)
        coarse = network.model(network.normalised(pixels), task_ids=IDS).logits
    align_corners = method not in ("emb", "vsa_emb")
    expected = F.interpolate(coarse, size=(64, 96), mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_trained(method: str) -> None:
    network = tiny(method).train()
    before = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    pixels, target = images(64, 64), torch.rand(3, 1, 64, 64).round()
    losses = []
    for _ in range(2):
        logits = network(pixels, IDS)
        loss = F.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[1] < losses[0]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert not torch.equal(parameter, before[name]), name
    if method == "vsa_emb":
        assert torch.equal(network.model.task_maps.weight, before["model.task_maps.weight"])


class TestBaseline:
    @pytest.mark.parametrize("other_channel", [True, False])
    @torch.no_grad()
    def test_its_sign_is_the_argmax(self, other_channel: bool) -> None:
        network = tiny("segformer", other_channel=other_channel)
        pixels = images(64, 64)
        labels = network.label_logits(pixels)
        assert labels.shape == (3, 5 + other_channel, 64, 64)
        winner = labels.argmax(1)
        logits = network.task_logits(pixels, torch.arange(5))
        for task in range(5):
            assert torch.equal(logits[:, task] > 0, winner == task + other_channel)

    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(2, 5),
        st.lists(st.integers(-3, 3), min_size=5, max_size=5),
        st.data(),
    )
    def test_margin_is_to_the_best_other_channel(
        self, channels: int, values: list[int], data: st.DataObject
    ) -> None:
        model = tiny("segformer", other_channel=False).model
        # As many channels as there are logits; the rest of the network is not asked.
        model.task_channels = TaskChannels([[task] for task in range(channels)], channels)
        task = data.draw(st.integers(0, channels - 1))
        values = values[:channels]
        logits = torch.tensor(values, dtype=torch.float32)[None, :, None, None]
        margin = model.margins(logits, torch.tensor([[task]]))
        others = values[:task] + values[task + 1 :]
        assert margin.shape == (1, 1, 1, 1)
        assert margin.item() == values[task] - max(others)

    @torch.no_grad()
    def test_one_channel_is_its_own_logit(self) -> None:
        options = TINY | {"other_channel": False}
        network = build_network("segformer", 1, **options).eval()
        pixels = images(64, 64)
        logits = network(pixels, torch.zeros(3, dtype=torch.int64))
        assert torch.equal(logits, network.label_logits(pixels))

    @pytest.mark.parametrize("method", [m for m in METHODS if m != "segformer"])
    def test_only_the_baseline_has_label_logits(self, method: str) -> None:
        with pytest.raises(ValueError, match=r"with a recogniser, this is '.*' without; use"):
            tiny(method).label_logits(images(64, 64))


class TestTaskMaps:
    @pytest.mark.parametrize("method", ["emb", "vsa_emb"])
    @pytest.mark.parametrize("ask", [Network.forward, Network.task_logits])
    def test_another_size_is_an_error_that_names_it(self, method: str, ask: Any) -> None:
        network = tiny(method, resize_embedding=False)
        with pytest.raises(
            UserError, match=r"image is 97x130: .* would be 25x33, .* 80x80, made for .* 320x320"
        ):
            ask(network, images(97, 130), IDS)

    @torch.no_grad()
    def test_two_vectors_tell_only_the_first_class_from_the_rest(self) -> None:
        network = tiny("vsa_emb", num_vectors=2)
        logits = network.task_logits(images(320, 320, 1), torch.arange(5))[0]
        assert not torch.allclose(logits[0], logits[1])
        for task in (2, 3, 4):
            torch.testing.assert_close(logits[task], logits[1])


@pytest.mark.parametrize(
    ("pixels", "ids", "message"),
    [
        (images(64, 64), [0, 1, 5], "^task_ids hold 5; expected ids from 0 to 4$"),
        (images(64, 64), [-1, 7, 0], "^task_ids hold -1, 7; expected ids from 0 to 4$"),
        (images(64, 64), [0, 1], r"task_ids has shape \(2,\); expected one id per image, \(3,\)"),
        (images(64, 64)[0], [0, 1, 2], r"pixel_values has shape \(3, 64, 64\); expected \(B, 3"),
        (images(64, 64)[:, :1], [0, 1, 2], r"pixel_values has shape \(3, 1, 64, 64\); expected"),
        (images(64, 64).long(), [0, 1, 2], "pixel_values is torch.int64; expected uint8, or float"),
        (images(64, 64).float(), [0, 1, 2], r"pixel_values is float, from 0 to 255; expected"),
        (images(64, 64) / 127.5 - 1, [0, 1, 2], r"pixel_values is float, from -1 to 1; expected"),
        (images(64, 64) * float("nan"), [0, 1, 2], r"pixel_values is float, from nan to nan"),
    ],
)
@pytest.mark.parametrize("method", ["segformer", "adapter_hf"])
def test_wrong_inputs(method: str, pixels: Tensor, ids: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(method)(pixels, torch.tensor(ids))


def test_float_images_may_ask_for_gradients_and_there_may_be_none() -> None:
    network = tiny("adapter_hf")
    pixels = (images(64, 64) / 255).requires_grad_()
    network(pixels, torch.tensor([0, 1, 2])).sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.abs().max() > 0
    assert network.normalised(pixels[:0]).shape == (0, 3, 64, 64)


def test_wrong_inputs_of_task_logits() -> None:
    network = tiny("adapter_hf")
    with pytest.raises(ValueError, match=r"task_ids has shape \(1, 3\); expected \(T,\)"):
        network.task_logits(images(64, 64), IDS[None])
    with pytest.raises(ValueError, match="task_ids hold 9; expected ids from 0 to 4"):
        network.task_logits(images(64, 64), torch.tensor([9]))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_stays_on_the_cpu(method: str) -> None:
    """Under fake tensors a tensor on another device is an error, without any GPU."""
    with FakeTensorMode(), torch.device("cuda"):
        network = build_network(method, 5, num_vectors=5).eval()
        pixels = torch.zeros(2, 3, 320, 320, dtype=torch.uint8)
        ids = torch.tensor([0, 3])
        for ask in (network, network.task_logits):
            logits = ask(pixels, ids)
            assert logits.device.type == "cuda"
            assert logits.shape == (2, 1 if ask is network else 2, 320, 320)
        if method == "segformer":
            assert network.label_logits(pixels).device.type == "cuda"


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_gpu_gives_what_the_cpu_gives(method: str) -> None:
    network = build_network(method, 12, num_vectors=12).eval()
    pixels, ids = images(320, 320), torch.tensor([3, 0, 11])
    expected = [network(pixels, ids), network.task_logits(pixels, ids)]
    network.cuda()
    found = [network(pixels.cuda(), ids), network.task_logits(pixels.cuda(), ids.cuda())]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, atol=1e-3, rtol=1e-3)
    double = network.double()(pixels.cuda(), ids).cpu()
    exact = network.cpu()(pixels, ids)
    torch.testing.assert_close(double, exact, atol=1e-9, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_gpu_gives_the_gradients_of_the_cpu(method: str) -> None:
    network = build_network(method, 12, num_vectors=12).eval().double()
    pixels, ids = images(320, 320), torch.tensor([3, 0, 11])
    gradients = []
    for device in ("cpu", "cuda"):
        network.to(device)
        network.zero_grad()
        network(pixels.to(device), ids).square().mean().backward()
        gradients.append({n: p.grad.cpu() for n, p in network.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-9, rtol=1e-6)


@torch.no_grad()
def test_sizes_and_ids_stay_free_in_an_export() -> None:
    """Of a network as it is; export/test_torch_programs.py has every method's graphs."""
    network = tiny("adapter_hf")
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        network,
        (images(64, 96), IDS),
        dynamic_shapes=({0: auto, 2: auto, 3: auto}, {0: auto}),
    ).module()
    pixels, ids = images(97, 130, 2), torch.tensor([4, 1])
    torch.testing.assert_close(program(pixels, ids), network(pixels, ids), atol=1e-4, rtol=1e-4)
