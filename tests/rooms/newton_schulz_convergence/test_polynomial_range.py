from fractions import Fraction

import numpy as np
import pytest
from flint import arb, fmpq, fmpq_poly
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.rooms.newton_schulz_convergence.polynomial_range import divided, enclosure, polynomial_range

x = fmpq_poly([0, 1])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=9), st.integers(-3, 0), st.integers(1, 3))
def test_the_range_encloses_a_fine_grid_and_no_more(coefficients, lower, upper):
    low, high = polynomial_range(fmpq_poly(coefficients), lower, upper)
    grid = np.polynomial.polynomial.polyval(np.linspace(lower, upper, 20001), coefficients)
    scale = np.abs(coefficients).sum() * 3.0 ** len(coefficients) + 1
    assert float(low.lower) <= grid.min() + 1e-12 * scale
    assert float(low.upper) == pytest.approx(grid.min(), abs=1e-5 * scale)
    assert float(high.upper) >= grid.max() - 1e-12 * scale
    assert float(high.lower) == pytest.approx(grid.max(), abs=1e-5 * scale)
    assert low.lower <= low.upper <= high.upper
    assert float(low.upper - low.lower) < 1e-60


def test_an_extreme_at_an_end_is_exact():
    low, high = polynomial_range((1 - x) ** 3 * fmpq(1, 3), 0, 1)
    assert (low.lower, low.upper) == (0, 0)
    assert (high.lower, high.upper) == (Fraction(1, 3), Fraction(1, 3))


def test_a_double_critical_point_inside_is_found():
    low, high = polynomial_range((3 * x - 1) ** 4, 0, 1)
    assert float(low.lower) <= 0 <= float(low.upper)
    assert high.upper == 16


def test_critical_points_outside_do_not_count():
    low, high = polynomial_range(x * x, 1, 2)
    assert (low.upper, high.lower) == (1, 4)


def test_a_constant_has_a_point_as_its_range():
    low, high = polynomial_range(fmpq_poly([5]), 0, 1)
    assert (low.lower, high.upper) == (5, 5)


def test_the_zero_polynomial_has_range_zero():
    low, high = polynomial_range(fmpq_poly([]), 0, 1)
    assert (low.lower, high.upper) == (0, 0)


def test_an_empty_interval_is_refused():
    with pytest.raises(ValueError, match="lower must be below upper"):
        polynomial_range(x, 1, 1)


def test_a_division_with_remainder_is_refused():
    with pytest.raises(ArithmeticError, match="not a multiple"):
        divided(x * x + 1, x)


def test_the_ends_of_a_ball_are_rational():
    interval = enclosure(arb("1 +/- 0.25"))
    assert interval.lower <= Fraction(3, 4)
    assert interval.upper >= Fraction(5, 4)
