"""The Taylor Newton-Schulz polynomial, what one step does to a singular value, and its constants.

With k the Taylor order, p_k(lam) = sum_{s<=k} c_s (1 - lam)^s. A step X <- p_k(X X^T) X maps every singular value sigma
to F_k(sigma) and every residual u = 1 - sigma^2 to phi_k(u). The maps take numbers of any kind (Fraction and `fmpq`
exactly, float and numpy arrays in float64, `arb` in ball arithmetic) and `fmpq_poly`, which gives them as polynomials.
"""

from collections.abc import Callable
from fractions import Fraction
from math import comb
from typing import Any, TypeVar

from flint import arb, fmpq, fmpq_poly

Value = TypeVar("Value")


def taylor_weight(s: int) -> Fraction:
    """The Taylor coefficient c_s = C(2s, s) / 4^s of (1 - u)^(-1/2) at u = 0.

    Args:
        s: index, integer >= 0.

    Returns:
        The exact coefficient.

    Raises:
        ValueError: s < 0.

    Source: Kim and Oh, 2026, arXiv 2601.19156, Definition 2.

    >>> [str(taylor_weight(s)) for s in range(5)]
    ['1', '1/2', '3/8', '5/16', '35/128']
    """
    if s < 0:
        raise ValueError(f"s must be an integer >= 0, got {s}")
    return Fraction(comb(2 * s, s), 4**s)


def slope_at_zero(k: int) -> Fraction:
    """The factor a_k = F_k'(0) = p_k(0) = (2k + 1) c_k by which one step stretches a tiny singular value.

    Args:
        k: Taylor order, integer >= 1.

    Returns:
        The exact slope: 3/2, 15/8, 35/16, 315/128, ...

    Source: derived here from Kim and Oh, 2026, arXiv 2601.19156, proof of Proposition 1; claim NS-06.

    >>> str(slope_at_zero(2))
    '15/8'
    """
    return (2 * _order(k) + 1) * taylor_weight(k)


def residual_constant(k: int) -> Fraction:
    """The best constant C_k = 2 c_{k+1} with phi_k(u) >= C_k u^(k+1) on [0, 1].

    Args:
        k: Taylor order, integer >= 1.

    Returns:
        The exact constant: 3/4, 5/8, 35/64, 63/128, ...

    Source: leading coefficient in Kim and Oh, 2026, arXiv 2601.19156, Lemma 3; the global bound is claim NS-11.

    >>> str(residual_constant(1))
    '3/4'
    """
    return 2 * taylor_weight(_order(k) + 1)


def error_constant(k: int) -> Fraction:
    """The limit 2^(k+1) c_{k+1} of eps_1 / eps_0^(k+1) as eps_0 = 1 - sigma tends to 0.

    Args:
        k: Taylor order, integer >= 1.

    Returns:
        The exact constant: 3/2, 5/2, 35/8, ...; above 1, so eps itself does not contract like eps^(k+1).

    Source: derived here, checked in claim NS-18.

    >>> str(error_constant(3))
    '35/8'
    """
    return 2 ** (k + 1) * taylor_weight(_order(k) + 1)


def newton_schulz_polynomial(k: int, lam: Value) -> Value:
    """The polynomial p_k(lam) = sum_{s=0}^{k} c_s (1 - lam)^s, the Taylor polynomial of lam^(-1/2) at 1.

    Args:
        k: Taylor order, integer >= 1; a step has degree 2k + 1 in sigma.
        lam: squared singular value(s), in [0, 1] for the theory; any kind of number, or an `fmpq_poly`.

    Returns:
        The value, of the kind of `lam`.

    Source: Kim and Oh, 2026, arXiv 2601.19156, Definition 2.
    Accuracy: float64 rounding; all terms are positive on [0, 1].

    >>> newton_schulz_polynomial(2, Fraction(0))
    Fraction(15, 8)
    >>> newton_schulz_polynomial(1, fmpq_poly([0, 1]))
    (-1/2)*x + 3/2
    """
    one: Any = 1
    return _horner([taylor_weight(s) for s in range(_order(k) + 1)], one - lam)


