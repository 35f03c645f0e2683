"""The decomposition of a trajectory, the fit of powers, the verdict, and the list of claims."""

import numpy as np
import pytest

from muon_theory.rooms import load_rooms
from muon_theory.rooms.hyperparameter_transfer.decomposition import (
    alignment_matrix,
    curvature_and_slope,
    minimise_proxy,
    proxy_objective,
    top_k_changes,
    transfer_bound,
)
from muon_theory.rooms.hyperparameter_transfer.speed import fit_power, transfer_speed

ROWS = """
    HT-01 HT-02 HT-03 HT-04 HT-05 HT-06 HT-07 HT-08 HT-09 HT-10 HT-10-SLIP HT-11 HT-J1 HT-J2 HT-CAL-FAST
    HT-CAL-SLOW HT-CAL-RANGE HT-RF1 HT-RF2 HT-RF3 HT-RF4 HT-RF5 HT-RF6 HT-RF7 HT-RF8
"""
WIDTHS = np.array([20, 40, 80, 160, 320])


def test_the_room_states_its_rows():
    assert sorted(claim.id for claim in load_rooms(["hyperparameter_transfer"])["hyperparameter_transfer"]) == sorted(
        ROWS.split()
    )


def test_top_changes_add_up_and_are_sorted_by_size():
    generator = np.random.default_rng(0)
    G, dW = generator.standard_normal((2, 3, 5, 4))
    changes = top_k_changes(G, dW)
    assert changes.shape == (3, 4)
    np.testing.assert_allclose(changes[:, -1], np.sum(G * dW, axis=(1, 2)), rtol=1e-12)
    steps = np.abs(np.diff(changes, axis=1, prepend=0.0))
    assert np.all(np.diff(steps, axis=1) <= 1e-12)


def test_matrices_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        alignment_matrix(np.eye(2), np.eye(3))


def test_curvature_and_slope_of_a_parabola():
    x = np.linspace(-1, 1, 201)
    mu, slope = curvature_and_slope(x, 3 * x**2)
    assert mu == pytest.approx(6.0, rel=1e-9)
    assert slope == pytest.approx(6.0, rel=0.01)


def test_a_curve_that_is_not_convex_gets_no_bound():
    x = np.linspace(-1, 1, 21)
    with pytest.raises(ValueError, match="top has second derivative -"):
        transfer_bound(x, x**2, x**2, -(x**2), x**2)


def test_the_descent_stops_where_no_entry_helps_and_finds_a_planted_truncation():
    x = np.linspace(0, 1, 5)
    tops = -np.cumsum(np.full((5, 8), 1.0), axis=1)
    widest = tops.copy()
    widest[:, 3:] -= 5.0  # the two part from the fourth direction on
    kappa, value = minimise_proxy(x, tops, widest, (0.01, 0.01))
    assert kappa.max() <= 3
    assert value == 0.0
    for i in range(5):
        for k in range(1, 9):
            other = kappa.copy()
            other[i] = k
            assert proxy_objective(x, tops, widest, other, (0.01, 0.01)) >= value


def test_a_truncation_outside_the_range_is_refused():
    with pytest.raises(ValueError, match="numbers from 1 to 2"):
        proxy_objective([0.0, 1.0], np.ones((2, 2)), np.ones((2, 2)), [0, 1], (0.0, 0.0))


@pytest.mark.parametrize("power", [0.3, 1.0, 2.5])
def test_a_power_is_found_with_its_limit(power):
    fit = fit_power(WIDTHS, -2.0 + np.array([[5.0], [-3.0]]) * (WIDTHS / 20.0) ** -power)
    np.testing.assert_allclose(fit.power, power, rtol=0.01)
    np.testing.assert_allclose(fit.limit, -2.0, atol=0.03)
    np.testing.assert_allclose(fit.amplitude * 20.0**-fit.power, [5.0, -3.0], atol=0.05)


@pytest.mark.parametrize(("beta", "word"), [(1.0, "fast"), (0.5, "slow")])
def test_the_word_follows_the_powers(beta, word):
    x, n = np.linspace(-2, 2, 81), WIDTHS[:, None] / 10.0
    noise = 0.01 * np.random.default_rng(1).standard_normal((10, 5, 1))
    curves = n**-1.0 + (x - n**-beta - noise) ** 2
    assert transfer_speed(WIDTHS, x, curves, resamples=60).word == word


def test_much_noise_leaves_it_undecided():
    x, n = np.linspace(-2, 2, 81), WIDTHS[:, None] / 10.0
    noise = 0.5 * np.random.default_rng(1).standard_normal((6, 5, 1))
    assert transfer_speed(WIDTHS, x, n**-1.0 + (x - n**-1.0 - noise) ** 2, resamples=60).word == "undecided"


def test_too_little_evidence_is_refused():
    with pytest.raises(ValueError, match="seeds >= 3"):
        transfer_speed(WIDTHS, np.arange(3.0), np.ones((2, 5, 3)))
    with pytest.raises(ValueError, match="four finite points"):
        fit_power([1, 2, 3], [1.0, 2.0, 3.0])
