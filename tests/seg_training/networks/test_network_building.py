import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import (
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
)
from transformers.utils import logging as transformers_logging

from seg_training.config import compose_config
from seg_training.errors import UserError
from seg_training.networks import (
    Network,
    build_network,
    load_reference_state_dict,
    load_released_state_dict,
)
from seg_training.networks.network_building import (
    _option_names,
    check_settings,
    sizes_of_before,
)
from seg_training.pl_module import LitSeg
from transformers_update_for_adapters import (
    METHODS,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
)
from transformers_update_for_adapters.backbones import BACKBONES, Backbone, backbone_of

CONFIGS = Path(__file__).parents[3] / "configs"

BACKBONE: dict[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32],
    "depths": [1, 2, 1, 1],
    "num_attention_heads": [1, 2, 3, 4],
}
TINY = {"decoder_hidden_size": 16, "task_embedding_dim": 12, "projector_hidden_dim": 10}


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    """A folder with a small backbone and ImageNet's classifier."""
    torch.set_num_threads(1)
    folder = tmp_path / "mit-tiny"
    config = SegformerConfig(num_labels=7, **BACKBONE)
    SegformerForImageClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("as_text", [False, True])
def test_backbone_from_a_folder(
    method: str, as_text: bool, backbone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = SegformerForImageClassification.from_pretrained(backbone).segformer.state_dict()
    verbosity = transformers_logging.get_verbosity()
    with caplog.at_level(logging.INFO):
        network = build_network(method, 3, str(backbone) if as_text else backbone, **TINY)
    assert network.config.depths == [1, 2, 1, 1]  # the folder says what the backbone is
    assert network.config.decoder_hidden_size == 16
    assert network.num_tasks == 3
    ours = network.model.segformer.state_dict()
    for name, tensor in expected.items():
        assert torch.equal(ours[name], tensor), name
    new = len(network.model.state_dict()) - len(expected)
    assert (
        f"{len(expected)} tensors loaded, {new} new, "
        "2 unexpected (classifier.bias, classifier.weight)"
    ) in caplog.text
    assert transformers_logging.get_verbosity() == verbosity


@pytest.mark.parametrize("from_folder", [False, True])
def test_a_new_network_is_in_training_mode(from_folder: bool, backbone: Path) -> None:
    network = build_network("adapter_hf", 3, pretrained=backbone if from_folder else None)
    assert all(module.training for module in network.modules())


def test_a_saved_model_can_be_wrapped(tmp_path: Path) -> None:
    network = build_network("adapter_hf", 3, **BACKBONE, **TINY).eval()
    network.model.save_pretrained(tmp_path)
    again = Network(TASFormerForSemanticSegmentation.from_pretrained(tmp_path))
    pixels, ids = torch.rand(1, 3, 64, 64), torch.tensor([2])
    assert torch.equal(again(pixels, ids), network(pixels, ids))


def test_options_reach_the_configuration() -> None:
    network = build_network("vsa_emb", 3, num_vectors=3, drop_path_rate=0.0, task_names=list("abc"))
    assert network.config.num_vectors == 3
    assert network.config.drop_path_rate == 0.0
    assert network.config.task_names == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("adapter_hf+", {}, r"unknown method 'adapter_hf\+'; did you mean 'adapter_hf\+\+' or"),
        ("unet", {}, "unknown method 'unet'; known are segformer, emb, vsa_emb, adapter_hf"),
        ("emb", {"resize_embeddings": True}, "'resize_embeddings' .* did you mean 'resize_embed"),
        ("emb", {"method_": "emb"}, "unknown option 'method_' for the network"),
        ("emb", {"num_vectors": 0}, "options do not fit: num_vectors is 0; it must be 1 or more"),
        (
            "emb",
            {"num_vectors": "two"},
            "do not fit: .*'num_vectors' expected int, got str",
        ),
        ("emb", {"task_names": ["a"]}, "options do not fit: task_names has 1 entries, but"),
    ],
)
def test_what_is_unknown_or_wrong_is_refused(
    method: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        build_network(method, 3, **options)


@pytest.mark.parametrize("name", ["no/such/folder", "/no/such", "./missing", "~/missing", "mit-b0"])
def test_a_folder_that_is_not_there(name: str) -> None:
    with pytest.raises(UserError, match=f"pretrained is '{name}', but there is no such folder"):
        build_network("emb", 3, pretrained=name)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(UserError, match=r"model\.safetensors', but there is no such folder"):
        build_network("emb", 3, pretrained=file)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_an_incomplete_folder(missing: str, backbone: Path) -> None:
    (backbone / missing).unlink()
    with pytest.raises(UserError, match=f"mit-tiny' is no complete .* model: .*{missing}"):
        build_network("emb", 3, pretrained=backbone)


def test_a_damaged_folder(backbone: Path) -> None:
    (backbone / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(UserError, match=r"mit-tiny' is no complete .* model: .*header too large"):
        build_network("emb", 3, pretrained=backbone)


def test_a_folder_whose_weights_are_of_another_size(backbone: Path) -> None:
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | {"hidden_sizes": [8, 16, 24, 64]}))
    with pytest.raises(
        UserError, match=r"mit-tiny' do not fit: .* is \(32,\), but the network has \(64,\)"
    ):
        build_network("emb", 3, pretrained=backbone)