def singular_value_map(k: int, sigma: Value) -> Value:
    """What one step does to a singular value: F_k(sigma) = sigma p_k(sigma^2) = a_k int_0^sigma (1 - x^2)^k dx.

    Args:
        k: Taylor order, integer >= 1.
        sigma: singular value(s) in [0, 1]; any kind of number, or an `fmpq_poly`.

    Returns:
        The image(s), of the kind of `sigma`, in [0, 1].

    Source: Kim and Oh, 2026, arXiv 2601.19156, Algorithm 1; the integral form is claim NS-07.

    >>> singular_value_map(1, Fraction(9, 10))
    Fraction(1971, 2000)
    """
    value: Any = sigma
    return value * newton_schulz_polynomial(k, value * value)


def squared_map(k: int, lam: Value) -> Value:
    """What one step does to a squared singular value: tau_k(lam) = lam p_k(lam)^2.

    Args:
        k: Taylor order, integer >= 1.
        lam: squared singular value(s) in [0, 1]; any kind of number, or an `fmpq_poly`.

    Returns:
        The image(s), of the kind of `lam`, in [0, 1].

    Source: Kim and Oh, 2026, arXiv 2601.19156, Proposition 1.

    >>> squared_map(1, Fraction(1, 4))
    Fraction(121, 256)
    """
    value: Any = lam
    return value * newton_schulz_polynomial(k, value) ** 2


def residual_map(k: int, u: Value) -> Value:
    """What one step does to the residual u = 1 - sigma^2, without cancellation.

    phi_k(u) = 1 - (1 - u) p_k(1 - u)^2 = (2k + 1) c_k sum_{s=0}^{k} c_s u^(k+1+s) / (k + 1 + s).

    Args:
        k: Taylor order, integer >= 1.
        u: residual(s) in [0, 1]; any kind of number, or an `fmpq_poly`.

    Returns:
        The next residual(s), of the kind of `u`, in [0, 1].

    Source: Kim and Oh, 2026, arXiv 2601.19156, Lemma 2; closed form there for k = 1, 2, for all k claim NS-09.
    Accuracy: relative error of a few units of rounding, also for u near 0.

    >>> residual_map(1, Fraction(1, 2))
    Fraction(7, 32)
    """
    base: Any = u
    weights = [slope_at_zero(k) * taylor_weight(s) / (k + 1 + s) for s in range(k + 1)]
    return base ** (k + 1) * _horner(weights, base)


def iterated(step: Callable[[int, Value], Value], k: int, start: Value, q: int) -> Value:
    """A map of this module applied q times.

    Args:
        step: one of the maps, called as step(k, value).
        k: Taylor order, integer >= 1.
        start: the first argument.
        q: number of Newton-Schulz steps, integer >= 0.

    Returns:
        The value after q steps; `start` itself for q = 0.

    Raises:
        ValueError: q < 0.

    Source: elementary.

    >>> iterated(residual_map, 1, 0.5, 2)
    0.03850...
    """
    if q < 0:
        raise ValueError(f"q, the number of steps, must be >= 0, got {q}")
    value = start
    for _ in range(q):
        value = step(k, value)
    return value


def _order(k: int) -> int:
    if k < 1:
        raise ValueError(f"k, the Taylor order, must be an integer >= 1 (degree 2k + 1 in sigma), got {k}")
    return k


def _horner(weights: list[Fraction], x: Any) -> Any:
    """The polynomial with these coefficients, lowest power first, at x, in the arithmetic of x."""
    if isinstance(x, arb | fmpq | fmpq_poly):
        convert = rational
    elif isinstance(x, int | Fraction):
        convert = Fraction
    else:
        convert = float
    scaled: Any = 0 * x
    value = scaled + convert(weights[-1])
    for weight in reversed(weights[:-1]):
        value = value * x + convert(weight)
    return value


def rational(value: Fraction | int | str) -> fmpq:
    """The exact rational as python-flint writes it.

    Args:
        value: a Fraction, an int, or a decimal such as "3.4445".

    Returns:
        The same number as `fmpq`.

    Source: elementary.

    >>> rational("-4.775")
    -191/40
    """
    exact = Fraction(value)
    return fmpq(exact.numerator, exact.denominator)
