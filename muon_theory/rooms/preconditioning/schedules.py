"""Step-size schedules, the smallest admissible ratio, and the number of steps they promise."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_Number = TypeVar("_Number", float, Fraction)


def geometric_steps(ratio: float, steps: int, *, scale: float = 1.0, largest: float = 1.0, lower: float = 1.0) -> Array:
    """Step sizes eta_t = c (1 - rho) sigma_max rho^t / lo, t = 0, 1, ...: their sum is c sigma_max / lo.

    Args:
        ratio: rho in (0, 1).
        steps: how many.
        scale: c > 0; below 1 the largest mode is never reached.
        largest: sigma_max, or an upper bound of it, > 0.
        lower: lo > 0, the smallest effective step of an inexact orthogonalizer.

    Returns:
        Shape (steps,).

    Raises:
        ValueError: ratio outside (0, 1), or another number that is not positive.

    Source: derived here (no schedule of arXiv 2601.13474 was read).

    >>> geometric_steps(0.5, 3).tolist()
    [0.5, 0.25, 0.125]
    """
    _require_ratio(ratio)
    if not (scale > 0 and largest > 0 and lower > 0):
        raise ValueError(f"scale = {scale}, largest = {largest}, lower = {lower}: each must be > 0")
    return np.asarray(scale * (1 - ratio) * largest / lower * ratio ** np.arange(steps), dtype=np.float64)


def spiked_steps(size: float, largest: float, steps: int) -> Array:
    """The "spiked" schedule: first the size of the start, then sigma_max, then halved at every step.

    Args:
        size: alpha > 0, the scale of the start.
        largest: sigma_max > 0; sqrt of the largest singular value of the target.
        steps: how many, >= 2.

    Returns:
        (alpha, sigma_max, sigma_max / 2, sigma_max / 4, ...), shape (steps,).

    Raises:
        ValueError: a size that is not positive, or fewer than two steps.

    Source: the released code of arXiv 2606.30509 (Rhee, Simon, Karkada), read second-hand.

    >>> spiked_steps(1e-4, 1.0, 4).tolist()
    [0.0001, 1.0, 0.5, 0.25]
    """
    if not (size > 0 and largest > 0) or steps < 2:
        raise ValueError(f"size = {size}, largest = {largest}, steps = {steps}: give sizes > 0 and at least 2 steps")
    return np.concatenate([[size], largest * 0.5 ** np.arange(steps - 1)])


def smallest_ratio(lower: _Number, upper: _Number) -> _Number:
    """rho* = hi / (lo + hi): the smallest ratio that keeps the bound when each step is c eta, c in [lo, hi].

    Args:
        lower: lo > 0; 1 for exact orthogonalization.
        upper: hi >= lo; 1 for exact orthogonalization.

    Returns:
        rho* in [1/2, 1), of the type of the arguments.

    Raises:
        ValueError: not 0 < lo <= hi: with lo = 0 a mode may stand still for ever.

    Source: derived here, checked in claim MF-14.

    >>> smallest_ratio(1.0, 1.0), round(smallest_ratio(0.6818, 1.2024), 4)
    (0.5, 0.6381)
    """
    if not 0 < lower <= upper:
        raise ValueError(f"lower = {lower}, upper = {upper}: give 0 < lower <= upper")
    return upper / (lower + upper)


def steps_to_reach(factor: float, ratio: float) -> int:
    """ceil(log(factor) / log(1 / rho)): steps after which rho^t <= 1 / factor; 0 for a factor up to 1.

    Args:
        factor: by how much something has to shrink, > 0.
        ratio: rho in (0, 1).

    Returns:
        The number of steps.

    Raises:
        ValueError: ratio outside (0, 1) or a factor that is not positive.

    Source: elementary.

    >>> steps_to_reach(2e8, 0.5)
    28
    """
    _require_ratio(ratio)
    if not factor > 0:
        raise ValueError(f"factor is {factor}; it must be > 0")
    return max(0, math.ceil(math.log(factor) / -math.log(ratio)))


def iteration_bound(
    accuracy: float, ratio: float, *, scale: float = 1.0, lower: float = 1.0, upper: float = 1.0
) -> int:
    """Steps that suffice for op(X X^T - M) <= accuracy * lam_max from an aligned start of size zero.

    The residual is at most (2 c + c^2 rho^t) rho^t lam_max for c > 1, and 2 rho^t lam_max for c = 1 with exact steps,
    as no mode then exceeds sigma_max. Neither bound contains the condition number of M.

    Args:
        accuracy: relative to lam_max, in (0, 1).
        ratio: rho, hi / (lo + hi) <= rho < 1.
        scale: c >= 1, the overestimate of sigma_max.
        lower: lo of the effective steps.
        upper: hi of the effective steps.

    Returns:
        The number of steps T: the bound holds for every t >= T.

    Raises:
        ValueError: an assumption fails (a ratio below hi / (lo + hi), c < 1, an accuracy outside (0, 1)); it is named.

    Source: derived here, checked in claims MF-07, MF-08, MF-11 and MF-14; not a theorem of arXiv 2601.13474.

    >>> iteration_bound(1e-8, 0.5), iteration_bound(1e-8, 0.5, scale=2.0)
    (28, 29)
    """
    _require_ratio(ratio)
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy is {accuracy}; it is relative to lam_max and must lie in (0, 1)")
    if scale < 1:
        raise ValueError(f"scale is {scale}; below 1 the largest mode is never reached (the error stays 1 - scale)")
    threshold = smallest_ratio(lower, upper)
    if ratio < threshold:
        raise ValueError(f"ratio is {ratio}; the modes stay apart below hi / (lo + hi) = {threshold:.4f}: raise it")
    if scale == lower == upper == 1:
        return steps_to_reach(2 / accuracy, ratio)
    # the largest y = c rho^t with 2 y + y^2 <= accuracy
    return steps_to_reach(scale * (1 + math.sqrt(1 + accuracy)) / accuracy, ratio)


def _require_ratio(ratio: float) -> None:
    if not 0 < ratio < 1:
        raise ValueError(f"ratio is {ratio}; it must lie in (0, 1)")
