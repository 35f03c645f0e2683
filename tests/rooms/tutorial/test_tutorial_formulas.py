import numpy as np
import pytest
import torch

from muon_theory.polar import orthogonalize
from muon_theory.rooms import load_rooms
from muon_theory.rooms.tutorial import printed
from muon_theory.rooms.tutorial.allocations import allocated_bytes
from muon_theory.rooms.tutorial.hardware import DEVICES, roofline_ratio
from muon_theory.rooms.tutorial.update import (
    directions_holding,
    iteration_flops,
    newton_schulz,
    shape_scale,
    update_rms,
)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (5, 5), (1, 4)])
def test_the_iteration_written_out_is_the_librarys(shape):
    G = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = orthogonalize(G, "jordan_2024", 5)
    assert torch.allclose(newton_schulz(G), expected, atol=1e-6)  # the guard 1e-7 beside the norm


def test_directions_are_counted_up_to_the_share():
    sigma = np.sqrt([50.0, 30.0, 15.0, 5.0])
    assert [directions_holding(sigma, share) for share in (0.5, 0.8, 0.9, 0.95, 1.0)] == [1, 2, 3, 3, 4]
    assert directions_holding([2.0, 0.0], 1.0) == 1


def test_a_share_out_of_range_and_a_zero_spectrum_are_refused():
    with pytest.raises(ValueError, match="share is 0"):
        directions_holding([1.0], 0)
    with pytest.raises(ValueError, match="zero throughout"):
        directions_holding([0.0, 0.0], 0.5)


def test_the_rms_of_an_update_is_one_over_the_root_of_its_larger_side():
    O = orthogonalize(torch.randn(8, 32, dtype=torch.float64), "taylor_5", 12)
    assert update_rms(8, 32, 1.0) == pytest.approx(float((O**2).mean().sqrt()), rel=1e-6)


def test_flops_without_a_transpose_are_those_of_the_larger_gram_matrix():
    assert iteration_flops(8, 2, steps=1, transpose=False) == 4 * 64 * 2 + 2 * 512
    assert iteration_flops(2, 8, transpose=False) == iteration_flops(8, 2)


def test_shape_factors_of_kernels_depend_on_the_flattening():
    assert {shape_scale(kernel) for kernel in printed.KERNELS} == {1.0}
    assert shape_scale((32, 3, 3, 3), flattened=True) == pytest.approx((32 / 27) ** 0.5)


def test_bytes_are_those_of_new_tensors_once():
    x = torch.zeros(10)
    assert allocated_bytes(lambda: x.reshape(2, 5).mul_(2)) == 0
    assert allocated_bytes(lambda: (x + 1).reshape(5, 2).t() * 2) == 80


def test_a_roofline_without_products_is_the_ratio_of_the_bytes():
    assert roofline_ratio(DEVICES["a100"], 1, 10**6) == pytest.approx(20 / 28, rel=0.2)


def test_the_printed_tables_give_the_printed_ratios():
    assert 1 - printed.MNIST_LOSS["muon"][-1] / printed.MNIST_LOSS["adamw"][-1] == pytest.approx(0.34, abs=0.005)
    assert printed.CIFAR10_ACCURACY["muon"][-1] / printed.CIFAR10_ACCURACY["adamw"][-1] == pytest.approx(
        1.13, abs=0.005
    )
    assert printed.MNIST_TIME["muon"] / printed.MNIST_TIME["sgd"] == pytest.approx(1.32, abs=0.005)


def test_the_room_states_every_row_that_needs_no_training():
    stated = {claim.id[:6] for claim in load_rooms(["tutorial"])["tutorial"]}
    assert stated == {f"TUT-{number:02d}" for number in (1, 2, 3, 4, 5, 11, 12, 13, 14, 19, 20)}
