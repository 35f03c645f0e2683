import numpy as np
import pytest

from muon_theory.problems.matrix_factorization import (
    AsymmetricFactorization,
    SymmetricFactorization,
    gaussian,
    haar,
    log_spectrum,
    low_rank_start,
    noisy_completion,
    symmetric_problem,
)


def _slope(value, X, D, h=1e-4):
    return (value(X + h * D) - value(X - h * D)) / (2 * h)


def test_the_symmetric_gradient_is_the_derivative_and_vanishes_at_a_root_of_the_target():
    problem = symmetric_problem(6, 30.0, 0)
    X, D = gaussian(6, 4, [1, 2])
    X, D = X[:, :3], D[:, :3]
    assert np.sum(problem.gradient(X) * D) == pytest.approx(_slope(problem.value, X, D), rel=1e-7)
    root = problem.basis * np.sqrt(problem.eigenvalues) @ haar(6, 6, 5)
    assert np.abs(problem.gradient(root)).max() < 1e-14


@pytest.mark.parametrize("masked", [False, True])
def test_the_asymmetric_gradients_are_the_derivatives(masked):
    mask = (gaussian(5, 4, 9) > 0).astype(float) if masked else None
    problem = AsymmetricFactorization(gaussian(5, 4, 0), mask)
    P, Q, D, E = gaussian(5, 2, 1), gaussian(4, 2, 2), gaussian(5, 2, 3), gaussian(4, 2, 4)
    G, H = problem.gradients(P, Q)
    assert np.sum(G * D) == pytest.approx(_slope(lambda X: problem.value(X, Q), P, D), rel=1e-7)
    assert np.sum(H * E) == pytest.approx(_slope(lambda X: problem.value(P, X), Q, E), rel=1e-7)


def test_batches_are_the_instances_side_by_side():
    apart = [symmetric_problem(5, kappa, seed) for seed, kappa in enumerate((3.0, 100.0))]
    together = SymmetricFactorization(*(np.stack([getattr(p, n) for p in apart]) for n in ("eigenvalues", "basis")))
    X = gaussian(5, 5, [7, 8])
    for i, problem in enumerate(apart):
        assert np.allclose(together.gradient(X)[i], problem.gradient(X[i]), atol=1e-14)
        assert np.allclose(together.take(np.array([i])).value(X[i]), problem.value(X[i]))


def test_haar_matrices_are_orthogonal_with_determinants_of_both_signs():
    W = haar(5, 5, range(200))
    assert np.abs(W.swapaxes(-2, -1) @ W - np.eye(5)).max() < 1e-14
    assert 60 < (np.linalg.det(W) > 0).sum() < 140


def test_a_start_of_low_rank_keeps_its_row_space_and_never_reaches_the_target():
    problem, X = symmetric_problem(6, 5.0, 0), low_rank_start(6, 6, 2, 1e-2, 3)
    rows = np.linalg.svd(X)[2][:2]
    for eta in 0.5 ** np.arange(1, 40):
        U, s, Vt = np.linalg.svd(problem.gradient(X))
        X = X - eta * U[:, s > 1e-10 * s[0]] @ Vt[s > 1e-10 * s[0]]
    assert np.abs(X - X @ rows.T @ rows).max() < 1e-10
    assert problem.value(X) >= 0.99 * np.sum(problem.eigenvalues[2:] ** 2) / 4


def test_completion_is_noisy_where_seen_and_tested_where_not():
    instance = noisy_completion(40, 3, 100.0, 0.3, 0.05, [0, 1, 2])
    mask = instance.problem.mask
    assert mask is not None
    assert mask.mean() == pytest.approx(0.3, abs=0.03)
    noise = (instance.problem.target - instance.truth)[mask == 1]
    assert noise.std() == pytest.approx(0.05, rel=0.05)
    sigma = np.linalg.svd(instance.truth, compute_uv=False)
    assert sigma[:, 0] / sigma[:, 2] == pytest.approx(np.full(3, 100.0))
    assert sigma[:, 3].max() < 1e-12
    U, s, Vt = np.linalg.svd(instance.truth)
    P, Q = U[..., :3] * s[:, None, :3], Vt[:, :3].swapaxes(-2, -1)
    assert instance.test_error(P, Q).max() < 1e-13
    assert instance.test_error(0 * P, Q) == pytest.approx(np.ones(3), rel=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_spectrum(0, 10.0), "count is 0"),
        (lambda: log_spectrum(3, 0.5), "condition_number is 0.5"),
        (lambda: log_spectrum(3, float("nan")), "condition_number is nan"),
        (lambda: haar(2, 3, 0), "1 <= columns <= rows"),
        (lambda: symmetric_problem(4, 10.0, 0, rank=5), "rank is 5"),
        (lambda: SymmetricFactorization(np.ones(3), np.eye(4)), "do not fit"),
        (lambda: SymmetricFactorization(-np.ones(3), np.eye(3)), "eigenvalues must be >= 0"),
        (lambda: AsymmetricFactorization(np.array([[np.nan]])), "finite"),
        (lambda: noisy_completion(10, 2, 10.0, 1.0, 0.1, 0), "observed is 1.0"),
        (lambda: noisy_completion(10, 2, 10.0, 0.5, -1.0, 0), "noise is -1.0"),
        (lambda: low_rank_start(4, 3, 4, 1.0, 0), "rank is 4"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
