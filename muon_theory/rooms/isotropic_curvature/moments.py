"""Exact expectations over the unit sphere: moments of rho^2 = sum s_i^2 zeta_i^2, and of the positive part of x . z.

With g Gaussian and X = sum x_i g_i^2, x_i = s_i^2, a moment of rho is one of X over one of a chi-square variable. For
any a > 0 and any integer m > a, X^a = X^m X^-(m - a) gives

    E X^a = (1 / Gamma(m - a)) int_0^inf t^(m - a - 1) E[X^m e^(-tX)] dt,
    E[X^m e^(-tX)] = phi(t) m! 2^m c_m(x / d),   phi = prod d_i^(-1/2),   d_i = 1 + 2 t x_i,

c_m the coefficients of prod(1 - t x_i)^(-1/2). Every term is positive, so nothing cancels; in u = log t the integrand
is analytic and decays exponentially, so the trapezoidal rule converges geometrically.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]
TAIL = 40.0  # exp(-TAIL), what is cut off at either end of an integral, relative to its integrand's height
STEP = 0.2  # of the trapezoidal rule in log t; halving it changes no moment by more than 1e-13


class Moment(NamedTuple):
    """E rho^p with its derivatives in x_i = s_i^2: `value`, `gradient` (r,) and `hessian` (r, r) or None.

    Source: elementary.
    """

    value: float
    gradient: Array
    hessian: Array | None


def even_coefficients(x: ArrayLike, order: int) -> Array:
    """Coefficients c_0 ... c_order of prod(1 - t x_i)^(-1/2): c_k = (1/2k) sum_j p_j c_(k-j), p_j = sum_i x_i^j.

    Args:
        x: (..., r), any numbers; all terms are positive where x >= 0.
        order: largest index, >= 0.

    Returns:
        c, shape (order + 1, ...).

    Source: derived here (logarithmic derivative of the generating function), checked against Monte Carlo.

    >>> even_coefficients([4.0, 2.25, 1.0, 0.25], 2)[2] * 2 / (2.5 * 3.5)
    np.float64(2.8714285714285714)
    """
    values = np.asarray(x, dtype=np.float64)
    power_sums: list[Any] = [(values**j).sum(-1) for j in range(1, order + 1)]
    coefficients: list[Any] = [np.ones(values.shape[:-1])]
    for k in range(1, order + 1):
        coefficients.append(sum(power_sums[j - 1] * coefficients[k - j] for j in range(1, k + 1)) / (2 * k))
    return np.stack(coefficients)


def even_moment(x: Sequence[Fraction | int], n: int, k: int, *, half: Fraction | int = 2) -> Fraction:
    """E rho^(2k) in exact rationals: k! / ((n/2)(n/2 + 1)...(n/2 + k - 1)) c_k.

    Args:
        x: squares s_i^2, rationals, at most n of them.
        n: dimension of the sphere's space, >= 1.
        k: >= 1.
        half: the 2 in c_k = (1/2k) sum ..., an argument for the mutation alone.

    Returns:
        The moment.

    Source: derived here, checked against Monte Carlo.

    >>> even_moment([4, Fraction(9, 4), 1, Fraction(1, 4)], 5, 2)
    Fraction(201, 70)
    """
    power_sums = [sum((Fraction(v) ** j for v in x), Fraction(0)) for j in range(1, k + 1)]
    coefficients = [Fraction(1)]
    for i in range(1, k + 1):
        total = sum((power_sums[j - 1] * coefficients[i - j] for j in range(1, i + 1)), Fraction(0))
        coefficients.append(total / (half * i))
    return coefficients[k] * math.factorial(k) / math.prod(Fraction(n, 2) + j for j in range(k))


def power_moment(s: ArrayLike, p: float, n: int, *, order: int | None = None, hessian: bool = False) -> Moment:
    """E rho^p, rho^2 = sum s_i^2 zeta_i^2 with zeta uniform on the unit sphere of R^n, and its derivatives in s_i^2.

    The gradient is (p/2) E[rho^(p-2) zeta_i^2], the Hessian (p/2)(p/2 - 1) E[rho^(p-4) zeta_i^2 zeta_j^2].

    Args:
        s: (r,), r <= n, >= 0, not all zero.
        p: > 0; even integers take the recursion, others one integral.
        n: dimension, >= r.
        order: the integer m > p/2 of the integral; None takes the one in (p/2 + .5, p/2 + 1.5]. p/2 < 1 with m = 1 and
            1 < p/2 < 2 with m = 2 are the integrals of the inventory. Ignored for even p.
        hessian: whether to compute it.

    Returns:
        The moment; relative error about 1e-13.

    Raises:
        ValueError: s, p, n or order out of range.

    Source: derived here (module docstring), checked against Monte Carlo and the even powers.

    Cost: 300 to 600 nodes of the integral times r, with the Hessian times r^2 and m^2/2.

    >>> round(float(power_moment([1.0, 1.0, 1.0], 2.7, 3).value), 12)
    1.0
    >>> power_moment([2.0, 1.0], 2.0, 4).value
    1.25
    """
    values = np.asarray(s, dtype=np.float64)
    if values.ndim != 1 or not np.all(np.isfinite(values)) or values.min(initial=0.0) < 0 or not values.any():
        raise ValueError(f"s = {values.tolist()}: give a vector of finite numbers >= 0, not all zero")
    if not (math.isfinite(p) and p > 0):
        raise ValueError(f"p = {p}: the power must be finite and > 0")
    if n < len(values):
        raise ValueError(f"n = {n}: the dimension is at least the number of singular values, {len(values)}")
    a, largest = p / 2, values.max()
    x = (values / largest) ** 2
    if a == int(a):
        nodes, weights, m = np.zeros(1), np.ones(1), int(a)
    else:
        m = round(a) + 1 if order is None else order
        if m <= a:
            raise ValueError(f"order = {order}: it must be an integer above p/2 = {a}")
        nodes, weights = _nodes(m - a, a)
    d = 1 + 2 * nodes[:, None] * x
    y = x / d
    coefficients = even_coefficients(y, m)
    log_size = gammaln(m + 1) + m * math.log(2) - a * math.log(2) - gammaln(n / 2 + a) + gammaln(n / 2)
    mass = weights * np.exp(log_size - 0.5 * np.log(d).sum(1))
    # Derivatives at fixed t: d c_m(y) phi / d x_i has the generating function of X^m weighted by g_i^2 e^(-tX).
    value = float(mass @ coefficients[m])
    gradient = _weighted(mass, y, d, coefficients, m) * (a / m)
    with np.errstate(over="ignore"):  # an infinite moment is a trial step too long, which a caller shortens
        scale = largest**p
    second = _second(mass, y, d, coefficients, m) * (a * (a - 1) / (m * (m - 1))) if hessian and m > 1 else None
    if hessian and m == 1:
        second = np.zeros((len(x), len(x))) if a == 1 else power_moment(s, p, n, order=2, hessian=True).hessian
        return Moment(float(value * scale), gradient * scale / largest**2, second)
    return Moment(
        float(value * scale), gradient * scale / largest**2, None if second is None else second * scale / largest**4
    )


def _nodes(b: float, a: float) -> tuple[Array, Array]:
    """Nodes t and weights of int_0^inf t^(b-1) f(t) dt / Gamma(b), f flat at 0 and falling as t^-(a + b + 1/2)."""
    u = np.arange(-TAIL / b, TAIL / (a + 0.5) + STEP, STEP)
    return np.exp(u), STEP * np.exp(b * u - gammaln(b))


def _weighted(mass: Array, y: Array, d: Array, coefficients: Array, m: int) -> Array:
    """sum_t mass (1/(2 d_i)) sum_j y_i^j c_(m-1-j) times 1/... : E[X^(m-1) g_i^2 e^(-tX)] m, over 2^m m!."""
    inner, power = np.zeros_like(y), np.ones_like(y)
    for j in range(m):
        inner += power * coefficients[m - 1 - j][:, None]
        power = power * y
    return 0.5 * (mass[:, None] * inner / d).sum(0)


def _second(mass: Array, y: Array, d: Array, coefficients: Array, m: int) -> Array:
    """The same with g_i^2 g_j^2 (g_i^4 on the diagonal)."""
    powers = [np.ones_like(y)]
    for _ in range(m - 2):
        powers.append(powers[-1] * y)
    left = [power / d for power in powers]
    total = np.zeros((y.shape[1], y.shape[1]))
    for j in range(m - 1):
        right = np.zeros_like(y)
        for k in range(m - 1 - j):
            right += left[k] * coefficients[m - 2 - j - k][:, None]
        total += left[j].T @ (mass[:, None] * right)
    return 0.25 * (total + 2 * np.diag(total.diagonal()))


def positive_part(x: ArrayLike) -> Moment:
    """E (x . z)_+ with z_i = zeta_i^2 on the unit sphere of R^n, n the length of x, and its derivatives in x.

    E X_+ = (1/2 pi) int prod(1 - 2 tau x_i)^(-1/2) tau^-2 d omega along tau = c + i omega, 0 < c < 1/(2 max x), c the
    saddle point: relative accuracy even where the event x . z > 0 is rare, which the integral over |X| loses.

    Args:
        x: (n,), finite.

    Returns:
        The expectation, its gradient E[z_i; x . z > 0] and Hessian; relative error about 1e-12.

    Raises:
        ValueError: x is no finite vector.

    Source: derived here (Laplace inversion of E e^(tau X)), checked against the integral of the inventory.

    >>> moment = positive_part([1.0, -1.0])
    >>> round(moment.value * np.pi, 12), moment.gradient.round(4).tolist()
    (1.0, [0.4092, 0.0908])
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.all(np.isfinite(values)):
        raise ValueError(f"x = {values.tolist()}: give a vector of finite numbers")
    n = len(values)
    if values.min() >= 0 or values.max() <= 0:
        share = float(values.min() >= 0)
        return Moment(share * float(values.sum()) / n, np.full(n, share / n), np.zeros((n, n)))
    c = _saddle(values)
    room = min(1.0, 1 / (2 * values.max() * c) - 1)  # distance to the singularity on the right, in units of c
    step = 2 * math.pi * 0.9 * math.asin(room) / 36
    v = np.arange(0.0, 26.0, step)
    weights = np.where(v == 0, 0.5, 1.0) * step * c * np.cosh(v) / math.pi
    tau = c + 1j * c * np.sinh(v)
    d = 1 - 2 * tau[:, None] * values
    size = np.exp(-0.5 * np.log(d).sum(1)) * weights
    gradient = ((size / tau)[:, None] / d).sum(0).real
    hessian = ((size[:, None] / d).T @ (1 / d)).real
    return Moment(float((size / tau**2).sum().real) / n, gradient / n, (hessian + 2 * np.diag(hessian.diagonal())) / n)


