from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSemanticSegmentation,
    SegformerConfig,
    SegformerForSemanticSegmentation,
)

from transformers_update_for_adapters import (
    METHODS,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
    TASFormerModel,
)

MakeConfig = Callable[..., TASFormerConfig]
ADAPTERS = ("adapter_hf", "adapter_hf++")
PUBLISHED = {  # REFERENCE 2: K = 2, 12, 150
    "emb": (4_107_874, 4_747_874, 13_579_874),
    "vsa_emb": (3_979_874, 3_979_874, 3_979_874),  # the trained ones
    "adapter_hf": (7_199_521, 7_204_641, 7_275_297),
    "adapter_hf++": (5_666_529, 5_671_649, 5_742_305),
}
# The stock head's own fuse, norm and classifier, which the released emb and vsa_emb never use.
DEAD = 256 * 1024 + 2 * 256 + 256 + 1


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("method", PUBLISHED)
def test_parameter_counts_are_the_published_ones(method: str) -> None:
    dead = DEAD if method in ("emb", "vsa_emb") else 0
    for num_tasks, expected in zip((2, 12, 150), PUBLISHED[method], strict=True):
        config = TASFormerConfig(method=method, num_tasks=num_tasks)
        model = TASFormerForSemanticSegmentation(config)
        assert count(model) == expected - dead
        if method == "vsa_emb":
            assert count(model) + model.task_maps.weight.numel() == 4_107_874 - dead


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, 3_714_401), (150, 3_752_694), (151, 3_752_951)]
)
def test_parameter_counts_of_the_baseline(channels: int, expected: int) -> None:
    config = TASFormerConfig(method="segformer", num_tasks=channels, other_channel=False)
    assert count(TASFormerForSemanticSegmentation(config)) == expected


