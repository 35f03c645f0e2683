"""Random-feature ridge: fixed point, constants, finite sizes; sketched descent."""

import numpy as np
import pytest

from muon_theory.rooms.hyperparameter_transfer.finite_ridge import (
    arc_cosine_kernel,
    ridge_curves,
    sketched_descent_curves,
)
from muon_theory.rooms.hyperparameter_transfer.proportional_ridge import (
    RidgeProblem,
    best_penalty,
    limit_penalty,
    limit_risk,
    penalty_constant,
    resolvents,
    risk,
    risk_constant,
)

PROBLEM = RidgeProblem(0.8, 0.6, 0.0625, 4.0)


@pytest.mark.parametrize("features", [0.5, 3.0, 40.0, np.inf])
@pytest.mark.parametrize("penalty", [0.05, 1.0, 30.0])
def test_both_printed_equations_hold(features, penalty):
    m1, m2, *_ = resolvents(PROBLEM, penalty, features)
    a, b, p = 0.8, 0.2, 4.0
    third = a * m1 * m2 * (penalty * m1 - 1)
    scale = a * m1 * m2
    assert abs((m1 - m2) * (b * m1 + a * m2) / p + third) < 1e-11 * scale
    if np.isfinite(features):
        second = features / p * (a * m1 * m2 + (m2 - m1) / p) + third
    else:
        second = a * m1 * m2 + (m2 - m1) / p
    assert abs(second) < 1e-11 * scale * max(1.0, features if np.isfinite(features) else 1.0)


@pytest.mark.parametrize("features", [0.5, 3.0, np.inf])
def test_the_derivatives_are_those_of_the_solution(features):
    h = 1e-5
    up, down = resolvents(PROBLEM, 0.4 + h, features), resolvents(PROBLEM, 0.4 - h, features)
    slopes = resolvents(PROBLEM, 0.4, features)[2:]
    np.testing.assert_allclose(slopes, [(u - d) / (2 * h) for u, d in zip(up[:2], down[:2], strict=True)], rtol=1e-7)


def test_the_risk_falls_with_width_and_is_smallest_at_the_best_penalty():
    best = [best_penalty(PROBLEM, features) for features in (2.0, 8.0, 32.0, np.inf)]
    assert np.all(np.diff([x.risk for x in best]) < 0)
    for features, found in zip((2.0, 8.0), best, strict=False):
        near = [risk(PROBLEM, found.penalty * factor, features) for factor in (0.99, 1.01)]
        assert min(near) > found.risk


@pytest.mark.parametrize("point", [(0.8, 0.6, 0.0625, 4.0), (0.6, 0.5, 0.2, 0.5), (0.9, 0.9, 0.1, 10.0)])
def test_constants_are_the_slopes_at_infinite_width(point):
    problem, slopes = RidgeProblem(*point), []
    for eta in (5e-5, 2.5e-5):
        found = best_penalty(problem, problem.samples / eta)
        slopes.append([(found.risk - limit_risk(problem)) / eta, (found.penalty - limit_penalty(problem)) / eta])
    extrapolated = 2 * np.array(slopes[1]) - np.array(slopes[0])
    np.testing.assert_allclose(extrapolated, [risk_constant(problem), penalty_constant(problem)], rtol=1e-3)


def test_without_an_interior_optimum_there_is_no_constant():
    problem = RidgeProblem(0.5, 1.0, 0.01, 2.0)
    for function in (limit_penalty, limit_risk, risk_constant, penalty_constant):
        with pytest.raises(ValueError, match="not positive"):
            function(problem)


def test_bad_problems_are_named():
    with pytest.raises(ValueError, match="slope = 1"):
        RidgeProblem(1.0, 0.5, 0.1, 1.0)
    with pytest.raises(ValueError, match="noise = -1"):
        RidgeProblem(0.5, 0.5, -1.0, 1.0)
    with pytest.raises(ValueError, match="penalty = 0"):
        risk(PROBLEM, 0.0, 1.0)


def test_the_kernel_is_the_mean_over_features():
    generator = np.random.default_rng(0)
    X = generator.standard_normal((5, 3))
    F = np.maximum(X @ generator.standard_normal((3, 400_000)) / 3**0.5, 0)
    np.testing.assert_allclose(arc_cosine_kernel(X, X), F @ F.T / 400_000, atol=0.01)
    np.testing.assert_allclose(np.diag(arc_cosine_kernel(X, X)), (X**2).sum(1) / 6, rtol=1e-9)


def test_ridge_curves_are_those_of_solving_the_normal_equations():
    curves = ridge_curves([7], [-1.0, 0.5], seeds=[3], dimension=4, samples=9, tests=6)[0, 0]
    generator = np.random.default_rng(3)
    b = generator.standard_normal(4)
    b /= np.linalg.norm(b)
    X = generator.standard_normal((15, 4))
    y = X[:9] @ b + 0.5 * generator.standard_normal(9)
    F = np.maximum(X @ generator.standard_normal((4, 7)) / 2, 0) / 7**0.5
    for loss, log in zip(curves, (-1.0, 0.5), strict=True):
        weights = np.linalg.solve(F[:9].T @ F[:9] + np.exp(log) * np.eye(7), F[:9].T @ y)
        assert loss == pytest.approx(np.mean((F[9:] @ weights - X[9:] @ b) ** 2), rel=1e-10)


def test_sketched_descent_is_gradient_descent():
    curves = sketched_descent_curves([5], [-1.0], steps=[7, 7], seeds=[2], dimension=12)[0, :, 0]
    index = np.arange(1, 13.0)
    half, target = np.diag(1 / index), index**-0.75
    target /= np.linalg.norm(target)
    sketch = np.random.default_rng(2).standard_normal((5, 12)) / 5**0.5
    for matrix, loss in ((half @ sketch.T, curves[0]), (half, curves[1])):
        w = np.zeros(matrix.shape[1])
        for _ in range(7):
            w -= np.exp(-1.0) * matrix.T @ (matrix @ w - target)
        assert loss == pytest.approx(np.sum((matrix @ w - target) ** 2), rel=1e-10)


def test_a_sketch_of_many_rows_comes_close_to_no_sketch():
    curves = sketched_descent_curves([10, 4000], [-1.0, 0.0], steps=[20] * 3, seeds=[0], dimension=12)[0]
    gaps = np.abs(curves[:2] - curves[2])
    assert np.all(gaps[1] < 0.01)
    assert np.all(gaps[1] < gaps[0])


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="dimension 2 and 3"):
        arc_cosine_kernel(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="at least one seed"):
        ridge_curves([4], [0.0], seeds=[])
    with pytest.raises(ValueError, match="1 horizons"):
        sketched_descent_curves([4], [0.0], steps=[3], seeds=[0])
