"""The model for a general H on common random numbers: an interior-point method with a certified duality gap.

Program on N fixed directions, z_k the squares of the first r coordinates of unit vectors of R^n:

    P = min over s >= 0 of -sigma . s + mean_k H(rho_k),   rho_k = (sum_i z_ki s_i^2)^(1/2).

Dual, from H(|v|) = sup_u u . v - H*(|u|): P >= -mean_k H*(|u_k|) for any vectors u_k with
mean_k z_ki^(1/2) u_ki >= sigma_i for all i.
"""

from __future__ import annotations

import math
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muon_theory.rooms.isotropic_curvature.growth import Growth

Array = NDArray[np.float64]
ORDERS = ("none", "cyclic", "all")


class SampledSolution(NamedTuple):
    """Minimiser s (r,), its `value`, a certified `lower_bound` of the least value, their difference `gap`, `steps`.

    Source: elementary.
    """

    s: Array
    value: float
    lower_bound: float
    gap: float
    steps: int


def sphere_squares(n: int, draws: int, *, seed: int, symmetrise: str = "cyclic") -> Array:
    """Squares of the coordinates of uniform unit vectors of R^n, symmetrised by permuting the coordinates.

    Args:
        n: dimension, >= 1.
        draws: number of independent vectors.
        seed: of the generator.
        symmetrise: "cyclic": every cyclic shift too, so that each column has mean exactly 1/n; "all": every permutation
            (n <= 6); "none".

    Returns:
        z, (N, n), rows adding up to 1; N = draws, draws n or draws n!.

    Raises:
        ValueError: an unknown symmetrisation, "all" with n > 6, or n or draws below 1.

    Source: elementary (Gaussian direction); rows are Dirichlet(1/2, ..., 1/2).

    >>> sphere_squares(3, 10, seed=0).mean(0).round(12).tolist() == [round(1 / 3, 12)] * 3
    True
    """
    if n < 1 or draws < 1:
        raise ValueError(f"n = {n}, draws = {draws}: both must be at least 1")
    if symmetrise not in ORDERS or (symmetrise == "all" and n > 6):
        raise ValueError(f"symmetrise is {symmetrise!r} at n = {n}; choose one of {ORDERS}, 'all' up to n = 6")
    squares = np.random.default_rng(seed).standard_normal((draws, n)) ** 2
    squares /= squares.sum(1, keepdims=True)
    identity = list(range(n))
    if symmetrise == "all":
        return np.concatenate([squares[:, list(order)] for order in permutations(identity)])
    shifts = range(n if symmetrise == "cyclic" else 1)
    return np.concatenate([np.roll(squares, -shift, axis=1) for shift in shifts])


def circle_squares(count: int = 200) -> np.ndarray:
    """Squares of 4 x count equispaced unit vectors of the plane, each once.

    Args:
        count: number of distinct pairs.

    Returns:
        (count, 2).

    Source: elementary.

    >>> circle_squares(2).round(3).tolist()
    [[0.854, 0.146], [0.146, 0.854]]
    """
    angles = (np.arange(count) + 0.5) * np.pi / (2 * count)
    return np.column_stack([np.cos(angles) ** 2, np.sin(angles) ** 2])


def radial_slope_norm(sigma: ArrayLike, z: Array) -> float:
    """The norm dual to mean_k rho_k(s): max over s of sigma . s / mean_k rho_k(s).

    0 is the solution if and only if it is at most H'(0+); the program is unbounded if it exceeds the last slope of H.

    Args:
        sigma: singular values, (r,), >= 0, not all zero.
        z: squares, (N, r).

    Returns:
        The norm, in the unit of sigma, within 1e-9 relative (from below).

    Source: derived here (positive homogeneity); Newton's method on mean rho - log(sigma . s).

    >>> round(radial_slope_norm([1.0, 1.0], np.array([[0.5, 0.5], [0.2, 0.8], [0.8, 0.2]])), 9)
    2.0
    """
    target = np.asarray(sigma, dtype=np.float64)
    keep = target > 0
    target, squares = target[keep] / target.max(), z[:, keep]
    s = np.full(len(target), 1.0) / target.sum()
    for _ in range(200):  # minimise mean rho - log(sigma . s): at the minimum mean rho = 1 and sigma . s is the norm
        rho = np.sqrt(squares @ s**2)
        slopes = squares * s / rho[:, None]
        product = float(target @ s)
        gradient = slopes.mean(0) - target / product
        hessian = np.diag((squares / rho[:, None]).mean(0)) - (slopes / rho[:, None]).T @ slopes / len(rho)
        hessian += np.outer(target, target) / product**2 + 1e-15 * np.eye(len(s))
        step = -np.linalg.solve(hessian, gradient)
        decrement = -float(gradient @ step)
        if decrement < 1e-18:
            break
        size = min(1.0, 0.9 / max(float(np.max(-step / s)), 1e-300))
        start = float(rho.mean()) - math.log(product)
        while size > 1e-12:
            trial = s + size * step
            if (
                float(np.sqrt(squares @ trial**2).mean()) - math.log(float(target @ trial))
                <= start - 1e-4 * size * decrement
            ):
                break
            size /= 2
        s = s + size * step
        if size <= 1e-12:
            break
    return float(target @ s / np.sqrt(squares @ s**2).mean() * np.asarray(sigma, dtype=np.float64).max())


