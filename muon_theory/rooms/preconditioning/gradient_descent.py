"""Gradient descent on both problems: closed forms and mode by mode, so that 1e9 steps need not be taken."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muon_theory.problems.in_context_regression import InContextRegression

Array = NDArray[np.float64]


def gradient_descent_prediction(condition_number: float, step: float, start: float, accuracy: float) -> float:
    """Predicted steps of gradient descent on the symmetric factorization, lam_max = 1, from alpha times a Haar matrix.

    kappa ln(1 / accuracy) / (2 eta) for the smallest mode at the solution, where the Hessian has the eigenvalue
    2 lam_min, plus the escape kappa ln(sigma_min / alpha) / eta from the saddle point.

    Args:
        condition_number: kappa >= 1, lam_min = 1 / kappa.
        step: eta in (0, 1), relative to 1 / lam_max.
        start: alpha in (0, sigma_min).
        accuracy: relative to lam_min, in (0, 1).

    Returns:
        A number of steps.

    Raises:
        ValueError: an assumption fails: a step beyond stability, a start above sigma_min, an accuracy outside (0, 1).

    Source: derived here, checked in claim MF-21.

    >>> round(gradient_descent_prediction(1000.0, 0.9, 1e-2, 1e-3))
    5117
    """
    if not 0 < step < 1:
        raise ValueError(f"step is {step}; in units of 1 / lam_max the iteration is stable for 0 < step < 1 only")
    if not (condition_number >= 1 and 0 < start < condition_number**-0.5 and 0 < accuracy < 1):
        raise ValueError(
            f"condition_number = {condition_number}, start = {start}, accuracy = {accuracy}: give a condition number "
            ">= 1, a start below sigma_min and an accuracy in (0, 1)"
        )
    escape = math.log(condition_number**-0.5 / start)
    return condition_number / step * (math.log(1 / accuracy) / 2 + escape)


def gradient_descent_modes(
    eigenvalues: ArrayLike, steps: ArrayLike, start: float, accuracy: float, *, cap: int = 10**8, block: int = 1000
) -> Array:
    """Steps until sqrt(sum (s_i^2 - lam_i)^2) <= accuracy, by s <- s - eta s (s^2 - lam) from an aligned start.

    From alpha times an orthogonal matrix the iterate stays V diag(s) V^T W, so this count is the matrix's.

    Args:
        eigenvalues: lam of M, shape (modes,).
        steps: eta, shape (runs,), each below 1 / lam_max.
        start: s_0 of every mode, in (0, sqrt(lam_max)].
        accuracy: in the Frobenius norm of X X^T - M.
        cap: largest number of steps.
        block: the target is looked for every so many steps, then exactly within the block.

    Returns:
        Shape (runs,); inf beyond the cap.

    Raises:
        ValueError: a step at or beyond 1 / lam_max.

    Source: derived here, checked in tests/rooms/preconditioning and claim MF-21.

    Cost: 3 us a step for up to a hundred modes in all.

    >>> gradient_descent_modes([1.0, 0.1], [0.9, 0.5], 1e-2, 1e-4).tolist()
    [75.0, 137.0]
    """
    lam, etas = np.asarray(eigenvalues, dtype=np.float64), np.asarray(steps, dtype=np.float64)
    if not np.all((etas > 0) & (etas * lam.max() < 1)):
        raise ValueError(f"steps {etas.tolist()} must lie in (0, 1 / lam_max): gradient descent is not stable beyond")
    counts = np.full(len(etas), np.inf)
    s, taken = np.full((len(etas), len(lam)), start, dtype=np.float64), 0
    while taken < cap and np.isinf(counts).any():
        before = s.copy()
        _descend(s, lam, etas, block)
        for run in np.flatnonzero(np.isinf(counts) & (_distance(s, lam) <= accuracy)):
            one, extra = before[run : run + 1], 0
            while _distance(one, lam)[0] > accuracy:
                _descend(one, lam, etas[run : run + 1], 1)
                extra += 1
            counts[run] = taken + extra if taken + extra <= cap else np.inf
        taken += block
    return counts


def regression_count(problem: InContextRegression, step: float, accuracy: float) -> int:
    """Steps of gradient descent from Q = 0 until the excess loss is at most accuracy times the first one.

    Excess after t steps: sum_i lam_i e_i q_i*^2 (1 - 2 eta lam_i e_i)^(2t); t is found by bisection.

    Args:
        problem: without batch axes.
        step: eta times the largest lam_i e_i, in (0, 1).
        accuracy: relative excess, in (0, 1).

    Returns:
        The smallest t.

    Raises:
        ValueError: step or accuracy outside (0, 1).

    Source: derived here; claim ICL-08.

    >>> from muon_theory.problems.in_context_regression import in_context_problem
    >>> regression_count(in_context_problem(4, 1.0, 40, 0), 0.5, 1e-8)
    1
    """
    if not (0 < step < 1 and 0 < accuracy < 1):
        raise ValueError(f"step = {step}, accuracy = {accuracy}: both must lie in (0, 1)")
    weights = problem.curvatures * problem.modes**2
    rates = 1 - 2 * step * problem.curvatures / problem.curvatures.max()

    def reached(t: int) -> bool:
        return float(np.sum(weights * np.abs(rates) ** (2.0 * t))) <= accuracy * weights.sum()

    high = 1
    while not reached(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def regression_hessian_condition(condition_number: float, trace: float, context: int) -> float:
    """Condition of the Hessian 2 Sigma (x) E2 of the in-context regression, between kappa^2 and kappa^3.

    kappa^2 ((N + 1) lam_1 + tr Sigma) / ((N + 1) lam_d + tr Sigma), with lam_1 = 1.

    Args:
        condition_number: kappa of Sigma, >= 1.
        trace: tr Sigma, with lam_1 = 1.
        context: N >= 1.

    Returns:
        A number >= 1.

    Raises:
        ValueError: a condition number or context below 1, or a trace below 1.

    Source: derived here; claim ICL-06.

    >>> regression_hessian_condition(10.0, 1.1, 1)
    238.46153846153845
    """
    if condition_number < 1 or context < 1 or trace < 1:
        raise ValueError(f"condition_number = {condition_number}, trace = {trace}, context = {context}: all are >= 1")
    return condition_number**2 * (context + 1 + trace) / ((context + 1) / condition_number + trace)


def learning_times(
    sigma: ArrayLike, start: float, step: float, rule: Literal["polar", "gradient"], *, share: float = 0.9
) -> Array:
    """Time (steps times step size) at which each mode of the symmetric problem reaches a share of its sigma.

    Args:
        sigma: targets > start / share, shape (modes,).
        start: s_0 > 0.
        step: eta > 0.
        rule: s <- s + eta ("polar", every mode at equal rate) or s <- s + eta s (sigma^2 - s^2) ("gradient").
        share: in (0, 1).

    Returns:
        Shape (modes,).

    Raises:
        ValueError: an unknown rule, or a mode that starts beyond its goal.

    Source: arXiv 2606.30509 (abstract: small modes finish first under Muon, large ones under gradient descent).

    >>> learning_times([1.0, 0.5], 1e-3, 1e-3, "polar").round(3).tolist()
    [0.899, 0.449]
    """
    targets = np.asarray(sigma, dtype=np.float64)
    if rule not in ("polar", "gradient"):
        raise ValueError(f"rule is {rule!r}; choose 'polar' or 'gradient'")
    if not np.all(share * targets > start):
        raise ValueError(f"start is {start}; every share * sigma must be larger")
    s, times, count = np.full_like(targets, start), np.full_like(targets, np.nan), 0
    while np.isnan(times).any():
        times[np.isnan(times) & (s >= share * targets - 1e-12)] = count * step
        s += step * (1.0 if rule == "polar" else s * (targets**2 - s**2))
        count += 1
    return times


def _descend(s: Array, lam: Array, etas: Array, count: int) -> None:
    """Steps in place, one run a row."""
    change, eta = np.empty_like(s), np.broadcast_to(etas[:, None], s.shape).copy()
    for _ in range(count):
        np.multiply(s, s, out=change)
        np.subtract(change, lam, out=change)
        np.multiply(change, s, out=change)
        np.multiply(change, eta, out=change)
        np.subtract(s, change, out=s)


def _distance(s: Array, lam: Array) -> Array:
    return np.linalg.norm(s * s - lam, axis=-1)
