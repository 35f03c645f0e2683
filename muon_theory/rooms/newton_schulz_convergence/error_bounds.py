"""How far q Taylor Newton-Schulz steps are from the polar factor: the exact error, and the bounds on it.

x is the smallest positive singular value after pre-scaling, delta_0 = 1 - x^2 the first residual, eps_0 = 1 - x the
first operator error. All functions take `x` as float, numpy array or `arb`; with `arb` their values are certified.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

from flint import arb

from muon_theory.rooms.newton_schulz_convergence.taylor import (
    iterated,
    rational,
    residual_constant,
    residual_map,
    slope_at_zero,
)

T = TypeVar("T")


def operator_error(k: int, x: T, q: int) -> T:
    """The operator error eps_q = ||X_q - P(C)||_op = 1 - F_k^(q)(x) after q steps, by the exact recursion.

    Args:
        k: Taylor order, integer >= 1.
        x: smallest positive singular value after pre-scaling, in (0, 1]; float, numpy array or `arb`.
        q: number of steps, integer >= 0.

    Returns:
        The error, of the kind of `x`, in [0, 1).

    Source: Kim and Oh, 2026, arXiv 2601.19156, Lemmas 1 and 2.
    Accuracy: no cancellation near eps = 0 (the residual is iterated); in float64 x below 1e-8 is lost against 1.

    >>> round(operator_error(2, 0.03, 5), 6)
    0.384188
    """
    value: Any = x
    return _error_from_residual(iterated(residual_map, k, (1 - value) * (1 + value), q))


def theorem_two_bound(k: int, x: T, q: int) -> T:
    """Kim and Oh's bound 1 - sqrt(1 - delta_0^((k+1)^q)) on eps_q, with delta_0 = 1 - x^2.

    Args:
        k: Taylor order, integer >= 1.
        x: smallest positive singular value after pre-scaling, in (0, 1]; float, numpy array or `arb`.
        q: number of steps, integer >= 0.

    Returns:
        The bound, of the kind of `x`.

    Source: Kim and Oh, 2026, arXiv 2601.19156, Theorem 2.

    >>> round(theorem_two_bound(2, 0.03, 5), 6)
    0.556698
    """
    value: Any = x
    return _error_from_residual(((1 - value) * (1 + value)) ** ((k + 1) ** q))


def slope_bound(k: int, x: T, q: int) -> T:
    """The bound (1 - x)^(a_k^q) on eps_q; better than Theorem 2 for small x, and its exponent is best possible.

    Args:
        k: Taylor order, integer >= 1.
        x: smallest positive singular value after pre-scaling, in (0, 1]; float, numpy array or `arb`.
        q: number of steps, integer >= 0.

    Returns:
        The bound, of the kind of `x`.

    Source: derived here, checked in claims NS-14 and NS-15.

    >>> round(slope_bound(2, 0.03, 5), 6)
    0.493679
    """
    value: Any = x
    exponent = slope_at_zero(k) ** q
    return (1 - value) ** (arb(rational(exponent)) if isinstance(value, arb) else float(exponent))


def residual_bounds(k: int, delta: T, q: int, *, constant: Fraction | None = None) -> tuple[T, T]:
    """Two-sided bounds C_k^(((k+1)^q - 1)/k) delta_0^((k+1)^q) <= delta_q <= delta_0^((k+1)^q) on the residual.

    Args:
        k: Taylor order, integer >= 1.
        delta: first residual delta_0 in [0, 1]; float, numpy array or `arb`.
        q: number of steps, integer >= 0.
        constant: C_k; None takes the best one.

    Returns:
        The lower and the upper bound, of the kind of `delta`.

    Source: upper bound Kim and Oh, 2026, arXiv 2601.19156, Theorem 2; lower bound derived here, claim NS-13.

    >>> residual_bounds(1, 0.5, 1)
    (0.1875, 0.25)
    """
    best = residual_constant(k)
    factor: Any = rational(best if constant is None else constant)
    if not isinstance(delta, arb):
        factor = float(best if constant is None else constant)
    value: Any = delta
    upper = value ** ((k + 1) ** q)
    return factor ** (((k + 1) ** q - 1) // k) * upper, upper


def smallest_steps(
    k: int,
    x: Fraction,
    chi: Fraction,
    *,
    error: Callable[[int, arb, int], arb] = operator_error,
    most: int = 100,
) -> int:
    """The smallest q with chi_q = 1/(1 - eps_q) <= chi, decided with certainty in ball arithmetic.

    Args:
        k: Taylor order, integer >= 1.
        x: smallest positive singular value after pre-scaling, exact, in (0, 1].
        chi: the factor allowed, exact, above 1.
        error: the error or a bound on it: `operator_error`, `theorem_two_bound` or `slope_bound`.
        most: give up beyond this many steps.

    Returns:
        The number of steps.

    Raises:
        ValueError: x or chi outside their range.
        ArithmeticError: undecided at the working precision, or not reached after `most` steps.

    Source: derived here from Kim and Oh, 2026, arXiv 2601.19156, Theorem 2; claims NS-22.
    Accuracy: the working precision is the caller's (`flint.ctx.workprec`); 53 bits decide x >= 1e-6.

    >>> smallest_steps(2, Fraction(3, 100), Fraction(101, 100))
    7
    """
    if not 0 < x <= 1 or chi <= 1:
        raise ValueError(f"x must lie in (0, 1] and chi above 1, got x = {x}, chi = {chi}")
    allowed = 1 - 1 / rational(chi)
    for q in range(most + 1):
        value = error(k, arb(rational(x)), q)
        if value <= allowed:
            return q
        if not value > allowed:
            raise ArithmeticError(f"undecided at q = {q}: raise flint.ctx.prec")
    raise ArithmeticError(f"chi = {chi} not reached within {most} steps from x = {x}")


def _error_from_residual(delta: Any) -> Any:
    """1 - sqrt(1 - delta) without cancellation."""
    root = (1 - delta).sqrt() if isinstance(delta, arb) else (1 - delta) ** 0.5
    return delta / (1 + root)
