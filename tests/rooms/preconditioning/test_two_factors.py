import numpy as np
import pytest

from muon_theory.problems.matrix_factorization import AsymmetricFactorization, gaussian, haar
from muon_theory.rooms.preconditioning.two_factors import (
    determinant_condition,
    imbalance,
    one_sided_start,
    run_factors,
    smallest_scale,
    with_determinant_sign,
)


def test_batched_runs_equal_single_ones():
    problem = AsymmetricFactorization(gaussian(4, 3, [0, 1]))
    P, Q = one_sided_start(4, 3, 2, 1e-3, [0, 1])
    steps = 0.5 ** np.arange(1, 8)
    together = run_factors(problem, P, Q, steps)
    for i in range(2):
        alone = run_factors(AsymmetricFactorization(problem.target[i]), P[i], Q[i], steps)
        assert np.allclose(together.P[i], alone.P, atol=1e-12)
        assert np.allclose(together.losses[:, i], alone.losses, atol=1e-12)
        assert alone.losses[-1] == pytest.approx(AsymmetricFactorization(problem.target[i]).value(alone.P, alone.Q))


def test_signs_are_forced_and_the_condition_reads_them():
    P, Q, M = haar(4, 4, range(10)), haar(4, 4, range(10, 20)), np.diag([1.0, 2.0, -3.0, 1.0])
    for sign in (1, -1):
        forced = with_determinant_sign(P, Q, sign)
        assert np.sign(np.linalg.det(forced) * np.linalg.det(Q)) == pytest.approx(np.full(10, sign))
        assert (determinant_condition(forced, Q, M) == (sign < 0)).all()


def test_imbalance_in_both_forms():
    P, Q = gaussian(5, 3, 0), gaussian(4, 3, 1)
    root = imbalance(P, Q, "root")
    square = imbalance(P, 0 * Q, "root") @ imbalance(P, 0 * Q, "root")
    assert square == pytest.approx(P.T @ P, rel=1e-10)
    assert root == pytest.approx(root.T)
    assert imbalance(P, Q, "gram") == pytest.approx(P.T @ P - Q.T @ Q, rel=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smallest_scale(0.0), "ratio is 0.0"),
        (lambda: determinant_condition(np.ones((2, 3)), np.eye(2), np.eye(2)), "square of one size"),
        (lambda: imbalance(np.eye(2), np.eye(2), "sum"), "form is 'sum'"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