def solve_sampled(
    sigma: ArrayLike, growth: Growth, z: Array, *, tolerance: float = 1e-8, steps: int = 200
) -> SampledSolution:
    """Solve the sampled program by a primal-dual interior-point method, with a certified gap.

    A kink b (rho - c)_+ becomes b t with t >= 0, t >= rho - c and a multiplier y in (0, 1); the Newton system in s has
    r rows. Modes with sigma_i = 0 get s_i = 0.

    Args:
        sigma: singular values of the gradient, (r,), >= 0, any order.
        growth: H.
        z: squares of unit vectors, (N, n) with n >= r; the first r columns enter (m < n), N >= r.
        tolerance: relative gap at which to stop: gap <= tolerance max(|value|, 1e-300).
        steps: most iterations.

    Returns:
        The solution; `gap` is a bound on value - P whether the tolerance was reached or not.

    Raises:
        ValueError: sigma or z out of range, or an unbounded program (sigma's norm dual to mean rho exceeds the last
            slope of H).

    Source: derived here (Lagrangian duality); standard primal-dual interior-point method for convex programs.

    Cost: 15 to 40 iterations of N r^2 multiplications.

    >>> z = sphere_squares(2, 400, seed=0)
    >>> from muon_theory.rooms.isotropic_curvature.growth import kinked_growth
    >>> solve_sampled([0.6, 0.4], kinked_growth(0.05, 3.0), z).s.round(6).tolist()
    [1.0, 1.0]
    """
    target = np.asarray(sigma, dtype=np.float64)
    if target.ndim != 1 or not np.all(np.isfinite(target)) or target.min(initial=0.0) < 0:
        raise ValueError(f"sigma = {target.tolist()}: give a vector of finite singular values >= 0")
    if z.ndim != 2 or z.shape[1] < len(target) or z.shape[0] < len(target):
        raise ValueError(
            f"z has shape {z.shape}; it needs at least {len(target)} rows and columns, one per singular value"
        )
    keep = np.flatnonzero(target > 0)
    found = np.zeros(len(target))
    first = float(growth.right_slope(np.zeros(1))[0])
    if keep.size and (first > 0 or math.isfinite(growth.last_slope)):
        norm = radial_slope_norm(target[keep], z[:, keep])
        if norm > growth.last_slope:
            raise ValueError(
                f"sigma has dual norm {norm:.6g}, above the last slope {growth.last_slope:g} of the growth: "
                "the program is unbounded; take a steeper growth or a smaller gradient"
            )
        if norm <= first:
            return SampledSolution(found, 0.0, 0.0, 0.0, 0)
    if not keep.size:
        return SampledSolution(found, 0.0, 0.0, 0.0, 0)
    s, value, bound, count = _interior_point(target[keep], growth, z[:, keep], tolerance, steps)
    found[keep] = s
    return SampledSolution(found, value, bound, value - bound, count)


def certified_bound(sigma: Array, growth: Growth, z: Array, s: Array, slopes: Array) -> float:
    """Lower bound of the program's least value from s and slopes h_k: the dual at u_ki = a_i h_k z_ki^(1/2) s_i/rho_k.

    The factors a_i make mean_k z_ki^(1/2) u_ki = sigma_i exactly, so the bound holds for any s > 0 and h_k > 0.

    Args:
        sigma: (r,), > 0.
        growth: H.
        z: (N, r).
        s: (r,), > 0.
        slopes: h, (N,), > 0; near a solution elements of the subdifferential of H at rho_k.

    Returns:
        -mean_k H*(|u_k|); -inf where a |u_k| exceeds the last slope.

    Source: derived here (Fenchel duality).

    >>> from muon_theory.rooms.isotropic_curvature.growth import power_growth
    >>> z, H = np.array([[0.5, 0.5]] * 2), power_growth(2.0)
    >>> certified_bound(np.array([1.0, 1.0]), H, z, np.array([1.0, 1.0]), np.array([2.0, 2.0])).__round__(9)
    -1.0
    """
    rho = np.sqrt(z @ s**2)
    mean = ((slopes / rho) @ z) / len(rho) * s
    lengths = slopes / rho * np.sqrt(z @ (sigma / mean * s) ** 2)
    return -float(growth.conjugate_bound(lengths).mean())


