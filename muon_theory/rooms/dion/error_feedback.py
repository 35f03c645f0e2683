"""The law of error feedback: how often a mode of a constant gradient is used when r modes a step may be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class ModeAverages(NamedTuple):
    """Time averages over a simulation, each of the shape of `sigma`.

    `frequency` is the share of the steps in which a mode was used, `buffer` the mean of its entry b_i of B = M + G.

    Source: elementary.
    """

    frequency: Array
    buffer: Array


def law_scale(sigma: ArrayLike, r: int) -> float:
    """The constant c of the law: sum_i min(1, c sigma_i) = r.

    Args:
        sigma: singular values of the gradient, shape (modes,), >= 0, in any order.
        r: modes used a step, 1 <= r <= number of positive singular values.

    Returns:
        c > 0, unit 1 / sigma; the least one where r is that number.

    Raises:
        ValueError: if sigma is no finite vector >= 0, or r is out of range.

    Source: derived here, checked in tests/rooms/dion.

    >>> law_scale([10, 2, 1, 0.5, 0.25], 2) == 4 / 15
    True
    """
    values = np.sort(np.asarray(sigma, dtype=np.float64))[::-1]
    if values.ndim != 1 or not np.all(np.isfinite(values)) or values.min(initial=0.0) < 0:
        raise ValueError("sigma must be a vector of finite numbers >= 0")
    positive = int(np.sum(values > 0))
    if isinstance(r, bool) or not isinstance(r, int | np.integer) or not 1 <= r <= positive:
        raise ValueError(f"r is {r!r}; it must be an integer from 1 to {positive}, the number of positive sigma")
    tails = np.cumsum(values[::-1])[::-1]
    clipped = np.arange(r)  # with k modes clipped at 1 the others share r - k
    scales = (r - clipped) / tails[:r]
    return float(scales[np.argmax(scales * values[:r] <= 1 + 1e-14)] if r < positive else 1 / values[positive - 1])


def law(sigma: ArrayLike, r: int) -> Array:
    """The law: frequencies f_i = min(1, c sigma_i) with sum r at which error feedback uses the modes.

    Args:
        sigma: singular values of the constant gradient, shape (modes,), >= 0.
        r: modes used a step.

    Returns:
        f, shape (modes,), in the order of sigma.

    Source: derived here: a mode that is used every 1 / f steps gains sigma_i / f_i between two uses and, mu being near
    1, is then damped by (1 - mu) b_i, so that b_i = sigma_i / (f_i (1 - mu)); the modes used are those of largest b_i,
    hence all b_i of modes with f_i < 1 are equal, that is f_i = c sigma_i. Limit mu -> 1.

    >>> law([10, 2, 1, 0.5, 0.25], 2).round(4).tolist()
    [1.0, 0.5333, 0.2667, 0.1333, 0.0667]
    """
    return np.minimum(1.0, law_scale(sigma, r) * np.asarray(sigma, dtype=np.float64))


def simulate_modes(
    sigma: ArrayLike, r: int, momentum: ArrayLike, steps: int, *, burn_in: int, error_feedback: bool = True
) -> ModeAverages:
    """Exact-SVD Dion on a constant gradient, mode by mode: b <- b + sigma; the r largest b are used and damped by mu.

    The singular vectors of B are those of the gradient and never mix, so a matrix is not needed.

    Args:
        sigma: shape (*batch, modes).
        r: modes used a step, 1 <= r <= modes.
        momentum: mu in [0, 1), shape (*batch,) or a number.
        steps: number of steps averaged over.
        burn_in: number of steps before these.
        error_feedback: whether only the used modes are damped; else all are.

    Returns:
        The averages.

    Source: Ahn et al. 2025, arXiv 2504.05295, Algorithm 1, with the singular value decomposition for its iteration.

    Cost: about 10 us a step plus 0.1 us a mode.

    >>> simulate_modes([3.0, 1.0], 1, 0.9, 1000, burn_in=100, error_feedback=False).frequency.tolist()
    [1.0, 0.0]
    """
    shape = np.shape(sigma)
    gradient = np.asarray(sigma, dtype=np.float64).reshape(-1, shape[-1])
    mu = np.broadcast_to(np.asarray(momentum, dtype=np.float64), shape[:-1]).reshape(-1, 1)
    b, used, total = np.zeros_like(gradient), np.zeros_like(gradient), np.zeros_like(gradient)
    rows = np.arange(len(b))[:, None]
    for step in range(burn_in + steps):
        b += gradient
        top = b.argpartition(-r, axis=1)[:, -r:]
        if step >= burn_in:
            used[rows, top] += 1
            total += b
        if error_feedback:
            b[rows, top] *= mu
        else:
            b *= mu
    return ModeAverages((used / steps).reshape(shape), (total / steps).reshape(shape))


def smoothed_gap(G: Array, D: Array, c: float) -> float:
    """Optimality gap of D in max <G, X> - ||X||_F^2 / (2c) over ||X||_op <= 1; zero exactly at the solution.

    The objective is concave with gradient G - X / c, so a feasible D is optimal if and only if
    nuc(G - D / c) = <G - D / c, D>: no X of the ball has a larger product with the gradient at D.

    Args:
        G: matrix, shape (m, n).
        D: feasible matrix, shape (m, n).
        c: smoothing, > 0.

    Returns:
        nuc(G - D / c) - <G - D / c, D>, >= 0, in the unit of G.

    Source: elementary (first-order condition; the nuclear norm is dual to the spectral norm).

    >>> smoothed_gap(np.diag([2.0, 0.5]), np.diag([1.0, 0.5]), 1.0)
    0.0
    """
    slope = G - D / c
    return float(np.linalg.norm(slope, "nuc") - np.sum(slope * D))
