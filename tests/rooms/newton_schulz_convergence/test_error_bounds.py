from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog

from muon_theory.polar import scalar_map
from muon_theory.polar.minimax import minimax_polynomial
from muon_theory.rooms.newton_schulz_convergence import error_bounds
from muon_theory.rooms.newton_schulz_convergence.error_bounds import (
    greedy_cubic_error,
    minimax_cubic,
    operator_error,
    residual_bounds,
    scaled_cubic,
    slope_bound,
    smallest_steps,
    theorem_two_bound,
)
from muon_theory.rooms.newton_schulz_convergence.polynomial_range import enclosure
from muon_theory.rooms.newton_schulz_convergence.taylor import iterated, residual_map, singular_value_map

checked = settings(max_examples=60, deadline=None, derandomize=True)
orders = st.integers(1, 5)
steps = st.integers(0, 4)
starts = st.floats(1e-6, 0.999)


@checked
@given(orders, starts, steps)
def test_the_error_is_the_distance_of_the_image_from_one(k, x, q):
    naive = 1 - float(scalar_map(f"taylor_{2 * k + 1}", q)(x))
    assert operator_error(k, x, q) == pytest.approx(naive, abs=1e-14)
    assert operator_error(k, np.array([x]), q)[0] == pytest.approx(naive, abs=1e-14)


@checked
@given(orders, starts, st.integers(0, 4))
def test_both_bounds_lie_above_the_error(k, x, q):
    error = operator_error(k, x, q)
    assert error <= theorem_two_bound(k, x, q) * (1 + 1e-13)
    assert error <= slope_bound(k, x, q) * (1 + 1e-12)


@checked
@given(orders, st.floats(0.05, 1), st.integers(0, 3))
def test_the_residual_lies_between_its_bounds(k, delta, q):
    lower, upper = residual_bounds(k, delta, q)
    assert lower * (1 - 1e-12) <= iterated(residual_map, k, delta, q) <= upper * (1 + 1e-12)


def test_a_tiny_error_keeps_its_relative_accuracy():
    exact = 1 - iterated(singular_value_map, 2, Fraction(99, 100), 2)
    assert operator_error(2, 0.99, 2) == pytest.approx(float(exact), rel=1e-13)
    with ctx.workprec(4000):
        assert float(operator_error(3, arb(fmpq(99, 100)), 4).log()) < -900


def test_a_ball_contains_the_exact_error():
    exact = 1 - iterated(singular_value_map, 2, Fraction(3, 10), 2)
    with ctx.workprec(100):
        interval = enclosure(operator_error(2, arb(fmpq(3, 10)), 2))
    assert interval.lower <= exact <= interval.upper
    assert interval.upper - interval.lower < Fraction(1, 10**25)


@pytest.mark.parametrize("x", [1e-12, 1e-8, 1e-6, 1e-3, 0.1, 0.7, 0.75, 0.9, 1 - 1e-12, 1.0])
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("q", [0, 1, 3, 8, 20, 40])
def test_error_and_bounds_are_accurate_from_tiny_to_nearly_orthogonal(k, q, x):
    with ctx.workprec(2000):
        exact = [float(error(k, arb(x), q)) for error in (operator_error, theorem_two_bound)]
    assert operator_error(k, x, q) == pytest.approx(exact[0], rel=1e-11, abs=1e-300)
    assert operator_error(k, np.array([x]), q)[0] == pytest.approx(exact[0], rel=1e-11, abs=1e-300)
    if q <= 8:
        assert theorem_two_bound(k, x, q) == pytest.approx(exact[1], rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("x", [0.3, 0.03, 1e-3])
def test_the_smallest_number_of_steps_agrees_with_plain_counting(k, x):
    q = 0
    while 1 / float(scalar_map(f"taylor_{2 * k + 1}", q)(x)) > 1.05:
        q += 1
    assert smallest_steps(k, Fraction(str(x)), Fraction(105, 100)) == q
    assert smallest_steps(k, Fraction(str(x)), Fraction(105, 100), error=theorem_two_bound) >= q


def test_the_crossing_of_the_two_bounds_by_another_root_finder():
    roots = [
        brentq(lambda x, q=q: np.log(slope_bound(2, x, q)) - np.log(theorem_two_bound(2, x, q)), 1e-3, 0.6)
        for q in (1, 2, 3, 5)
    ]
    assert roots == pytest.approx([0.225399, 0.166627, 0.120272, 0.058876], abs=1e-6)


def test_impossible_step_counts_are_refused():
    with pytest.raises(ValueError, match="x must lie"):
        smallest_steps(1, Fraction(0), Fraction(2))
    with pytest.raises(ValueError, match="chi above 1"):
        smallest_steps(1, Fraction(1, 2), Fraction(1))
    with pytest.raises(ArithmeticError, match="not reached within 3 steps"):
        smallest_steps(1, Fraction(1, 1000), Fraction(101, 100), most=3)


def test_a_precision_too_low_to_decide_is_an_error():
    def coarse(k: int, x: arb, q: int) -> arb:
        return error_bounds.operator_error(k, x, q) + arb(0, 1)

    with pytest.raises(ArithmeticError, match="undecided at q = 0"):
        smallest_steps(1, Fraction(1, 2), Fraction(101, 100), error=coarse)


@pytest.mark.parametrize(("lower", "upper"), [(0.1, 1.0), (1e-3, 1.0), (0.5, 1.3), (0.9, 1.1)])
def test_the_closed_form_cubic_is_the_one_remez_finds(lower, upper):
    row, error = minimax_polynomial(3, lower, upper)
    assert minimax_cubic(lower, upper) == pytest.approx(row, rel=1e-12)
    assert scaled_cubic(lower, upper) == pytest.approx(row, rel=1e-12)
    grid = np.linspace(lower, upper, 20001)
    assert np.abs(1 - row[0] * grid - row[1] * grid**3).max() == pytest.approx(error, abs=1e-7)


def test_no_other_cubic_does_better_by_linear_programming():
    grid = np.linspace(0.2, 1, 2001)
    rows = np.array([grid, grid**3, -np.ones_like(grid)]).T
    mirrored = rows * [-1, -1, 1]
    limits = np.concatenate([np.ones(2001), -np.ones(2001)])
    best = linprog([0, 0, 1], A_ub=np.concatenate([rows, mirrored]), b_ub=limits, bounds=[(None, None)] * 3).fun
    assert greedy_cubic_error(0.2, 1) == pytest.approx(best, abs=1e-6)


def test_greedy_composition_by_composing_the_polynomials():
    grid = np.linspace(0.01, 1, 200001)
    l, u = 0.01, 1.0
    for count in range(1, 6):
        c1, c3 = minimax_cubic(l, u)
        grid = c1 * grid + c3 * grid**3
        l, u = grid.min(), grid.max()
        assert greedy_cubic_error(0.01, count) == pytest.approx(np.abs(1 - grid).max(), abs=1e-8)
    assert greedy_cubic_error(0.01, 0) == 0.99
