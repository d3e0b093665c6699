"""Files of networks that have learnt classes, or names: the classes of before answer as before."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import photo, recognising_network, small_network

from seg_training.export.exported_files import export_onnx, export_onnx_parts, export_torch
from seg_training.export.runtimes import Runtime, runtimes_of, runtimes_of_parts
from seg_training.networks import Network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters import class_learning as learning
from transformers_update_for_adapters.class_learning import LearningSettings

SIZE = (64, 96)
PICTURES = [photo(*SIZE, seed) for seed in range(2)]
MASKS = [picture[..., 0] > 128 for picture in PICTURES]
IMAGES = np.ascontiguousarray(PICTURES[0].transpose(2, 0, 1)[None])
KNOWN, NEW = np.arange(5)[None], np.array([[5]])


def learnt(learns: str, before: Network) -> TASFormerForSemanticSegmentation:
    return before.model.learn_class("mug", PICTURES, MASKS, LearningSettings(learns))


def named(before: Network) -> TASFormerForSemanticSegmentation:
    return before.model.with_names(["automobile"])


GROWN: dict[str, tuple[Callable[[], Network], str]] = {
    "row": (recognising_network, "row"),
    "row of segformer": (lambda: small_network("segformer"), "row"),
    "row and embedding": (recognising_network, "row+embedding"),
    "map": (lambda: small_network("emb"), "embedding"),
    "adapter": (small_network, "adapter"),
    "adapter++": (lambda: small_network("adapter_hf++"), "adapter"),
    "row beside words": (lambda: recognising_network(words=True), "row"),
    "adapter beside words": (lambda: small_network(words=True), "adapter"),
    "name": (lambda: recognising_network(words=True), ""),
}


# An export takes seconds to a minute: each kind is written in one form, or two.
of_kinds = partial(pytest.mark.parametrize, "both", indirect=True)


@pytest.fixture
def both(
    request: pytest.FixtureRequest, stand_in_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Network, Network]:
    """A network, and what it has grown to."""
    monkeypatch.setattr(learning, "_ROW_STOPS", (5,))
    monkeypatch.setattr(learning, "_PAINTED_STOPS", (1, 2))
    make, learns = GROWN[request.param]
    before = make()
    grown = learnt(learns, before) if learns else named(before)
    return before, Network(grown).eval()


def check(grown: Network, runtimes: list[list[Runtime]]) -> None:
    """Compare files of a network before and after, in each runtime."""
    before, after = runtimes
    assert [own.name for own in before] == [own.name for own in after]
    with torch.no_grad():
        expected = grown.task_logits(torch.from_numpy(IMAGES), torch.tensor([5])).numpy()
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(
            other.run(IMAGES, KNOWN), one.run(IMAGES, KNOWN), rtol=0, atol=1e-6
        )
        np.testing.assert_allclose(other.run(IMAGES, NEW), expected, rtol=1e-4, atol=1e-4)


def check_files(
    both: tuple[Network, Network], export: Callable[..., Any], folder: Path, ending: str
) -> None:
    """Write both networks as files of a kind, and compare them."""
    runtimes = []
    for place, network in enumerate(both):
        file = folder / f"{place}.{ending}"
        export(network, file, SIZE)
        runtimes.append(runtimes_of(file))
    check(both[1], runtimes)


@pytest.mark.slow
@of_kinds(argvalues=["row", "adapter", "name"])
def test_one_file(both: tuple[Network, Network], tmp_path: Path) -> None:
    check_files(both, export_onnx, tmp_path, "onnx")


@pytest.mark.slow
@of_kinds(argvalues=["row of segformer", "adapter", "row beside words"])
def test_parts_as_the_browser_takes_them(both: tuple[Network, Network], tmp_path: Path) -> None:
    check(
        both[1],
        [
            runtimes_of_parts(*export_onnx_parts(network, tmp_path / f"{place}.onnx", SIZE))
            for place, network in enumerate(both)
        ],
    )


@pytest.mark.slow
@of_kinds(argvalues=["row", "row and embedding", "map", "adapter++", "adapter beside words"])
def test_a_program(both: tuple[Network, Network], tmp_path: Path) -> None:
    check_files(both, export_torch, tmp_path, "pt2")


@pytest.mark.slow
@of_kinds(argvalues=["row", "row of segformer"])
def test_any_size(both: tuple[Network, Network], tmp_path: Path) -> None:
    for export, ending in ((export_onnx, "onnx"), (export_torch, "pt2")):
        export(both[1], tmp_path / f"any.{ending}")
        for size in (SIZE, (128, 64)):
            image = np.ascontiguousarray(photo(*size, 3).transpose(2, 0, 1)[None])
            ids = np.array([[5, 0]])
            with torch.no_grad():
                own = both[1].task_logits(torch.from_numpy(image), torch.tensor([5, 0])).numpy()
            for runtime in runtimes_of(tmp_path / f"any.{ending}"):
                np.testing.assert_allclose(runtime.run(image, ids), own, rtol=1e-4, atol=1e-4)
