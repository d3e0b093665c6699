"""The numbers that the released code produced (golden/README.md gives the rules and tolerances)."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seg_training.networks import Network, build_network, load_released_state_dict
from transformers_update_for_adapters.released_weights import place_of

# file, method, options
CASES = {
    "segformer_1": ("segformer", {"num_tasks": 1, "other_channel": False}),
    "segformer_150": ("segformer", {"num_tasks": 150, "other_channel": False}),
    "emb": ("emb", {"num_tasks": 150}),
    "vsa_emb": ("vsa_emb", {"num_tasks": 150}),
    "adapter_hf": ("adapter_hf", {"num_tasks": 150}),
    "adapter_hfpp": ("adapter_hf++", {"num_tasks": 150}),
}
CALLED_WITH = {  # what the released networks were called with -> our ids
    "emb": lambda called: (called - 1) % 150,
    "vsa_emb": lambda called: 0 if called == 1 else 1,
}


@pytest.fixture
def golden(shared: Path) -> Path:
    torch.set_num_threads(1)
    return shared / "golden"


def golden_weight(name: str, shape: list[int], dtype: str) -> Tensor:
    """A weight by the rule of golden/README.md."""
    n = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF).standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=getattr(torch, dtype))
    if name.endswith("running_var"):
        value = 1 + 0.1 * abs(n)
    elif name.endswith(("running_mean", "bias")):
        value = 0.1 * n
    elif len(shape) == 1 and name.endswith("weight"):
        value = 1 + 0.1 * n
    elif len(shape) == 1 or "task_emb" in name:
        value = n
    else:
        value = n / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(value, np.float32))


def load_case(golden: Path, case: str, prefix: str = "") -> tuple[Network, dict[str, Tensor]]:
    method, options = CASES[case]
    keys = json.loads((golden / f"{case}_keys.json").read_text())
    state_dict = {prefix + name: golden_weight(name, shape, dtype) for name, shape, dtype in keys}
    network = build_network(method, **options).eval()
    load_released_state_dict(network, state_dict)
    return network.double(), state_dict


def golden_input() -> Tensor:
    random = np.random.RandomState(7)
    return torch.from_numpy(random.rand(2, 3, 320, 320).astype(np.float32)).double()


def golden_target() -> Tensor:
    random = np.random.RandomState(3)
    return torch.from_numpy(random.rand(2, 320, 320) > 0.5).double()


def logits_of(network: Network, case: str, called: int) -> Tensor:
    if case.startswith("segformer"):
        return network.label_logits(golden_input())
    task = CALLED_WITH.get(case, int)(called)
    return network(golden_input(), torch.tensor([task, task]))


def close(ours: Any, theirs: Any, atol: float, rtol: float = 0.0) -> None:
    np.testing.assert_allclose(np.asarray(ours), theirs, atol=atol, rtol=rtol)


@pytest.mark.parametrize("case", CASES)
def test_logits_loss_and_gradients_are_those_of_the_released_code(case: str, golden: Path) -> None:
    released = np.load(golden / f"{case}.npz")
    stride = int(released["stride"])
    network, _ = load_case(golden, case)
    *others, last = (int(called) for called in released["tasks"])

    with torch.no_grad():
        for called in others:
            logits = logits_of(network, case, called)
            close(logits[:, :, ::stride, ::stride], released[f"logits_{called}"], atol=1e-8)

    with torch.set_grad_enabled("loss" in released):
        logits = logits_of(network, case, last)
    close(logits.detach()[:, :, ::stride, ::stride], released[f"logits_{last}"], atol=1e-8)
    if "loss" not in released:
        return
    loss = F.binary_cross_entropy_with_logits(logits[:, 0], golden_target())
    loss.backward()
    close(loss.item(), released["loss"], atol=1e-8)

    parameters = dict(network.model.named_parameters())
    norms, seen = [], set()
    for name in released["grad_keys"]:
        place = place_of(str(name), network.config)
        assert place is not None
        grad = parameters[place.name].grad
        assert grad is not None
        norms.append((grad if place.row is None else grad[place.row]).norm().item())
        seen.add(place.name)
    close(norms, released["grad_norms"], atol=1e-12, rtol=1e-6)
    assert seen == set(parameters)  # every parameter has been compared


def test_mixed_batch_has_the_released_logits(golden: Path) -> None:
    released = np.load(golden / "adapter_hf.npz")
    stride = int(released["stride"])
    network, _ = load_case(golden, "adapter_hf", prefix="mask_net.")
    with torch.no_grad():
        logits = network(golden_input(), torch.tensor([7, 149]))[:, :, ::stride, ::stride]
    close(logits[0], released["logits_7"][0], atol=1e-8)
    close(logits[1], released["logits_149"][1], atol=1e-8)


def test_the_later_of_two_names_for_one_tensor_wins(golden: Path) -> None:
    network, state_dict = load_case(golden, "emb")
    loaded = network.model.decode_head.linear_projections[0].proj.weight
    torch.testing.assert_close(loaded, state_dict["linear_c.0.proj.weight"].double())
    assert not torch.equal(loaded, state_dict["segformer_decoder.linear_c.0.proj.weight"].double())
