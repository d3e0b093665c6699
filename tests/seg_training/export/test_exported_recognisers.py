"""Files of networks with a recogniser: the same masks, and the same answer to what is there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import NAMES, SMALL, photo, recognising_network, small_network

from seg_training.errors import UserError
from seg_training.export.exported_files import export_onnx, export_onnx_parts, export_torch
from seg_training.export.network_graphs import (
    ClassGraph,
    ImageGraph,
    WholeGraph,
    image_outputs,
    whole_outputs,
)
from seg_training.export.runtime_comparison import (
    LARGEST_DOUBT,
    LEAST_IOU,
    Comparison,
    check_same,
    compare,
    compare_all,
    questions,
)
from seg_training.export.runtimes import Runtime, open_onnx, runtimes_of, runtimes_of_parts
from seg_training.export.torch_programs import class_program, image_program
from seg_training.networks import Network
from seg_training.networks.network_building import build_network

PICTURES = [photo(90, 120, seed) for seed in range(4)]
IDS = torch.tensor([[0, 4, 1], [3, 2, 4]])
IMAGES = torch.from_numpy(np.stack([photo(64, 96), photo(64, 96, 1)])).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def network() -> Network:
    return recognising_network()


def of_kind(kind: str) -> Network:
    if kind == "segformer":
        network = small_network("segformer")
        network.config.presence = {"scale": 1.0, "bias": [0.0] * 5, "least": 0.1}
        return network
    if kind == "overlapping":
        network = small_network("segformer", other_channel=False, overlapping=True)
        network.config.presence = {"scale": 1.0, "bias": [0.0] * 5, "least": 0.1}
        return network
    method, _, backbone = kind.partition(" ")
    return recognising_network(method, shared_backbone=backbone != "own")


@pytest.mark.parametrize(
    "kind", ["segformer", "overlapping", "emb", "adapter_hf", "adapter_hf own", "emb own"]
)
@torch.no_grad()
def test_graphs_give_what_the_network_gives(kind: str) -> None:
    network = of_kind(kind)
    logits = torch.cat(
        [network.task_logits(image[None], ids) for image, ids in zip(IMAGES, IDS, strict=True)]
    )
    presence = network.recognise(IMAGES).presence  # type: ignore[union-attr]
    whole = dict(zip(whole_outputs(network), WholeGraph(network)(IMAGES, IDS), strict=True))
    torch.testing.assert_close(whole["logits"], logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(whole["presence"], presence, equal_nan=True)
    parts = dict(zip(image_outputs(network), ImageGraph(network)(IMAGES), strict=True))
    torch.testing.assert_close(parts.pop("presence"), presence, equal_nan=True)
    assert ("scores" in parts) == network.prompted
    torch.testing.assert_close(
        ClassGraph(network)(class_ids=IDS, **parts), logits, atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_parts_as_programs_take_any_size(network: Network) -> None:
    image_part, class_part = image_program(network).module(), class_program(network).module()
    picture = torch.from_numpy(photo(100, 72))[None].permute(0, 3, 1, 2).contiguous()
    features, scores, presence = image_part(picture)
    seen = network.recognise(picture)
    assert seen is not None
    torch.testing.assert_close(presence, seen.presence, equal_nan=True)
    logits = network.task_logits(picture, IDS[0], seen)
    found = class_part(features, IDS[:1], scores)
    torch.testing.assert_close(found, logits, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_one_class_alone_that_may_overlap_at_any_size(tmp_path: Path) -> None:
    options = {"other_channel": False, "overlapping": True}
    network = build_network("segformer", 1, task_names=["sky"], **SMALL, **options).eval()
    network.config.crop_size = [64, 96]
    network.config.presence = {"scale": 1.0, "bias": [0.0], "least": 0.1}
    export_torch(network, tmp_path / "sky.pt2")
    [runtime] = runtimes_of(tmp_path / "sky.pt2")
    for size in ((64, 96), (100, 72)):
        picture = np.ascontiguousarray(photo(*size).transpose(2, 0, 1)[None])
        expected = network.task_logits(torch.from_numpy(picture), torch.tensor([0])).numpy()
        found = runtime.run(picture, np.array([[0]]))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_without_a_calibration_there_is_no_presence() -> None:
    network = recognising_network()
    network.config.presence = None
    logits = WholeGraph(network)(IMAGES, IDS)
    assert isinstance(logits, torch.Tensor)
    expected = network.task_logits(IMAGES[:1], IDS[0])
    torch.testing.assert_close(logits[:1], expected, atol=1e-4, rtol=1e-4)
    assert image_outputs(network) == ("features", "scores")


@pytest.fixture(scope="module")
def file(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "network.onnx"
    export_onnx(network, file)
    return file


def test_one_file_has_both_at_any_size(network: Network, file: Path, tmp_path: Path) -> None:
    export_torch(network, tmp_path / "network.pt2")
    runtimes = [*runtimes_of(file), *runtimes_of(tmp_path / "network.pt2")]
    comparisons = compare_all(network, runtimes, questions(network, PICTURES))
    assert {each.runtime for each in comparisons} == {"ONNX Runtime", "OpenVINO", "torch.export"}
    assert {each.shape[2:] for each in comparisons} == {(64, 96), (81, 96), (64, 130)}
    assert min(each.iou for each in comparisons) >= LEAST_IOU
    assert max(each.error for each in comparisons) < 1e-3
    assert all(each.doubt is not None and each.doubt < 1e-4 for each in comparisons)
    session = open_onnx(file)
    assert [(each.name, each.shape) for each in session.get_outputs()] == [
        ("logits", ["batch", "classes", "height", "width"]),
        ("presence", ["batch", 5]),
    ]
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["thresholds"]) == [0.0, -1.0, 1.0, 0.5, -0.5]
    assert json.loads(about["presence_least"]) == 0.25
    assert json.loads(about["recogniser"]) == {
        "source": "nvidia/segformer-b0",
        "license": "other",
        "labels": ["other", *NAMES],
        "unknown": [4],
    }


def test_the_image_part_recognises_and_the_class_part_takes_it(
    network: Network, tmp_path: Path
) -> None:
    # Of one size, which takes a third of the time; the programs above leave it free.
    files = export_onnx_parts(network, tmp_path / "network.onnx", (64, 96))
    runtimes = runtimes_of_parts(*files)
    asked = list(questions(network, PICTURES, (64, 96)))
    comparisons = compare_all(network, runtimes, asked)
    assert min(each.iou for each in comparisons) >= LEAST_IOU
    assert all(each.doubt is not None and each.doubt < 1e-4 for each in comparisons)
    image_part, class_part = map(open_onnx, files)
    assert [(each.name, each.shape) for each in image_part.get_outputs()] == [
        ("features", ["batch", 16, 16, 24]),
        ("scores", ["batch", 6, 16, 24]),
        ("presence", ["batch", 5]),
    ]
    inputs = {each.name: each.shape for each in class_part.get_inputs()}
    assert inputs == {
        "features": ["batch", 16, 16, 24],
        "class_ids": ["batch", "classes"],
        "scores": ["batch", 6, 16, 24],
    }
    images = IMAGES.contiguous().numpy()
    for runtime in runtimes:
        with pytest.raises(UserError, match="task_ids hold 5; expected"):
            runtime.run(images, np.array([[0, 5]] * 2))


def test_a_file_that_says_other_classes_are_there_is_refused(network: Network) -> None:
    image, ids = IMAGES[:1].contiguous(), IDS[:1]
    with torch.no_grad():
        logits = network.task_logits(image, ids[0]).numpy()
        presence = network.recognise(image).presence.numpy()  # type: ignore[union-attr]
    wrong = presence.copy()
    wrong[0, 0] -= 0.4
    for told, doubt in ((presence, 0.0), (wrong, 0.4), (None, 1.0), (np.zeros((1, 5)), 1.0)):
        runtime = Runtime("other", lambda *_: logits, lambda *_, told=told: told)  # type: ignore[misc]
        found = compare(network, runtime, image, ids)
        assert found.doubt == pytest.approx(doubt, abs=1e-6)
    check_same([Comparison("ONNX Runtime", (1, 1, 8, 8), 0, 1, LARGEST_DOUBT)], Path("f.onnx"))
    with pytest.raises(UserError, match=r"other does not say with it .* there: 0\.400 apart"):
        check_same([Comparison("other", (1, 1, 8, 8), 0, 1, 0.4)], Path("f.onnx"))


def test_files_of_networks_without_say_so(tmp_path: Path) -> None:
    export_onnx(small_network(), tmp_path / "network.onnx", (64, 96))
    session = open_onnx(tmp_path / "network.onnx")
    assert [each.name for each in session.get_outputs()] == ["logits"]
    about = session.get_modelmeta().custom_metadata_map
    assert [about[key] for key in ("thresholds", "presence_least", "recogniser")] == ["null"] * 3
