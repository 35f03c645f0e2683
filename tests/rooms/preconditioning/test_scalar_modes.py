from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.rooms.preconditioning.scalar_modes import (
    exact_iterates,
    exact_worst_ratio,
    inexact_worst_ratio,
    limiting_error,
    plateau,
    scalar_errors,
    scalar_iterates,
)
from muon_theory.rooms.preconditioning.schedules import (
    geometric_steps,
    iteration_bound,
    smallest_ratio,
    spiked_steps,
    steps_to_reach,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.fractions(0, 1, max_denominator=500), st.fractions(Fraction(1, 2), Fraction(99, 100), max_denominator=100))
def test_the_bound_holds_exactly_for_every_target_and_ratio(sigma, rho):
    assert exact_worst_ratio([sigma], rho, 25) <= 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.fractions(0, 1, max_denominator=50), st.fractions(Fraction(1, 5), Fraction(9, 10), max_denominator=20))
def test_exact_iterates_equal_a_loop_of_fractions(sigma, rho):
    s, eta, expected = Fraction(0), 1 - rho, [Fraction(0)]
    for t in range(12):
        gradient = s * (s * s - sigma * sigma) if s else (-1 if sigma else 1) * (t == 0)
        s -= eta * ((gradient > 0) - (gradient < 0))
        eta *= rho
        expected.append(s)
    # the saddle: sigma = 0 is left downhill like any other target
    assert [abs(x) for x in exact_iterates(sigma, rho, 12)] == [abs(x) for x in expected]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(0.01, 1), st.floats(0.5, 0.95), st.floats(0.3, 1), st.floats(1, 2), st.integers(0, 2**31))
def test_inexact_steps_keep_the_bound_above_the_threshold(sigma, rho, lower, upper, seed):
    rho = max(rho, smallest_ratio(lower, upper))
    effective = np.random.default_rng(seed).uniform(lower, upper, (25, 1))
    errors = scalar_errors([sigma], geometric_steps(rho, 25, lower=lower)[:, None] * effective)[:, 0]
    assert (errors <= rho ** np.arange(26) * (1 + 1e-6)).all()


def test_floats_follow_the_fractions():
    sigma = [Fraction(n, 97) for n in range(98)]
    floats = scalar_iterates([float(x) for x in sigma], geometric_steps(0.6, 20))
    exact = np.array([[float(s) for s in exact_iterates(x, Fraction(3, 5), 20)] for x in sigma]).T
    assert np.abs(np.abs(floats) - np.abs(exact))[:, 1:].max() < 1e-14


def test_below_the_threshold_the_worst_case_grows_without_bound():
    lower, upper = Fraction(7, 10), Fraction(6, 5)
    rho = smallest_ratio(lower, upper)
    assert inexact_worst_ratio(lower, upper, rho, 80) == 1
    worst = [inexact_worst_ratio(lower, upper, rho - Fraction(1, 1000), steps) for steps in (40, 80, 120)]
    assert 1 < worst[0] < worst[1] < worst[2]


def test_the_limiting_error_belongs_to_the_smallest_target():
    sigma = np.linspace(1e-6, 1, 5001)
    final = scalar_errors(sigma, geometric_steps(0.4, 80))[-1]
    assert final.max() == pytest.approx(limiting_error(0.4), abs=1e-5)
    assert final.argmax() == 0


def test_a_constant_step_ends_between_half_a_step_and_a_step():
    errors = plateau(0.02, np.random.default_rng(0).uniform(0.001, 1, 3000))
    assert (errors >= 0.01 - 1e-9).all()
    assert (errors <= 0.02 + 1e-8).all()


def test_schedules():
    assert geometric_steps(0.7, 500, scale=2.0, largest=3.0, lower=0.5).sum() == pytest.approx(12)
    assert spiked_steps(1e-3, 2.0, 3).tolist() == [1e-3, 2.0, 1.0]
    assert steps_to_reach(1.0, 0.5) == 0
    y = 3 * 0.7 ** iteration_bound(1e-6, 0.7, scale=3.0)
    assert 2 * y + y * y <= 1e-6 < 2 * y / 0.7 + (y / 0.7) ** 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: geometric_steps(1.0, 3), "ratio is 1.0"),
        (lambda: geometric_steps(0.5, 3, scale=0.0), "scale = 0.0"),
        (lambda: spiked_steps(0.0, 1.0, 5), "size = 0.0"),
        (lambda: spiked_steps(1e-4, 1.0, 1), "at least 2 steps"),
        (lambda: smallest_ratio(0.0, 1.0), "0 < lower <= upper"),
        (lambda: smallest_ratio(2.0, 1.0), "0 < lower <= upper"),
        (lambda: steps_to_reach(0.0, 0.5), "factor is 0.0"),
        (lambda: iteration_bound(1e-8, 0.45), "0.5000: raise it"),
        (lambda: iteration_bound(1e-8, 0.6, lower=0.6818, upper=1.2024), "0.6381: raise it"),
        (lambda: iteration_bound(1e-8, 0.6, scale=0.9), "largest mode is never reached"),
        (lambda: iteration_bound(0.0, 0.6), "accuracy is 0.0"),
        (lambda: limiting_error(1.0), "ratio is 1.0"),
        (lambda: plateau(0.0, [1.0]), "step_size is 0.0"),
    ],
)
def test_a_failed_assumption_is_named_and_no_number_returned(call, message):
    with pytest.raises(ValueError, match=message):
        call()
