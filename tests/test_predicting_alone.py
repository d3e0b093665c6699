"""Predicting stands alone, in a process of its own: nothing of a training is imported for it.

After that, in the same process, the names that people have in their code.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from own_process import REPOSITORY
from PIL import Image
from small_networks import photo, small_network

from seg_training.checkpoints.model_folders import describe_network, save_network
from seg_training.checkpoints.network_in_checkpoint import NETWORK, network_to_keep
from seg_training.config import compose_config

pytestmark = pytest.mark.slow

OF_TRAINING = (
    *("pytorch_lightning", "lightning", "lightning_fabric", "hydra", "albumentations"),
    *("torchmetrics", "tensorboard", "multitask_segmentation"),
    *("seg_training.training", "seg_training.datasets", "seg_training.evaluation"),
    *("seg_training.audit", "seg_training.tables", "seg_training.benchmark"),
    *("seg_training.pl_module", "seg_training.config", "seg_training.tasks"),
)

PROGRAM = """
import json, runpy, sys
from pathlib import Path

folder, *commands = json.loads(sys.argv[1])
folder = Path(folder)
for command in commands:
    sys.argv = ["predict.py", *command]
    try:
        runpy.run_path("predict.py", run_name="__main__")
    except SystemExit as end:
        assert not end.code, end.code
after_predict = sorted(sys.modules)

from seg_training.trained_networks import load_network
from seg_training.pictures.picture_reading import read_image
from seg_training.prediction.averaged_probabilities import Looks, class_probabilities

network = load_network(folder / "run")
picture = read_image(folder / "photos" / "a.png")
[(task, own)] = class_probabilities(network, picture, [2], Looks(network.crop_size))
assert task == 2 and own.shape == (40, 60) and 0 <= own.min() <= own.max() <= 1

import seg_training.browser_page.browser_page_building
import seg_training.export.comparison_pictures
import seg_training.export.exported_files
import seg_training.export.runtime_comparison
import seg_training.web_app.web_examples
from seg_training.web_app.painters import load_painters
from seg_training.web_app.result_archive import write_archive

painters = load_painters([str(folder / "run"), str(folder / "model")], "cpu")
archive = write_archive(painters, folder / "photos" / "a.png", ["tree"], 0.5, folder)
after_pages = sorted(sys.modules)

import torch
from seg_training.datasets.base import SegmentationDataset
from seg_training.networks import Network, build_network, load_reference_state_dict
from seg_training.pl_module import LitSeg

assert isinstance(network, Network)
content = torch.load(folder / "run" / "best.ckpt", weights_only=True)
settings = content["hyper_parameters"]
module = LitSeg(settings["config"], settings["task_names"], restoring=True)
module.load_state_dict(content["state_dict"])
image = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)
with torch.no_grad():
    again, before = (each(image, torch.tensor([1])) for each in (module.eval(), network))
assert (again == before).all()
assert issubclass(build_network.__globals__["Network"], torch.nn.Module)
assert callable(load_reference_state_dict) and callable(SegmentationDataset.pair)
json.dump({"predict": after_predict, "pages": after_pages}, (folder / "modules.json").open("w"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's checkpoint, a model folder, and pictures."""
    folder = tmp_path_factory.mktemp("alone")
    network = small_network()
    config = compose_config("ade20k_adapter", ["model.pretrained=null"], REPOSITORY / "configs")
    own = {name: getattr(network.config, name) for name in ("depths", "hidden_sizes")}
    own |= {"num_attention_heads": [1, 2, 3, 4], "decoder_hidden_size": 16}
    own |= {"task_embedding_dim": 12, "projector_hidden_dim": 10, "projector_dim": 6}
    config["model"] |= own
    (folder / "run").mkdir()
    content = {
        "state_dict": {f"network.{name}": own for name, own in network.state_dict().items()},
        "hyper_parameters": {"config": config, "task_names": list(network.task_names)},
        NETWORK: network_to_keep(network, network.crop_size, network.config.task_synonyms or ()),
        "global_step": 1,
    }
    torch.save(content, folder / "run" / "best.ckpt")
    describe_network(network, config)
    save_network(folder / "model", network, config)
    (folder / "photos" / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "more/c.png")):
        Image.fromarray(photo(40, 60, number)).save(folder / "photos" / name)
    return folder


@pytest.fixture(scope="module")
def modules(folder: Path) -> dict[str, list[str]]:
    """What is imported after pictures were painted, and after networks were loaded for pages."""
    one = ["--image", str(folder / "photos" / "a.png"), "--classes", "shrub"]
    every = ["--image", str(folder / "photos"), "--classes", "all"]
    commands: Any = [
        str(folder),
        ["--ckpt", str(folder / "run"), *one, "--output", str(folder / "one")],
        ["--ckpt", str(folder / "model"), *one, "--output", str(folder / "two")],
        ["--ckpt", str(folder / "run"), *every, "--output", str(folder / "every")],
    ]
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    imported: dict[str, list[str]] = json.loads((folder / "modules.json").read_text())
    return imported


@pytest.mark.parametrize("moment", ["predict", "pages"])
def test_nothing_of_a_training_is_imported(modules: dict[str, list[str]], moment: str) -> None:
    imported = {
        name
        for name in modules[moment]
        if f"{name}.".startswith(tuple(f"{room}." for room in OF_TRAINING))
    }
    assert imported == set()
    assert "seg_training.prediction.picture_prediction" in modules[moment]


def test_results_are_there_and_the_same_from_either(
    modules: dict[str, list[str]], folder: Path
) -> None:
    assert modules
    results = [
        json.loads((folder / name / "a" / "result.json").read_text()) for name in ("one", "two")
    ]
    assert [each["class"] for each in results[0]["classes"]] == ["tree"]
    assert results[0]["classes"] == results[1]["classes"]
    for name in ("a", "b", "more/c"):
        every = json.loads((folder / "every" / name / "result.json").read_text())
        assert [each["class"] for each in every["classes"]] == [
            "tree",
            "sky",
            "car",
            "road",
            "wall",
        ]
