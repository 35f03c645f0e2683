import numpy as np
import pytest

from muon_theory.problems.in_context_regression import (
    InContextRegression,
    in_context_problem,
    sample_losses,
    sample_moments,
)
from muon_theory.problems.matrix_factorization import gaussian


def test_the_loss_equals_its_trace_formula_and_its_excess_is_loss_less_minimum():
    problem, Q = in_context_problem(5, 50.0, 7, 3), gaussian(5, 5, 1)
    S, E = problem.covariance, problem.second_moment
    formula = np.trace(S @ (np.eye(5) - Q @ S - S @ Q.T + Q @ E @ Q.T))
    assert problem.value(Q) == pytest.approx(formula, rel=1e-12)
    assert problem.excess(Q) == pytest.approx(problem.value(Q) - problem.value(problem.minimizer), rel=1e-12)
    assert problem.initial_excess() == pytest.approx(problem.excess(np.zeros((5, 5))), rel=1e-12)


def test_the_minimizer_is_the_printed_inverse():
    problem = in_context_problem(4, 20.0, 3, 0)
    trace = problem.eigenvalues.sum()
    inverse = np.linalg.inv(4 / 3 * problem.covariance + trace / 3 * np.eye(4))
    assert problem.minimizer == pytest.approx(inverse, rel=1e-10)
    assert np.linalg.norm(problem.gradient(problem.minimizer)) < 1e-14


@pytest.mark.parametrize("context", [1, 5])
def test_simulated_moments_and_losses_agree_with_the_closed_forms(context):
    problem, Q = in_context_problem(3, 5.0, context, 1), 0.3 * gaussian(3, 3, 2)
    S = sample_moments(problem, 40_000, 0)
    mean = (S @ S).mean(0)
    error = (S @ S).std(0) / 200
    assert (np.abs(mean - problem.second_moment) < 5 * error).all()
    losses = sample_losses(problem, Q, 40_000, 1)
    assert abs(losses.mean() - problem.value(Q)) < 5 * losses.std() / 200


def test_batches_are_the_instances_side_by_side():
    apart = [in_context_problem(4, kappa, 10, seed) for seed, kappa in enumerate((2.0, 40.0))]
    stack = [np.stack([getattr(p, name) for p in apart]) for name in ("eigenvalues", "basis")]
    together, Q = InContextRegression(stack[0], stack[1], 10), gaussian(4, 4, [0, 1])
    for i, problem in enumerate(apart):
        assert together.value(Q)[i] == pytest.approx(problem.value(Q[i]), rel=1e-12)
        assert np.allclose(together.gradient(Q)[i], problem.gradient(Q[i]), atol=1e-13)
        assert together.take(np.array([i])).initial_excess() == pytest.approx(problem.initial_excess())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: InContextRegression(np.ones(2), np.eye(3), 4), "do not fit"),
        (lambda: InContextRegression(np.array([1.0, 0.0]), np.eye(2), 4), "must be > 0"),
        (lambda: in_context_problem(3, 10.0, 0, 0), "context is 0"),
        (lambda: in_context_problem(3, 0.1, 4, 0), "condition_number is 0.1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