def same_weights(stock: SegformerForSemanticSegmentation, config: TASFormerConfig) -> Any:
    """Our model with the stock one's weights, and whatever else it has as drawn."""
    model = TASFormerForSemanticSegmentation(config)
    result = model.load_state_dict(stock.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert all("hypernet" in name for name in result.missing_keys)
    return model


@pytest.mark.parametrize("method", ["segformer", *ADAPTERS])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_without_adapters_it_is_the_stock_segformer(
    method: str, implementation: str, make_config: MakeConfig
) -> None:
    config = make_config(
        method, num_tasks=1, other_channel=False, attn_implementation=implementation
    )
    stock = SegformerForSemanticSegmentation(
        SegformerConfig(
            num_labels=1,
            hidden_sizes=config.hidden_sizes,
            num_attention_heads=config.num_attention_heads,
            decoder_hidden_size=config.decoder_hidden_size,
        )
    ).eval()
    model = same_weights(stock, config).eval()
    if model.segformer.hypernet is not None:
        with torch.no_grad():
            for generator in model.segformer.hypernet.generators:
                for layer in (generator.gamma, generator.beta):
                    layer.weight.zero_()
                    layer.bias.zero_()
    pixels, ids = torch.randn(2, 3, 97, 130, dtype=torch.float64), torch.tensor([0, 0])
    with torch.no_grad():
        logits = model.double()(pixels, task_ids=ids).logits
        expected = stock.double()(pixels).logits
    torch.testing.assert_close(logits, expected, atol=1e-10, rtol=0)


def test_attention_is_sdpa_by_default(make_config: MakeConfig) -> None:
    assert TASFormerModel(make_config("emb")).config._attn_implementation == "sdpa"


@pytest.mark.parametrize("method", ADAPTERS)
def test_hypernetwork_is_drawn_as_transformers_does(method: str) -> None:
    model = TASFormerForSemanticSegmentation(TASFormerConfig(method=method, num_tasks=50))
    linears = [m for m in model.segformer.hypernet.modules() if isinstance(m, nn.Linear)]
    assert len(linears) == 2 + 6 * (8 if method == "adapter_hf" else 4)
    weights = torch.cat([linear.weight.flatten() for linear in linears])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert not any(linear.bias.any() for linear in linears)


def test_convolutions_of_the_encoder_as_mits_authors_drew_them() -> None:
    model = TASFormerForSemanticSegmentation(TASFormerConfig(fan_out_convolutions=True))
    stage = model.segformer.stages[3]  # 160 -> 256 channels
    expected = {
        stage.patch_embeddings.proj: (2 / (3 * 3 * 256)) ** 0.5,
        stage.blocks[0].mlp.dwconv.dwconv: (2 / 9) ** 0.5,  # one output per group
        stage.blocks[0].mlp.fc1: 0.02,
        model.decode_head.linear_fuse: 0.02,
    }
    for layer, std in expected.items():
        assert layer.weight.std().item() == pytest.approx(std, rel=0.03)
        assert not (layer.bias is not None and layer.bias.any())


@pytest.mark.parametrize("method", METHODS)
def test_segformers_own_linear_layers_by_their_inputs(method: str) -> None:
    torch.manual_seed(0)
    model = TASFormerForSemanticSegmentation(TASFormerConfig(method=method, fan_in_linears=True))
    torch.manual_seed(0)
    plain = TASFormerForSemanticSegmentation(TASFormerConfig(method=method))
    block = model.segformer.stages[3].blocks[0]  # 256 channels
    expected = {block.attention.q_proj: 256, block.attention.o_proj: 256}
    expected |= {block.mlp.fc1: 256, block.mlp.fc2: 1024}
    expected |= {model.decode_head.linear_projections[2].proj: 160}
    for layer, inputs in expected.items():
        assert layer.weight.std().item() == pytest.approx(inputs**-0.5, rel=0.03)
        assert not layer.bias.any()
    # What a method adds, the convolutions and the head's others are as they were.
    drawn = model.state_dict()
    own = (*(f".attention.{each}_proj" for each in "qkvo"), ".mlp.fc", "linear_projections")
    for name, each in plain.state_dict().items():
        if each.numel() > 2000 and not any(part in name for part in own):
            assert drawn[name].std().item() == pytest.approx(each.std().item(), rel=0.1), name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loaded", [False, True], ids=["fresh", "from_pretrained"])
def test_initial_values(
    method: str,
    loaded: bool,
    make_config: MakeConfig,
    make_backbone: Callable[..., tuple[Path, dict[str, Tensor]]],
) -> None:
    config = make_config(
        method, num_tasks=64, decoder_hidden_size=64, task_embedding_dim=64, num_vectors=64
    )
    if loaded:
        folder, backbone = make_backbone()
        model = TASFormerForSemanticSegmentation.from_pretrained(folder, config=config)
        ours = model.segformer.state_dict()
        for name, tensor in backbone.items():
            assert torch.equal(ours[name], tensor), name
    else:
        model = TASFormerForSemanticSegmentation(config)

    def assert_normal(tensor: Tensor, std: float) -> None:
        margin = 5 * std / tensor.numel() ** 0.5
        assert tensor.mean().item() == pytest.approx(0, abs=margin)
        assert tensor.std().item() == pytest.approx(std, abs=margin)
        assert tensor.abs().max() > 2.5 * std  # not uniform

    hypernet = model.segformer.hypernet
    if method in ADAPTERS:
        assert_normal(hypernet.task_embeddings.weight, 1.0)
    if method == "adapter_hf++":
        assert_normal(hypernet.block_embeddings.weight, 1.0)
    if method == "emb":
        assert_normal(model.task_maps.weight, 0.13)
    if method == "vsa_emb":
        torch.testing.assert_close(model.task_maps.weight.flatten(1).norm(dim=1), torch.ones(64))

    head = model.decode_head
    for linear in head.linear_projections:
        assert_normal(linear.proj.weight, 0.02)
    assert torch.equal(head.batch_norm.weight, torch.ones(64))
    if method in ("emb", "vsa_emb"):  # PyTorch's defaults: uniform within 1 / sqrt(inputs)
        for layer in (head.linear_fuse, head.classifier):
            bound = layer.in_channels**-0.5
            assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert 0 < head.classifier.bias.abs().max() <= 64**-0.5
    else:
        assert_normal(head.linear_fuse.weight, 0.02)
        assert not head.classifier.bias.any()


@pytest.mark.parametrize(
    "missing", ["stages.2.blocks.1.attention.k_proj.bias", "stages.3.layer_norm.weight"]
)
@pytest.mark.parametrize("cls", [TASFormerModel, TASFormerForSemanticSegmentation])
def test_a_backbone_that_lacks_a_weight_is_refused(
    cls: Any,
    missing: str,
    make_config: MakeConfig,
    make_backbone: Callable[..., tuple[Path, dict[str, Tensor]]],
) -> None:
    folder, _ = make_backbone(leave_out=missing)
    with pytest.raises(ValueError, match=f"lacks 1 of the backbone's weights: .*{missing}"):
        cls.from_pretrained(folder, config=make_config("adapter_hf"))


@pytest.mark.parametrize("method", METHODS)
def test_saving_and_loading_keeps_everything(
    method: str, tmp_path: Path, make_config: MakeConfig
) -> None:
    config = make_config(method, task_names=["a", "b", "c", "d", "e"], vector_seed=3)
    model = TASFormerForSemanticSegmentation(config).eval()
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()

    assert isinstance(AutoConfig.from_pretrained(tmp_path), TASFormerConfig)
    loaded = AutoModelForSemanticSegmentation.from_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path)
    assert type(loaded) is TASFormerForSemanticSegmentation
    assert type(encoder) is TASFormerModel
    assert type(TASFormerForSemanticSegmentation.from_pretrained(tmp_path)) is type(model)

    assert loaded.config.task_names == ["a", "b", "c", "d", "e"]
    assert loaded.config.num_labels == config.num_labels
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    for name, tensor in model.segformer.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], tensor), name
    assert count(loaded) == count(model)

    pixels, ids = torch.randn(2, 3, 64, 64), torch.tensor([1, 4])
    assert torch.equal(loaded(pixels, task_ids=ids).logits, model(pixels, task_ids=ids).logits)


