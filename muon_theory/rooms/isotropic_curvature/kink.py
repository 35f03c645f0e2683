"""When a kink makes the orthogonalised gradient optimal: sharp criterion, necessary conditions, the plane n = 2.

H has slope A = `low` just below the kink radius c and B = `high` just above. Q = c U V^T is optimal (m >= n) if and
only if some g: sphere -> [A, B] has E[g z_i] = sigma_i for all i, equivalently, for all x,
x . sigma <= (A/n) sum x + (B - A) E (x . z)_+.
With sigma' = sigma - A/n this is B - A >= sup x . sigma' / E (x . z)_+, the smallest jump.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog, root_scalar
from scipy.stats import beta

from muon_theory.rooms.isotropic_curvature.moments import positive_part

Array = NDArray[np.float64]


class JumpBound(NamedTuple):
    """The smallest jump B - A that makes the polar factor optimal, and its certificates.

    `direction` is the x that attains it; `residual` the largest |E[g z_i] - sigma_i| / sigma_i of the weight
    g = A + (B - A) 1[x . z > 0] at that jump (0 where the jump is infinite): the primal side of the same number.

    Source: derived here.
    """

    jump: float
    direction: Array
    residual: float


class SampledCriterion(NamedTuple):
    """`distance` min over g of |sigma - E[g z]|_1, the weights g (N,) that attain it, and the separating x, |x| <= 1.

    Source: elementary.
    """

    distance: float
    weights: Array
    separator: Array


def _spectrum(sigma: ArrayLike) -> Array:
    """A checked copy of the singular values."""
    values = np.array(sigma, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.all(np.isfinite(values)) or values.min() < 0:
        raise ValueError(f"sigma = {values.tolist()}: give a vector of finite singular values >= 0")
    return values


def planar_boundary(total: ArrayLike, low: float, high: float, *, pi: float = math.pi) -> Array:
    """For n = 2 the largest sigma_1 - sigma_2 with an optimal polar factor, ((B - A)/pi) sin(pi (T - A)/(B - A)).

    Args:
        total: T = sigma_1 + sigma_2, any shape.
        low: slope A below the kink, >= 0.
        high: slope B above, > A.
        pi: the constant in front of the sine's amplitude, an argument for the mutation alone.

    Returns:
        The boundary, shape of total; -inf where T is outside [A, B], so that nothing is optimal there.

    Raises:
        ValueError: not 0 <= A < B.

    Source: derived here: g = B where zeta_1^2 exceeds a quantile, A elsewhere, is the extreme weight.

    >>> planar_boundary([0.5, 2.0], 0.0, 1.0).round(4).tolist()
    [0.3183, -inf]
    """
    if not 0 <= low < high < math.inf:
        raise ValueError(f"low = {low}, high = {high}: the slopes must satisfy 0 <= low < high, both finite")
    t = np.asarray(total, dtype=np.float64)
    inside = (t >= low) & (t <= high)
    angle = math.pi * (np.clip(t, low, high) - low) / (high - low)
    return np.where(inside, (high - low) / pi * np.sin(angle), -np.inf)


def smallest_jump(sigma: ArrayLike, low: float = 0.0, *, tolerance: float = 1e-12) -> JumpBound:
    """The smallest jump of the slope for which the polar factor is optimal, sup x . sigma' / E (x . z)_+, m >= n.

    Convex: E (x . z)_+ is minimised over x . sigma' = 1 by Newton's method with exact integrals.

    Args:
        sigma: singular values, (n,), >= 0.
        low: slope A below the kink, >= 0.
        tolerance: bound of the relative Newton decrement at the end.

    Returns:
        The jump and its certificates; infinite, with x = -e_i, where some sigma_i <= A/n and not all are equal.

    Raises:
        ValueError: sigma or low out of range, or sigma = 0.
        RuntimeError: Newton's method did not converge.

    Source: derived here (duality; the criterion without kink strength is Su 2025, arXiv 2511.00674, Theorem 4).

    >>> round(smallest_jump([2.0, 1.0]).jump / 3, 6)
    1.378579
    """
    values = _spectrum(sigma)
    if not (math.isfinite(low) and low >= 0):
        raise ValueError(f"low = {low}: the slope below the kink is finite and >= 0")
    n = len(values)
    shifted = values - low / n
    if np.ptp(values) == 0 and shifted[0] >= 0:
        if shifted[0] == 0 and low == 0:
            raise ValueError("sigma is zero: no update is called for; give a gradient that is not zero")
        return JumpBound(float(shifted.sum()), np.ones(n), 0.0)
    if shifted.min() <= 0:
        return JumpBound(math.inf, -np.eye(n)[int(shifted.argmin())], 0.0)
    x = np.log(shifted) - np.log(shifted).mean()
    x = x / (x @ shifted)
    last = int(shifted.argmin())
    moment = positive_part(x)
    for _ in range(100):
        assert moment.hessian is not None
        # Newton step within x . sigma' = 1; homogeneity makes the Hessian singular along x only, which is no tangent.
        scale = max(float(moment.hessian.diagonal().max()), 1e-300)
        system = np.zeros((n + 1, n + 1))
        system[:n, :n] = moment.hessian / scale + 1e-15 * np.eye(n)
        system[:n, n] = system[n, :n] = shifted
        step = np.linalg.solve(system, np.append(-moment.gradient / scale, 0.0))[:n]
        decrement = -float(moment.gradient @ step)
        if decrement <= tolerance * moment.value:
            break
        size, found, trial = 1.0, None, x
        while size > 1e-10 and found is None:
            trial = x + size * step
            # The minimiser is ordered as sigma and has a negative coordinate; where all are positive the objective is
            # linear and Newton's method is lost.
            if trial[last] <= 0.1 * x[last]:
                candidate = positive_part(trial)
                found = candidate if candidate.value <= moment.value - 1e-4 * size * decrement else None
            size /= 2
        if found is None:
            break
        x, moment = trial, found
    else:
        raise RuntimeError(f"sigma = {values.tolist()}: the smallest jump was not found in 100 Newton steps")
    jump = 1 / moment.value
    attained = low / n + jump * moment.gradient
    return JumpBound(jump, x, float(np.max(np.abs(attained - values) / values)))


def criterion_margin(sigma: ArrayLike, low: float, high: float, x: ArrayLike) -> float:
    """Violation x . sigma - (A/n) sum x - (B - A) E (x . z)_+: positive for one x: the polar factor is not optimal.

    Args:
        sigma: singular values, (n,), >= 0.
        low: slope A below the kink.
        high: slope B above.
        x: a direction, (n,).

    Returns:
        The violation, in the unit of sigma.

    Source: derived here (support function of the subdifferential at U V^T).

    >>> criterion_margin([2.0, 1.0], 0.0, 4.0, [1.0, 1.0])
    -1.0
    """
    direction = np.asarray(x, dtype=np.float64)
    n = len(direction)
    share = low / n * float(direction.sum())
    return float(direction @ _spectrum(sigma)) - share - (high - low) * positive_part(direction).value


def sampled_criterion(sigma: ArrayLike, low: float, high: float, z: Array) -> SampledCriterion:
    """The criterion on samples as a linear program: min |sigma - mean(g z)|_1 over weights A <= g_k <= B.

    Args:
        sigma: singular values, (n,), >= 0.
        low: slope A below the kink.
        high: slope B above, >= A.
        z: squares of unit vectors, (N, n).

    Returns:
        Distance (0: optimal on these samples), weights, and the separating direction from the dual.

    Raises:
        ValueError: not A <= B.
        RuntimeError: the linear program was not solved.

    Source: derived here; HiGHS through scipy.

    >>> z = np.array([[0.1, 0.9], [0.9, 0.1]])
    >>> sampled_criterion([0.6, 0.4], 0.0, 2.0, z).distance < 1e-9
    True
    """
    values = _spectrum(sigma)
    if not low <= high:
        raise ValueError(f"low = {low}, high = {high}: the slope must not fall at the kink")
    count, n = z.shape
    equations = np.hstack([z.T / count, np.eye(n), -np.eye(n)])
    cost = np.concatenate([np.zeros(count), np.ones(2 * n)])
    bounds = [(low, high)] * count + [(0.0, None)] * (2 * n)
    solved = linprog(cost, A_eq=equations, b_eq=values, bounds=bounds, method="highs")
    if solved.status != 0:
        raise RuntimeError(f"the linear program ended with: {solved.message}")
    return SampledCriterion(float(solved.fun), solved.x[:count], solved.eqlin.marginals)


def beta_conditions(sigma: ArrayLike, low: float, high: float, *, shift: int = 1) -> Array:
    """Slack of the n necessary conditions, one for each number j of leading modes; negative: not optimal.

    sum_(i<=j) sigma_i <= (j/n) [A + (B - A) P(Beta(j/2 + 1, (n-j)/2) > q)], q the quantile of Beta(j/2, (n-j)/2) at
    (B - T)/(B - A): the criterion with x = 1 on the first j coordinates and any constant on the others.

    Args:
        sigma: singular values, (n,), descending, >= 0.
        low: slope A below the kink, >= 0.
        high: slope B above, > A.
        shift: the 1 in Beta(j/2 + 1, .), an argument for the mutation alone.

    Returns:
        Right minus left side, (n + 1,): j = 1..n (at j = n it is B - T) and last T - A.

    Raises:
        ValueError: not 0 <= A < B.

    Source: derived here.

    >>> beta_conditions([0.6, 0.4], 0.0, 2.0).round(4).tolist()
    [0.2183, 1.0, 1.0]
    """
    values = np.sort(_spectrum(sigma))[::-1]
    if not 0 <= low < high < math.inf:
        raise ValueError(f"low = {low}, high = {high}: the slopes must satisfy 0 <= low < high, both finite")
    n, total = len(values), float(values.sum())
    tail = min(1.0, max(0.0, (total - low) / (high - low)))
    j = np.arange(1, n)
    rest = beta.ppf(tail, (n - j) / 2, j / 2)  # 1 - q, which keeps its digits where q is near 1
    right = j / n * (low + (high - low) * beta.cdf(rest, (n - j) / 2, j / 2 + shift))
    return np.array([*(right - np.cumsum(values)[:-1]), high - total, total - low])


def beta_lower_bound(sigma: ArrayLike, leading: int | None = None) -> float:
    """The smallest B, at A = 0, that the necessary conditions allow: a lower bound of the smallest jump.

    Args:
        sigma: singular values, (n,), > 0, n >= 2.
        leading: only the condition of this j, or None for all of them.

    Returns:
        B, in the unit of sigma; inf beyond 1e10 sum sigma.

    Source: derived here, by bisection.

    >>> round(beta_lower_bound([2.0, 1.0]) / 3, 6)
    1.378579
    """
    values = _spectrum(sigma)
    total = float(values.sum())

    def slack(log_high: float) -> float:
        slacks = beta_conditions(values, 0.0, total * math.exp(log_high))[:-2]
        return float(slacks.min() if leading is None else slacks[leading - 1])

    if slack(1e-12) >= 0:
        return total
    if slack(23.0) < 0:
        return math.inf
    return total * math.exp(root_scalar(slack, bracket=(1e-12, 23.0), xtol=1e-14).root)
