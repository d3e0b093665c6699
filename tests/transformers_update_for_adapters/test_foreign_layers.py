"""Other libraries put layers, hooks and weights of their own into a model: these act everywhere."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model
from peft import LoraConfig, get_peft_model
from small_networks import photo, small_network
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from transformers_update_for_adapters import METHODS, TASFormerForSemanticSegmentation

pytestmark = [
    # peft 0.21 uses an older name of Transformers 5.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
]

Model = TASFormerForSemanticSegmentation
SIZE = (64, 64)  # attention has keys to choose from in every stage
PIXELS = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(3)).double()
IDS = torch.tensor([1, 3])
FAST = ("adapter_hf", "emb")
EACH_METHOD = [
    method if method in FAST else pytest.param(method, marks=pytest.mark.slow) for method in METHODS
]


HOW_MUCH = [
    ("adapter_hf", False),
    *(pytest.param(method, True, marks=pytest.mark.slow) for method in METHODS),
]


def model_of(method: str, dtype: torch.dtype = torch.float64) -> Model:
    """In double precision what a layer changes is told from rounding."""
    model: Model = small_network(method, crop_size=SIZE).model.to(dtype)
    return model


@torch.no_grad()
def ways_to_ask(model: Model) -> dict[str, Tensor]:
    """The same classes of the same images, (1, 2, H, W), in all ways."""
    model.eval()
    pixels = PIXELS.to(model.dtype)

    def one_by_one() -> Tensor:
        if not model.config.method_class.prompted:
            logits = model.upsample(model(pixels).logits, SIZE)
            return model.margins(logits, IDS[None])
        each = [model(pixels, task_ids=task[None]).logits for task in IDS]
        return model.upsample(torch.cat(each, dim=1), SIZE)

    ways = {"one by one": one_by_one(), "many": model.class_logits(pixels, IDS)}
    with model.kept():
        model.class_logits(pixels, IDS)
        ways |= {"many, kept": model.class_logits(pixels, IDS), "one, kept": one_by_one()}
    if model.config.method_class.prompted:
        shared = model.shared_features(pixels)
        ways["of shared features"] = model.upsample(model.logits_for_tasks(shared, IDS), SIZE)
    with torch.enable_grad():
        ways["many, with gradients"] = model.class_logits(pixels, IDS).detach()
    return ways


def answer(model: Model) -> Tensor:
    """What all ways to ask agree on."""
    ways = ways_to_ask(model)
    first = ways["one by one"]
    for way, other in ways.items():
        assert same(other, first), way
    return first


def same(one: Tensor, other: Tensor) -> bool:
    tolerance = 1e-7 if one.dtype == torch.float64 else 1e-4
    return torch.allclose(one, other, atol=tolerance, rtol=tolerance)


def differ(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() > 1e-5)


def layers(model: nn.Module, *kinds: type[nn.Module]) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        if isinstance(module, kinds):
            yield name, module


def some_or_all(
    model: nn.Module, every: bool, *kinds: type[nn.Module]
) -> Iterator[tuple[str, Any]]:
    """Layers of the head, of one adapter's generator and of one block; or all."""
    some = ("decode_head.", "hypernet.projector", "hypernet.generators.0.", "stages.0.blocks.0.")
    for name, layer in layers(model, *kinds):
        if every or "embeddings" in name or any(part in name for part in some):
            yield name, layer


def randomise(model: nn.Module, adapter: str = "default") -> None:
    """A fresh LoRA is the identity."""
    for name, parameter in model.named_parameters():
        if "lora_" in name and f".{adapter}" in name:
            nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize(("method", "every"), HOW_MUCH)
def test_lora_on_each_layer(method: str, every: bool) -> None:
    base = model_of(method)
    plain = answer(base)
    seen = 0
    for name, layer in some_or_all(base, every, nn.Linear, nn.Conv2d, nn.Embedding):
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            continue  # peft has none for these
        wrapped = get_peft_model(copy.deepcopy(base), LoraConfig(r=2, target_modules=[name]))
        randomise(wrapped)
        model: Model = wrapped.base_model.model
        changed = answer(model)
        assert differ(changed, plain), name
        with wrapped.disable_adapter():
            assert same(answer(model), plain)
        task_ids = None if method == "segformer" else IDS[:1]
        model(PIXELS, task_ids=task_ids).logits.square().sum().backward()
        own = [each for part, each in wrapped.named_parameters() if "lora_" in part]
        assert len(own) == 2
        assert all(each.grad is not None and each.grad.any() for each in own), name
        assert same(answer(wrapped.merge_and_unload()), changed), name
        seen += 1
    assert seen >= (37 if every else 12)


