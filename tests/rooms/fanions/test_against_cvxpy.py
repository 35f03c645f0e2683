"""The room's programs against conic programs that use neither singular vectors nor an oracle."""

import cvxpy as cp
import numpy as np
import pytest
import torch

from muon_theory.norms import f_fanion
from muon_theory.rooms.fanions.ball_programs import (
    dual_ball_maximizer,
    far_projection,
    gauge_bounds,
    ky_fan_ball_maximizer,
)
from muon_theory.rooms.fanions.draft_steps import nuclear_step, soft_threshold_step
from muon_theory.rooms.fanions.matrix_family import matrix_family

MATRICES = [M for stack in matrix_family() for M in stack]
CASES = [(0, 1), (0, 3), (1, 2), (2, 2), (3, 5), (4, 2), (5, 1)]


def _solve(objective, constraints):
    problem = cp.Problem(objective, constraints)
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == cp.OPTIMAL
    return float(problem.value)


def _dual_ball(D, k, radius=1):
    return [cp.sigma_max(D) <= radius, cp.normNuc(D) <= k * radius]


@pytest.mark.parametrize(("index", "k"), CASES)
def test_the_ky_fan_ball_is_maximised_as_by_a_semidefinite_program(index, k):
    M = MATRICES[index]
    m, n = M.shape
    D = cp.Variable((m, n))
    dilated = cp.bmat([[np.zeros((m, m)), D], [D.T, np.zeros((n, n))]])
    value = _solve(cp.Maximize(cp.sum(cp.multiply(M, D))), [cp.lambda_sum_largest(dilated, k) <= 1])
    U, sigma, Vt = np.linalg.svd(M, full_matrices=False)
    d = ky_fan_ball_maximizer(sigma, k)
    assert sigma @ d == pytest.approx(value, rel=1e-6)
    assert np.linalg.norm((U * d) @ Vt - D.value) < 1e-3


@pytest.mark.parametrize(("index", "k"), CASES)
def test_the_dual_ball_is_maximised_as_by_a_semidefinite_program(index, k):
    M = MATRICES[index]
    D = cp.Variable(M.shape)
    value = _solve(cp.Maximize(cp.sum(cp.multiply(M, D))), _dual_ball(D, k))
    U, sigma, Vt = np.linalg.svd(M, full_matrices=False)
    d = dual_ball_maximizer(sigma, k)
    assert sigma @ d == pytest.approx(value, rel=1e-6)
    assert np.linalg.norm((U * d) @ Vt - D.value) < 1e-3
    assert np.linalg.norm((U * d) @ Vt - far_projection(M, "dual_ky_fan", k)) < 1e-8


@pytest.mark.parametrize(("index", "k"), CASES[:4])
def test_the_support_of_a_sum_of_balls_is_the_sum_of_their_supports(index, k):
    M, alpha, eta = MATRICES[index], 0.3, 0.05
    Z, W, F = (cp.Variable(M.shape) for _ in range(3))
    total = alpha * Z + (1 - alpha) * eta * W + 0.2 * F
    value = _solve(
        cp.Maximize(cp.sum(cp.multiply(M, total))),
        [*_dual_ball(Z, k), cp.max(cp.abs(W)) <= 1, cp.norm(F, "fro") <= 1],
    )
    weights = {"dual_ky_fan": alpha, "max": (1 - alpha) * eta, "frobenius": 0.2}
    found = sum(a * np.sum(M * far_projection(M, ball, k)) for ball, a in weights.items())
    assert found == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("index", "k"), CASES[:4])
def test_the_gauge_of_an_f_fanion_is_the_value_of_its_conic_program(index, k, alpha):
    Y = MATRICES[index]
    Z, t = cp.Variable(Y.shape), cp.Variable()
    value = _solve(cp.Minimize(t), [*_dual_ball(Z, k, alpha * t), cp.norm(Y - Z, "fro") <= (1 - alpha) * t])
    lower, upper = gauge_bounds(np.linalg.svd(Y, compute_uv=False), k, alpha)
    assert upper == pytest.approx(value, rel=1e-6)
    assert lower == pytest.approx(upper, rel=1e-12)
    assert f_fanion(k, alpha).value(torch.from_numpy(Y)).item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_the_draft_steps_minimise_their_penalised_problems(seed):
    G, penalty = np.random.default_rng(seed).standard_normal((4, 6)), 0.7
    U, sigma, Vt = np.linalg.svd(G, full_matrices=False)
    for squares, step in (
        (lambda D: (cp.sum_squares(D) + cp.square(cp.normNuc(D))) / 2, soft_threshold_step(sigma, penalty)),
        (lambda D: cp.square(cp.normNuc(D)), nuclear_step(sigma, penalty)),
    ):
        D = cp.Variable(G.shape)
        _solve(cp.Minimize(-cp.sum(cp.multiply(G, D)) + penalty * squares(D)), [])
        assert np.linalg.norm((U * step) @ Vt - D.value) < 1e-3
