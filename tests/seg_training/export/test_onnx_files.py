"""PyTorch, ONNX Runtime and OpenVINO paint the same masks."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_networks import photo, small_network

from seg_training.errors import UserError
from seg_training.export import runtimes as runtimes_module
from seg_training.export.exported_files import export_onnx, export_onnx_parts, export_torch
from seg_training.export.onnx_quantising import quantise
from seg_training.export.runtime_comparison import LEAST_IOU, compare_all, questions
from seg_training.export.runtimes import (
    RuntimeNetwork,
    open_onnx,
    runtimes_of,
    runtimes_of_parts,
)
from seg_training.networks import Network

PICTURES = [photo(90, 120, seed) for seed in range(4)]


@pytest.fixture(scope="module")
def network() -> Network:
    network = small_network("adapter_hf")
    network.config.origin = {"pretrained": None}
    network.config.measured = {"bIoU": 12.5, "num_masks": 3, "per_class": {}}
    return network


@pytest.fixture(scope="module")
def file(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "made" / "network.onnx"
    export_onnx(network, file)
    return file


@pytest.fixture(scope="module")
def parts(network: Network, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return export_onnx_parts(network, tmp_path_factory.mktemp("parts") / "network.onnx")


def test_masks_are_the_same_for_classes_and_sizes_in_one_batch(
    network: Network, file: Path
) -> None:
    comparisons = compare_all(network, runtimes_of(file), questions(network, PICTURES))
    assert {each.runtime for each in comparisons} == {"ONNX Runtime", "OpenVINO"}
    assert {each.shape[2:] for each in comparisons} == {(64, 96), (81, 96), (64, 130)}
    assert {each.shape[:2] for each in comparisons} == {(3, 2), (1, 2)}
    assert min(each.iou for each in comparisons) >= LEAST_IOU
    assert max(each.error for each in comparisons) < 1e-3  # of logits that go beyond ten


@pytest.mark.slow
@pytest.mark.parametrize("method", ["segformer", "emb", "adapter_hf++"])
def test_every_method_at_a_fixed_size(method: str, tmp_path: Path) -> None:
    network = small_network(method)
    export_onnx(network, tmp_path / "network.onnx", (64, 96))
    runtimes = runtimes_of(tmp_path / "network.onnx")
    comparisons = compare_all(network, runtimes, questions(network, PICTURES, (64, 96)))
    assert min(each.iou for each in comparisons) >= LEAST_IOU
    session = open_onnx(tmp_path / "network.onnx")
    assert session.get_inputs()[0].shape[1:] == [3, 64, 96]
    images = photo(64, 96).transpose(2, 0, 1)[None].copy()
    openvino = runtimes_module._openvino(tmp_path / "network.onnx")
    for wrong in (-1, 5):  # asked of the graph itself
        asked = {"images": images, "class_ids": np.array([[wrong]])}
        with pytest.raises(Exception, match="out of data bounds"):
            session.run(None, asked)
        assert np.isnan(openvino(asked)["logits"]).all()


def test_openvino_names_an_output_whose_tensor_is_also_another(tmp_path: Path) -> None:
    named = partial(onnx.helper.make_tensor_value_info, elem_type=1, shape=[2])
    nodes = [
        onnx.helper.make_node("Add", ["x", "x"], ["features"]),
        onnx.helper.make_node("Add", ["x", "x"], ["add_9"]),  # the same, which compiling finds out
        onnx.helper.make_node("Relu", ["features"], ["a"]),
        onnx.helper.make_node("Sigmoid", ["add_9"], ["b"]),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [named("x")], [named("features"), named("b")])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "a.onnx")
    found = runtimes_module._openvino(tmp_path / "a.onnx")({"x": np.zeros(2, np.float32)})
    assert {name: own.tolist() for name, own in found.items()} == {
        "features": [0, 0],
        "b": [0.5, 0.5],
    }


def test_the_file_describes_itself(file: Path) -> None:
    session = open_onnx(file)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["class_names"]) == ["tree", "sky", "car", "road", "wall"]
    assert json.loads(about["class_synonyms"])[2] == ["auto", "motorcar"]
    assert json.loads(about["crop_size"]) == [64, 96]
    assert about["view"] == "squeeze"
    assert json.loads(about["measured"])["bIoU"] == 12.5
    assert about["method"] == "adapter_hf"
    assert about["licence"].startswith("Trained from random weights")
    assert [(each.name, each.type) for each in session.get_inputs()] == [
        ("images", "tensor(uint8)"),
        ("class_ids", "tensor(int64)"),
    ]
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    [logits] = session.get_outputs()
    assert (logits.name, logits.shape) == ("logits", ["batch", "classes", "height", "width"])


def test_the_parts_are_the_whole(network: Network, file: Path, parts: tuple[Path, Path]) -> None:
    image_file, class_file = parts
    assert (image_file.name, class_file.name) == ("network_image.onnx", "network_class.onnx")
    runtimes = runtimes_of_parts(image_file, class_file)
    assert [each.name for each in runtimes] == ["ONNX Runtime, parts", "OpenVINO, parts"]
    comparisons = compare_all(network, runtimes, questions(network, PICTURES, multiple_of=4))
    assert {each.shape[2:] for each in comparisons} == {(64, 96), (84, 96), (64, 132)}
    assert min(each.iou for each in comparisons) >= LEAST_IOU
    assert max(each.error for each in comparisons) < 1e-3
    images = torch.from_numpy(np.stack([photo(64, 96), photo(64, 96, 1)])).permute(0, 3, 1, 2)
    pixels, asked = images.contiguous().numpy(), np.array([[0, 3], [2, 1]])
    [whole, _], [cut, _] = runtimes_of(file), runtimes
    np.testing.assert_allclose(cut.run(pixels, asked), whole.run(pixels, asked), atol=1e-3)
    image_part, class_part = open_onnx(image_file), open_onnx(class_file)
    [features], [_, ids] = image_part.get_outputs(), class_part.get_inputs()
    assert (features.name, features.shape) == ("features", ["batch", 16, "rows", "columns"])
    assert image_part.get_inputs()[0].shape == ["batch", 3, "4*rows", "4*columns"]
    assert class_part.get_inputs()[0].shape == features.shape
    assert ids.shape == ["batch", "classes"]
    assert class_part.get_outputs()[0].shape == ["batch", "classes", "4*rows", "4*columns"]
    assert "class_names" in class_part.get_modelmeta().custom_metadata_map


WRONG = [-1, -5, -6, 5, 7, 2**40]


def test_every_runtime_refuses_an_id_that_is_no_class_as_the_network_does(
    network: Network, file: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    export_torch(network, tmp_path / "network.pt2", (64, 96))
    runtimes = [*runtimes_of(file), *runtimes_of(tmp_path / "network.pt2")]
    runtimes += runtimes_of_parts(*parts)
    assert len(runtimes) == 5
    images = photo(64, 96).transpose(2, 0, 1)[None].copy()
    for wrong in WRONG:
        with pytest.raises(ValueError, match=f"task_ids hold {wrong}; expected") as expected:
            network.task_logits(torch.from_numpy(images), torch.tensor([0, wrong]))
        for runtime in runtimes:
            with pytest.raises(UserError) as refused:
                runtime.run(images, np.array([[0, wrong]]))
            assert str(refused.value) == str(expected.value)


def test_a_file_without_names_gives_no_mask_either(file: Path, tmp_path: Path) -> None:
    """Asked of the graph itself, as other programs do: an error, or what is no number."""
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    images = photo(64, 96).transpose(2, 0, 1)[None].copy()
    session = open_onnx(tmp_path / "bare.onnx")
    openvino = runtimes_module._openvino(tmp_path / "bare.onnx")
    for wrong in WRONG[:-1]:  # OpenVINO makes 32 bits of ids before the graph sees them
        asked = {"images": images, "class_ids": np.array([[2, wrong]])}
        with pytest.raises(Exception, match="out of data bounds"):
            session.run(None, asked)
        logits = openvino(asked)["logits"]
        assert np.isfinite(logits[:, 0]).all()
        assert np.isnan(logits[:, 1]).all()
        with pytest.raises(UserError, match=f"task_ids hold {wrong}; expected ids from 0 on"):
            runtimes_of(tmp_path / "bare.onnx")[1].run(images, asked["class_ids"])


def test_a_runtime_in_the_place_of_a_network(network: Network, file: Path) -> None:
    images = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None].contiguous()
    ids = torch.tensor([4, 0])
    logits = RuntimeNetwork(runtimes_of(file)[0]).task_logits(images, ids)
    with torch.no_grad():
        torch.testing.assert_close(logits, network.task_logits(images, ids), atol=1e-3, rtol=1e-4)


RUNTIMES_THAT_COME_AND_GO = """
import os, signal, sys
from pathlib import Path
from seg_training.export.runtimes import runtimes_of

