"""Gaps, perturbation lemmas and exponents of compute."""

from fractions import Fraction

import numpy as np
import pytest

from muon_theory.rooms.hyperparameter_transfer.compute_optimal import (
    best_errors,
    direct_exponent,
    is_useful,
    transfer_exponent,
)
from muon_theory.rooms.hyperparameter_transfer.gaps import (
    grid_minimum,
    parameter_gap_bound,
    parameter_shift_bound,
    transfer_gaps,
)


@pytest.mark.parametrize("grid", [np.linspace(-1, 2, 13), np.array([-1.0, -0.3, 0.1, 0.9, 1.0, 2.0])])
def test_a_parabola_has_its_vertex_on_any_grid(grid):
    location, value = grid_minimum(grid, 2 * (grid - 0.37) ** 2 - 1)
    assert float(location) == pytest.approx(0.37, abs=1e-12)
    assert float(value) == pytest.approx(-1.0, abs=1e-12)


def test_a_minimum_at_an_end_is_that_end():
    location, value = grid_minimum([0.0, 1.0, 2.0], [[3.0, 2.0, 1.0], [1.0, 2.0, 5.0]])
    assert location.tolist() == [2.0, 0.0]
    assert value.tolist() == [1.0, 1.0]


def test_a_wall_beside_the_minimum_is_not_taken_for_a_parabola():
    grid = np.linspace(0, 1, 101)
    curve = np.where(grid > 0.505, 10.0, 1 - grid)
    location, value = grid_minimum(grid, curve, parabola=False)
    assert (float(location), float(value)) == (0.5, 0.5)
    gaps = transfer_gaps(grid, curve[None], (grid - 0.6) ** 2, parabola=False)
    np.testing.assert_allclose([gap[0] for gap in gaps], [0.5, 0.1, 0.01], atol=1e-12)


def test_gaps_of_shifted_bowls():
    x, shift = np.linspace(-1, 1, 101), np.array([[0.5], [0.1], [0.02]])
    gaps = transfer_gaps(x, (x - shift) ** 2 + shift**3, x**2)
    np.testing.assert_allclose(gaps.parameter, shift[:, 0], atol=1e-12)
    np.testing.assert_allclose(gaps.suboptimality, shift[:, 0] ** 2, atol=1e-12)
    np.testing.assert_allclose(gaps.loss, shift[:, 0] ** 3, atol=1e-12)


def test_bad_curves_are_named():
    with pytest.raises(ValueError, match="three ascending"):
        grid_minimum([0.0, 0.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="finite losses"):
        grid_minimum([0.0, 1.0, 2.0], [1.0, np.nan, 3.0])
    with pytest.raises(ValueError, match="widen the grid"):
        transfer_gaps(np.arange(4.0), np.arange(4.0), np.arange(4.0))
    with pytest.raises(ValueError, match="strong convexity"):
        parameter_gap_bound(1.0, 0.0)
    with pytest.raises(ValueError, match="slope = -1"):
        parameter_shift_bound(-1.0, 1.0)


def test_exponents_are_exact_in_rationals():
    assert direct_exponent(Fraction(1), 1) == Fraction(2, 5)
    assert transfer_exponent(Fraction(1, 2), Fraction(1, 4), 1) == Fraction(2, 9) == direct_exponent(Fraction(1, 2), 1)
    assert transfer_exponent(1, 50, 1) == 0.5
    assert not is_useful(Fraction(1, 2), Fraction(1, 4))


def test_the_best_width_is_interior_and_more_budget_helps():
    errors = best_errors([1e4, 1e6, 1e8], alpha=1.0, beta=0.3, parameters=1)
    assert np.all(np.diff(errors) < 0)
    coarse = best_errors([1e4, 1e6, 1e8], alpha=1.0, beta=0.3, parameters=1, points=2000)
    np.testing.assert_allclose(coarse, errors, rtol=1e-3)


def test_bad_exponents_are_named():
    with pytest.raises(ValueError, match="beta = 0"):
        transfer_exponent(1, 0, 1)
    with pytest.raises(ValueError, match=r"budget = \[1\]"):
        best_errors([1], alpha=1.0, beta=None, parameters=1)
