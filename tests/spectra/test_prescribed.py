"""Matrices made to order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix


@given(
    rows=st.integers(1, 30),
    columns=st.integers(1, 30),
    decades=st.floats(0, 12),
    missing=st.integers(0, 3),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_matrix_has_the_prescribed_spectrum_and_shape(rows, columns, decades, missing, seed):
    r = max(1, min(rows, columns) - missing)
    sigma = log_uniform_spectrum(r, 10**decades, seed=seed)
    X = prescribed_matrix(sigma[::-1], rows, columns, seed=seed)
    assert X.shape == (rows, columns)
    assert X.dtype == torch.float64
    found = torch.linalg.svdvals(X).numpy()
    expected = np.concatenate([sigma, np.zeros(min(rows, columns) - r)])
    assert np.abs(found - expected).max() <= 32 * np.finfo(float).eps


def test_the_seed_decides_the_factors_and_nothing_else():
    first, again, other = (prescribed_matrix([2.0, 1.0], 5, 4, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_the_factors_are_unbiased_in_sign():
    # without the sign correction of R's diagonal the first entry of U would be negative every time
    entries = [prescribed_matrix([1.0], 6, 1, seed=seed)[0, 0].item() for seed in range(60)]
    assert 15 <= sum(entry > 0 for entry in entries) <= 45


def test_it_is_rounded_once_to_the_dtype_asked_for():
    sigma = [1.0, 0.1]
    exact = prescribed_matrix(sigma, 3, 2, seed=3)
    assert torch.equal(prescribed_matrix(sigma, 3, 2, seed=3, dtype=torch.bfloat16), exact.bfloat16())


def test_an_empty_spectrum_gives_the_zero_matrix():
    assert torch.equal(prescribed_matrix([], 2, 3), torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], 0, 3), "rows is 0"),
        (([1.0, 1.0, 1.0], 2, 5), "at most 2"),
        (([[1.0]], 2, 2), "one dimension"),
        (([1.0, -2.0], 2, 2), "holds -2.0"),
        (([np.nan], 2, 2), "holds nan"),
        (([np.inf], 2, 2), "holds inf"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        prescribed_matrix(*arguments)


@given(r=st.integers(1, 50), decades=st.floats(0, 14), seed=st.none() | st.integers(0, 99))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_log_uniform_spectrum_descends_between_pinned_ends(r, decades, seed):
    sigma = log_uniform_spectrum(r, 10**decades, seed=seed)
    assert sigma.shape == (r,)
    assert sigma[0] == 1
    assert r == 1 or sigma[-1] == 1 / 10**decades
    assert (np.diff(sigma) <= 1e-16).all()
    if seed is None and r > 2:
        assert np.diff(np.log(sigma)) == pytest.approx(-np.log(10) * decades / (r - 1), abs=1e-9)


@pytest.mark.parametrize(("r", "condition_number"), [(0, 10.0), (3, 0.5), (3, np.inf), (3, np.nan)])
def test_a_spectrum_that_does_not_exist_is_refused(r, condition_number):
    with pytest.raises(ValueError, match="must be|at least"):
        log_uniform_spectrum(r, condition_number)