@pytest.mark.parametrize("method", EACH_METHOD)
def test_peft_switches_act_at_once(method: str) -> None:
    base = model_of(method)
    plain = answer(base)
    everywhere = LoraConfig(r=2, target_modules="all-linear")
    wrapped = get_peft_model(base, everywhere)
    wrapped.add_adapter("other", everywhere)
    randomise(wrapped)
    randomise(wrapped, "other")
    model: Model = wrapped.base_model.model
    first = answer(model)
    wrapped.set_adapter("other")
    second = answer(model)
    assert differ(first, second)
    assert differ(first, plain)
    for _, layer in layers(model, nn.Module):
        if hasattr(layer, "set_scale"):
            layer.set_scale("other", 0)
    assert same(answer(model), plain)
    wrapped.set_adapter("default")
    with model.kept(), torch.no_grad():  # what is switched inside acts, too
        assert same(model.class_logits(PIXELS, IDS), first)
        with wrapped.disable_adapter():
            assert same(model.class_logits(PIXELS, IDS), plain)


@pytest.mark.parametrize("method", EACH_METHOD)
def test_peft_copies_of_modules_are_the_ones_that_answer(method: str) -> None:
    base = model_of(method)
    plain = answer(base)
    inside = ["decode_head"] + ["hypernet"] * (base.segformer.hypernet is not None)
    inside += ["task_maps"] * (base.task_maps is not None)
    for name in inside:
        config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=[name])
        wrapped = get_peft_model(copy.deepcopy(base), config)
        model: Model = wrapped.base_model.model
        with torch.no_grad():
            for part, each in wrapped.named_parameters():
                if "modules_to_save" in part:
                    each.mul_(1.5)
        if name != "task_maps" or method == "emb":  # those of vsa_emb are not parameters
            assert differ(answer(model), plain), name
        with wrapped.disable_adapter():
            assert same(answer(model), plain)


@pytest.mark.parametrize("method", EACH_METHOD)
@pytest.mark.parametrize("offloaded", ["decode_head", "segformer", "all to memory", "all to disk"])
def test_offloaded_weights(method: str, offloaded: str, tmp_path: Path) -> None:
    base = model_of(method)
    plain, picture = answer(base), photo(*SIZE)
    found = base.segment(picture, ["tree", "car"]).probabilities
    model = copy.deepcopy(base)
    if offloaded == "all to memory":
        cpu_offload(model, execution_device=torch.device("cpu"))
    elif offloaded == "all to disk":
        disk_offload(model, str(tmp_path), execution_device=torch.device("cpu"))
    else:
        places = {name: "cpu" for name, _ in model.named_children()} | {offloaded: "disk"}
        dispatch_model(model, places, main_device="cpu", offload_dir=str(tmp_path))
    assert same(answer(model), plain)
    for name, own in model.segment(picture, ["tree", "car"]).probabilities.items():
        np.testing.assert_allclose(own, found[name], atol=1e-5)


@pytest.mark.parametrize("method", EACH_METHOD)
def test_hooks_on_any_module_are_called(method: str) -> None:
    model = model_of(method)
    called: list[str] = []

    def expect(name: str, ask: Callable[[], object]) -> None:
        module = model.get_submodule(name)
        for register in (module.register_forward_hook, module.register_forward_pre_hook):
            called.clear()
            hook = register(lambda *_: called.append(name))
            with torch.no_grad(), model.kept():
                ask()
            hook.remove()
            assert called, name

    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList):  # these are never called
            expect(name, lambda: model.class_logits(PIXELS, IDS[:1]))
            expect(name, lambda: model(PIXELS, task_ids=IDS[:1]))


