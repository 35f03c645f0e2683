"""Weight decay: the ball in which the iterates stay, its Frank-Wolfe gap, and what happens beyond eta lambda = 1."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def weight_norm_bound(
    initial: float, steps: int, step_size: float, weight_decay: float, *, oracle: float = 1.0
) -> float:
    """(1 - eta lambda)^t norm(W_0) + (1 - (1 - eta lambda)^t) c/lambda, for any oracle outputs of norm at most c.

    Args:
        initial: norm of W_0, >= 0.
        steps: t >= 0.
        step_size: eta > 0.
        weight_decay: lambda > 0, eta lambda <= 1.
        oracle: c: 1 for the spectral norm of an exact polar factor, 1 + overshoot for an inexact one, sqrt(r) for the
            Frobenius norm.

    Returns:
        The bound on the norm of W_t, attained by a constant output.

    Raises:
        ValueError: eta lambda is not in (0, 1].

    Source: derived here; claims THC-B1, THC-B2 and THC-B5. The ball itself is also in arXiv 2507.01598 (abstract).

    >>> weight_norm_bound(0.0, 1, 0.5, 1.0), weight_norm_bound(4.0, 1, 0.5, 1.0)
    (0.5, 2.5)
    """
    if not 0 < step_size * weight_decay <= 1:
        raise ValueError(f"eta lambda = {step_size * weight_decay}: this bound needs 0 < eta lambda <= 1")
    kept = (1 - step_size * weight_decay) ** steps
    return kept * initial + (1 - kept) * oracle / weight_decay


def limiting_radius(step_size: float, weight_decay: float) -> float:
    """The largest limit of op(W_t): 1/lambda up to eta lambda = 1, 1/(2/eta - lambda) up to 2, infinite from there.

    Args:
        step_size: eta > 0.
        weight_decay: lambda > 0.

    Returns:
        The radius.

    Raises:
        ValueError: a value is not positive.

    Source: derived here; claim THC-B4.

    >>> limiting_radius(0.5, 1.0), limiting_radius(1.5, 1.0), limiting_radius(2.0, 1.0)
    (1.0, 3.0, inf)
    """
    if not (step_size > 0 and weight_decay > 0):
        raise ValueError(f"step_size = {step_size}, weight_decay = {weight_decay}: give numbers > 0")
    product = step_size * weight_decay
    if product <= 1:
        return 1 / weight_decay
    return step_size / (2 - product) if product < 2 else math.inf


def stationarity(W: Array, gradient: Array, weight_decay: float) -> float:
    """Phi = nuc(g) + lambda <W, g>: lambda times the Frank-Wolfe gap of the ball op(W) <= 1/lambda at W.

    Args:
        W: the point, (m, n).
        gradient: g at W, (m, n).
        weight_decay: lambda >= 0.

    Returns:
        Phi; at least 0 inside the ball.

    Source: derived here; claims THC-PHI1 and THC-PHI2.

    >>> stationarity(-np.eye(2), np.eye(2), 0.5)
    1.0
    """
    return float(np.linalg.norm(gradient, "nuc") + weight_decay * np.sum(W * gradient))


def curvature_factor(radius: float, weight_decay: float) -> float:
    """(1 + lambda R)^2/2: the factor of L eta in the bound when op(W_t) <= R throughout; 2 at R = 1/lambda.

    Args:
        radius: R >= 0.
        weight_decay: lambda >= 0.

    Returns:
        The factor, at least 1/2.

    Source: derived here (a step eta (O + lambda W) has spectral norm at most eta (1 + lambda R)); claim THC-WD-R.

    >>> curvature_factor(0.0, 1.0), curvature_factor(1.0, 1.0)
    (0.5, 2.0)
    """
    return (1 + weight_decay * radius) ** 2 / 2


def implicit_step(W: Array, oracle_output: Array, step_size: float, weight_decay: float) -> Array:
    """(W - eta O)/(1 + eta lambda): decay taken implicitly, which keeps the ball 1/lambda for every eta.

    Args:
        W: the point, any shape.
        oracle_output: O, shape of W, spectral norm at most 1.
        step_size: eta > 0.
        weight_decay: lambda >= 0.

    Returns:
        The next point.

    Source: derived here; the implicit form is that of the Lion-K analysis of Chen, Li, Liu as relayed. Claim THC-IMP.

    >>> float(implicit_step(np.array(3.0), np.array(-1.0), 10.0, 0.5))
    2.1666666666666665
    """
    return (W - step_size * oracle_output) / (1 + step_size * weight_decay)
