"""Which run of a grid is at the goal first."""

import numpy as np
import pytest

from muon_theory.rates import quadratic_problem
from muon_theory.training.first_arrival import first_arrival


def running_means(gradient, start, eta, b, polar, steps):
    W, N, norms = start, np.zeros_like(start), []
    for _ in range(steps):
        g = gradient(W)
        norms.append(np.linalg.norm(g, "nuc"))
        N = b * N + (1 - b) * g
        U, _, Vt = np.linalg.svd(N, full_matrices=False)
        W = W - eta * (U @ Vt if polar else N)
    return np.cumsum(norms) / np.arange(1, steps + 1)


@pytest.mark.parametrize("rule", ["muon", "sgd"])
def test_the_winner_is_the_best_of_single_runs(rule):
    problem = quadratic_problem(4, 5, 0)
    start = np.zeros((4, 5))
    goal = float(0.3 * np.linalg.norm(problem.gradient(start), "nuc"))
    rates = np.array([0.1, 0.4, 1.6])
    found = first_arrival(problem.gradient, start, rule, step_sizes=rates, goal=goal)
    arrivals = {}
    for eta in rates:
        for b in (0.0, 0.9):
            means = running_means(problem.gradient, start, eta, b, rule == "muon", 2 * found.steps)
            if (means <= goal).any():
                arrivals[eta, b] = 1 + int(np.argmax(means <= goal))
    assert found.steps == min(arrivals.values())
    assert arrivals[found.step_size, found.momentum] == found.steps


def test_a_diverging_run_loses_and_a_goal_out_of_reach_meets_the_cap():
    assert first_arrival(lambda W: W, np.eye(2), "sgd", step_sizes=[0.1, 1e3], goal=0.5).step_size == 0.1
    nobody = first_arrival(lambda W: W, np.eye(2), "sgd", step_sizes=[1e-6], goal=0.5, largest=10)
    assert nobody.steps == 10
    assert np.isnan(nobody.step_size)


@pytest.mark.parametrize(
    "wrong", [{"rule": "adam"}, {"step_sizes": [0.0]}, {"momenta": [1.0]}, {"goal": 0.0}, {"largest": 0}]
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"rule = |step_sizes, momenta, goal, largest = "):
        first_arrival(lambda W: W, np.eye(2), **{"rule": "sgd", "step_sizes": [1.0], "goal": 1.0, **wrong})