def _saddle(x: Array) -> float:
    """The c in (0, 1/(2 max x)) with the least prod(1 - 2 c x_i)^(-1/2) / c^2, by bisection of the derivative."""
    low, high = 0.0, 1 / (2 * x.max())
    for _ in range(60):
        c = (low + high) / 2
        if (x / (1 - 2 * c * x)).sum() < 2 / c:
            low = c
        else:
            high = c
    return (low + high) / 2


class SquareMoments(NamedTuple):
    """Mean, variance and variance over squared mean of ||Q zeta||^2.

    Source: elementary.
    """

    mean: float | Fraction
    variance: float | Fraction
    relative_variance: float | Fraction


def square_moments(trace: float | Fraction, trace_of_square: float | Fraction, n: int) -> SquareMoments:
    """Mean and variance of ||Q zeta||^2, zeta uniform on the unit sphere of R^n, A = Q^T Q, r_eff = (tr A)^2 / tr A^2.

    Args:
        trace: tr A > 0; a rational gives exact results.
        trace_of_square: tr A^2.
        n: number of columns of Q, >= 1.

    Returns:
        tr A / n, (2 / (n (n + 2))) (tr A^2 - (tr A)^2 / n), and (2 / (n + 2)) (n / r_eff - 1).

    Source: derived here from the even moments; stated in a public research log of 2026.

    >>> square_moments(Fraction(3), Fraction(3), 3)
    SquareMoments(mean=Fraction(1, 1), variance=Fraction(0, 1), relative_variance=Fraction(0, 1))
    """
    excess = trace_of_square - trace * trace / n
    return SquareMoments(
        trace / n, 2 * excess / (n * (n + 2)), 2 * (n * trace_of_square / (trace * trace) - 1) / (n + 2)
    )
