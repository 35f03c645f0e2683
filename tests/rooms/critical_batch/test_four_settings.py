"""Theorem C: its terms and its assumptions."""

from fractions import Fraction

import numpy as np
import pytest

from muon_theory.rooms.critical_batch.four_settings import batch_terms, floor_factor, noise_variance

KNOWN = {"smoothness": 2.0, "gap": 3.0, "rank": 4, "noise": 0.5, "step_size": 0.1, "momentum": 0.9}


@pytest.mark.parametrize(("nesterov", "decay"), [(False, 0.0), (True, 0.0), (False, 2.0), (True, 2.0)])
def test_the_terms_are_those_of_the_theorem(nesterov, decay):
    b, s = 0.9, 2 if decay else 1
    a = b if nesterov else 1.0
    variance = (1 - b) / (1 + b) * ((1 + 2 * b - 2 * b**3) if nesterov else 1)
    terms = batch_terms(**KNOWN, nesterov=nesterov, weight_decay=decay, initial_gradient=7.0)
    assert pytest.approx(3.0 / 0.1 + 2 * a * b * 7.0 / (1 - b), rel=1e-12) == terms.X
    assert pytest.approx(2 * 0.5 * (4 * variance) ** 0.5, rel=1e-12) == terms.Y
    assert pytest.approx(2.0 * 0.1 * (s * s / 2 + 2 * s * a * b / (1 - b)), rel=1e-12) == terms.Z
    assert terms.bound(100, 16) == pytest.approx(terms.X / 100 + terms.Y / 4 + terms.Z, rel=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_noise_variance_is_that_of_the_weights_of_past_gradients(nesterov):
    b, steps = 0.8, 400
    weights = (1 - b) * b ** np.arange(steps)  # of the gradients, latest first, in the buffer
    if nesterov:
        weights = b * weights
        weights[0] += 1 - b
    assert noise_variance(b, nesterov=nesterov) == pytest.approx(float((weights**2).sum()), rel=1e-12)


def test_rationals_stay_rational():
    assert noise_variance(Fraction(9, 10), nesterov=False) == Fraction(1, 19)
    assert floor_factor(Fraction(1, 2), nesterov=True, weight_decay=False) == Fraction(3, 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"momentum": 1.0}, "0 <= b < 1"),
        ({"noise": 0.0}, "noise = 0.0"),
        ({"smoothness": 0.0}, "smoothness"),
        ({"step_size": float("nan")}, "step_size"),
        ({"gap": -1.0}, "gap"),
        ({"weight_decay": 11.0}, "eta lambda = 1.1"),
        ({"weight_decay": 5.0, "initial_norm": 0.3}, "inside the ball"),
        ({"weight_decay": np.array([0.0, 1.0])}, "separately"),
    ],
)
def test_an_assumption_that_fails_is_named(changed, message):
    with pytest.raises(ValueError, match=message):
        batch_terms(**(KNOWN | changed))