def test_a_folder_that_lacks_a_weight(backbone: Path) -> None:
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | {"depths": [1, 2, 1, 2]}))
    with pytest.raises(UserError, match=r"lacks 18 of the backbone's weights: .*and 15 more"):
        build_network("emb", 3, pretrained=backbone)


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError("We couldn't connect to 'https://huggingface.co'")

    monkeypatch.setattr(SegformerConfig, "from_pretrained", offline)
    with pytest.raises(UserError, match="couldn't connect") as error:
        build_network("emb", 3, pretrained="nvidia/mit-b0")
    assert "model.pretrained=null" in str(error.value)
    assert "model.pretrained=/path/to/mit-b0" in str(error.value)


SMALLEST = Backbone(
    BACKBONE["depths"], BACKBONE["hidden_sizes"], BACKBONE["num_attention_heads"], 24
)


@pytest.fixture
def tiny_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name for the small sizes of these tests."""
    monkeypatch.setitem(BACKBONES, "tiny", SMALLEST)


# Millions of weights of the encoder alone, as SegFormer's paper rounds them (table 6).
PUBLISHED = {"b0": 3.4, "b1": 13.1, "b2": 24.2, "b3": 44.0, "b4": 60.8, "b5": 81.4}


@pytest.mark.parametrize("name", PUBLISHED)
def test_backbones_have_the_published_sizes(name: str) -> None:
    with torch.device("meta"):
        network = build_network("segformer", 150, backbone=name, other_channel=False)
        sizes = BACKBONES[name]._asdict()
        stock = SegformerForSemanticSegmentation(SegformerConfig(num_labels=150, **sizes))
    millions = sum(each.numel() for each in network.model.segformer.parameters()) / 1e6
    assert millions == pytest.approx(PUBLISHED[name], abs=0.1)
    ours = {name: each.shape for name, each in network.model.state_dict().items()}
    assert ours == {name: each.shape for name, each in stock.state_dict().items()}
    assert network.config.decoder_hidden_size == (256 if name in ("b0", "b1") else 768)
    assert backbone_of(network.config) == name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["b1", "b2"])  # a narrow decoder and a wide one
def test_every_method_takes_larger_backbones(method: str, name: str) -> None:
    options = {} if method == "segformer" else {"resize_embedding": True}
    with FakeTensorMode():
        network = build_network(method, 3, backbone=name, **options).eval()
        images, ids = torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.tensor([0, 2])
        assert network(images, ids).shape == (2, 1, 64, 64)
        assert network.task_logits(images, ids).shape == (2, 2, 64, 64)
        if (hypernet := network.model.segformer.hypernet) is not None:
            adapters = hypernet(ids)
            assert [len(stage) for stage in adapters] == network.config.depths
            widths = [stage[0][0].shape[1:] for stage in adapters]  # (bottleneck, width)
            assert widths == [(each // 8, each) for each in network.config.hidden_sizes]


def test_the_smallest_backbone_is_the_default() -> None:
    def weights(**options: str) -> dict[str, Tensor]:
        torch.manual_seed(0)
        return build_network("adapter_hf", 3, **options).state_dict()

    for (name, plain), named in zip(
        weights().items(), weights(backbone="b0").values(), strict=True
    ):
        assert torch.equal(plain, named), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"backbone": "b6"},
            r"unknown backbone 'b6' \(known: b0, b1, b2, b3, b4, b5",
        ),
        (
            {"backbone": "b3", "depths": [2, 2, 2, 2]},
            r"depths is \[2, 2, 2, 2\], but that of backbone b3 is \[3, 4, 18, 3\]; leave one",
        ),
        (
            {"backbone": "b0", "hidden_sizes": [8, 16, 24, 32]},
            r"that of backbone b0 is \[32, 64, 1",
        ),
    ],
)
def test_a_backbone_that_contradicts_its_sizes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network("emb", 3, **options)


@pytest.mark.usefixtures("tiny_backbone")
def test_sizes_beside_a_backbone_may_repeat_it_and_the_decoder_be_another() -> None:
    network = build_network("emb", 3, backbone="tiny", depths=(1, 2, 1, 1))
    assert network.config.decoder_hidden_size == 24
    network = build_network("emb", 3, backbone="tiny", decoder_hidden_size=16)
    assert network.config.decoder_hidden_size == 16


@pytest.mark.usefixtures("tiny_backbone")
@pytest.mark.parametrize("name", ["tiny", None])
def test_the_decoder_goes_with_the_backbone_of_a_folder(name: str | None, backbone: Path) -> None:
    assert build_network("emb", 3, backbone, name).config.decoder_hidden_size == 24


def test_weights_of_another_backbone_are_refused(backbone: Path) -> None:
    with pytest.raises(
        UserError, match=r"mit-tiny' are of no known backbone \(depths \[1, 2, 1, 1"
    ):
        build_network("emb", 3, backbone, "b3")
    config = SegformerConfig(num_labels=7)
    config.save_pretrained(backbone)
    with pytest.raises(UserError, match=r"are of b0 \(.* but backbone is b3 .* nvidia/mit-b3"):
        build_network("emb", 3, backbone, "b3")


def test_the_network_of_a_checkpoint_is_built_without_its_pretrained_weights(
    backbone: Path,
) -> None:
    config = compose_config(
        "folder_adapter", ["data.root=.", f"model.pretrained={backbone}"], CONFIGS
    )
    module = LitSeg(config, ["sky"])
    saved = module.hparams["config"]
    assert {name: saved["model"][name] for name in ("depths", "hidden_sizes")} == {
        name: BACKBONE[name] for name in ("depths", "hidden_sizes")
    }
    again = LitSeg(saved, ["sky"], restoring=True)
    again.load_state_dict(module.state_dict())
    # Where it goes on, with the same settings, they are known as well.
    assert sizes_of_before(config["model"], saved["model"]) == saved["model"]
    scratch = {**config["model"], "pretrained": None}
    assert sizes_of_before(scratch, saved["model"]) == scratch
    plain = LitSeg({**config, "model": scratch}, ["sky"])
    assert plain.hparams["config"]["model"] == scratch


def test_released_weights_that_do_not_fit() -> None:
    network = build_network("emb", 3, **BACKBONE, **TINY)
    with pytest.raises(UserError, match="cannot load the released weights: this is no released"):
        load_released_state_dict(network, {"weight": torch.zeros(1)})
    assert load_reference_state_dict is load_released_state_dict  # the name of before


NOT_OF_ALL = sorted({name for method in METHODS.values() for name in method.fields})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NOT_OF_ALL)
def test_a_training_refuses_settings_that_its_method_does_not_read(method: str, name: str) -> None:
    settings = {"method": method, "pretrained": None, name: 4}
    if name in METHODS[method].fields:
        check_settings(settings)
        return
    with pytest.raises(
        UserError, match=rf"model\.{name}=4 does nothing with model\.method={method}"
    ):
        check_settings(settings)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_reads_the_fields_that_are_said_to_be_its_own(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the others only what every method has is looked at when it is built and run."""
    read: set[str] = set()
    plain = TASFormerConfig.__getattribute__

    def noted(self: TASFormerConfig, name: str) -> Any:
        read.add(name)
        return plain(self, name)

    config = TASFormerConfig(method=method, num_tasks=3, task_map_shape=(4, 16, 16), **BACKBONE)
    monkeypatch.setattr(TASFormerConfig, "__getattribute__", noted)
    network = Network(TASFormerForSemanticSegmentation(config))
    images, task_ids = torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.tensor([0, 1])
    network(images, task_ids).mean().backward()
    with torch.inference_mode():
        network.eval().task_logits(images, task_ids)
    expected = set(METHODS[method].fields)
    assert read & set(NOT_OF_ALL) == expected
    unread = set(_option_names()) - set(NOT_OF_ALL) - read
    # A channel per class has its name, where channels are counted; gains go with a recogniser.
    assert unread | {"task_names"} == {
        *("attn_implementation", "task_names", "semantic_loss_ignore_index", "painted_gains")
    }


def test_a_leftover_of_another_method_is_an_error_of_a_training(tmp_path: Path) -> None:
    config = compose_config("folder_adapter", ["model=segformer_scratch"], CONFIGS)
    config["model"]["adapter_reduction"] = 4
    with pytest.raises(UserError, match=r"only adapter_hf, adapter_hf\+\+ read it. Leave it out"):
        LitSeg(config, ["sky"])
    LitSeg(config, ["sky"], restoring=True)  # a checkpoint of before
    del config["model"]["adapter_reduction"]
    LitSeg(config, ["sky"])
