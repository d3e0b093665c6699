"""How a training step runs the network: checkpointing and compiling change nothing else."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from seg_training.benchmark.peak_memory import saved_bytes
from seg_training.errors import UserError
from seg_training.networks import Network, build_network
from seg_training.training.trainer import prepare_network

IMAGES = (3, 3, 32, 64)


def network_of(method: str) -> Network:
    torch.manual_seed(0)
    network = build_network(method, 5)
    if network.model.segformer.hypernet is not None:
        # At the start of a training adapters are nearly alike; here they are not.
        for parameter in network.model.segformer.hypernet.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def logits_and_gradients(network: Network) -> tuple[Tensor, dict[str, Tensor]]:
    images = torch.randint(0, 256, IMAGES, generator=torch.Generator().manual_seed(1))
    logits = network(images.to(torch.uint8), torch.tensor([0, 3, 3]))
    logits.square().mean().backward()
    gradients = {
        name: parameter.grad
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    return logits.detach(), gradients


def test_activation_checkpointing_keeps_a_third_of_the_activations() -> None:
    kept = {}
    images = torch.zeros((3, 3, 128, 128), dtype=torch.uint8)  # much more than the adapters
    for checkpointing in (False, True):
        network = network_of("adapter_hf")
        prepare_network(network, {"activation_checkpointing": checkpointing})
        forward = partial(network, images, torch.tensor([0, 1, 2]))
        kept[checkpointing] = saved_bytes(forward, network)
    assert kept[True] < 0.4 * kept[False]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within PyTorch's own compiler
@pytest.mark.parametrize("method", ["adapter_hf", "segformer"])
def test_a_compiled_network_has_the_same_weights_and_computes_the_same(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as for the real compiler, which would take minutes, then run as it is."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, compiled = network_of(method), network_of(method)
    plain.eval()
    compiled.eval()  # the random numbers of dropout may come in another order
    prepare_network(compiled, {"compile": True})
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    logits, gradients = logits_and_gradients(compiled)
    expected_logits, expected = logits_and_gradients(plain)
    assert torch.allclose(logits, expected_logits, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, expected[name], rtol=1e-3, atol=1e-5), name
    plain.load_state_dict(compiled.state_dict(), strict=True)


@pytest.mark.parametrize("key", ["activation_checkpointing", "compile"])
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_an_option_is_true_or_false(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"trainer\.{key}={value!r}: expected true or false"):
        prepare_network(network_of("adapter_hf"), {key: value})
