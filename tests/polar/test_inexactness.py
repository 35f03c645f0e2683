"""Operator error, alignment deficit and overshoot, from matrices and from singular values."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.polar import Inexactness, inexactness, polar_factor, spectral_inexactness
from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix


def numbers(found):
    return [found.operator_error, found.alignment_deficit, found.overshoot]


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    decades=st.floats(0, 6),
    images=st.lists(st.floats(-2, 2), min_size=20, max_size=20),
    seed=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_matrices_and_their_singular_values_give_the_same_numbers(shape, decades, images, seed):
    r = min(shape)
    sigma, mapped = log_uniform_spectrum(r, 10**decades, seed=seed), np.array(images[:r])
    G = prescribed_matrix(sigma, *shape, seed=seed)
    # O = sum of mapped_i u_i v_i^T, from the projections on single directions that the factors of this seed give
    left, _, right = np.linalg.svd(G.numpy(), full_matrices=False)
    O = torch.from_numpy((left * mapped) @ right)
    from_matrices, from_spectrum = inexactness(G, O), spectral_inexactness(sigma, mapped)
    assert numbers(from_matrices) == pytest.approx(numbers(from_spectrum), abs=1e-9)


def test_the_exact_factor_is_exact():
    for shape in [(30, 50), (50, 30)]:
        G = prescribed_matrix(log_uniform_spectrum(30, 1e6), *shape, seed=1)
        found = inexactness(G, polar_factor(G))
        assert found.operator_error <= 1e-9
        assert abs(found.alignment_deficit) <= 1e-14
        assert found.overshoot <= 1e-14


def test_a_wrong_sign_costs_two():
    G = prescribed_matrix([3.0, 2.0, 1.0], 3, 5, seed=2)
    assert numbers(inexactness(G, -polar_factor(G))) == pytest.approx([2.0, 2.0, 0.0], abs=1e-13)
    assert numbers(spectral_inexactness([3.0, 2.0, 1.0], [-1.0, -1.0, -1.0])) == [2.0, 2.0, 0.0]


def test_no_update_loses_everything():
    G = prescribed_matrix([3.0, 2.0], 2, 5, seed=3)
    assert numbers(inexactness(G, torch.zeros_like(G))) == [pytest.approx(1.0), 1.0, 0.0]


def test_the_deficit_is_negative_only_with_an_overshoot():
    found = spectral_inexactness([1.0, 1.0], [1.2, 1.1])
    assert numbers(found) == pytest.approx([0.2, -0.15, 0.2])


def test_zero_directions_ask_for_zero():
    G = prescribed_matrix([2.0], 4, 6, seed=4)
    assert numbers(inexactness(G, polar_factor(G))) == pytest.approx([0, 0, 0], abs=1e-13)
    assert numbers(spectral_inexactness([2.0, 0.0], [1.0, 0.0])) == [0, 0, 0]
    # a direction that is noise must not be turned into an update
    assert numbers(spectral_inexactness([1.0, 1e-12], [1.0, 0.5], rank_tolerance=1e-9))[0] == 0.5
    full = inexactness(torch.diag(torch.tensor([1.0, 1e-8])), torch.eye(2))
    assert full.operator_error == pytest.approx(1.0)
    assert full.alignment_deficit == pytest.approx(0, abs=1e-15)
    assert inexactness(torch.diag(torch.tensor([1.0, 1e-8])), torch.eye(2), rank_tolerance=0).operator_error < 1e-15


def test_any_update_is_aligned_with_a_zero_gradient():
    assert numbers(inexactness(torch.zeros(2, 3), 1.5 * torch.eye(2, 3))) == [1.5, 0.0, 0.5]
    assert numbers(spectral_inexactness([0.0, 0.0], [0.0, 0.0])) == [0, 0, 0]


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200])
def test_the_numbers_do_not_depend_on_the_gradients_scale(scale):
    G = torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    O = torch.tensor([[1.0, 0.1], [0.0, 0.9]], dtype=torch.float64)
    assert numbers(inexactness(G * scale, O)) == pytest.approx(numbers(inexactness(G, O)), rel=1e-10)


def test_a_batch_gives_one_number_a_matrix():
    G = torch.stack([prescribed_matrix([2.0, 1.0], 2, 3, seed=s) for s in range(3)]).reshape(3, 1, 2, 3)
    O = 0.5 * polar_factor(G)
    O[1] = math.nan
    found = inexactness(G, O)
    assert found.operator_error.shape == (3, 1)
    assert found.operator_error.flatten().tolist() == pytest.approx([0.5, math.inf, 0.5])
    assert found.alignment_deficit.flatten().tolist() == pytest.approx([0.5, math.inf, 0.5])
    assert found.overshoot.flatten().tolist() == [0.0, math.inf, 0.0]
    arrays = spectral_inexactness(torch.ones(3, 2), np.array([[0.5, 0.5], [1.0, 1.0], [np.inf, 1.0]]))
    assert arrays.operator_error.tolist() == [0.5, 0.0, math.inf]


def test_an_overflowed_orthogonalizer_is_infinitely_wrong():
    assert inexactness(torch.eye(2), torch.full((2, 2), math.nan)) == Inexactness(math.inf, math.inf, math.inf)
    assert spectral_inexactness([1.0], [math.nan]) == Inexactness(math.inf, math.inf, math.inf)


def test_the_dtypes_may_differ_and_the_inputs_are_left_alone():
    G, O = torch.eye(2, dtype=torch.bfloat16), 0.5 * torch.eye(2, dtype=torch.float16)
    before = O.clone()
    assert numbers(inexactness(G, O)) == [0.5, 0.5, 0.0]
    assert torch.equal(O, before)


@pytest.mark.parametrize(
    ("O", "kind", "message"),
    [
        (torch.eye(3), ValueError, r"O has shape \(3, 3\) and G has \(2, 3\)"),
        (torch.ones(3, 2), ValueError, "transpose"),
        (torch.ones(2, 3, dtype=torch.int32), TypeError, "O is a tensor of dtype torch.int32"),
        (np.ones((2, 3)), TypeError, "O is a ndarray"),
    ],
)
def test_what_is_no_update_is_refused(O, kind, message):
    with pytest.raises(kind, match=message):
        inexactness(torch.ones(2, 3), O)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0, 1.0]), "must agree"),
        (([], []), "must agree"),
        ((1.0, 1.0), "must agree"),
        (([-1.0], [1.0]), "sigma holds"),
        (([math.nan], [1.0]), "sigma holds"),
        (([math.inf], [1.0]), "sigma holds"),
    ],
)
def test_what_is_no_spectrum_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        spectral_inexactness(*arguments)
    with pytest.raises(ValueError, match="rank_tolerance is 1"):
        spectral_inexactness([1.0], [1.0], rank_tolerance=1)
