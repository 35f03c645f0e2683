"""Steps of steepest descent in the earliest draft of the Fanion paper, which are not oracles of a ball."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def soft_threshold_step(sigma: ArrayLike, penalty: float = 1.0, *, ratio: float = 1.0) -> Array:
    """Singular values of argmin_D -<G, D> + (penalty/2)(fro(D)^2 + nuc(D)^2): (sigma - tau)_+ / penalty.

    tau is the root of sum (sigma_i - tau)_+ = ratio tau; the minimiser has ratio 1. Called F*-Neon in the draft; unlike
    F-Neon it scales with the gradient.

    Args:
        sigma: singular values of G, (r,), descending, nonnegative.
        penalty: lam > 0.
        ratio: factor of tau in its equation, > 0.

    Returns:
        The step's singular values, (r,).

    Raises:
        ValueError: penalty or ratio not positive.

    Source: Kravatskiy et al., earliest draft of arXiv 2512.09678 (its proof).

    >>> soft_threshold_step([3.0, 1.0]).tolist()
    [1.5, 0.0]
    """
    if penalty <= 0 or ratio <= 0:
        raise ValueError(f"penalty = {penalty}, ratio = {ratio}: give positive numbers")
    s = np.asarray(sigma, dtype=float)
    # With j values above tau: sum_{i <= j} s_i - j tau = ratio tau, and the candidate of the right j is the largest.
    tau = np.max(np.cumsum(s) / (np.arange(1, len(s) + 1) + ratio))
    return np.maximum(s - tau, 0.0) / penalty


def nuclear_step(sigma: ArrayLike, penalty: float = 1.0) -> Array:
    """Singular values of argmin_D -<G, D> + penalty nuc(D)^2: sigma_1 / (2 penalty) on the first pair, else 0.

    Args:
        sigma: singular values of G, (r,), descending, nonnegative.
        penalty: lam > 0.

    Returns:
        The step's singular values, (r,).

    Raises:
        ValueError: penalty not positive.

    Source: Kravatskiy et al., earliest draft of arXiv 2512.09678.

    >>> nuclear_step([3.0, 1.0]).tolist()
    [1.5, 0.0]
    """
    if penalty <= 0:
        raise ValueError(f"penalty = {penalty}: give a positive number")
    s = np.asarray(sigma, dtype=float)
    step = np.zeros_like(s)
    step[0] = s[0] / (2 * penalty)
    return step
