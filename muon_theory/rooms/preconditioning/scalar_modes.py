"""One mode of simplified Muon: s <- s - eta_t sign(s (s^2 - sigma^2)), in floats and in exact fractions.

A start at zero is a saddle point; it stands for the limit of small positive starts, so sign(0) counts as +1 at t = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
TINY_START = 1e-300


def scalar_iterates(sigma: ArrayLike, step_sizes: ArrayLike, start: float = TINY_START) -> Array:
    """The iterates s_t of every mode.

    Args:
        sigma: targets >= 0, shape (modes,).
        step_sizes: eta_t, shape (steps,) or, with a step of its own for each mode, (steps, modes).
        start: s_0, not 0.

    Returns:
        Shape (steps + 1, modes); row 0 is the start.

    Source: derived here: the gradient (X X^T - M) X at X = V diag(s) V^T W is V diag(s (s^2 - lam)) V^T W.

    >>> scalar_iterates([1.0, 0.25], [0.5, 0.25, 0.125]).round(6).tolist()
    [[0.0, 0.0], [0.5, 0.5], [0.75, 0.25], [0.875, 0.25]]
    """
    targets = np.asarray(sigma, dtype=np.float64)
    iterates = [np.full_like(targets, start)]
    for eta in np.asarray(step_sizes, dtype=np.float64):
        s = iterates[-1]
        iterates.append(s - eta * np.sign(s) * np.sign(np.abs(s) - targets))
    return np.stack(iterates)


def scalar_errors(sigma: ArrayLike, step_sizes: ArrayLike, start: float = TINY_START) -> Array:
    """abs(abs(s_t) - sigma) of every mode, from a start of size zero unless another is given.

    Args:
        sigma: targets >= 0, shape (modes,).
        step_sizes: as for `scalar_iterates`.
        start: s_0, not 0.

    Returns:
        Shape (steps + 1, modes), float64.

    Source: derived here.

    >>> scalar_errors([1.0], [0.5, 0.25])[:, 0].tolist()
    [1.0, 0.5, 0.25]
    """
    return np.abs(np.abs(scalar_iterates(sigma, step_sizes, start)) - np.asarray(sigma, dtype=np.float64))


def exact_iterates(sigma: Fraction, ratio: Fraction, steps: int) -> list[Fraction]:
    """s_0 = 0+, s_1, ... with eta_t = (1 - rho) rho^t, in exact rational arithmetic.

    Args:
        sigma: target in [0, 1].
        ratio: rho in (0, 1).
        steps: number of steps.

    Returns:
        steps + 1 fractions.

    Source: derived here.

    >>> [str(s) for s in exact_iterates(Fraction(1, 3), Fraction(1, 2), 3)]
    ['0', '1/2', '1/4', '3/8']
    """
    # integers in units of 1 / (q b^(steps + 1)), for sigma = p / q and rho = a / b: fractions cost ten times as much
    a, b = ratio.numerator, ratio.denominator
    unit = sigma.denominator * b ** (steps + 1)
    target, s, iterates = sigma.numerator * b ** (steps + 1), 0, [Fraction(0)]
    for t in range(steps):
        eta = (b - a) * a**t * b ** (steps - t) * sigma.denominator
        side = 1 if s > 0 or t == 0 else -1 if s < 0 else 0
        towards = (abs(s) < target) - (abs(s) > target) if s or target else -1
        s += eta * side * towards
        iterates.append(Fraction(s, unit))
    return iterates


def exact_worst_ratio(sigma: Sequence[Fraction], ratio: Fraction, steps: int) -> Fraction:
    """The largest abs(abs(s_t) - sigma) / rho^t over targets and t = 0 .. steps, in exact rational arithmetic.

    Args:
        sigma: targets in [0, 1].
        ratio: rho in (0, 1).
        steps: number of steps.

    Returns:
        A fraction; at most 1 for rho >= 1/2.

    Source: derived here; claim MF-03.

    >>> exact_worst_ratio([Fraction(0), Fraction(1, 3), Fraction(1)], Fraction(3, 5), 10)
    Fraction(1, 1)
    """
    return max(
        abs(abs(s) - target) / ratio**t for target in sigma for t, s in enumerate(exact_iterates(target, ratio, steps))
    )


def inexact_worst_ratio(lower: Fraction, upper: Fraction, ratio: Fraction, steps: int) -> Fraction:
    """The largest E_t / rho^t, E_t the worst error over all effective steps c eta_t with c in [lo, hi].

    E <- max(E - lo eta, hi eta), E_0 = 1, eta_t = (1 - rho) rho^t / lo: an error larger than the step shrinks by at
    least lo eta, a smaller one becomes at most hi eta.

    Args:
        lower: lo > 0.
        upper: hi >= lo.
        ratio: rho in (0, 1).
        steps: number of steps.

    Returns:
        A fraction; 1 exactly when rho >= hi / (lo + hi), else more, without bound as steps grow.

    Source: derived here; claim MF-14. Fractions because at the threshold floats drift apart exponentially.

    >>> inexact_worst_ratio(Fraction(1), Fraction(1), Fraction(1, 2), 20)
    Fraction(1, 1)
    """
    error, power, worst = Fraction(1), Fraction(1), Fraction(1)
    for _ in range(steps):
        eta = (1 - ratio) * power / lower
        error, power = max(error - lower * eta, upper * eta), power * ratio
        worst = max(worst, error / power)
    return worst


def limiting_error(ratio: float) -> float:
    """The worst final error over targets in (0, 1] of the schedule (1 - rho) rho^t: 1 - 2 rho below 1/2, else 0.

    The supremum belongs to sigma -> 0+: the first step overshoots to 1 - rho and all others together take back rho.

    Args:
        ratio: rho in (0, 1).

    Returns:
        max(0, 1 - 2 rho).

    Raises:
        ValueError: ratio outside (0, 1).

    Source: derived here; claim MF-06.

    >>> round(limiting_error(0.3), 12), limiting_error(0.5)
    (0.4, 0.0)
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio is {ratio}; it must lie in (0, 1)")
    return max(0.0, 1 - 2 * ratio)


def plateau(step_size: float, sigma: ArrayLike) -> Array:
    """The limsup of abs(abs(s_t) - sigma) under a constant step: the sequence ends in a cycle of two points.

    Args:
        step_size: eta > 0.
        sigma: targets in (0, 1].

    Returns:
        The larger of the two errors, shape of sigma, in [eta / 2, eta + 1e-9]; s_0 = 1e-9, as in floats a smaller start
        could end at the saddle point 0.

    Raises:
        ValueError: a step that is not positive.

    Source: derived here; claim MF-13.

    >>> plateau(0.25, [0.3, 0.375]).round(3).tolist()
    [0.2, 0.125]
    """
    if not step_size > 0:
        raise ValueError(f"step_size is {step_size}; it must be > 0")
    steps = int(np.ceil(1 / step_size)) + 4
    return scalar_errors(sigma, np.full(steps, step_size), 1e-9)[-2:].max(0)
