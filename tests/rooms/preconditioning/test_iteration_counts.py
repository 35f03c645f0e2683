import numpy as np
import pytest

from muon_theory.problems.matrix_factorization import log_spectrum, symmetric_problem
from muon_theory.rooms.preconditioning.directions import Settings, Stepper, exact_polar, settings_grid
from muon_theory.rooms.preconditioning.gradient_descent import (
    gradient_descent_modes,
    gradient_descent_prediction,
    learning_times,
    regression_count,
    regression_hessian_condition,
)
from muon_theory.rooms.preconditioning.iteration_counts import (
    ExcessLoss,
    FactorizationError,
    factorization_instances,
    iteration_counts,
    regression_instances,
    stacked,
)


def _plain_count(problem, X, eta, rho, direction, target, cap):
    """A loop without batches, pruning or early stops."""
    for t in range(cap + 1):
        if np.linalg.norm(X @ X.T - problem.target) <= target:
            return float(t)
        X = X - eta * rho**t * direction(problem.gradient(X))
    return np.inf


@pytest.mark.parametrize(("kind", "direction"), [("polar", exact_polar), ("sign", np.sign)])
def test_batched_counts_equal_plain_loops(kind, direction):
    measure, start = factorization_instances([5.0, 50.0], [0, 1], dimension=6)
    grid = settings_grid(kind, [0.2, 0.5], [0.5, 0.7, 0.9])
    counts = iteration_counts(measure, start, grid, 1e-2, 60)
    problems = [symmetric_problem(6, kappa, seed) for kappa in (5.0, 50.0) for seed in (0, 1)]
    for i, problem in enumerate(problems):
        for j, (eta, rho) in enumerate(zip(grid.first, grid.ratio, strict=True)):
            assert counts[i, j] == _plain_count(problem, start[i], eta, rho, direction, 1e-2, 60)
    first = iteration_counts(measure, start, grid, 1e-2, 60, first_only=True)
    assert np.array_equal(first.min(1), counts.min(1))


def test_runs_given_up_are_those_that_cannot_arrive():
    measure, start, largest = regression_instances(10.0, [0, 1], dimension=5)
    grid = settings_grid("polar", [0.3 * largest, largest], [0.5, 0.6], relative=True)
    counts = iteration_counts(measure, start, grid, 1e-6, 60)
    assert np.isinf(counts[:, :2]).all()
    assert np.isfinite(counts[:, 2:]).all()


def test_a_diverging_run_ends_without_harming_the_others():
    measure, start = factorization_instances([4.0], [0], dimension=5)
    counts = iteration_counts(measure, start, settings_grid("gradient", [0.5, 5.0], [1.0]), 1e-3, 300)
    assert np.isfinite(counts[0, 0])
    assert np.isinf(counts[0, 1])


def test_gradient_descent_by_modes_equals_the_matrix():
    measure, start = factorization_instances([20.0], [0], dimension=8)
    counts = iteration_counts(measure, start, settings_grid("gradient", [0.4, 0.9], [1.0]), 1e-4, 2000)
    modes = gradient_descent_modes(log_spectrum(8, 20.0), [0.4, 0.9], 1e-2, 1e-4, block=7)
    assert np.array_equal(counts[0], modes)
    assert np.isinf(gradient_descent_modes(log_spectrum(8, 20.0), [0.4], 1e-2, 1e-4, cap=20)).all()


def test_gradient_descent_on_the_regression_equals_the_closed_form():
    measure, start, _ = regression_instances(5.0, [0], dimension=4)
    problem = measure.problem.take(np.array([0]))
    single = type(problem)(problem.eigenvalues[0], problem.basis[0], problem.context)
    eta = 0.5 / single.curvatures.max()
    counts = iteration_counts(measure, start, settings_grid("gradient", [eta], [1.0]), 1e-6, 5000)
    assert counts[0, 0] == regression_count(single, 0.5, 1e-6)


def test_adam_equals_torch():
    import torch

    G = np.random.default_rng(0).standard_normal((6, 1, 3, 3))
    weight = torch.nn.Parameter(torch.zeros(3, 3, dtype=torch.float64))
    optimizer = torch.optim.Adam([weight], lr=0.1, betas=(0.8, 0.95), eps=1e-12)
    stepper = Stepper(settings_grid("adam", [0.1], [1.0], momentum=[(0.8, 0.95)]), (1, 3, 3))
    X = np.zeros((1, 3, 3))
    for gradient in G:
        weight.grad = torch.from_numpy(gradient[0])
        optimizer.step()
        X = X + stepper.step(gradient)
    assert X[0] == pytest.approx(weight.detach().numpy(), rel=1e-12)


def test_travel_bounds_what_a_schedule_moves():
    G = np.random.default_rng(0).standard_normal((40, 4, 3, 3))
    for kind in ("sign", "polar", "newton_schulz", "adam"):
        grid = settings_grid(kind, [0.3], [0.5, 0.6, 0.7, 0.8], momentum=[(0.5, 0.99)] if kind == "adam" else [(0, 0)])
        stepper, moved = Stepper(grid, (4, 3, 3)), np.zeros(4)
        for gradient in G:
            moved += np.linalg.norm(stepper.step(gradient), axis=(1, 2))
        assert (moved <= grid.travel(0, (3, 3)) + 1e-12).all()


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
def test_the_least_error_within_a_travel_is_a_lower_bound(norm):
    generator = np.random.default_rng(1)
    measure = FactorizationError(stacked([symmetric_problem(4, 10.0, 0)] * 50), norm)
    X, D = generator.standard_normal((2, 50, 4, 4))
    travel = generator.uniform(0, 2, 50)
    D *= (travel / np.linalg.norm(D, axis=(1, 2)))[:, None, None]
    error, after = measure.gradient_and_error(X)[1], measure.gradient_and_error(X + D)[1]
    assert (after >= measure.least(error, travel) - 1e-12).all()
    excess = ExcessLoss(regression_instances(10.0, [0] * 50, dimension=4)[0].problem)
    error, after = excess.gradient_and_error(X)[1], excess.gradient_and_error(X + D)[1]
    assert (after >= excess.least(error, travel) - 1e-9).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: settings_grid("newton", [1.0], [0.5]), "direction is 'newton'"),
        (lambda: settings_grid("sign", [0.0], [0.5]), "first must be > 0"),
        (lambda: Settings("sign", *[np.ones(1)] * 1, np.array([1.5]), np.zeros(1), np.zeros(1)), "ratio in"),
        (lambda: gradient_descent_modes([1.0], [1.0], 0.1, 1e-3), "not stable"),
        (lambda: gradient_descent_prediction(10.0, 1.0, 0.01, 1e-3), "0 < step < 1"),
        (lambda: gradient_descent_prediction(10.0, 0.5, 0.9, 1e-3), "below sigma_min"),
        (lambda: regression_hessian_condition(0.5, 2.0, 4), "all are >= 1"),
        (lambda: learning_times([0.1], 0.2, 1e-3, "polar"), "start is 0.2"),
        (lambda: learning_times([0.1], 0.01, 1e-3, "adam"), "rule is 'adam'"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
