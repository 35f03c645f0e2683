import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.polar import inexactness, orthogonalize, polar_factor
from muon_theory.rates import (
    QuadraticProblem,
    momentum_run,
    quadratic_problem,
    scalar_problem,
    spectral_oracle,
)

ORACLES = [("exact", 0), ("taylor_3", 2), ("taylor_5", 3), ("jordan_2024", 5)]


def _plain_run(problem, method, oracle_steps, *, steps, eta, b, noise, seed, nesterov, decay=0.0):
    """The same run with torch and no vectorisation; returns values, and the oracle's inputs and outputs."""
    generator = np.random.default_rng(seed)
    shape = problem.minimizer.shape
    W, N = np.zeros(shape), np.zeros(shape)
    values, pairs, points = [float(problem.value(W))], [], []
    for _ in range(steps):
        points.append(W)
        G = problem.A.T @ problem.A @ (W - problem.minimizer)
        if noise:
            G = G + noise / math.sqrt(W.size) * generator.standard_normal((1, *shape))[0]
        N = b * N + (1 - b) * G
        C = torch.from_numpy(b * N + (1 - b) * G if nesterov else N)
        O = polar_factor(C) if method == "exact" else orthogonalize(C, method, oracle_steps)
        pairs.append((C, O))
        W = W - eta * (O.numpy() + decay * W)
        values.append(float(problem.value(W)))
    return values, pairs, points


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("nesterov", [False, True])
def test_a_run_is_what_a_plain_loop_with_the_library_does(oracle, nesterov):
    problem = quadratic_problem(4, 6, 3)
    values, pairs, _ = _plain_run(
        problem, *oracle, steps=12, eta=0.1, b=0.8, noise=0.5, seed=9, nesterov=nesterov
    )  # fmt: skip
    run = momentum_run(
        problem, spectral_oracle(*oracle), steps=12, step_size=0.1, momentum=0.8, noise=0.5, seed=9, nesterov=nesterov
    )
    np.testing.assert_allclose(run.value[:, 0, 0], values, rtol=1e-9)
    found = [inexactness(C, O) for C, O in pairs]
    for name in ("operator_error", "alignment_deficit", "overshoot"):
        expected = [float(getattr(f, name)) for f in found]
        np.testing.assert_allclose(getattr(run, name)[:, 0, 0], expected, atol=1e-9)


def test_weight_decay_is_decoupled_and_its_stationarity_is_that_of_the_constrained_problem():
    problem, decay = quadratic_problem(4, 6, 3), 0.7
    values, _, points = _plain_run(
        problem, "exact", 0, steps=15, eta=0.3, b=0.5, noise=0.0, seed=0, nesterov=True, decay=decay
    )  # fmt: skip
    run = momentum_run(
        problem, spectral_oracle("exact"), steps=15, step_size=0.3, momentum=0.5, weight_decay=decay, nesterov=True
    )
    np.testing.assert_allclose(run.value[:, 0, 0], values, rtol=1e-9)
    gradients = [problem.gradient(W) for W in points]
    phi = [np.linalg.norm(g, "nuc") + decay * np.trace(W.T @ g) for W, g in zip(points, gradients, strict=True)]
    np.testing.assert_allclose(run.stationarity[:, 0, 0], phi, rtol=1e-9)
    np.testing.assert_allclose(run.weight_norm[:, 0, 0], [np.linalg.norm(W, 2) for W in points], atol=1e-12)
    undecayed = momentum_run(problem, spectral_oracle("exact"), steps=15, step_size=0.3)
    np.testing.assert_array_equal(undecayed.stationarity, undecayed.gradient_norm)
    with pytest.raises(ValueError, match="weight_decay"):
        momentum_run(problem, spectral_oracle("exact"), steps=1, step_size=0.3, weight_decay=-1.0)


def test_configurations_run_together_as_they_run_alone():
    problem = quadratic_problem(3, 5, 1)
    together = momentum_run(
        problem, spectral_oracle("taylor_5", 3), steps=8, step_size=[0.1, 0.2], momentum=[0.0, 0.9], noise=[0.0, 1.0],
        runs=3, seed=4,
    )  # fmt: skip
    for i, (eta, b, noise) in enumerate([(0.1, 0.0, 0.0), (0.2, 0.9, 1.0)]):
        alone = momentum_run(
            problem, spectral_oracle("taylor_5", 3), steps=8, step_size=eta, momentum=b, noise=noise, runs=3, seed=4
        )
        np.testing.assert_allclose(together.value[:, i], alone.value[:, 0], rtol=1e-12)
        np.testing.assert_allclose(together.tracking_error[:, i], alone.tracking_error[:, 0], rtol=1e-12, atol=1e-13)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 10_000))
