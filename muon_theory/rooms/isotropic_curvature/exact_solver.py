"""The model for H a sum of powers, with exact expectations: Newton's method, and a duality gap without sampling.

min over s >= 0 of -sigma . s + sum_j c_j E rho^(p_j). Stationarity: sigma_i = s_i w_i, w_i = E[(H'(rho)/rho) zeta_i^2].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import root_scalar

from muon_theory.rooms.isotropic_curvature.moments import power_moment

Array = NDArray[np.float64]
Terms = Sequence[tuple[float, float]]


class ExactSolution(NamedTuple):
    """Minimiser s (r,), its `value`, the relative stationarity `residual`, a certified `gap`, Newton `steps`.

    `residual` is max_i |s_i w_i / sigma_i - 1|; `gap` is value minus a lower bound of the least value.

    Source: elementary.
    """

    s: Array
    value: float
    residual: float
    gap: float
    steps: int


def power_spectrum(sigma: ArrayLike, p: float, n: int | None = None, *, scale: float = 1.0) -> ExactSolution:
    """Optimal spectrum for H = c r^p with exact expectations.

    Args:
        sigma: singular values of the gradient, (r,), >= 0, any order.
        p: > 1.
        n: number of columns, >= r; None takes r (m >= n).
        scale: c > 0.

    Returns:
        The solution.

    Raises:
        ValueError: an argument out of range; p <= 1 has no finite solution in general.
        RuntimeError: Newton's method ended above a relative residual of 1e-8.

    Source: Su 2025, arXiv 2511.00674 (the program); solver derived here.

    >>> power_spectrum([3.0, 1.0], 2.0, scale=0.5).s.round(12).tolist()
    [6.0, 2.0]
    """  # noqa: DOC502  (raised by posynomial_spectrum)
    return posynomial_spectrum(sigma, [(scale, p)], n)


def posynomial_spectrum(
    sigma: ArrayLike, terms: Terms, n: int | None = None, *, tolerance: float = 1e-12
) -> ExactSolution:
    """Optimal spectrum for H(r) = sum_j c_j r^(p_j) with exact expectations.

    Args:
        sigma: singular values of the gradient, (r,), >= 0, any order; zero ones get s = 0.
        terms: pairs (c_j, p_j), c_j > 0, p_j > 1.
        n: number of columns, >= r; None takes r.
        tolerance: relative residual at which to stop.

    Returns:
        The solution.

    Raises:
        ValueError: an argument out of range.
        RuntimeError: Newton's method ended above a relative residual of 1e-8.

    Source: derived here. Lower bound by Fenchel duality with u_i = k_i H'(rho) s_i zeta_i / rho,
    k_i = sigma_i/(s_i w_i): with K = max k_i and tau = max(1, K)^(1/(p_min - 1)) the bound is
    -sum_j c_j (p_j - 1) tau^(p_j) E rho^(p_j).

    Cost: 5 to 15 Newton steps, each about 1 ms at r = 64 and 20 ms at r = 256.

    >>> found = posynomial_spectrum([3.0, 2.0, 0.1], [(1.0, 2.0), (0.5, 4.0)])
    >>> found.residual < 1e-11, found.gap < 1e-10
    (True, True)
    """
    target = np.asarray(sigma, dtype=np.float64)
    if target.ndim != 1 or not np.all(np.isfinite(target)) or target.min(initial=0.0) < 0:
        raise ValueError(f"sigma = {target.tolist()}: give a vector of finite singular values >= 0")
    columns = len(target) if n is None else n
    if columns < len(target):
        raise ValueError(f"n = {n}: the number of columns is at least the number of singular values, {len(target)}")
    for c, p in terms:
        if not (0 < c < math.inf and 1 < p < math.inf):
            raise ValueError(f"terms hold ({c}, {p}); coefficients must be > 0 and powers > 1, both finite")
    if not terms:
        raise ValueError("terms is empty: without curvature the program is unbounded; give at least one power")
    keep = np.flatnonzero(target > 0)
    found = np.zeros(len(target))
    if not keep.size:
        return ExactSolution(found, 0.0, 0.0, 0.0, 0)
    solution = _newton(target[keep], terms, columns, tolerance)
    if solution.residual > 1e-8:
        raise RuntimeError(f"Newton's method ended at a relative residual of {solution.residual:.1e}; report the case")
    found[keep] = solution.s
    return solution._replace(s=found)


class _State(NamedTuple):
    """Objective, E of each term times its coefficient, w = gradient / s, and the Hessian, at one s."""

    objective: float
    parts: list[float]
    pull: Array
    hessian: Array


def _state(s: Array, sigma: Array, terms: Terms, n: int, *, hessian: bool = True) -> _State:
    """One evaluation."""
    moments = [power_moment(s, p, n, hessian=hessian) for _, p in terms]
    parts = [c * moment.value for (c, _), moment in zip(terms, moments, strict=True)]
    pull = 2 * sum((c * m.gradient for (c, _), m in zip(terms, moments, strict=True)), np.zeros_like(s))
    second = np.zeros((len(s), len(s)))
    for (c, _), moment in zip(terms, moments, strict=True):
        if moment.hessian is not None:
            second += 4 * c * moment.hessian
    return _State(sum(parts) - float(sigma @ s), parts, pull, np.diag(pull) + second * np.outer(s, s))


def _best_multiple(direction: Array, sigma: Array, terms: Terms, n: int) -> Array:
    """Direction times the scale of least objective."""
    moments = [(c * power_moment(direction, p, n).value, p) for c, p in terms]
    gain = float(sigma @ direction)

    def slope(log_scale: float) -> float:
        return math.log(sum(c * p * math.exp(log_scale * (p - 1)) for c, p in moments)) - math.log(gain)

    low, high = -1.0, 1.0
    while slope(low) > 0:
        low *= 2
    while slope(high) < 0:
        high *= 2
    return direction * math.exp(root_scalar(slope, bracket=(low, high)).root)


def _newton(sigma: Array, terms: Terms, n: int, tolerance: float) -> ExactSolution:
    """Damped Newton steps on the convex objective, to the rounding floor of the residual."""
    largest = max(p for _, p in terms)
    relative = sigma / sigma.max()
    starts = [relative, np.sqrt(relative)] if largest > 2 else [relative]
    candidates = [_best_multiple(start, sigma, terms, n) for start in starts]
    s = min(candidates, key=lambda each: _state(each, sigma, terms, n, hessian=False).objective)
    state = _state(s, sigma, terms, n)
    best, residual, stalled = s, math.inf, 0
    steps = 0
    while steps < 200:
        current = float(np.max(np.abs(s * state.pull / sigma - 1)))
        best, residual, stalled = (s, current, 0) if current < residual else (best, residual, stalled + 1)
        if residual <= tolerance or (stalled >= 3 and residual < 1e-8):
            break
        scaled = 1 / np.sqrt(state.hessian.diagonal())
        gradient = s * state.pull - sigma
        step = scaled * np.linalg.solve(state.hessian * scaled * scaled[:, None], -scaled * gradient)
        decrement = -float(gradient @ step)
        shrinking = -step / s
        size = min(1.0, 0.9 / max(float(shrinking.max()), 1e-300))
        while True:
            trial = s + size * step
            following = _state(trial, sigma, terms, n)
            # Below the rounding of the objective its differences say nothing; there Newton's step is taken as it is.
            close = decrement <= 1e-12 * abs(state.objective)
            if close or following.objective <= state.objective - 1e-4 * size * decrement or size < 1e-8:
                break
            size /= 2
        s, state, steps = trial, following, steps + 1
    final = _state(best, sigma, terms, n, hessian=False)
    least = min(p for _, p in terms)
    tau = max(1.0, float(np.max(sigma / (best * final.pull)))) ** (1 / (least - 1))
    bound = -sum((p - 1) * tau**p * part for (_, p), part in zip(terms, final.parts, strict=True))
    return ExactSolution(best, final.objective, residual, final.objective - bound, steps)


def quartic_spectrum(sigma: ArrayLike, c: float, n: int | None = None, *, sign: float = 1.0) -> Array:
    """H = c r^4 in closed form up to one number: s^3 + D s = q, q = n (n + 2) sigma / (8 c), D = sum s_k^2 / 2.

    For given D Cardano's formula s = cbrt(q/2 + d) + cbrt(q/2 - d), d = (q^2/4 + D^3/27)^(1/2); D by bisection.

    Args:
        sigma: singular values, (r,), >= 0, not all zero.
        c: > 0.
        n: number of columns, >= r; None takes r.
        sign: of the term D^3/27, an argument for the mutation alone.

    Returns:
        s, (r,).

    Raises:
        ValueError: c is not positive, or sigma is zero.

    Source: Su 2025, arXiv 2511.00674 (the cubic, relayed); the value of D derived here.

    >>> bool(np.allclose(quartic_spectrum([1.0, 1.0], 2.0), power_spectrum([1.0, 1.0], 4.0, scale=2.0).s))
    True
    """
    target = np.asarray(sigma, dtype=np.float64)
    if not 0 < c < math.inf or target.max(initial=0.0) <= 0:
        raise ValueError(f"c = {c}, largest sigma = {target.max(initial=0.0)}: both must be positive")
    columns = len(target) if n is None else n
    q = columns * (columns + 2) * target / (8 * c)

    def cubic(total: float) -> Array:
        d = np.sqrt(np.maximum(q**2 / 4 + sign * total**3 / 27, 0.0))
        first = np.cbrt(q / 2 + d)
        if sign < 0:
            return first + np.cbrt(q / 2 - d)
        # The second root is -D / (3 first); written so that nothing cancels where q is small.
        return q / (first**2 + total / 3 + (total / (3 * first)) ** 2)

    def excess(total: float) -> float:
        return float(np.sum(cubic(total) ** 2)) / 2 - total

    largest = float(np.sum(np.cbrt(q) ** 2) / 2)  # s <= cbrt(q), so D is at most this
    upper = largest
    while excess(upper) > 0:
        upper *= 2
    return cubic(root_scalar(excess, bracket=(1e-18 * largest, upper)).root)
