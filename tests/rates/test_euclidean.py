"""The Euclidean program against the exact worst case of performance estimation, and its refusals."""

from dataclasses import replace
from fractions import Fraction

import pytest

from muon_theory.rates.euclidean import HeavyBall, exact_heavy_ball, heavy_ball_inequalities, provable_heavy_ball

BASE = HeavyBall(smoothness=1, initial_gap=1, steps=3, step_size=1)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_without_momentum_nothing_is_lost(steps):
    pytest.importorskip("PEPit")
    method = replace(BASE, steps=steps, smoothness=2, initial_gap=Fraction(3, 2), step_size=Fraction(1, 2))
    proved = provable_heavy_ball(method)
    assert proved.bound == Fraction(6, steps)  # 2 L D/T
    assert exact_heavy_ball(method) == pytest.approx(6 / steps, rel=1e-6)


@pytest.mark.parametrize(("b", "steps"), [(Fraction(1, 2), 2), (Fraction(1, 2), 4), (Fraction(9, 10), 3)])
def test_with_momentum_the_exact_worst_case_lies_below_and_not_far(b, steps):
    pytest.importorskip("PEPit")
    method = replace(BASE, momentum=b, steps=steps, step_size=1 - b)
    proved = float(provable_heavy_ball(method).bound)
    exact = exact_heavy_ball(method)
    assert 0.7 * proved <= exact <= proved * (1 + 1e-6)


def test_the_program_is_never_worse_than_the_printed_proof():
    for b in (Fraction(1, 4), Fraction(1, 2), Fraction(9, 10)):
        for variance in (0, 3):
            method = replace(BASE, momentum=b, steps=30, step_size=1 - b, variance=variance)
            proof = provable_heavy_ball(method)
            assert proof.verified
            assert proof.bound <= 2 * (1 + b * b) / ((1 - b) * 30) + (1 - b) * variance


def test_more_splits_of_young_never_prove_less():
    method = replace(BASE, momentum=Fraction(1, 2), steps=6, step_size=Fraction(1, 2))
    assert provable_heavy_ball(method, splits=[Fraction(1, 2), Fraction(2)]).bound <= provable_heavy_ball(method).bound


def test_inequalities_of_one_step():
    assert {row.name for row in heavy_ball_inequalities(replace(BASE, steps=2))} >= {"descent", "no memory", "square"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"step_size": 2}, "smoothness \\* step_size = 2"),
        ({"momentum": 1}, "momentum = 1"),
        ({"variance": -1}, "numbers >= 0"),
    ],
)
def test_an_assumption_that_fails_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        replace(BASE, **change)


def test_noise_has_no_exact_worst_case_here():
    with pytest.raises(ValueError, match="variance"):
        exact_heavy_ball(replace(BASE, variance=1))
