import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from small_networks import photo, small_network

from seg_training.errors import UserError
from seg_training.export import runtimes
from seg_training.export.runtime_comparison import (
    Comparison,
    check_same,
    compare,
    questions,
    show_comparisons,
)
from seg_training.export.runtimes import Runtime, runtimes_of


def test_the_worst_logit_and_the_worst_mask_count() -> None:
    network = small_network()
    images = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None].contiguous()
    ids = torch.tensor([[0, 2]])
    with torch.no_grad():
        exact = network.task_logits(images, ids[0]).numpy()
    spoilt = exact.copy()
    spoilt[0, 1] = -1.0
    spoilt[0, 1, :10] = 1.0  # ten rows for the second class
    result = compare(network, Runtime("other", lambda *_: spoilt), images, ids)
    mask = exact[0, 1] > 0
    assert result.runtime == "other"
    assert result.shape == (1, 2, 64, 96)
    assert result.error == pytest.approx(np.abs(exact - spoilt).max())
    expected = mask[:10].sum() / (mask.sum() + 10 * 96 - mask[:10].sum())
    assert result.iou == pytest.approx(expected)
    nowhere = compare(network, Runtime("none", lambda *_: exact - 1e9), images, ids)
    assert nowhere.iou == 0


def test_two_empty_masks_are_the_same() -> None:
    network = small_network()
    with torch.no_grad():
        network.model.decode_head.classifier.bias.sub_(1e6)
    images = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)
    empty = np.full((1, 1, 64, 96), -1e6, np.float32)
    result = compare(network, Runtime("other", lambda *_: empty), images, torch.tensor([[0]]))
    assert result.iou == 1


def test_classes_and_sizes_change_from_batch_to_batch() -> None:
    network = small_network()
    pictures = [photo(50, 60, seed) for seed in range(4)]
    asked = list(questions(network, pictures))
    assert [tuple(images.shape) for images, _ in asked] == [
        *((3, 3, 64, 96), (1, 3, 64, 96)),
        *((3, 3, 81, 96), (1, 3, 81, 96)),
        *((3, 3, 64, 130), (1, 3, 64, 130)),
    ]
    assert asked[0][1].tolist() == [[0, 1], [2, 3], [4, 0]]
    assert asked[1][1].tolist() == [[1, 2]]
    even = {images.shape[2:] for images, _ in questions(network, pictures, multiple_of=4)}
    assert even == {(64, 96), (84, 96), (64, 132)}
    one = list(questions(network, pictures, (32, 40), num_images=1, num_classes=3))
    assert {tuple(images.shape) for images, _ in one} == {(1, 3, 32, 40)}
    assert [ids.tolist() for _, ids in one] == [[[0, 1, 2]], [[3, 4, 0]], [[1, 2, 3]], [[4, 0, 1]]]


def test_masks_that_differ_are_an_error() -> None:
    good = Comparison("ONNX Runtime", (1, 1, 8, 8), 1e-6, 0.9995)
    check_same([good], Path("f.onnx"))
    with pytest.raises(UserError, match=r"f\.onnx was written, but OpenVINO does not .* 0\.99800"):
        check_same([good, Comparison("OpenVINO", (1, 1, 8, 8), 0.1, 0.998)], Path("f.onnx"))


def test_a_row_has_the_worst_of_a_runtime_and_size() -> None:
    text = io.StringIO()
    comparisons = [
        Comparison("OpenVINO", (3, 2, 160, 215), 1.2e-5, 0.99987),
        Comparison("OpenVINO", (1, 2, 160, 215), 3.4e-5, 1.0),
        Comparison("OpenVINO", (3, 2, 64, 96), 5.6e-5, 0.9999),
    ]
    show_comparisons(comparisons, Console(file=text, width=120))
    rows = [
        [cell.strip() for cell in line.strip("│\n").split("│")]
        for line in text.getvalue().splitlines()
        if line.startswith("│")
    ]
    assert rows == [
        ["OpenVINO", "160x215", "8", "3.4e-05", "0.99987"],
        ["OpenVINO", "64x96", "6", "5.6e-05", "0.99990"],
    ]


def test_without_a_runtime_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"nothing that runs f\.onnx .*-e '\.\[export\]'"):
        runtimes_of(tmp_path / "f.onnx")
