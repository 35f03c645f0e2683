"""Theorem A against the rational closed form, its neighbours against their formulas, and the refusals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.rates import Analysis, closed_average, provable_average
from muon_theory.rooms.newton_schulz_convergence.error_bounds import (
    interval_alignment,
    universal_alignment,
    universal_floor,
)
from muon_theory.rooms.newton_schulz_convergence.rates import Setting, average_bound
from muon_theory.rooms.newton_schulz_convergence.stationarity import (
    best_step_size,
    curvature_constant,
    generalized_average_bound,
    heavy_ball_bound,
    heavy_ball_weight,
    inexact_average_bound,
    layer_noise,
    layer_smoothness,
    nesterov_noise_factor,
    oracle_input_shares,
    trust_region_bound,
    trust_region_recipe,
)
from muon_theory.rooms.newton_schulz_convergence.taylor import iterated, singular_value_map

UNIT = Setting(1.0, 1.0, 100, 4, 0.5, 2)


@settings(deadline=None)
@given(
    b=st.sampled_from([0.0, 0.5, 0.875, 0.96875]),
    nesterov=st.booleans(),
    ehat=st.sampled_from([0.0, 0.25, 0.5]),
    omega=st.sampled_from([0.0, 0.25]),
    eta=st.floats(1e-3, 10),
    steps=st.integers(1, 200),
)
def test_theorem_a_is_the_rational_closed_form(b, nesterov, ehat, omega, eta, steps):
    setting = Setting(1.5, 2.0, steps, 4, 0.5, 4)  # sqrt(r/B) sigma = 1/2
    terms = inexact_average_bound(
        setting, step_size=eta, gradient_weight=1 - b, nesterov=nesterov, alignment_deficit=ehat, overshoot=omega
    )
    exact = closed_average(
        Analysis(
            smoothness=Fraction(3, 2), initial_gap=2, steps=steps, step_size=Fraction(eta), momentum=Fraction(b),
            nesterov=nesterov, deficit=Fraction(ehat), overshoot=Fraction(omega), noise=Fraction(1, 2),
        )
    )  # fmt: skip
    assert float(terms.total) == pytest.approx(float(exact), rel=1e-11)


def test_with_the_operator_error_for_both_it_is_the_paper_s_bound_but_for_the_start():
    e = 0.3
    ours = inexact_average_bound(UNIT, step_size=0.1, gradient_weight=0.1, alignment_deficit=e, overshoot=e)
    theirs = average_bound(UNIT, step_size=0.1, gradient_weight=0.1, operator_error=e)
    for name in ("start", "curvature", "drift", "noise"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12)
    assert ours.initial_gradient < theirs.initial_gradient


def test_trace_sigma_takes_the_place_of_the_rank():
    crude = inexact_average_bound(UNIT, step_size=0.1, gradient_weight=0.5)
    same = inexact_average_bound(UNIT, step_size=0.1, gradient_weight=0.5, noise_norm=2 * 0.5)
    assert same == crude
    assert inexact_average_bound(UNIT, step_size=0.1, gradient_weight=0.5, noise_norm=0.4).noise < crude.noise


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("b", [0, Fraction(1, 2), Fraction(9, 10)])
def test_noise_paid_once_is_what_the_sharper_program_charges_in_the_limit(b, nesterov):
    analysis = Analysis(
        smoothness=1, initial_gap=1, steps=40, step_size=Fraction(1, 10), momentum=b, nesterov=nesterov,
        noise=Fraction(1, 2), deficit=Fraction(1, 10), overshoot=Fraction(1, 5), initial_gradient=1,
    )  # fmt: skip
    kwargs = {"nesterov": nesterov, "alignment_deficit": 0.1, "overshoot": 0.2, "initial_gradient": 1.0}
    setting = Setting(1.0, 1.0, 40, 1, 0.5, 1)
    once, twice = (
        float(
            inexact_average_bound(setting, step_size=0.1, gradient_weight=1 - float(b), paid_once=flag, **kwargs).total
        )
        for flag in (True, False)
    )
    proved = float(provable_average(analysis, sharp=True).bound)
    assert proved <= once * (1 + 1e-12)
    assert once < twice
    if b == 0:
        assert proved == pytest.approx(once, rel=1e-12)


@given(st.floats(0.01, 1), st.booleans(), st.floats(0, 0.9), st.floats(0, 1))
def test_the_best_step_size_beats_its_neighbours(o, nesterov, ehat, omega):
    kwargs = {"gradient_weight": o, "nesterov": nesterov, "alignment_deficit": ehat, "overshoot": omega}
    A = curvature_constant(o, nesterov=nesterov, alignment_deficit=ehat, overshoot=omega)
    eta = float(best_step_size(UNIT, A))
    best = float(inexact_average_bound(UNIT, step_size=eta, **kwargs).total)
    assert best <= float(inexact_average_bound(UNIT, step_size=1.01 * eta, **kwargs).total)
    assert best <= float(inexact_average_bound(UNIT, step_size=eta / 1.01, **kwargs).total)


def test_nesterov_shares():
    assert oracle_input_shares(0.1, nesterov=True) == pytest.approx((0.9, 0.0706315789))
    assert nesterov_noise_factor(1.0) == 1.0


def test_one_layer_of_a_network_is_the_matrix_itself():
    assert layer_smoothness([[3.0]], [1.0]) == 3.0
    assert layer_noise([2.0], [0.5], [1.0]) == 1.0


def test_the_network_s_smoothness_is_one():
    generator = np.random.default_rng(0)
    A = [generator.standard_normal((4, 3)), generator.standard_normal((4, 2))]
    blocks = [[np.linalg.norm(A[i].T @ A[j], "nuc") for j in range(2)] for i in range(2)]
    scales = [1.0, 0.5]
    L = layer_smoothness(blocks, scales)
    for _ in range(100):
        change = [generator.standard_normal((3, 5)), generator.standard_normal((2, 5))]
        moved = A[0] @ change[0] + A[1] @ change[1]
        dual = sum(s * np.linalg.norm(a.T @ moved, "nuc") for s, a in zip(scales, A, strict=True))
        primal = max(np.linalg.norm(c, 2) / s for s, c in zip(scales, change, strict=True))
        assert dual <= L * primal


def test_generalised_smoothness_slows_the_layer_it_belongs_to():
    bound, kept = generalized_average_bound(1.0, 10, constants=[[1.0, 0.0], [1.0, 5.0]], step_sizes=[0.1, 0.1])
    assert kept == pytest.approx([1.0, 0.75])
    assert bound == pytest.approx(0.1 + 2 * 0.5 * 0.01)


def test_heavy_ball_and_its_balance():
    assert heavy_ball_bound(Setting(2.0, 3.0, 6, 1, 0.0, 1), 0.5) == pytest.approx(2 * 1.25 * 6 / 3)
    assert heavy_ball_weight(Setting(1.0, 1.0, 100, 1, 0.0, 1)) == 1.0


def test_the_sharper_trust_region_bound_is_smaller():
    for a in (0.05, 0.5, 1.0):
        assert (
            trust_region_bound(UNIT, step_size=0.1, gradient_weight=a, sharp=True).total
            < trust_region_bound(UNIT, step_size=0.1, gradient_weight=a).total
        )


def test_the_recipe_without_noise_needs_no_memory():
    eta, a, steps = trust_region_recipe(Setting(2.0, 1.0, 1, 4, 0.0, 1), 0.5)
    assert (eta, a, steps) == (0.5 / 32, 1.0, 1024.0)


@pytest.mark.parametrize(("k", "q"), [(1, 0), (1, 4), (2, 3), (3, 5)])
def test_the_universal_bound_lies_below_what_spectra_have(k, q):
    generator = np.random.default_rng(k)
    x = 10 ** -generator.uniform(0, 4, (200, 12))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    alignment = np.sum(x * iterated(singular_value_map, k, x, q), axis=1) / x.sum(axis=1)
    bound = universal_alignment(k, q, rank=12, nuclear_rank=x.sum(axis=1) ** 2)
    assert np.all(alignment >= bound)
    assert np.all(alignment >= universal_floor(k, q, 12))


def test_the_certificate_of_an_interval():
    assert interval_alignment(0.1, 0.0, rank=4, nuclear_rank=4.0) == pytest.approx(0.8)


BAD = [
    (lambda: inexact_average_bound(UNIT, step_size=0.1, gradient_weight=0.0), "gradient_weight"),
    (lambda: inexact_average_bound(UNIT, step_size=0.0, gradient_weight=1.0), "step_size"),
    (lambda: inexact_average_bound(UNIT, step_size=0.1, gradient_weight=1.0, alignment_deficit=1.0), "ehat in"),
    (lambda: inexact_average_bound(UNIT, step_size=0.1, gradient_weight=1.0, overshoot=-0.1), "overshoot"),
    (lambda: Setting(1.0, 1.0, 0, 4, 0.5, 2), "steps"),
    (lambda: layer_smoothness([[1.0]], [1.0, 2.0]), "blocks"),
    (lambda: layer_smoothness([[1.0]], [0.0]), "scales > 0"),
    (lambda: layer_noise([1.0], [1.0, 2.0], [1.0]), "as many numbers"),
    (lambda: generalized_average_bound(1.0, 0, constants=[[1.0, 0.0]], step_sizes=[0.1]), "steps = 0"),
    (lambda: generalized_average_bound(1.0, 5, constants=[[1.0, 30.0]], step_sizes=[0.1]), "lower its step size"),
    (lambda: heavy_ball_bound(UNIT, 0.0), "gradient_weight"),
    (lambda: trust_region_bound(UNIT, step_size=0.1, gradient_weight=1.5), "gradient_weight"),
    (lambda: trust_region_bound(UNIT, step_size=0.0, gradient_weight=1.0), "step_size"),
    (lambda: best_step_size(UNIT, 0.0), "curvature"),
    (lambda: trust_region_recipe(UNIT, 0.0), "accuracy"),
    (lambda: universal_alignment(2, 3, rank=4, nuclear_rank=5.0), "nuclear_rank"),
    (lambda: universal_floor(2, 3, 1), "rank"),
    (lambda: interval_alignment(0.0, 0.1, rank=4, nuclear_rank=2.0), "lower, error"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_an_assumption_that_fails_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
