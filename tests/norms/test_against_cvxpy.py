"""Value, dual, LMO and gauge of every norm against conic programs that know only the definition of the unit ball."""

import math
from functools import cache

import cvxpy as cp
import numpy as np
import pytest
import torch

from muon_theory.norms import ALL_NORMS, f_fanion, s_fanion
from muon_theory.spectra import prescribed_matrix

SHAPE = (3, 5)
SPECTRA = {
    "tied at the top": (2.0, 2.0, 1.0),
    "tied at k": (3.0, 1.0, 1.0),
    "all tied": (1.0, 1.0, 1.0),
    "Ky Fan tie": (3.0, 2.0, 1.0),
    "rank two": (2.0, 1.0, 0.0),
    "rank one": (1.0, 0.0, 0.0),
}


def matrices(shape):
    """Random, spiked, tied and rank-deficient."""
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(*shape, generator=generator, dtype=torch.float64)
    left = torch.randn(shape[0], 1, generator=generator, dtype=torch.float64)
    right = torch.randn(1, shape[1], generator=generator, dtype=torch.float64)
    made = {"random": gaussian, "spiked": gaussian + 10 * left @ right / math.sqrt(shape[0] * shape[1])}
    for seed, (name, sigma) in enumerate(SPECTRA.items()):
        made[name] = prescribed_matrix(np.array(sigma), *shape, seed=seed)
    return made


def ky_fan(D, k):
    """The sum of the k largest singular values: eigenvalues of the symmetric dilation; of a real k interpolated."""
    dilation = cp.bmat([[np.zeros((D.shape[0],) * 2), D], [D.T, np.zeros((D.shape[1],) * 2)]])
    whole, part = int(k), k - int(k)
    total = (1 - part) * cp.lambda_sum_largest(dilation, whole)
    return total + part * cp.lambda_sum_largest(dilation, whole + 1) if part else total


def capped(k):
    return lambda D, t: [cp.sigma_max(D) <= t, cp.normNuc(D) <= k * t]


def schatten_4(D, t):
    """||D||_4 <= t if D^T D / t <= W for a W of Frobenius norm t (Schur complement)."""
    W = cp.Variable((D.shape[1], D.shape[1]), symmetric=True)
    return [cp.bmat([[t * np.eye(D.shape[0]), D], [D.T, W]]) >> 0, cp.norm(W, "fro") <= t]


def minkowski(*weighted):
    def ball(D, t):
        points = [cp.Variable(D.shape) for _ in weighted]
        inside = [c for Z, (a, part) in zip(points, weighted, strict=True) for c in part(Z, a * t)]
        return [sum(points) == D, *inside]

    return ball


def frobenius(D, t):
    return [cp.norm(D, "fro") <= t]


def spectral(D, t):
    return [cp.sigma_max(D) <= t]


def nuclear(D, t):
    return [cp.normNuc(D) <= t]


def box(D, t):
    return [cp.abs(D) <= t]


def columns(D, t):
    return [cp.norm(D, 2, axis=0) <= t]


def root_mean_square(D, t):
    # |D x|_rms <= t |x|_rms with |x|_rms = |x| / sqrt(n): n columns are the inputs, m rows the outputs
    return [cp.sigma_max(D) / math.sqrt(D.shape[0]) <= t / math.sqrt(D.shape[1])]


BALLS = {
    "frobenius": frobenius,
    "spectral": spectral,
    "nuclear": nuclear,
    "schatten_4": schatten_4,
    "schatten_4_3": None,  # through its dual, see program()
    "rms_to_rms": root_mean_square,
    "ky_fan_2": lambda D, t: [ky_fan(D, 2) <= t],
    "ky_fan_2.5": lambda D, t: [ky_fan(D, 2.5) <= t],
    "dual_ky_fan_2": capped(2),
    "dual_ky_fan_2.5": capped(2.5),
    "max_entry": box,
    "sum_entries": lambda D, t: [cp.sum(cp.abs(D)) <= t],
    "column_norm": columns,
    "row_norm": lambda D, t: [cp.norm(D, 2, axis=1) <= t],
    "sum_of_column_norms": lambda D, t: [cp.sum(cp.norm(D, 2, axis=0)) <= t],
    "sum_of_row_norms": lambda D, t: [cp.sum(cp.norm(D, 2, axis=1)) <= t],
    "f_neon": minkowski((0.3, nuclear), (0.7, frobenius)),
    "f_fanion_2": minkowski((0.5, capped(2)), (0.5, frobenius)),
    "f_muon": minkowski((0.5, spectral), (0.5, frobenius)),
    "s_neon": minkowski((0.5, nuclear), (0.25, box)),
    "s_fanion_2": minkowski((0.3, capped(2)), (0.35, box)),
    "s_muon": minkowski((0.9, spectral), (0.005, box)),
    "ky_fan_2_and_column": minkowski((0.4, lambda D, t: [ky_fan(D, 2) <= t]), (0.2, columns), (0.7, root_mean_square)),
}


