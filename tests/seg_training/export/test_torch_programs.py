"""Programs of torch.export compute what the network does, whatever the sizes."""

import pytest
import torch
from small_networks import photo, small_network
from torch import Tensor

from seg_training.errors import UserError
from seg_training.export.network_graphs import ClassGraph, ImageGraph, WholeGraph
from seg_training.export.torch_programs import (
    class_program,
    fixed_program,
    image_program,
    whole_program,
)
from seg_training.networks import Network


def images(number: int, height: int, width: int) -> Tensor:
    pictures = [torch.from_numpy(photo(height, width, seed)) for seed in range(number)]
    return torch.stack(pictures).permute(0, 3, 1, 2).contiguous()


def expected(network: Network, pictures: Tensor, class_ids: Tensor) -> Tensor:
    """Each image by itself, with the classes that are asked of it."""
    rows = [
        network.task_logits(picture[None], ids)
        for picture, ids in zip(pictures, class_ids, strict=True)
    ]
    return torch.cat(rows)


FAST = ("adapter_hf", "segformer")
# Of the two with maps one is enough here, and the other in test_onnx_files.py.
SLOW = [pytest.param(method, marks=pytest.mark.slow) for method in ("vsa_emb", "adapter_hf++")]


@pytest.mark.parametrize("method", [*FAST, *SLOW])
@torch.no_grad()
def test_programs_equal_the_network_at_any_size(method: str) -> None:
    network = small_network(method, resize_embedding=True)
    whole = whole_program(network).module()
    image_part, class_part = image_program(network).module(), class_program(network).module()
    for number, height, width, ids in [
        (1, 64, 64, [[3]]),
        (3, 75, 130, [[0, 4], [1, 1], [3, 2]]),
        (2, 100, 72, [[0, 1, 2, 3], [4, 3, 2, 1]]),
    ]:
        pictures, class_ids = images(number, height, width), torch.tensor(ids)
        logits = expected(network, pictures, class_ids)
        assert logits.std() > 1  # beside what may differ
        assert 0.1 < (logits > 0).float().mean() < 0.9 or method == "segformer"
        torch.testing.assert_close(whole(pictures, class_ids), logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            WholeGraph(network)(pictures, class_ids), logits, atol=1e-4, rtol=1e-4
        )
        if height % 4 or width % 4:
            continue
        features = image_part(pictures)
        assert features.shape[-2:] == (height // 4, width // 4)
        torch.testing.assert_close(features, ImageGraph(network)(pictures), atol=1e-4, rtol=1e-4)
        for part in (class_part, ClassGraph(network)):
            torch.testing.assert_close(part(features, class_ids), logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["segformer", "vsa_emb"])  # adapters: test_onnx_files.py
@torch.no_grad()
def test_an_id_that_is_no_class_never_gives_a_mask(method: str) -> None:
    network = small_network(method)
    pictures = images(1, 64, 96)
    features = ImageGraph(network)(pictures)
    whole, part = whole_program(network, (64, 96)).module(), class_program(network, (64, 96))
    for wrong in (-1, -5, -6, 5, 7, 2**40):
        class_ids = torch.tensor([[0, wrong]])
        for given, graph in (
            (pictures, WholeGraph(network)),
            (pictures, whole),
            (features, ClassGraph(network)),
            (features, part.module()),
        ):
            with pytest.raises((IndexError, RuntimeError), match="index out of range"):
                graph(given, class_ids)


@torch.no_grad()
def test_a_fixed_program_takes_its_own_shape_only() -> None:
    network = small_network()
    program = fixed_program(network, (68, 64), num_images=1, num_classes=2).module()
    pictures, class_ids = images(1, 68, 64), torch.tensor([[3, 1]])
    logits = expected(network, pictures, class_ids)
    torch.testing.assert_close(program(pictures, class_ids), logits, atol=1e-4, rtol=1e-4)
    with pytest.raises(AssertionError, match="Guard failed"):
        program(images(1, 64, 64), class_ids)


@torch.no_grad()
def test_a_fixed_size_leaves_batch_and_classes_free() -> None:
    network = small_network("emb")  # of one size: 64x96
    program = whole_program(network, (64, 96)).module()
    for ids in ([[1]], [[0, 2, 4], [3, 1, 1]]):
        pictures, class_ids = images(len(ids), 64, 96), torch.tensor(ids)
        logits = expected(network, pictures, class_ids)
        torch.testing.assert_close(program(pictures, class_ids), logits, atol=1e-4, rtol=1e-4)


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"'emb' works at one size only: give its size, 64 96"):
        whole_program(small_network("emb"))
    with pytest.raises(UserError, match=r"the image is 64x64: the decoder's map would be 16x16"):
        whole_program(small_network("emb"), (64, 64))
    with pytest.raises(UserError, match=r"size 66x64: .*, at least 32, multiples of 4"):
        class_program(small_network(), (66, 64))
    with pytest.raises(UserError, match=r"size 10x64: expected height and width, at least 32"):
        whole_program(small_network(), (10, 64))
