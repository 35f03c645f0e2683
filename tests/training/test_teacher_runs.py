"""Stacked runs on the streaming teacher."""

import numpy as np
import pytest
import torch

from muon_theory.optimizers import Muon
from muon_theory.problems.gradient_noise import streaming_teacher
from muon_theory.training.teacher_runs import direction, steps_to_goal

TEACHER = streaming_teacher(4, 6, decay=1.0, noise=0.3, seed=0)


def _library(rule, weight, lr, momentum):
    if rule.startswith("muon"):
        # with coded momentum b M + G the buffer is N/(1 - b); look-ahead G + b M = (b N + (1 - b) G)/(1 - b)
        return Muon([weight], lr=lr, momentum=momentum, weight_decay=0.0, nesterov=rule == "muon_nesterov", exact=True,
                    adjust_lr_fn="none")  # fmt: skip
    if rule == "sgd":
        return torch.optim.SGD([weight], lr=lr, momentum=momentum, dampening=momentum)
    return torch.optim.AdamW([weight], lr=lr, betas=(momentum, 0.99), weight_decay=0.0)


@pytest.mark.parametrize("rule", ["muon", "muon_nesterov", "sgd", "adamw"])
def test_a_rule_is_the_optimizer_of_its_name(rule):
    generator = np.random.default_rng(0)
    gradients = generator.standard_normal((6, 4, 5))
    weight = torch.nn.Parameter(torch.zeros(4, 5, dtype=torch.float64))
    optimizer, state, W = _library(rule, weight, 0.1, 0.8), {}, np.zeros((4, 5))
    for step, G in enumerate(gradients, start=1):
        # torch's SGD starts its buffer at the first gradient, not at zero
        state = {"first": G} if rule == "sgd" and step == 1 else state
        weight.grad = torch.from_numpy(G)
        optimizer.step()
        W = W - 0.1 * direction(rule, G, state, 0.8, step)
        np.testing.assert_allclose(weight.detach().numpy(), W, atol=1e-8)


def _alone(rule, lr, momentum, batch, goal, cap, stream, weight_decay):
    """One run by a plain loop."""
    generator, state, W, total = np.random.default_rng([0, stream, batch]), {}, np.zeros((4, 6)), 0.0
    for step in range(1, cap + 1):
        total += np.linalg.norm(TEACHER.gradient(W), "nuc")
        if total <= goal * step:
            return step
        S, E = TEACHER.batch_moments(batch, generator)
        update = direction(rule, (W - TEACHER.weights) @ S - E, state, momentum, step)
        W = W - lr * (update + weight_decay * W)
    return np.inf


@pytest.mark.parametrize(("rule", "rates"), [("muon", (0.05, 0.1)), ("sgd", (0.1, 0.2)), ("adamw", (0.02, 0.05))])
def test_stacked_runs_are_the_runs_alone(rule, rates):
    known = {"momentum": 0.5, "batch": 32, "goal": 2.5, "cap": 80, "weight_decay": 0.1}
    times = steps_to_goal(TEACHER, rule, lr=rates, seeds=3, **known)
    alone = np.array([[_alone(rule, lr, stream=s, **known) for s in range(3)] for lr in rates])
    assert np.isfinite(alone).any()
    best = alone.max(1).min()
    np.testing.assert_array_equal(times.steps, np.where(alone <= 2 * best, alone, np.inf))
    reached = np.isfinite(times.steps)
    assert (times.trace_sigma[reached] > 0).all()
    assert np.isnan(times.gradient_norm[~reached]).all()


def test_a_goal_out_of_reach_gives_inf():
    times = steps_to_goal(TEACHER, "muon", lr=[1e-6], momentum=0.0, batch=4, goal=1e-3, cap=5, seeds=2)
    assert np.isinf(times.steps).all()


def test_a_rate_that_diverges_does_no_harm_to_the_others():
    both = steps_to_goal(TEACHER, "sgd", lr=[0.2, 1e3], momentum=0.0, batch=64, goal=2.5, cap=100, seeds=2)
    alone = steps_to_goal(TEACHER, "sgd", lr=[0.2], momentum=0.0, batch=64, goal=2.5, cap=100, seeds=2)
    np.testing.assert_array_equal(both.steps[0], alone.steps[0])
    assert np.isinf(both.steps[1]).all()


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="rule = 'lion'"):
        direction("lion", np.eye(2), {}, 0.0, 1)
    with pytest.raises(ValueError, match="lr = "):
        steps_to_goal(TEACHER, "sgd", lr=[0.0], momentum=0.0, batch=4, goal=1.0, cap=5, seeds=2)
    with pytest.raises(ValueError, match="momentum = 1"):
        steps_to_goal(TEACHER, "sgd", lr=[0.1], momentum=1.0, batch=4, goal=1.0, cap=5, seeds=2)
