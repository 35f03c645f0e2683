import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from muon_theory.rooms.newton_schulz_convergence.rates import (
    RATE_CONSTANT,
    Setting,
    average_bound,
    average_bound_at_printed_step,
    noise_factor,
    printed_gradient_weight,
    printed_step_size,
    sufficient_steps,
    tracking_error_bound,
    tuned_average_bound,
    worst_case_factor,
)

log_uniform = st.floats(-3, 3).map(lambda x: 10.0**x)
problems = st.builds(
    Setting,
    smoothness=log_uniform,
    initial_gap=log_uniform,
    steps=st.floats(0, 6).map(lambda x: float(math.floor(10**x))),
    rank=st.integers(1, 1000),
    noise=st.one_of(st.just(0.0), log_uniform),
    batch=log_uniform,
)
weights = st.floats(-12, 0).map(lambda x: 10.0**x)
errors = st.floats(0, 0.95)
CASE = Setting(smoothness=2.0, initial_gap=3.0, steps=50.0, rank=5, noise=7.0, batch=4)


def _symbols():
    names = "L D T r sigma B e o"
    return sympy.symbols(names, positive=True)


def _symbolic_average(eta, weight):
    L, D, T, r, sigma, B, e, _ = _symbols()
    b = 1 - weight
    return (
        D / (T * eta)
        + L * eta / 2 * (1 + e) ** 2
        + 2 * b * L * eta * (1 + e) / (1 - b)
        + 2 * sigma * sympy.sqrt(r / B) * sympy.sqrt(1 - b) / sympy.sqrt(1 + b)
        + 2 * b * sympy.sqrt(2 * r * L * D) / (T * (1 - b))
    ) / (1 - e)


def _values(setting, error, weight):
    symbols = _symbols()
    numbers = (setting.smoothness, setting.initial_gap, setting.steps, setting.rank, setting.noise, setting.batch)
    return dict(zip(symbols, (*numbers, error, weight), strict=True))


def test_the_averaged_bound_is_the_printed_formula():
    eta = sympy.Symbol("eta", positive=True)
    o = _symbols()[-1]
    expected = _symbolic_average(eta, o).subs(_values(CASE, 0.3, 0.1)).subs(eta, 0.01).evalf(30)
    found = average_bound(CASE, step_size=0.01, gradient_weight=0.1, operator_error=0.3).total
    assert found == pytest.approx(float(expected), rel=1e-14)


def test_the_form_at_the_printed_step_follows_symbolically():
    L, D, T, r, sigma, B, e, o = _symbols()
    b = 1 - o
    printed = (
        sympy.sqrt(L * D / T) * ((1 + 2 * b * (1 + e)) / sympy.sqrt(o) + (1 + e) ** 2 * sympy.sqrt(o) / 2)
        + 2 * sigma * sympy.sqrt(r / B) * sympy.sqrt(o) / sympy.sqrt(2 - o)
        + 2 * b * sympy.sqrt(2 * r * L * D) / (T * o)
    ) / (1 - e)
    assert sympy.simplify(_symbolic_average(sympy.sqrt(o * D / (T * L)), o) - printed) == 0
    found = average_bound_at_printed_step(CASE, 0.1, 0.3).total
    assert found == pytest.approx(float(printed.subs(_values(CASE, 0.3, 0.1)).evalf(30)), rel=1e-14)


def test_the_tuned_form_follows_symbolically():
    L, D, T, r, noise, B, e, weight = _symbols()
    # The printed momentum solved for the noise, so that 1 - b is a symbol of its own.
    sigma, b = sympy.sqrt(L * D * B / (r * T)) / weight, 1 - weight
    printed = (
        (1 + e) ** 2 * sympy.sqrt(weight) / 2 * sympy.sqrt(L * D / T)
        + (1 + 2 * b * (1 + e) + 2 / sympy.sqrt(1 + b)) * (r * sigma**2 * L * D / (B * T)) ** sympy.Rational(1, 4)
        + 2 * sympy.sqrt(2) * b * sigma * r / sympy.sqrt(B * T)
    ) / (1 - e)
    general = _symbolic_average(sympy.sqrt(weight * D / (T * L)), weight).subs(noise, sigma)
    assert sympy.simplify(general - printed) == 0
    expected = printed.subs(_values(CASE, 0.3, printed_gradient_weight(CASE))).evalf(30)
    assert tuned_average_bound(CASE, 0.3).total == pytest.approx(float(expected), rel=1e-13)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems, weights, errors)
def test_both_forms_agree_term_by_term_down_to_tiny_weights(setting, weight, error):
    step = printed_step_size(setting, weight)
    general = average_bound(setting, step_size=step, gradient_weight=weight, operator_error=error)
    printed = average_bound_at_printed_step(setting, weight, error)
    np.testing.assert_allclose(np.array(printed), np.array(general), rtol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems)
