import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import SegformerConfig, SegformerForImageClassification

from transformers_update_for_adapters import TASFormerConfig

BACKBONE: dict[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 16,
}
TINY: dict[str, Any] = BACKBONE | {
    "num_tasks": 5,
    "task_embedding_dim": 12,
    "projector_hidden_dim": 10,
    "projector_dim": 6,
    "task_map_shape": [3, 16, 16],  # images of 64x64
}

# What Transformers 4 called the backbone's parts, as in the files on the hub.
V4_NAMES = (
    (r"stages\.(\d+)\.patch_embeddings\.", r"encoder.patch_embeddings.\1."),
    (r"stages\.(\d+)\.blocks\.", r"encoder.block.\1."),
    (r"stages\.(\d+)\.layer_norm\.", r"encoder.layer_norm.\1."),
    (r"attention\.sequence_reduction\.sequence_reduction", "attention.self.sr"),
    (r"attention\.sequence_reduction\.layer_norm", "attention.self.layer_norm"),
    (r"attention\.q_proj", "attention.self.query"),
    (r"attention\.k_proj", "attention.self.key"),
    (r"attention\.v_proj", "attention.self.value"),
    (r"attention\.o_proj", "attention.output.dense"),
    (r"mlp\.fc", "mlp.dense"),
    (r"layernorm_before", "layer_norm_1"),
    (r"layernorm_after", "layer_norm_2"),
    (r"linear_projections", "linear_c"),
)

# What Transformers' own tests are marked with (test_modeling_common.py).
MARKERS_OF_TRANSFORMERS = (
    *("accelerate_tests", "flash_attn_test", "flash_attn_3_test", "flash_attn_4_test"),
    *("order", "torch_compile_test"),
)


def pytest_configure(config: pytest.Config) -> None:
    for name in MARKERS_OF_TRANSFORMERS:
        config.addinivalue_line("markers", f"{name}: used by the tests of Transformers")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_config() -> Callable[..., TASFormerConfig]:
    """A configuration that is small enough for many tests."""

    def make(method: str, **options: Any) -> TASFormerConfig:
        return TASFormerConfig(method=method, **(TINY | options))

    return make


@pytest.fixture
def v4_name() -> Callable[[str], str]:
    def rename(name: str) -> str:
        for pattern, target in V4_NAMES:
            name = re.sub(pattern, target, name)
        return name

    return rename


@pytest.fixture
def make_backbone(
    tmp_path: Path, v4_name: Callable[[str], str]
) -> Callable[..., tuple[Path, dict[str, Tensor]]]:
    """A folder like nvidia/mit-b0: Transformers 4 names, with ImageNet's classifier."""

    def make(leave_out: str = "nothing", **options: Any) -> tuple[Path, dict[str, Tensor]]:
        model = SegformerForImageClassification(
            SegformerConfig(num_labels=7, **(BACKBONE | options))
        )
        state_dict = {
            v4_name(name): tensor.contiguous()
            for name, tensor in model.state_dict().items()
            if leave_out not in name
        }
        folder = tmp_path / "mit-tiny"
        folder.mkdir(parents=True)
        save_file(state_dict, folder / "model.safetensors", metadata={"format": "pt"})
        config = model.config.to_dict() | {
            "architectures": ["SegformerForImageClassification"],
            "transformers_version": "4.12.0.dev0",
            "torch_dtype": "float32",
        }
        (folder / "config.json").write_text(json.dumps(config))
        return folder, model.segformer.state_dict()

    return make
