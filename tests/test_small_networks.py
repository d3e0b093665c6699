import pytest
import torch
from small_networks import photo, small_network

from transformers_update_for_adapters import METHODS


@pytest.mark.parametrize("method", METHODS)
def test_a_class_that_is_mistaken_for_another_would_be_seen(method: str) -> None:
    """What the tests of files and pages rest on."""
    picture = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = small_network(method).task_logits(picture, torch.arange(5))[0]
    assert 0.1 < (logits > 0).float().mean() < 0.9
    # Of the classes here the published vsa_emb tells only the first from the others.
    for one, other in [(0, 1)] if method == "vsa_emb" else [(0, 1), (1, 3), (2, 3), (3, 4)]:
        assert (logits[one] - logits[other]).abs().max() > 1
        masks = logits[one] > 0, logits[other] > 0
        assert (masks[0] & masks[1]).sum() < 0.98 * (masks[0] | masks[1]).sum()
