import weakref
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_networks import photo, small_network
from torch import Tensor
from torch.nn import functional as F

from seg_training.networks import Network, build_network
from seg_training.pictures.resizing import resize_image
from seg_training.prediction import averaged_probabilities as probabilities
from seg_training.prediction.averaged_probabilities import (
    Look,
    Looks,
    _hat,
    _logits,
    _starts,
    class_probabilities,
)
from transformers_update_for_adapters.views import Shown

CROP = (32, 64)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return build_network("adapter_hf", 4).eval()


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (50, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def small() -> Network:
    return small_network(crop_size=CROP)


def logits_of(network: Network, part: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Logits of class 2 at the part's own size, by way of ``forward``."""
    image = torch.from_numpy(np.ascontiguousarray(resize_image(part, size).transpose(2, 0, 1)))
    with torch.no_grad():
        logits = network(image[None], torch.tensor([2]))
    return F.interpolate(logits, size=part.shape[:2], mode="bilinear", align_corners=False)[0, 0]


def asked(network: Network, picture: NDArray[np.uint8], looks: Looks) -> Tensor:
    [(task_id, probability)] = class_probabilities(network, picture, [2], looks)
    assert task_id == 2
    assert probability.shape == picture.shape[:2]
    return probability


def test_one_look_is_the_networks_answer_at_the_pictures_size(
    network: Network, picture: NDArray[np.uint8]
) -> None:
    logits = logits_of(network, picture, CROP)
    probability = asked(network, picture, Looks(CROP))
    torch.testing.assert_close(probability, logits.sigmoid(), atol=1e-5, rtol=1e-5)


def test_the_mirrored_look_is_averaged(network: Network, picture: NDArray[np.uint8]) -> None:
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    # The network sees what is resized first and mirrored then: here the same, to roundings.
    one = logits_of(network, picture, CROP).sigmoid()
    other = logits_of(network, mirrored, CROP).sigmoid().flip(-1)
    both = asked(network, picture, Looks(CROP, flip=True))
    torch.testing.assert_close(both, (one + other) / 2, atol=2e-3, rtol=0)
    assert (one - other).abs().max() > 4e-3
    of_mirrored = asked(network, mirrored, Looks(CROP, flip=True))
    torch.testing.assert_close(of_mirrored.flip(-1), both, atol=2e-3, rtol=0)


def test_scales_are_averaged(network: Network, picture: NDArray[np.uint8]) -> None:
    expected = (
        logits_of(network, picture, CROP).sigmoid()
        + logits_of(network, picture, (64, 128)).sigmoid()
    ) / 2
    actual = asked(network, picture, Looks(CROP, scales=(1, 2)))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_windows_are_averaged_by_how_near_their_middle_a_pixel_is(
    network: Network, picture: NDArray[np.uint8]
) -> None:
    windows = [(top, left) for top in (0, 10) for left in (0, 15, 30)]
    rise = [(k + 0.5) / 20 for k in range(20)]
    hat = torch.tensor(rise + rise[::-1])
    weight = hat[:, None] * hat
    total, weights = torch.zeros(50, 70), torch.zeros(50, 70)
    for top, left in windows:
        part = picture[top : top + 40, left : left + 40]
        seen = logits_of(network, part, CROP).sigmoid()
        total[top : top + 40, left : left + 40] += weight * seen
        weights[top : top + 40, left : left + 40] += weight
    looks = Looks(CROP, window=40)
    assert [(look.top, look.left) for look in looks.at(50, 70)] == windows
    actual = asked(network, picture, looks)
    torch.testing.assert_close(actual, total / weights, atol=1e-5, rtol=1e-5)


def test_classes_one_by_one_are_those_of_all_at_once(
    network: Network, picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(CROP, flip=True)
    together = dict(class_probabilities(network, picture, [3, 0, 2], looks))
    monkeypatch.setattr(probabilities, "_MOST_BYTES", 1)
    apart = dict(class_probabilities(network, picture, [3, 0, 2], looks))
    assert list(together) == list(apart) == [3, 0, 2]
    for task_id, probability in together.items():
        torch.testing.assert_close(apart[task_id], probability, atol=1e-5, rtol=1e-5)


@given(st.integers(1, 400), st.integers(32, 300))
def test_windows_reach_every_pixel_and_overlap_by_half_at_least(length: int, window: int) -> None:
    starts = _starts(length, window)
    side = min(window, length)
    assert (starts[0], starts[-1]) == (0, length - side)
    assert all(0 < second - first <= (side + 1) // 2 for first, second in pairwise(starts))


def test_scaled_sizes_are_multiples_of_the_stride_and_one_is_left_alone() -> None:
    looks = Looks((100, 150), scales=(1.0, 0.5, 0.01))
    assert [look.shown.size for look in looks.at(40, 60)] == [(100, 150), (64, 64), (32, 32)]
    whole = Shown((100, 150), (100, 150))
    assert looks.at(40, 60)[0] == Look(0, 0, 40, 60, whole, False)


def as_each_look_is_kept(
    network: Network, picture: NDArray[np.uint8], task_ids: list[int], looks: Looks
) -> dict[int, Tensor]:
    """The average over looks, with the logits of all of them at hand."""
    all_looks = looks.at(*picture.shape[:2])
    kept = [_logits(network, picture, torch.tensor(task_ids), look) for look in all_looks]
    weight = torch.ones(()) if looks.window is None else _hat(*all_looks[0][2:4])
    averages = {}
    for position, task_id in enumerate(task_ids):
        total, weights = torch.zeros(picture.shape[:2]), torch.zeros(picture.shape[:2])
        for look, logits in zip(all_looks, kept, strict=True):
            size = (look.height, look.width)
            own = F.interpolate(logits[None, position : position + 1], size=size, mode="bilinear")
            total[look.part] += weight * own[0, 0].sigmoid()
            weights[look.part] += weight
        averages[task_id] = total / weights
    return averages


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"flip": True},
        {"scales": (0.5, 1.0)},
        {"window": 32},
        {"window": 40, "flip": True, "scales": (0.5, 1.0)},
    ],
)
def test_looks_are_added_up_to_the_same_numbers(options: Any, small: Network) -> None:
    looks, pixels = Looks(CROP, **options), photo(48, 40)
    expected = as_each_look_is_kept(small, pixels, [3, 0, 2], looks)
    actual = dict(class_probabilities(small, pixels, [3, 0, 2], looks))
    assert list(actual) == [3, 0, 2]
    for task_id, probability in actual.items():
        assert torch.equal(probability, expected[task_id])


@pytest.mark.parametrize("task_ids", [[1], [0, 1, 2]])
def test_windows_are_not_all_kept(
    task_ids: list[int], small: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their number, the logits of one look live, and of the one before."""
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    real = probabilities._logits

    def counted(*arguments: Any) -> Tensor:
        nonlocal most
        logits = real(*arguments)
        alive.append(weakref.ref(logits))
        most = max(most, sum(each() is not None for each in alive))
        return logits

    monkeypatch.setattr(probabilities, "_logits", counted)
    looks = Looks(CROP, scales=(0.5, 1.0), window=32)
    for _ in class_probabilities(small, photo(64, 64), task_ids, looks):
        pass
    assert len(alive) == 2 * 3**2
    assert most <= 2
