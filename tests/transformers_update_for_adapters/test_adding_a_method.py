"""A sixth method is one class and one line: everything else asks the class."""

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from short_runs import SHORT_RUNS, TINY, train_a_step
from small_networks import photo, small_network
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from seg_training.checkpoints.model_folders import load_network
from seg_training.config import compose_config
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.export.exported_files import export_onnx, export_torch
from seg_training.export.network_graphs import ClassGraph, ImageGraph, WholeGraph
from seg_training.export.runtime_comparison import LEAST_IOU, compare_all, questions
from seg_training.export.runtimes import runtimes_of
from seg_training.networks import Network, build_network
from seg_training.networks.network_building import check_settings
from transformers_update_for_adapters import (
    METHODS,
    Method,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
    TASFormerModel,
)
from transformers_update_for_adapters.plain_modules import DrawsItself
from transformers_update_for_adapters.task_conditions import Conditions
from transformers_update_for_adapters.task_maps import TaskMaps


class ScaleAndShift(Method, DrawsItself, nn.Module):
    """After each block a scale and a shift of its channels, looked up for each task."""

    fields = ("scale_std",)
    scale_std: float = 0.02

    def __init__(self, config: TASFormerConfig) -> None:
        super().__init__()
        self.std = config.scale_std
        self.task_embeddings = nn.ModuleList(
            nn.ParameterList(torch.empty(config.num_tasks, 2, width) for _ in range(depth))
            for width, depth in zip(config.hidden_sizes, config.depths, strict=True)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for table in self.parameters():
            init.normal_(table, std=self.std)

    def forward(self, task_ids: Tensor) -> Conditions:
        return [[table[task_ids].unbind(1) for table in stage] for stage in self.task_embeddings]

    @classmethod
    def hypernet(cls, config: TASFormerConfig) -> nn.Module:
        return cls(config)

    @staticmethod
    def finish_block(
        update: Tensor,
        residual: Tensor,
        drop_path: Callable[[Tensor], Tensor],
        conditions: Sequence[Tensor],
    ) -> Tensor:
        scale, shift = (each.unsqueeze(1) for each in conditions)
        return (drop_path(update) + residual) * (1 + scale) + shift


NAME = "scale_shift"
REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs"
PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
IDS = torch.tensor([3, 0, 3, 1])


class FromTheThirdStage(ScaleAndShift):
    """As above, but the first two stages, and a block of the third, are as they are."""

    @classmethod
    def first_block(cls, config: TASFormerConfig) -> int:
        return sum(config.depths[:2]) + 1

    def forward(self, task_ids: Tensor) -> Conditions:
        first, second, (_, *third), last = super().forward(task_ids)
        return [[()] * len(first), [()] * len(second), [(), *third], last]


class WithMaps(ScaleAndShift):
    """As the first, and with a learned map in the decoder."""

    fields = (*ScaleAndShift.fields, "task_map_shape", "resize_embedding")

    @classmethod
    def task_maps(cls, config: TASFormerConfig) -> TaskMaps:
        return TaskMaps(config, config.num_tasks)


VARIANTS = {NAME: ScaleAndShift, "from_the_third": FromTheThirdStage, "with_maps": WithMaps}


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    METHODS.update(VARIANTS)
    yield
    for name in VARIANTS:
        del METHODS[name]


def model_of(name: str) -> TASFormerForSemanticSegmentation:
    """In double precision, and with classes that matter."""
    network = small_network(name, crop_size=(64, 64), scale_std=0.5, depths=[1, 2, 2, 1])
    return network.model.double()


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_many_classes_at_once_are_those_one_by_one(name: str) -> None:
    model = model_of(name)
    each = [model(PIXELS, task_ids=task.expand(2)).logits for task in IDS]
    expected = model.upsample(torch.cat(each, dim=1), (64, 64))
    assert (expected[:, 0] - expected[:, 1]).abs().max() > 0.1  # the class matters
    torch.testing.assert_close(model.class_logits(PIXELS, IDS), expected, atol=1e-9, rtol=0)
    with model.kept():
        for _ in range(2):
            torch.testing.assert_close(model.class_logits(PIXELS, IDS), expected, atol=1e-9, rtol=0)


@torch.no_grad()
def test_what_comes_before_the_first_conditioned_block_is_computed_once() -> None:
    images: dict[str, dict[str, int]] = {}
    for name in (NAME, "from_the_third"):
        model, seen = model_of(name), images.setdefault(name, {})
        for part, module in model.segformer.named_modules():
            if part.endswith("mlp"):

                def note(_: object, inputs: Any, __: object, part: str = part) -> None:
                    seen[part] = len(inputs[0])  # noqa: B023

                module.register_forward_hook(note)
        model.class_logits(PIXELS, IDS)
    once, often = len(PIXELS), len(PIXELS) * len(IDS)
    assert [*images[NAME].values()] == [once, *5 * [often]]
    assert [*images["from_the_third"].values()] == [*5 * [once], often]


def test_a_step_lowers_the_loss_and_trains_every_weight() -> None:
    torch.manual_seed(0)
    network = build_network(NAME, 5, **TINY, drop_path_rate=0.0, classifier_dropout_prob=0.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    pixels = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    ids, target = torch.tensor([3, 0, 4]), torch.rand(3, 1, 64, 64).round()
    losses = []
    for _ in range(2):
        loss = F.binary_cross_entropy_with_logits(network(pixels, ids), target)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    assert losses[1] < losses[0]
    assert all(each.grad is not None for each in network.parameters())


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing_changes_nothing(use_reentrant: bool) -> None:
    plain = model_of(NAME).train()
    for module in plain.modules():
        if isinstance(module, nn.Dropout) or hasattr(module, "drop_prob"):
            module.eval()
    model = copy.deepcopy(plain)
    model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
    for each in (plain, model):
        each(PIXELS, task_ids=IDS[:2]).logits.square().sum().backward()
    for expected, own in zip(plain.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(own.grad, expected.grad)


def test_saving_and_loading_keeps_weights_and_fields(tmp_path: Path) -> None:
    model = small_network(NAME, scale_std=0.5).model
    tables = [each for name, each in model.named_parameters() if "task_embeddings" in name]
    assert torch.cat([table.flatten() for table in tables]).std().item() == pytest.approx(
        0.5, rel=0.1
    )
    model.save_pretrained(tmp_path)
    loaded = TASFormerForSemanticSegmentation.from_pretrained(tmp_path)
    assert (loaded.config.method, loaded.config.scale_std) == (NAME, 0.5)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    encoder = TASFormerModel.from_pretrained(tmp_path)
    assert torch.equal(
        encoder.hypernet.task_embeddings[0][0], model.segformer.hypernet.task_embeddings[0][0]
    )
    found = load_network(tmp_path).task_logits(torch.zeros(1, 3, 64, 96), IDS)
    torch.testing.assert_close(found, Network(model).task_logits(torch.zeros(1, 3, 64, 96), IDS))


def test_its_fields_are_checked_as_those_of_others_are() -> None:
    assert TASFormerConfig(method=NAME).scale_std == 0.02
    assert not hasattr(TASFormerConfig(method="emb"), "scale_std")
    with pytest.raises(ValueError, match="'scale_std' expected float, got str"):
        TASFormerConfig(method=NAME, scale_std="wide")
    config = TASFormerConfig(method="emb")
    config.method = NAME
    assert config.scale_std == 0.02
    with pytest.raises(ValueError, match="'scale_std' expected float, got str"):
        config.scale_std = "wide"
    assert config.scale_std == 0.02
    with pytest.raises(UserError, match=r"unknown option 'scale_sdt'.* mean 'scale_std'"):
        build_network(NAME, 3, scale_sdt=0.1)
    check_settings({"method": NAME, "scale_std": 0.1})
    with pytest.raises(UserError, match=f"only {', '.join(VARIANTS)} read it"):
        check_settings({"method": "adapter_hf", "scale_std": 0.1})
    with pytest.raises(UserError, match=r"model.scale_std.*only scale_shift, from_the_third"):
        compose_config("ade20k_adapter", ["data.root=.", "model.scale_std=1"], CONFIGS)


@torch.no_grad()
def test_graphs_compute_what_the_network_does() -> None:
    for name in (NAME, "from_the_third"):
        network = small_network(name, scale_std=0.5)
        pictures = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None]
        expected = network.task_logits(pictures, IDS)
        found = ClassGraph(network)(ImageGraph(network)(pictures), IDS[None])
        for logits in (found, WholeGraph(network)(pictures, IDS[None])):
            torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_exported_files_paint_the_same_masks(kind: str, tmp_path: Path) -> None:
    network = small_network(NAME, scale_std=0.5)
    file = tmp_path / f"network.{kind}"
    pictures = [photo(90, 120, seed) for seed in range(2)]
    (export_onnx if kind == "onnx" else export_torch)(network, file)
    comparisons = compare_all(network, runtimes_of(file), questions(network, pictures))
    assert comparisons
    assert min(each.iou for each in comparisons) >= LEAST_IOU


@pytest.mark.slow
class TestRun:
    """A training, its evaluation and a prediction."""

    pytestmark = SHORT_RUNS

    def test_a_run_trains_evaluates_and_paints(self, tmp_path: Path) -> None:
        model: dict[str, Any] = {**TINY, "method": NAME, "scale_std": 0.3}
        run = train_a_step(
            tmp_path, f"run_dir={tmp_path / 'run'}", "data.crop_size=[64,64]", model=model
        )
        result, module = evaluate(run, [], CONFIGS)
        assert 0 <= result.bIoU <= 100
        assert module.network.method == NAME
        network = load_network(run)
        picture = torch.from_numpy(photo(64, 64)).permute(2, 0, 1)[None]
        logits = network.task_logits(picture, torch.tensor([0, 1]))
        assert torch.equal(logits, module.network.task_logits(picture, torch.tensor([0, 1])))
        probabilities = network.model.segment(photo(80, 70), network.task_names[:1]).probabilities
        assert np.isfinite(probabilities[network.task_names[0]]).all()


COMPARED = re.compile(
    r"""method\w*["')\]]*\s*(==|!=|(not\ )?in\s+[(\[{])   # config.method == ..., method in (...)
    |["'](segformer|emb|vsa_emb|adapter_hf(\+\+)?)["']\s*(==|!=|in\b)
    |(==|!=)\s*["'](segformer|emb|vsa_emb|adapter_hf(\+\+)?)["']
    |method\w*\.(startswith|endswith)\(""",
    re.VERBOSE,
)


def test_nothing_compares_names_of_methods() -> None:
    for line in ('if config.method == "emb":', 'x["method"] in ("emb",)', 'method.startswith("a")'):
        assert COMPARED.search(line)
    packages = ("transformers_update_for_adapters", "ADE20K_multitask_segmentation")
    files = [
        file
        for package in (*packages, "multitask_segmentation", "scripts")
        for file in (REPOSITORY / package).rglob("*.py")
    ]
    found = [
        f"{file.name}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if COMPARED.search(line)
    ]
    assert len(files) > 100
    assert found == []