file = Path(sys.argv[1])
first, second = runtimes_of(file), runtimes_of(file)
del first
del second
signal.signal(signal.SIGCHLD, lambda *_: None)
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_runtimes_that_went_do_not_crash_what_comes_after(file: Path) -> None:
    answer = subprocess.run([sys.executable, "-c", RUNTIMES_THAT_COME_AND_GO, str(file)])
    assert answer.returncode == 0


def test_eight_bits_are_smaller_and_nearly_the_same(
    network: Network, file: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.onnx"
    images = [np.ascontiguousarray(photo(64, 96, s).transpose(2, 0, 1))[None] for s in range(4)]
    batches = [{"images": each, "class_ids": np.array([[s]])} for s, each in enumerate(images)]
    quantise(file, small, iter(batches))
    kinds = {node.op_type for node in onnx.load(small).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    weights = {each.data_type for each in onnx.load(small).graph.initializer if len(each.dims) > 1}
    assert onnx.TensorProto.INT8 in weights
    asked = questions(network, PICTURES, (64, 96))
    for comparison in compare_all(network, runtimes_of(small), asked):
        assert comparison.iou > 0.8
        assert comparison.error > 1e-3  # it is another network
    assert "class_names" in open_onnx(small).get_modelmeta().custom_metadata_map


def test_a_file_that_cannot_be_written(network: Network, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match=r"cannot write .*taken/network\.onnx: .*; choose another"):
        export_onnx(network, tmp_path / "taken" / "network.onnx", (64, 96))
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]
