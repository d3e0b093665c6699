import pytest
import torch

from seg_training.benchmark.operation_profile import (
    KINDS,
    _kind,
    matrix_product_rate,
    measure_profile,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::addmm", "matrix products"),
        ("aten::baddbmm_", "matrix products"),
        ("aten::add_", "adding and multiplying"),
        ("aten::addcmul", "adding and multiplying"),
        ("aten::mkldnn_convolution_backward", "convolutions"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::native_layer_norm_backward", "normalisation"),
        ("aten::gelu_backward", "activations"),
        ("aten::clamp_min_", "activations"),
        ("aten::upsample_bilinear2d", "resizing"),
        ("aten::copy_", "copying"),
        ("aten::empty", "the rest"),
    ],
)
def test_operations_are_sorted_by_the_longest_name(operation: str, kind: str) -> None:
    assert _kind(operation) == kind


def test_a_profile_says_what_takes_the_time_and_how_much_arithmetic_it_is() -> None:
    matrix, image = torch.randn(400, 400), torch.randn(1, 4, 200, 200)

    def product() -> None:
        matrix @ matrix

    profile = measure_profile("product", product, CPU, peak_rate=1e12, rounds=2)
    assert profile.rate * profile.seconds == pytest.approx(400**3)
    assert sum(profile.shares.values()) == pytest.approx(100)
    assert set(profile.shares) == {*KINDS, "the rest"}
    assert max(profile.shares, key=lambda kind: profile.shares[kind]) == "matrix products"

    def resizing() -> None:
        torch.nn.functional.interpolate(image, scale_factor=4, mode="bilinear")

    shares = measure_profile("resizing", resizing, CPU, peak_rate=1e12, rounds=2).shares
    assert shares["resizing"] > 50


def test_a_matrix_product_is_measured() -> None:
    assert 1e6 < matrix_product_rate(CPU, size=64, rounds=2) < 1e14