def _interior_point(
    sigma: Array, growth: Growth, z: Array, tolerance: float, steps: int
) -> tuple[Array, float, float, int]:
    """The iteration: s, its value, the best lower bound, the number of steps."""
    count, r = z.shape
    s = _start(sigma, growth, z)
    radii = np.array([radius for radius, _ in growth.kinks])
    jumps = np.array([jump for _, jump in growth.kinks])
    rho = np.sqrt(z @ s**2)
    excess = rho[:, None] - radii
    spread = float(np.abs(excess).mean()) + 1e-3 * float(rho.mean()) if len(radii) else 1.0
    y = np.full((count, len(radii)), 0.5)
    t = np.maximum(excess, 0) + spread
    v = t - excess
    best_value, best_bound, best_s, step_count = math.inf, -math.inf, s, 0
    for step_count in range(steps + 1):
        excess = rho[:, None] - radii
        slopes = growth.slope(rho) + y @ jumps
        value = float(growth.value(rho).mean() - sigma @ s)
        slack = float(
            ((y * v + (1 - y) * t) @ jumps).mean()
        )  # about the gap; far from the end no bound is worth its cost
        near = slack <= 1e3 * tolerance * abs(value) or step_count == steps
        if near and float(slopes.min()) > 0:
            best_bound = max(best_bound, certified_bound(sigma, growth, z, s, slopes))
        if value < best_value:
            best_value, best_s = value, s
        if best_value - best_bound <= tolerance * max(abs(best_value), 1e-300) or step_count == steps:
            break
        pull = z * (s / rho[:, None])
        gradient = slopes @ pull / count - sigma
        mu = 0.1 * float((y * v + (1 - y) * t).mean()) / 2 if len(radii) else 0.0
        stiffness = 1 / (t / (1 - y) + v / y)
        drive = excess + mu / y - mu / (1 - y)
        curvature = growth.curvature(rho) + stiffness @ jumps - slopes / rho
        hessian = np.diag((slopes / rho) @ z / count) + pull.T @ (pull * curvature[:, None]) / count
        right = -gradient - ((stiffness * drive) @ jumps) @ pull / count
        scaled = 1 / np.sqrt(np.maximum(hessian.diagonal(), 1e-300))
        system = hessian * scaled * scaled[:, None] + 1e-14 * np.eye(r)
        ds = scaled * np.linalg.solve(system, scaled * right)
        dx = (pull @ ds)[:, None]
        dy = stiffness * (dx + drive)
        dt = (mu - (1 - y) * t + t * dy) / (1 - y)
        dv = (mu - y * v - v * dy) / y
        size = min(1.0, *(0.995 * _room(a, b) for a, b in ((s, ds), (t, dt), (v, dv), (y, dy), (1 - y, -dy))))
        if not len(radii):
            size = _backtrack(sigma, growth, z, s, ds, size, float(gradient @ ds))
        s, t, v, y = s + size * ds, t + size * dt, v + size * dv, y + size * dy
        rho = np.sqrt(z @ s**2)
    return best_s, best_value, best_bound, step_count


def _room(value: Array, change: Array) -> float:
    """The largest step that keeps value + step change >= 0."""
    falling = change < 0
    return float((-value[falling] / change[falling]).min()) if bool(falling.any()) else math.inf


def _backtrack(sigma: Array, growth: Growth, z: Array, s: Array, ds: Array, size: float, slope: float) -> float:
    """Armijo's rule on the objective, for an H without kinks."""
    start = float(growth.value(np.sqrt(z @ s**2)).mean() - sigma @ s)
    while size > 1e-10:
        trial = s + size * ds
        if float(growth.value(np.sqrt(z @ trial**2)).mean() - sigma @ trial) <= start + 1e-4 * size * slope:
            break
        size /= 2
    return size


def _start(sigma: Array, growth: Growth, z: Array) -> Array:
    """The best multiple of sigma^(1/2), by bisection of its slope; at least a tenth of the first kink."""
    direction = np.sqrt(sigma / sigma.max())
    rho, gain = np.sqrt(z @ direction**2), float(sigma @ direction)
    low, high = 1e-12, 1e12
    with np.errstate(over="ignore"):
        for _ in range(80):
            middle = math.sqrt(low * high)
            if float((growth.right_slope(middle * rho) * rho).mean()) < gain:
                low = middle
            else:
                high = middle
    if growth.kinks:
        first = growth.kinks[0][0] / float(rho.mean())
        low = min(max(low, 0.1 * first), 10 * max(radius for radius, _ in growth.kinks) / float(rho.mean()))
    return low * direction
