"""Runs on explicit functions stay below the provable constants, and repeat from their parameters."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from muon_theory.rates import Analysis, Instance, attained_averages, largest_attained, provable_average

BASE = Analysis(smoothness=1, initial_gap=Fraction(1, 2), steps=80, step_size=Fraction(1, 20), scale_free=True)
VARIANTS = [
    {},
    {"momentum": Fraction(9, 10)},
    {"momentum": Fraction(1, 2), "nesterov": True},
    {"deficit": Fraction(3, 10), "overshoot": Fraction(1, 5)},
    {"weight_decay": Fraction(1, 2), "momentum": Fraction(1, 2)},
    {"noise": Fraction(1, 2), "momentum": Fraction(1, 2)},
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_attained_exceeds_the_provable_constant_and_it_repeats(variant):
    analysis = replace(BASE, **variant)
    found = largest_attained(analysis, population=32, rounds=4, runs=32)
    assert (
        0.25 * provable_average(analysis, sharp=True).bound
        < found.average
        <= provable_average(analysis, sharp=True).bound
    )
    again = attained_averages(analysis, found.instance, runs=found.runs, seed=found.seed)
    assert again[0] == pytest.approx(found.average, rel=1e-12)


def test_the_deterministic_bound_is_attained():
    analysis = replace(BASE, steps=110, step_size=Fraction(95346, 10**6))
    assert largest_attained(analysis).average > 0.998 * provable_average(analysis).bound


def test_the_derivative_has_the_stated_smoothness_and_gap():
    from muon_theory.rates.attained import _derivative

    instance = Instance(distance=2.0, right_slope=0.7, left_slope=0.3, half_period=3.0)
    x = np.linspace(-7, 7, 140_001)
    slope = _derivative(x, 2.0, instance)
    assert np.max(np.abs(np.diff(slope) / np.diff(x))) <= 2.0 + 1e-9
    assert slope.max() == 0.7
    assert slope.min() == -0.3
    inside = (x >= 0) & (x <= 2)
    gap = np.trapezoid(slope[inside], x[inside])
    assert gap == pytest.approx(0.7 * 2 - 0.7**2 / (2 * 2.0), abs=1e-4)


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        (Instance(3.0, 3.0, 1.0), "exceeds D"),
        (Instance(0.5, 0.5, 0.5, half_period=0.4), "half_period"),
        (Instance(0.5, 0.5, 0.5, first_gain=1.1), "first_gain"),
    ],
)
def test_an_instance_outside_the_analysis_is_refused(instance, words):
    with pytest.raises(ValueError, match=words):
        attained_averages(BASE, instance)


def test_a_start_outside_the_ball_of_decay_is_refused():
    analysis = replace(BASE, weight_decay=2)
    with pytest.raises(ValueError, match="ball"):
        attained_averages(analysis, Instance(0.7, 0.5, 0.5))


def test_bad_counts_are_refused():
    with pytest.raises(ValueError, match="runs"):
        attained_averages(BASE, Instance(0.5, 0.5, 0.5), runs=0)
    with pytest.raises(ValueError, match="population"):
        largest_attained(BASE, population=2)