@pytest.mark.parametrize("method", METHODS)
def test_outputs_follow_the_custom_of_transformers(method: str, make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config(method)).eval()
    pixels, ids = torch.randn(2, 3, 64, 64), torch.tensor([1, 4])
    labels = torch.randint(0, 2, (2, 64, 64))
    labels[0, :10] = 255
    outputs = model(pixels, task_ids=ids, labels=labels, output_hidden_states=True)
    assert outputs.logits.shape == (2, 6 if method == "segformer" else 1, 16, 16)
    assert [tuple(h.shape) for h in outputs.hidden_states] == [
        (2, 8, 16, 16),
        (2, 16, 8, 8),
        (2, 24, 4, 4),
        (2, 32, 2, 2),
    ]
    assert outputs.attentions is None

    valid = labels != 255
    logits = F.interpolate(
        outputs.logits, size=(64, 64), mode="bilinear", align_corners=model.config.align_corners
    )
    if method == "segformer":
        expected = F.cross_entropy(logits.movedim(1, -1)[valid], labels[valid])
    else:
        expected = F.binary_cross_entropy_with_logits(logits[:, 0][valid], labels[valid].float())
    torch.testing.assert_close(outputs.loss, expected)

    plain = model(pixels, task_ids=ids)
    assert plain.hidden_states is None
    assert plain.loss is None
    assert len(model(pixels, task_ids=ids, return_dict=False)) == 1
    encoded = model.segformer(pixels, task_ids=ids)
    torch.testing.assert_close(encoded.last_hidden_state, outputs.hidden_states[-1])
    assert encoded.hidden_states is None


def test_attentions_can_be_asked_for(make_config: MakeConfig) -> None:
    config = make_config("adapter_hf", attn_implementation="eager")
    model = TASFormerForSemanticSegmentation(config).eval()
    outputs = model(torch.randn(2, 3, 64, 64), torch.tensor([1, 4]), output_attentions=True)
    assert [a.shape[1] for a in outputs.attentions] == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("method", ADAPTERS)
def test_one_id_can_be_shared_by_a_batch(method: str, make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config(method)).eval()
    pixels = torch.randn(3, 3, 64, 64)
    shared = model(pixels, task_ids=torch.tensor([2])).logits
    torch.testing.assert_close(shared, model(pixels, task_ids=torch.tensor([2, 2, 2])).logits)


@pytest.mark.parametrize("method", ["emb", "vsa_emb", *ADAPTERS])
def test_a_method_that_reads_ids_needs_them(method: str, make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config(method))
    with pytest.raises(ValueError, match=f"method '{method.replace('+', '.')}' needs task_ids"):
        model(torch.randn(1, 3, 64, 64))


def test_baseline_has_no_logits_of_single_tasks(make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config("segformer"))
    shared = model.shared_features(torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match="'segformer' has all its classes in its logits"):
        model.logits_for_tasks(shared, torch.tensor([0]))


@pytest.mark.parametrize("method", METHODS)
def test_gradient_checkpointing_changes_nothing(method: str, make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config(method, drop_path_rate=0.3)).train()
    pixels, ids = torch.randn(2, 3, 64, 64), torch.tensor([1, 4])
    gradients = []
    for options in (None, {"use_reentrant": False}, {"use_reentrant": True}):
        if options:
            model.activation_checkpointing_enable(options)
        model.zero_grad()
        torch.manual_seed(3)  # dropout and stochastic depth
        model(pixels, task_ids=ids).logits.square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    for checkpointed in gradients[1:]:
        torch.testing.assert_close(checkpointed, gradients[0])


def test_stochastic_depth_drops_the_adapted_update(make_config: MakeConfig) -> None:
    model = TASFormerModel(make_config("adapter_hf", drop_path_rate=0.5)).train()
    drops = [block.drop_path for stage in model.stages for block in stage.blocks]
    rates = [getattr(drop, "drop_prob", 0.0) for drop in drops]
    assert rates == pytest.approx([0.5 * block / 7 for block in range(8)])
    layer = model.stages[3].blocks[1]
    layer.drop_path.drop_prob = 1 - 1e-6  # drops every update
    adapter = model.hypernet(torch.tensor([1, 2]))[3][1]
    residual = torch.randn(2, 9, 32)
    torch.testing.assert_close(layer.task_part(torch.randn(2, 9, 32), residual, adapter), residual)


@pytest.mark.parametrize("load", [TASFormerForSemanticSegmentation, TASFormerModel])
@pytest.mark.parametrize("method", METHODS)
def test_loaded_weights_lie_as_others_do_and_outlive_their_file(
    method: str, load: Any, make_config: MakeConfig, tmp_path: Path
) -> None:
    """Kernels round by how memory is aligned; and a mapped file changes with what is written."""
    saved = TASFormerForSemanticSegmentation(make_config(method))
    saved.save_pretrained(tmp_path)
    model = load.from_pretrained(tmp_path)
    weights = model.state_dict()
    assert {weight.data_ptr() % 64 for weight in weights.values()} == {0}
    before = {name: weight.clone() for name, weight in weights.items()}
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.seek(-50_000, 2)
        file.write(bytes(range(250)) * 200)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]), name