def test_the_tuned_bound_is_within_three_plus_root_two_of_the_rates(setting):
    bound = average_bound_at_printed_step(setting, printed_gradient_weight(setting))
    assert bound.total <= RATE_CONSTANT * setting.rates * (1 + 1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(problems, weights, errors)
def test_a_larger_operator_error_never_improves_the_bound(setting, weight, error):
    bounds = [
        average_bound(setting, step_size=0.1, gradient_weight=weight, operator_error=e).total
        for e in (error, error / 2)
    ]
    assert bounds[0] >= bounds[1] * (1 - 1e-14)


def test_without_momentum_and_noise_the_best_step_is_the_textbook_one():
    setting = Setting(2.0, 3.0, 50.0, 5, 0.0, 1)
    best = minimize_scalar(
        lambda x: float(average_bound(setting, step_size=math.exp(x), gradient_weight=1.0).total), bounds=(-9, 3)
    )
    assert math.exp(best.x) == pytest.approx((2 * 3.0 / (50 * 2.0)) ** 0.5, rel=1e-4)
    assert best.fun == pytest.approx((2 * 2.0 * 3.0 / 50) ** 0.5, rel=1e-8)


def test_the_noise_factor_is_the_sum_of_the_squared_weights():
    for momentum in (0.0, 0.5, 0.9, 0.99):
        weights = (1 - momentum) * momentum ** np.arange(5000.0)
        assert noise_factor(1 - momentum) == pytest.approx(np.sum(weights**2), rel=1e-12)


def test_the_momentum_error_follows_the_slowest_drift_and_the_start():
    momentum, rate = 0.9, 0.3
    error, bound, gradient = 0.0, np.inf, 1.0
    setting = Setting(1.0, 1.0, 40, 1, 0.0, 1)
    average = 0.0
    for step in range(1, 41):
        average = momentum * average + (1 - momentum) * gradient
        error = abs(gradient - average)
        bound = tracking_error_bound(
            setting, step, step_size=rate, gradient_weight=1 - momentum, gradient_norm=1.0
        ).total
        assert error <= bound * (1 + 1e-12)
        gradient += rate
    assert error > 0.98 * bound


def test_the_printed_momentum_is_zero_without_noise_and_keeps_its_digits_when_tiny():
    assert printed_gradient_weight(Setting(1.0, 1.0, 100, 4, 0.0, 1)) == 1.0
    assert printed_gradient_weight(Setting(1.0, 1.0, 1e24, 1, 1e-2, 1)) == pytest.approx(1e-10, rel=1e-15)


def test_each_step_count_brings_its_rate_to_a_third():
    first, second, third = sufficient_steps(CASE, 0.01, chi=1.5)
    third_of_goal = 0.01 / (3 * RATE_CONSTANT * 1.5)
    at = [Setting(2.0, 3.0, steps, 5, 7.0, 4) for steps in (first, second, third)]
    found = [at[0].deterministic_rate, at[1].start_rate, at[2].stochastic_rate]
    np.testing.assert_allclose(np.array(found), third_of_goal, rtol=1e-12)


def test_arrays_give_what_single_numbers_give():
    weights = np.array([0.01, 0.5, 1.0])
    noise = np.array([0.0, 1.0, 9.0])
    together = average_bound(
        Setting(2.0, 3.0, 50.0, 5, noise, 4), step_size=0.1, gradient_weight=weights, operator_error=0.2
    )
    for i in range(3):
        single = average_bound(
            Setting(2.0, 3.0, 50.0, 5, float(noise[i]), 4),
            step_size=0.1,
            gradient_weight=float(weights[i]),
            operator_error=0.2,
        )
        np.testing.assert_allclose([np.broadcast_to(term, 3)[i] for term in together], np.array(single), rtol=1e-15)


@pytest.mark.parametrize("name", ["smoothness", "initial_gap", "steps", "rank", "noise", "batch"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_setting_with_an_impossible_number_names_it(name, value):
    numbers = {"smoothness": 1.0, "initial_gap": 1.0, "steps": 1.0, "rank": 1, "noise": 1.0, "batch": 1.0, name: value}
    with pytest.raises(ValueError, match=name):
        Setting(**numbers)


@pytest.mark.parametrize("error", [1.0, -0.1, 2.0, math.nan])
def test_an_operator_error_outside_its_range_is_refused(error):
    with pytest.raises(ValueError, match="operator_error"):
        worst_case_factor(error)


@pytest.mark.parametrize("weight", [0.0, -0.5, 1.5, math.nan])
def test_a_gradient_weight_outside_its_range_is_refused(weight):
    with pytest.raises(ValueError, match="gradient_weight"):
        average_bound(CASE, step_size=0.1, gradient_weight=weight)
    with pytest.raises(ValueError, match="gradient_weight"):
        noise_factor(weight)


def test_the_tuned_form_refuses_a_problem_whose_printed_momentum_is_zero():
    with pytest.raises(ValueError, match="momentum is 0"):
        tuned_average_bound(Setting(1.0, 1.0, 100, 4, 0.0, 1))