def test_the_smoothness_constants_bound_every_pair_and_are_attained(rows, extra, seed):
    problem = quadratic_problem(rows, rows + extra, seed)
    generator = np.random.default_rng(seed)
    difference = generator.standard_normal(problem.minimizer.shape)
    change = problem.gradient(difference) - problem.gradient(np.zeros_like(difference))
    assert np.linalg.norm(change, "nuc") <= problem.smoothness * np.linalg.norm(difference, 2) * (1 + 1e-12)
    assert np.linalg.norm(change) <= problem.frobenius_smoothness * np.linalg.norm(difference) * (1 + 1e-12)
    isometry = np.linalg.qr(difference.T)[0].T
    attained = problem.gradient(isometry) - problem.gradient(np.zeros_like(difference))
    assert np.linalg.norm(attained, "nuc") == pytest.approx(problem.smoothness, rel=1e-12)
    top = np.linalg.svd(problem.A)[2][0]
    rank_one = np.outer(top, np.eye(rows + extra)[0])
    attained = problem.gradient(rank_one) - problem.gradient(np.zeros_like(difference))
    assert np.linalg.norm(attained) == pytest.approx(problem.frobenius_smoothness, rel=1e-12)


def test_the_gradient_is_that_of_the_value():
    problem = quadratic_problem(3, 4, 0)
    W = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = ((torch.from_numpy(problem.A) @ (W - torch.from_numpy(problem.minimizer))) ** 2).sum() / 2
    (gradient,) = torch.autograd.grad(value, W)
    np.testing.assert_allclose(problem.gradient(W.detach().numpy()), gradient.numpy(), rtol=1e-12)
    assert problem.value(W.detach().numpy()) == pytest.approx(value.item(), rel=1e-14)


def test_the_problem_draws_its_matrices_in_the_stated_order():
    problem = quadratic_problem(2, 3, 11)
    generator = np.random.default_rng(11)
    np.testing.assert_array_equal(problem.A, generator.standard_normal((2, 2)) / 2)
    np.testing.assert_array_equal(problem.minimizer, generator.standard_normal((2, 3)))


def test_the_noise_has_the_stated_mean_square():
    problem = QuadraticProblem(np.eye(1), np.zeros((1, 5)))
    run = momentum_run(problem, spectral_oracle("exact"), steps=1, step_size=1e-9, noise=2.0, runs=4000, seed=0)
    # At the minimum the input is the noise itself, and a row's nuclear norm is its Frobenius norm. The mean of 4000
    # chi-squares of 5 degrees has the relative standard error sqrt(2/5/4000) = .01; five of them.
    assert np.mean(run.tracking_error**2) == pytest.approx(4.0, rel=0.05)


def test_at_the_minimum_nothing_moves():
    run = momentum_run(scalar_problem(), spectral_oracle("exact"), steps=5, step_size=1.0)
    assert not run.value.any()
    assert not run.operator_error.any()
    assert not run.alignment_deficit.any()


def test_the_exact_oracle_leaves_zero_directions_at_zero():
    np.testing.assert_array_equal(
        spectral_oracle("exact")(np.array([[0.8, 0.6, 1e-17], [0.0, 0.0, 0.0]])), [[1, 1, 0], [0, 0, 0]]
    )


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    problem = quadratic_problem(3, 3, 0)
    runs = [
        momentum_run(problem, spectral_oracle("exact"), steps=5, step_size=0.1, noise=1.0, seed=seed).value
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steps": 0}, "steps"),
        ({"runs": 0}, "runs"),
        ({"step_size": 0.0}, "step_size"),
        ({"step_size": math.nan}, "step_size"),
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": -0.1}, "momentum"),
        ({"noise": -1.0}, "noise"),
        ({"noise": math.inf}, "noise"),
        ({"start": np.zeros((2, 2))}, "start"),
    ],
)
def test_a_run_with_an_impossible_parameter_names_it(change, word):
    with pytest.raises(ValueError, match=word):
        momentum_run(scalar_problem(), spectral_oracle("exact"), **{"steps": 1, "step_size": 1.0, **change})


def test_problems_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        QuadraticProblem(np.eye(2), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="NaN"):
        QuadraticProblem(np.array([[math.nan]]), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="rows"):
        quadratic_problem(5, 3, 0)
    with pytest.raises(ValueError, match="odd"):
        spectral_oracle("taylor_4", 1)
