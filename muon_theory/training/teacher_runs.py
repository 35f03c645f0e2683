"""Runs of many optimizers on a streaming teacher: all learning rates and seeds of a rule as one stack of matrices.

All learning rates of a seed see the same batches, so they are paired. The goal is that of the convergence theory: the
running mean of nuc(gradient) over the steps taken falls to a given value.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from muon_theory.polar import polar_factor
from muon_theory.problems.gradient_noise import StreamingTeacher

Array = NDArray[np.float64]
Rule = Literal["muon", "muon_nesterov", "sgd", "adamw"]
_LIMIT = 1e6


class GoalTimes(NamedTuple):
    """When runs reached the goal, and the noise there; every array has shape (learning rates, seeds).

    Args:
        steps: number of steps taken when the running mean was first at the goal; inf where it never was.
        trace_sigma: tr Sigma at that point, Sigma^2 the left covariance of one sample's gradient noise; NaN elsewhere.
        gradient_norm: nuc(gradient) at that point; NaN elsewhere.

    Source: elementary (a record).
    """

    steps: Array
    trace_sigma: Array
    gradient_norm: Array


def direction(rule: Rule, G: Array, state: dict[str, Any], momentum: float, step: int) -> Array:
    """Minus the update of a rule over its learning rate, for a stack of gradients.

    muon: P(N), N <- b N + (1 - b) G; muon_nesterov: P(b N + (1 - b) G); sgd: N; adamw: Adam's with beta2 = .99.

    Args:
        rule: the rule.
        G: gradients, (*batch, m, n).
        state: the rule's buffers, empty before the first step; changed in place.
        momentum: b in [0, 1).
        step: number of the step, from 1.

    Returns:
        The direction, shape of G.

    Raises:
        ValueError: an unknown rule.

    Source: the optimizers of this package and of torch, to which tests/training compares it.

    >>> direction("muon", np.diag([3.0, 2.0]), {}, 0.0, 1).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule = {rule!r}: give one of {get_args(Rule)}")
    state["first"] = momentum * state.get("first", 0.0) + (1 - momentum) * G
    if rule == "adamw":
        state["second"] = 0.99 * state.get("second", 0.0) + 0.01 * G**2
        return state["first"] / (1 - momentum**step) / (np.sqrt(state["second"] / (1 - 0.99**step)) + 1e-8)
    if rule == "sgd":
        return state["first"]
    C = momentum * state["first"] + (1 - momentum) * G if rule == "muon_nesterov" else state["first"]
    return polar_factor(torch.from_numpy(C)).numpy()


def steps_to_goal(
    teacher: StreamingTeacher, rule: Rule, *, lr: ArrayLike, momentum: float, batch: int, goal: float, cap: int,
    seeds: int, weight_decay: float = 0.0, seed: int = 0,
) -> GoalTimes:  # fmt: skip
    """Run a rule from W = 0 with all learning rates and seeds until the running mean of nuc(gradient) is at the goal.

    Args:
        teacher: the problem.
        rule: "muon", "muon_nesterov", "sgd" or "adamw".
        lr: learning rates eta > 0, (rates,), constant along a run.
        momentum: b in [0, 1).
        batch: samples a step, >= 1.
        goal: value of the mean of nuc(gradient), > 0.
        cap: largest number of steps, >= 1.
        seeds: number of independent streams, >= 1.
        weight_decay: decoupled decay lambda >= 0.
        seed: of the streams.

    Returns:
        Steps, noise and gradient norm at the goal. The search ends early once some learning rate has reached the goal
        on every seed and twice its steps have passed; the others are then not known to reach it and have inf.

    Raises:
        ValueError: a value out of range.

    Source: elementary.

    >>> from muon_theory.problems.gradient_noise import streaming_teacher
    >>> teacher = streaming_teacher(2, 2, decay=0.0, noise=0.1, seed=0)
    >>> times = steps_to_goal(teacher, "sgd", lr=[0.5], momentum=0.0, batch=64, goal=0.5, cap=50, seeds=2)
    >>> times.steps.shape
    (1, 2)
    """
    rates = np.asarray(lr, dtype=float)
    if rates.ndim != 1 or not np.all(rates > 0):
        raise ValueError(f"lr = {lr!r}: give a list of numbers > 0")
    if not 0 <= momentum < 1 or weight_decay < 0 or goal <= 0 or cap < 1 or seeds < 1:
        raise ValueError(
            f"momentum = {momentum}, weight_decay = {weight_decay}, goal = {goal}, cap = {cap}, seeds = {seeds}: "
            "give 0 <= momentum < 1, weight_decay >= 0, goal > 0 and counts >= 1"
        )
    generators = [np.random.default_rng([seed, stream, batch]) for stream in range(seeds)]
    eta = rates[:, None, None, None]
    W = np.zeros((len(rates), seeds, *teacher.weights.shape))
    state: dict[str, Any] = {}
    total = np.zeros(W.shape[:2])
    found = GoalTimes(np.full_like(total, np.inf), np.full_like(total, np.nan), np.full_like(total, np.nan))
    for step in range(1, cap + 1):
        norm = np.linalg.svd(teacher.gradient(W), compute_uv=False).sum(-1)
        total += norm
        hit = (total <= goal * step) & ~np.isfinite(found.steps)
        if hit.any():
            found.steps[hit], found.gradient_norm[hit] = step, norm[hit]
            variances = np.linalg.eigvalsh(teacher.noise_covariance(W[hit]))
            found.trace_sigma[hit] = np.sqrt(np.maximum(variances, 0)).sum(-1)
            if np.isfinite(found.steps).all():
                break
        if step >= 2 * found.steps.max(axis=1).min():
            break
        moments = [teacher.batch_moments(batch, generator) for generator in generators]
        S, E = (np.stack(each) for each in zip(*moments, strict=True))
        update = direction(rule, (W - teacher.weights) @ S - E, state, momentum, step)
        W = np.clip((1 - eta * weight_decay) * W - eta * update, -_LIMIT, _LIMIT)
    return found
