"""Transformers' own tests of every model, run on ours.

They are part of its source distribution, which ``make transformers-tests`` fetches; nothing of it
is copied into this project. Without it they skip.
"""

import os
import sys
import unittest
from functools import partialmethod
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

from transformers_update_for_adapters import (
    METHODS,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
    TASFormerModel,
)

REPOSITORY = Path(__file__).parents[2]
VERSION = transformers.__version__
SDIST = Path(
    os.environ.get("TRANSFORMERS_SDIST", REPOSITORY / ".transformers" / f"transformers-{VERSION}")
)
PACKAGE = "transformers_tests"
IN_THE_FAST_SUITE = "adapter_hf"

NOT_APPLICABLE = {
    "test_attention_outputs": (
        "stages have maps of their own sizes, as SegFormer's; test_modeling.py has their attentions"
    ),
    "test_can_load_ignoring_mismatched_shapes": (
        "sets num_labels alone, which is an error here: test_other_classes.py has what it means"
    ),
    "test_hidden_states_output": "a map per stage, as SegFormer's; test_modeling.py has the shapes",
    "test_model_get_set_embeddings": "no embedding of words, as in SegFormer",
    "test_model_weights_reload_no_missing_tied_weights": (
        "loads a file without weights, which is an error here; test_modeling.py has its message"
    ),
}


def common_tests() -> Any:
    """Import the tests' module, under a name that nothing else has."""
    facts = SDIST / "PKG-INFO"
    if not facts.is_file() or f"\nVersion: {VERSION}\n" not in facts.read_text(encoding="utf-8"):
        pytest.skip(
            f"needs the source distribution of transformers {VERSION}: make transformers-tests, or "
            f"TRANSFORMERS_SDIST with its unpacked folder; {SDIST} is none",
            allow_module_level=True,
        )
    # Modules that the distribution lacks, with what the tests derive from them: nothing for us.
    lacking = {
        "exporters.test_export": "ExportTesterMixin",
        "generation.test_utils": "GenerationTesterMixin",
    }
    for name in ("", ".exporters", ".generation", *(f".{name}" for name in lacking)):
        sys.modules[PACKAGE + name] = ModuleType(PACKAGE + name)
    sys.modules[PACKAGE].__path__ = [str(SDIST / "tests")]
    for name, mixin in lacking.items():
        setattr(sys.modules[f"{PACKAGE}.{name}"], mixin, type(mixin, (), {}))
    return import_module(f"{PACKAGE}.test_modeling_common")


common = common_tests()


class ModelTester:
    """What the tests ask about: a small network and a batch for it."""

    batch_size = 3
    image_size = 64
    num_hidden_layers = 2
    is_training = True

    def __init__(self, method: str) -> None:
        self.method = method

    def get_config(self) -> TASFormerConfig:
        return TASFormerConfig(
            method=self.method,
            num_tasks=5,
            num_encoder_blocks=2,
            depths=[1, 1],
            hidden_sizes=[8, 16],
            num_attention_heads=[1, 2],
            sr_ratios=[4, 2],
            mlp_ratios=[2, 2],
            patch_sizes=[7, 3],
            strides=[4, 2],
            decoder_hidden_size=16,
            task_embedding_dim=12,
            projector_hidden_dim=10,
            projector_dim=6,
            task_map_shape=[3, 16, 16],
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[TASFormerConfig, dict[str, Any]]:
        pixel_values = torch.rand(self.batch_size, 3, self.image_size, self.image_size)
        return self.get_config(), {
            "pixel_values": pixel_values,
            "task_ids": torch.tensor([0, 3, 4]),
        }


class CommonTests:
    all_model_classes = (TASFormerModel, TASFormerForSemanticSegmentation)
    additional_model_inputs = ("task_ids",)
    test_resize_embeddings = False
    test_can_init_all_missing_weights_before_2023 = True
    method: str

    def setUp(self) -> None:
        self.model_tester = ModelTester(self.method)
        # Where the tests look up which models have no loss.
        encoders = patch.dict(MODEL_MAPPING_NAMES, {"tasformer": TASFormerModel.__name__})
        encoders.start()
        self.addCleanup(encoders.stop)  # type: ignore[attr-defined]

    def test_reverse_loading_mapping(self) -> None:
        # Ours are saved with the names that they have, unless it is asked for.
        model = TASFormerForSemanticSegmentation
        as_original = partialmethod(model.save_pretrained, save_original_format=True)
        with patch.object(model, "save_pretrained", as_original):
            super().test_reverse_loading_mapping()  # type: ignore[misc]


def class_of(method: str) -> type[unittest.TestCase]:
    """Make the test class of a method."""
    skipped = {
        name: unittest.skip(reason)(getattr(common.ModelTesterMixin, name))
        for name, reason in NOT_APPLICABLE.items()
    }
    name = f"Test{method.title().replace('_', '').replace('++', 'PlusPlus')}"
    bases = (CommonTests, common.ModelTesterMixin, unittest.TestCase)
    made = type(name, bases, skipped | {"method": method, "__module__": __name__})
    return made if method == IN_THE_FAST_SUITE else pytest.mark.slow(made)


# Of Transformers with PyTorch, on things that are none of ours.
pytestmark = pytest.mark.filterwarnings("default")
globals().update({made.__name__: made for made in map(class_of, METHODS)})
