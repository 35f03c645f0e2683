"""One number for a spectrum."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.spectra import (
    effective_rank,
    nuclear_rank,
    prescribed_matrix,
    spectral_entropy,
    spectrum_quantiles,
    stable_rank,
)

RANKS = [stable_rank, nuclear_rank, effective_rank]


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=30).filter(lambda s: max(s) > 1e-3))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_three_ranks_are_ordered_between_one_and_the_length(sigma):
    stable, nuclear, effective = (rank(sigma) for rank in RANKS)
    slack = 1e-9
    assert 1 - slack <= stable <= nuclear * (1 + slack)
    assert nuclear <= effective * (1 + slack)
    assert effective <= len(sigma) * (1 + slack)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("k", [1, 3, 8])
def test_k_equal_singular_values_have_rank_k(rank, k):
    assert rank([7.0] * k + [0.0] * (8 - k)) == pytest.approx(k, rel=1e-12)


def test_the_ranks_are_the_ratios_of_matrix_norms():
    X = prescribed_matrix([3.0, 2.0, 0.5], 4, 6, seed=1)
    sigma = torch.linalg.svdvals(X)
    frobenius, spectral, nuclear = (float(torch.linalg.matrix_norm(X, p)) for p in ("fro", 2, "nuc"))
    assert stable_rank(sigma) == pytest.approx((frobenius / spectral) ** 2)
    assert nuclear_rank(sigma) == pytest.approx((nuclear / frobenius) ** 2)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_ranks_do_not_depend_on_scale(rank, scale):
    sigma = np.array([1.0, 0.5, 0.25])
    assert rank(sigma * scale) == pytest.approx(rank(sigma), rel=1e-12)


@pytest.mark.parametrize("rank", RANKS)
def test_the_zero_spectrum_has_rank_zero(rank):
    assert rank([0.0, 0.0]) == 0
    assert spectral_entropy([0.0, 0.0]) == -math.inf


@pytest.mark.parametrize("rank", [*RANKS, spectral_entropy])
def test_a_batch_gives_one_number_a_spectrum_for_arrays_and_tensors(rank):
    batch = torch.tensor([[[2.0, 1.0]], [[1.0, 0.0]], [[0.0, 0.0]]], requires_grad=True)
    found = rank(batch)
    assert found.shape == (3, 1)
    assert found[0, 0] == rank([2.0, 1.0])
    assert isinstance(rank(np.array([2.0, 1.0])), float)


def test_the_entropy_weighs_energies_with_power_two():
    sigma = [2.0, 1.0]
    assert spectral_entropy(sigma, power=2) == pytest.approx(-(0.8 * math.log(0.8) + 0.2 * math.log(0.2)))
    with pytest.raises(ValueError, match="power is 0"):
        spectral_entropy(sigma, power=0)


def test_quantiles_interpolate_and_keep_the_batch():
    assert spectrum_quantiles([0.0, 1.0, 2.0, 3.0], 0.5).tolist() == [1.5]
    found = spectrum_quantiles(np.array([[4.0, 2.0, 0.0], [1.0, 1.0, 1.0]]), [0.0, 0.25, 1.0])
    assert found.tolist() == [[0.0, 1.0, 4.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize("levels", [[-0.1], [1.1], [np.nan]])
def test_levels_outside_the_unit_interval_are_refused(levels):
    with pytest.raises(ValueError, match="levels is"):
        spectrum_quantiles([1.0], levels)


@pytest.mark.parametrize("summary", [*RANKS, spectral_entropy, lambda s: spectrum_quantiles(s, [0.5])])
@pytest.mark.parametrize(
    ("sigma", "message"),
    [([], "at least one"), (1.0, "last axis"), ([1.0, -1.0], "-1.0"), ([np.nan], "nan"), ([np.inf, 1.0], "inf")],
)
def test_what_is_no_spectrum_is_refused(summary, sigma, message):
    with pytest.raises(ValueError, match=message):
        summary(sigma)
