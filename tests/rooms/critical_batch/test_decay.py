"""The ball that weight decay keeps."""

import math

import numpy as np
import pytest

from muon_theory.rooms.critical_batch.decay import (
    curvature_factor,
    implicit_step,
    limiting_radius,
    stationarity,
    weight_norm_bound,
)


def test_a_constant_output_attains_the_bound_at_every_step():
    W = np.diag([0.5, 0.25])
    for t in range(1, 20):
        W = (1 - 0.2) * W + 0.1 * np.eye(2)
        assert np.linalg.norm(W, 2) == pytest.approx(weight_norm_bound(0.5, t, 0.1, 2.0), rel=1e-12)


def test_the_limiting_radius_is_that_of_the_recursion():
    for eta in (0.3, 1.0, 1.4, 1.95):
        size = 0.0
        for _ in range(5000):
            size = abs(1 - eta) * size + eta
        assert limiting_radius(eta, 1.0) == pytest.approx(size, rel=1e-9)
    assert math.isinf(limiting_radius(2.5, 1.0))


def test_stationarity_is_the_frank_wolfe_gap_times_the_decay():
    generator = np.random.default_rng(0)
    W, g = 0.1 * generator.standard_normal((3, 5)), generator.standard_normal((3, 5))
    U, _, Vt = np.linalg.svd(g, full_matrices=False)
    assert stationarity(W, g, 0.5) == pytest.approx(0.5 * np.sum(g * (W + U @ Vt / 0.5)), rel=1e-12)


def test_the_curvature_factor_grows_from_a_half_to_two():
    assert (curvature_factor(0.0, 3.0), curvature_factor(1 / 3, 3.0)) == (0.5, pytest.approx(2.0))


def test_implicit_decay_keeps_the_ball_for_any_step():
    generator, W = np.random.default_rng(0), np.zeros((3, 4))
    for _ in range(200):
        O = generator.standard_normal((3, 4))
        W = implicit_step(W, O / np.linalg.norm(O, 2), 50.0, 0.5)
        assert np.linalg.norm(W, 2) <= 2 * (1 + 1e-12)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="eta lambda = 1.5"):
        weight_norm_bound(0.0, 1, 1.5, 1.0)
    with pytest.raises(ValueError, match="weight_decay = 0"):
        limiting_radius(1.0, 0.0)
