"""Convex programs behind the norms, solved without knowing a norm's oracle: independent values for the claims.

Three tools on singular values or matrices: linear programs for the polyhedral balls, projections (the projection of
c M onto a ball tends to the maximiser of <M, .> as c grows), and two-sided bounds of a gauge from a decomposition and
a dual witness.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog, root_scalar

Array = NDArray[np.float64]
BAD_ORDER = "give a number from 1 to the number of singular values"
FAR = 1e6  # how far out a matrix is projected from; gaps of the spectrum above 1/FAR are resolved exactly


def ky_fan_ball_maximizer(sigma: ArrayLike, k: float) -> Array:
    """The maximiser of <sigma, d> over d >= 0 with (sum of the k largest d) <= 1, by linear programming.

    The sum of the k largest is at most 1 if and only if k tau + sum (d_i - tau)_+ <= 1 for some tau >= 0.

    Args:
        sigma: singular values, (r,), any nonnegative numbers.
        k: in [1, r], an integer (a real k interpolates).

    Returns:
        Singular values of the maximiser, (r,), a vertex of the ball.

    Raises:
        ValueError: k outside [1, r].

    Source: elementary (linear programming form of a sum of largest entries).

    >>> ky_fan_ball_maximizer([3.0, 1.0, 0.5], 2).tolist()
    [1.0, 0.0, 0.0]
    >>> ky_fan_ball_maximizer([3.0, 2.9, 0.5], 2).tolist()
    [0.5, 0.5, 0.5]
    """
    s = np.asarray(sigma, dtype=float)
    r = len(s)
    if not 1 <= k <= r:
        raise ValueError(f"k = {k}: {BAD_ORDER}")
    cost = -np.concatenate([s, np.zeros(r + 1)])
    sum_row = np.concatenate([np.zeros(r), np.ones(r), [k]])
    excess_rows = np.hstack([np.eye(r), -np.eye(r), -np.ones((r, 1))])
    solution = linprog(cost, np.vstack([sum_row, excess_rows]), np.concatenate([[1.0], np.zeros(r)]), method="highs")
    return np.abs(solution.x[:r])


def dual_ball_maximizer(sigma: ArrayLike, k: float, radius: float | None = None) -> Array:
    """The maximiser of <sigma, d> over 0 <= d <= 1, sum d <= radius, by linear programming.

    Args:
        sigma: singular values, (r,), any nonnegative numbers.
        k: in [1, r].
        radius: bound on the sum; None takes k, the dual Ky Fan k ball.

    Returns:
        Singular values of the maximiser, (r,).

    Raises:
        ValueError: k outside [1, r].

    Source: Kravatskiy et al. 2025, arXiv 2512.09678, the ball {sigma_1 <= 1, nuc <= k}.

    >>> dual_ball_maximizer([3.0, 2.0, 0.5], 2).tolist()
    [1.0, 1.0, 0.0]
    """
    s = np.asarray(sigma, dtype=float)
    if not 1 <= k <= len(s):
        raise ValueError(f"k = {k}: {BAD_ORDER}")
    total = k if radius is None else radius
    return np.abs(linprog(-s, np.ones((1, len(s))), [total], bounds=(0.0, 1.0), method="highs").x)


def project_spectrum(sigma: ArrayLike, bound: float, total: float) -> Array:
    """The nearest point to sigma >= 0 in {0 <= z <= bound, sum z <= total}: clip(sigma - lam, 0, bound).

    Args:
        sigma: (r,), nonnegative.
        bound: largest entry, >= 0.
        total: largest sum, >= 0.

    Returns:
        The projection, (r,); lam = 0 where the sum allows it, else the root of the sum.

    Source: elementary (Karush-Kuhn-Tucker conditions).

    >>> project_spectrum([3.0, 2.0, 0.5], 1.0, 1.5).tolist()
    [1.0, 0.5, 0.0]
    """
    s = np.asarray(sigma, dtype=float)
    clipped = np.clip(s, 0.0, bound)
    if clipped.sum() <= total:
        return clipped
    # The sum is piecewise linear and falling in lam, with corners at s and s - bound: interpolate between two corners.
    corners = np.unique(np.concatenate([[0.0], s, s - bound]))
    sums = np.clip(s - corners[:, None], 0.0, bound).sum(axis=1)
    at = int(np.searchsorted(-sums, -total, side="left"))
    low, high = corners[at - 1], corners[at]
    share = (sums[at - 1] - total) / (sums[at - 1] - sums[at])
    return np.clip(s - (low + share * (high - low)), 0.0, bound)


def far_projection(M: Array, ball: str, k: float = 1.0) -> Array:
    """The projection of c M onto a unit ball for a large c: the maximiser of <M, D>, found without an LMO.

    Args:
        M: (m, n), not zero.
        ball: "frobenius", "max" (entrywise), or "dual_ky_fan" ({sigma_1 <= 1, nuc <= k}; nuclear at k = 1, spectral at
            k = min(m, n)).
        k: order of the dual Ky Fan ball.

    Returns:
        D, (m, n), with <M, D> within nuc(D)^2 / (2 c) of the largest value; exact where the gaps exceed 1/c.

    Raises:
        ValueError: an unknown ball.

    Source: elementary: with P the projection, <M, D' - P(cM)> <= <P(cM), D' - P(cM)> / c for every D' in the ball.

    >>> far_projection(np.array([[3.0, 0.0], [0.0, -4.0]]), "max").tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    """
    out = FAR * M / np.max(np.abs(M))
    if ball == "frobenius":
        return out / np.linalg.norm(out)
    if ball == "max":
        return np.clip(out, -1.0, 1.0)
    if ball == "dual_ky_fan":
        U, sigma, Vt = np.linalg.svd(out, full_matrices=False)
        return (U * project_spectrum(sigma, 1.0, k)) @ Vt
    raise ValueError(f"ball = {ball!r}: give 'frobenius', 'max' or 'dual_ky_fan'")


def gauge_bounds(sigma: ArrayLike, k: float, alpha: float) -> tuple[float, float]:
    """Lower and upper bound of the F-Fanion-k norm of a matrix, from a decomposition and a dual witness.

    The norm is min t such that Y = Z + W with sigma_1(Z) <= alpha t, nuc(Z) <= k alpha t, fro(W) <= (1 - alpha) t. Any
    decomposition gives an upper bound and any M the lower bound <Y, M> / (alpha KF_k(M) + (1-alpha) fro(M)); a
    bracketing search supplies a good decomposition, and M = W. The bounds hold whatever the search does.

    Args:
        sigma: singular values of Y, (r,), descending, not all zero.
        k: in [1, r].
        alpha: strictly between 0 and 1.

    Returns:
        (lower, upper), apart by rounding only.

    Raises:
        ValueError: alpha outside (0, 1), or k outside [1, r].

    Source: Kravatskiy et al. 2025, arXiv 2512.09678 (the programs for k = 1, r); derived here for general k.
    Accuracy: the two bounds agree to about 1e-14 of the value.

    >>> lower, upper = gauge_bounds([1.0, 0.0], 1, 0.5)
    >>> abs(lower - 1) < 1e-12 and abs(upper - 1) < 1e-12
    True
    """
    s = np.asarray(sigma, dtype=float)
    if not 1 <= k <= len(s):
        raise ValueError(f"k = {k}: {BAD_ORDER}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha = {alpha}: give a number strictly between 0 and 1")

    def excess(t: float) -> float:
        return float(np.linalg.norm(s - project_spectrum(s, alpha * t, k * alpha * t))) - (1 - alpha) * t

    bracket = (0.0, float(np.linalg.norm(s)) / (1 - alpha))
    t = root_scalar(excess, bracket=bracket, xtol=1e-15, rtol=1e-14).root
    z = project_spectrum(s, alpha * t, k * alpha * t)
    w = s - z
    upper = max(z.max() / alpha, z.sum() / (k * alpha), float(np.linalg.norm(w)) / (1 - alpha))
    whole = int(k)
    ordered = np.sort(w)[::-1]
    ky_fan = ordered[:whole].sum() + (k - whole) * (ordered[whole] if whole < len(s) else 0.0)
    lower = float(s @ w) / (alpha * ky_fan + (1 - alpha) * float(np.linalg.norm(w)))
    return float(lower), float(upper)