@cache
def program(name, shape, kind):
    """Support function: max <A, D> with D in the ball. Gauge: min t with A in t times the ball."""
    if name == "schatten_4_3":  # the dual of Schatten 4: the two programs change places
        return program("schatten_4", shape, {"support": "gauge", "gauge": "support"}[kind])
    return compiled(BALLS[name], shape, kind)


def compiled(ball, shape, kind):
    A = cp.Parameter(shape)
    if kind == "support":
        D = cp.Variable(shape)
        return A, cp.Problem(cp.Maximize(cp.sum(cp.multiply(A, D))), ball(D, 1.0))
    t, D = cp.Variable(nonneg=True), cp.Variable(shape)
    return A, cp.Problem(cp.Minimize(t), [D == A, *ball(D, t)])


def solve(pair, X):
    A, problem = pair
    A.value = X.numpy()
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == "optimal"
    return problem.value


def test_the_catalogue_has_its_programs():
    assert set(BALLS) == set(ALL_NORMS)
    assert len(ALL_NORMS) >= 14


@pytest.mark.parametrize("name", ALL_NORMS)
def test_value_dual_and_lmo_agree_with_the_conic_programs(name):
    norm = ALL_NORMS[name]
    for kind, X in matrices(SHAPE).items():
        gauge, support = (solve(program(name, SHAPE, what), X) for what in ("gauge", "support"))
        assert norm.value(X).item() == pytest.approx(gauge, rel=1e-6), kind
        assert norm.dual(X).item() == pytest.approx(support, rel=1e-6), kind
        D = norm.lmo(X)
        assert (X * D).sum().item() == pytest.approx(-support, rel=1e-6), kind  # downhill, as far as the ball goes
        assert solve(program(name, SHAPE, "gauge"), D) == pytest.approx(1, rel=1e-6), kind


@pytest.mark.parametrize("name", ALL_NORMS)
def test_tall_matrices_agree_with_the_conic_programs(name):
    norm, X = ALL_NORMS[name], matrices((5, 3))["spiked"]
    gauge, support = (solve(program(name, (5, 3), what), X) for what in ("gauge", "support"))
    assert norm.value(X).item() == pytest.approx(gauge, rel=1e-6)
    assert norm.dual(X).item() == pytest.approx(support, rel=1e-6)
    assert (X * norm.lmo(X)).sum().item() == pytest.approx(-support, rel=1e-6)


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.5), (1, 0.9), (2.5, 0.3), (3, 0.1), (4, 0.9), (None, 0.3)])
def test_gauges_of_f_fanions_of_4_by_6_matrices(k, alpha):
    norm, ball = f_fanion(k, alpha), minkowski((alpha, capped(k or 4)), (1 - alpha, frobenius))
    gauge = compiled(ball, (4, 6), "gauge")
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        X = torch.randn(4, 6, generator=generator, dtype=torch.float64)
        assert norm.value(X).item() == pytest.approx(solve(gauge, X), rel=1e-6)


def test_the_printed_dual_norm_of_s_fanion_is_wrong_unless_eta_is_one():
    X = matrices(SHAPE)["random"]
    for eta in (0.05, 1.0):
        support = solve(compiled(minkowski((0.5, capped(2)), (0.5 * eta, box)), SHAPE, "support"), X)
        leading = torch.linalg.svdvals(X)[:2].sum().item()
        printed = 0.5 * leading + 0.5 / eta * X.abs().sum().item()
        assert s_fanion(2, 0.5, eta).dual(X).item() == pytest.approx(support, rel=1e-6)
        assert (printed == pytest.approx(support, rel=1e-6)) == (eta == 1)
