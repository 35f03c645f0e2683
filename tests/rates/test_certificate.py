"""The linear program's bound against closed forms, its proof against tampering."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.rates import (
    Analysis,
    Inequality,
    as_rational,
    best_constant,
    closed_average,
    provable_average,
    root_above,
    stationarity_inequalities,
)

BASE = Analysis(smoothness=Fraction(3, 2), initial_gap=2, steps=20, step_size=Fraction(1, 7))
VARIANTS = [
    {},
    {"momentum": Fraction(9, 10)},
    {"momentum": Fraction(9, 10), "nesterov": True, "noise": Fraction(1, 3)},
    {"momentum": Fraction(1, 2), "deficit": Fraction(1, 10), "overshoot": Fraction(1, 5), "noise": Fraction(1, 7)},
    {"momentum": Fraction(9, 10), "weight_decay": Fraction(1, 10), "noise": 1},
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_program_reproduces_the_closed_form_exactly(variant):
    analysis = replace(BASE, **variant)
    proof = provable_average(analysis)
    assert proof.verified
    assert proof.bound == closed_average(analysis)
    assert proof.optimum == pytest.approx(float(proof.bound), rel=1e-9)


def test_the_textbook_case():
    analysis = Analysis(smoothness=3, initial_gap=5, steps=40, step_size=Fraction(1, 9))
    assert provable_average(analysis).bound == Fraction(5 * 9, 40) + Fraction(3, 18)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_sharper_program_never_proves_less(variant):
    for scale_free in (False, True):
        analysis = replace(BASE, **variant, scale_free=scale_free)
        sharp = provable_average(analysis, sharp=True)
        assert sharp.verified
        assert sharp.bound <= provable_average(analysis).bound


@settings(max_examples=20, deadline=None)
@given(
    b=st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(95, 100)]),
    steps=st.integers(1, 30),
    eta=st.fractions(Fraction(1, 1000), Fraction(3), max_denominator=1000),
    noise=st.sampled_from([Fraction(0), Fraction(1, 3)]),
    nesterov=st.booleans(),
)
def test_bounds_are_proved_in_rationals_for_random_runs(b, steps, eta, noise, nesterov):
    analysis = Analysis(
        smoothness=2, initial_gap=1, steps=steps, step_size=eta, momentum=b, noise=noise, nesterov=nesterov
    )
    assert provable_average(analysis).bound == closed_average(analysis)
    assert provable_average(replace(analysis, scale_free=True), sharp=True).verified


def test_one_step_with_tangents_gives_the_bound_on_a_gradient():
    analysis = Analysis(smoothness=2, initial_gap=1, steps=1, step_size=10)
    assert provable_average(analysis, sharp=True, tangents=[Fraction(2)]).bound == 2  # sqrt(2 L D)


def test_without_noise_a_scale_free_oracle_pays_nothing_for_the_start():
    analysis = replace(BASE, momentum=Fraction(9, 10), scale_free=True)
    far = provable_average(replace(analysis, initial_gradient=10**6), sharp=True)
    free = provable_average(replace(analysis, initial_gradient=0), sharp=True)
    assert float(far.bound) == pytest.approx(float(free.bound), rel=0.35)
    assert far.bound < provable_average(replace(analysis, initial_gradient=2)).bound


def test_the_newest_noise_is_paid_once():
    analysis = replace(BASE, noise=1)
    silent = provable_average(BASE).bound
    assert provable_average(analysis).bound - silent == 2
    assert provable_average(analysis, sharp=True).bound - silent == 1


def test_a_tampered_proof_is_not_verified():
    proof = provable_average(BASE)
    (row, multiplier), *rest = proof.multipliers
    assert not replace(proof, bound=proof.bound * Fraction(99, 100)).verified
    assert not replace(proof, multipliers=((row, multiplier / 2), *rest)).verified
    assert not replace(proof, multipliers=(*proof.multipliers, (row, Fraction(-1)))).verified
    assert not replace(proof, objective={"g[1]": Fraction(1)}).verified


def test_the_table_has_the_inequalities_and_the_sum():
    proof = provable_average(BASE)
    lines = proof.table().splitlines()
    assert lines[0].split() == ["inequality", "multiplier", "right", "side", "product"]
    assert any(line.startswith("descent, all 20") for line in lines)
    assert float(lines[-1].split()[-1]) == pytest.approx(float(proof.bound), rel=1e-8)


def test_too_few_inequalities_are_refused():
    rows = [row for row in stationarity_inequalities(BASE) if row.name != "lower bound"]
    with pytest.raises(ValueError, match="give no bound"):
        best_constant({"g[1]": Fraction(1)}, rows)


def test_contradicting_inequalities_are_refused():
    rows = [
        Inequality("a", "given", {"x": Fraction(1)}, Fraction(0)),
        Inequality("b", "given", {"x": Fraction(-1)}, Fraction(-1)),
    ]
    with pytest.raises(ValueError, match="contradict"):
        best_constant({"x": Fraction(1)}, rows)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"momentum": 1}, "momentum = 1: the moving average needs 0 <= b < 1"),
        ({"step_size": 0}, "step_size = 0"),
        ({"smoothness": -1}, "smoothness = -1"),
        ({"noise": -1}, "noise = -1"),
        ({"deficit": 1}, "deficit = 1"),
        ({"weight_decay": 8}, "eta lambda <= 1"),
        ({"weight_decay": 1, "deficit": Fraction(1, 2)}, "exact oracle"),
    ],
)
def test_an_assumption_that_fails_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        replace(BASE, **change)


def test_floats_are_refused():
    with pytest.raises(TypeError, match="give an integer or a Fraction"):
        Analysis(smoothness=1, initial_gap=1, steps=1, step_size=0.1)  # pyright: ignore[reportArgumentType]


def test_tangents_are_refused_with_weight_decay():
    with pytest.raises(ValueError, match="tangents"):
        provable_average(replace(BASE, weight_decay=1), tangents=[Fraction(1)])


@given(st.fractions(0, 10**9))
def test_the_root_is_rounded_up_and_close(square):
    root = root_above(square)
    assert root**2 >= square
    assert root**2 <= square * (1 + Fraction(1, 2**70))


def test_bad_roots_and_numbers_are_refused():
    with pytest.raises(ValueError, match="square"):
        root_above(Fraction(-1))
    with pytest.raises(ValueError, match="finite"):
        as_rational(float("nan"))


@given(st.floats(1e-9, 1e9))
def test_a_rational_datum_is_on_its_side(value):
    assert as_rational(value, up=False) <= Fraction(value) <= as_rational(value)
    assert as_rational(value) - as_rational(value, up=False) <= Fraction(value) * Fraction(1, 10**5)


def test_nearly_tied_proofs_are_told_apart():
    analysis = Analysis(
        smoothness=Fraction(127, 1000), initial_gap=Fraction(151, 500), steps=116, step_size=Fraction(51, 100),
        momentum=Fraction(1, 4), deficit=Fraction(1, 10), scale_free=True,
    )  # fmt: skip
    largest = root_above(2 * Fraction(analysis.smoothness) * analysis.initial_gap)
    tangents = [largest * Fraction(k, 4) for k in (1, 2, 3, 4)]
    proof = provable_average(analysis, sharp=True, tangents=tangents)
    assert proof.verified
    assert proof.bound < provable_average(analysis, sharp=True).bound