class Graded(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight * torch.linspace(-1, 1, weight.numel()).view_as(weight)


@pytest.mark.parametrize(("method", "every"), HOW_MUCH)
def test_parametrizations_of_any_layer(method: str, every: bool) -> None:
    base = model_of(method)
    plain = answer(base)
    kinds = (nn.Linear, nn.Conv2d, nn.Embedding, nn.BatchNorm2d)
    for name, layer in some_or_all(base, every, *kinds):
        model = copy.deepcopy(base)
        parametrize.register_parametrization(model.get_submodule(name), "weight", Graded())
        found = answer(model)
        assert differ(found, plain), name
        weight = layer.weight.detach().clone()
        with torch.no_grad():
            layer.weight.copy_(Graded()(weight))
            expected = base.class_logits(PIXELS, IDS)
            layer.weight.copy_(weight)
        assert same(found, expected), name


@pytest.mark.parametrize("name", ["linear_projections.2.proj", "linear_fuse", "classifier"])
def test_pruned_layers(name: str) -> None:
    model = model_of("adapter_hf")
    plain = answer(model)
    prune.random_unstructured(model.decode_head.get_submodule(name), "weight", 0.5)
    found = answer(model)
    assert differ(found, plain)
    prune.remove(model.decode_head.get_submodule(name), "weight")
    assert same(answer(model), found)


@pytest.mark.parametrize(
    ("place", "layer"),
    [
        ("decode_head.classifier", nn.Conv2d(16, 1, 3, padding=1)),
        ("decode_head.classifier", nn.Conv2d(16, 1, 1, bias=False)),
        ("decode_head.linear_fuse", nn.Conv2d(64, 16, 3, padding=1, bias=False)),
        ("decode_head.linear_fuse", nn.Conv2d(64, 16, 1)),
        ("decode_head.linear_projections.1.proj", nn.Linear(16, 16, bias=False)),
        ("decode_head.batch_norm", nn.GroupNorm(4, 16)),
        ("decode_head.batch_norm", nn.BatchNorm2d(16, affine=False)),
        ("decode_head.activation", nn.GELU()),
        ("decode_head.dropout", nn.Identity()),
        ("segformer.stages.0.blocks.0.drop_path", nn.Identity()),
    ],
)
def test_replaced_layers(place: str, layer: nn.Module) -> None:
    model = model_of("adapter_hf")
    model.set_submodule(place, copy.deepcopy(layer).double())
    answer(model)


@pytest.mark.parametrize("method", EACH_METHOD)
def test_dynamically_quantised_layers(method: str) -> None:
    """They round activations by the batch, so that ways to ask differ a little."""
    base = model_of(method, torch.float32)
    plain = answer(base)
    model = torch.ao.quantization.quantize_dynamic(base, {nn.Linear}, dtype=torch.qint8)
    for way in ways_to_ask(model).values():
        assert 0 < (way - plain).abs().mean() < 0.1 * plain.std()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_weights_of_eight_bits(method: str) -> None:
    """torchao keeps nn.Linear, and puts a tensor of its own kind into it."""
    torchao = pytest.importorskip("torchao.quantization", reason="needs torchao")
    model = model_of(method, torch.float32)
    plain = answer(model)
    torchao.quantize_(model, torchao.Int8WeightOnlyConfig())
    assert 0 < (answer(model) - plain).abs().mean() < 0.1 * plain.std()


@pytest.mark.parametrize("method", EACH_METHOD)
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointed_blocks_have_the_same_gradients(method: str, use_reentrant: bool) -> None:
    plain = model_of(method).train()
    for _, module in layers(plain, nn.Module):
        if isinstance(module, nn.Dropout) or hasattr(module, "drop_prob"):
            module.eval()
    model = copy.deepcopy(plain)
    model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
    for each in (plain, model):
        each(PIXELS, task_ids=IDS[:1]).logits.square().mean().backward()
    for expected, own in zip(plain.parameters(), model.parameters(), strict=True):
        assert (own.grad is None) == (expected.grad is None)
        if own.grad is not None:
            torch.testing.assert_close(own.grad, expected.grad)


def test_checkpointed_adapters_on_a_frozen_backbone() -> None:
    model = model_of("adapter_hf").train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("hypernet" in name)
    model.activation_checkpointing_enable({"use_reentrant": True})
    model(PIXELS, task_ids=IDS[:1]).logits.square().mean().backward()
    gradients = [each.grad for each in model.parameters() if each.requires_grad]
    assert all(each is not None for each in gradients)


def test_an_overridden_forward_answers_for_many_classes() -> None:
    class Doubled(TASFormerForSemanticSegmentation):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            outputs = super().forward(*args, **kwargs)
            outputs.logits = 2 * outputs.logits
            return outputs

    base = model_of("adapter_hf")
    model = Doubled(base.config).double()
    model.load_state_dict(base.state_dict())
    assert same(answer(model), 2 * answer(base))
