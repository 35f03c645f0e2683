"""How far q steps are from the polar factor: the exact error of Taylor steps, the bounds on it, and minimax cubics.

x is the smallest positive singular value after pre-scaling, delta_0 = 1 - x^2 the first residual, eps_0 = 1 - x the
first operator error. All functions take `x` as float, numpy array or `arb`; with `arb` their values are certified.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from flint import arb
from numpy.typing import ArrayLike, NDArray

from muon_theory.rooms.newton_schulz_convergence.taylor import (
    iterated,
    rational,
    residual_constant,
    residual_map,
    singular_value_map,
    slope_at_zero,
)

Value = TypeVar("Value")


def operator_error(k: int, x: Value, q: int) -> Value:
    """The operator error eps_q = ||X_q - P(C)||_op = 1 - F_k^(q)(x) after q steps, by the exact recursion.

    Args:
        k: Taylor order, integer >= 1.
        x: smallest positive singular value after pre-scaling, in (0, 1]; float, numpy array or `arb`.
        q: number of steps, integer >= 0.

    Returns:
        The error, of the kind of `x`, in [0, 1).

    Raises:
        ValueError: q < 0.

    Source: Kim and Oh, 2026, arXiv 2601.19156, Lemmas 1 and 2.
    Accuracy: a few units of rounding a step, relative to eps_q and for every x: the singular value is iterated while it
        is small, the residual after that, so neither end cancels.

    >>> round(operator_error(2, 0.03, 5), 6)
    0.384188
    """
    if q < 0:
        raise ValueError(f"q, the number of steps, must be >= 0, got {q}")
    sigma: Any = x
    residual = (1 - sigma) * (1 + sigma)
    for _ in range(q):
        sigma, residual = singular_value_map(k, sigma), residual_map(k, residual)
        residual = _where_small(sigma, (1 - sigma) * (1 + sigma), residual)
    return residual / (1 + sigma)


def theorem_two_bound(k: int, x: Value, q: int) -> Value:
    """Kim and Oh's bound 1 - sqrt(1 - delta_0^((k+1)^q)) on eps_q, with delta_0 = 1 - x^2.

    Args:
        k: Taylor order, integer >= 1.
        x: smallest positive singular value after pre-scaling, in (0, 1]; float, numpy array or `arb`.
        q: number of steps, integer >= 0.

    Returns:
        The bound, of the kind of `x`.

    Source: Kim and Oh, 2026, arXiv 2601.19156, Theorem 2.
    Accuracy: float64 rounding for every x; no cancellation at either end.

    >>> round(theorem_two_bound(2, 0.03, 5), 6)
    0.556698
    """
    value: Any = x
    power = (k + 1) ** q
    bound = ((1 - value) * (1 + value)) ** power
    if isinstance(value, arb):
        return bound / (1 + (1 - bound).sqrt())
    with np.errstate(divide="ignore"):
        rest = -np.expm1(power * np.log1p(-np.square(value)))
    close = bound / (1 + rest**0.5)
    return close if isinstance(value, np.ndarray) else close.item()


def slope_bound(k: int, x: Value, q: int) -> Value:
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


def residual_bounds(k: int, delta: Value, q: int, *, constant: Fraction | None = None) -> tuple[Value, Value]:
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
    Accuracy: the working precision is the caller's (`flint.ctx.workprec`).

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


def scaled_cubic(lower: Value, upper: Value, *, scale: Value | None = None) -> tuple[Value, Value]:
    """The minimax cubic as a rescaled Taylor cubic: p(x) = B (3Ax - (Ax)^3)/2, B = 4/(2 + l u (l + u) A^3).

    Args:
        lower: lower end l > 0 of the interval; float, numpy array or `arb`.
        upper: upper end u > l.
        scale: A; None takes the best one, sqrt(3/(u^2 + l u + l^2)).

    Returns:
        (c1, c3) of p(x) = c1 x + c3 x^3.

    Source: Amsel et al., 2025, arXiv 2505.16932, as relayed in two notes; checked in claim PE-01.

    >>> [round(c, 6) for c in scaled_cubic(0.1, 1.0)]
    [3.963405, -3.570635]
    """
    l, u = _ends(lower, upper)
    a: Any = _root(3 / (u * u + l * u + l * l)) if scale is None else scale
    b = 4 / (2 + l * u * (l + u) * a**3)
    return 3 * a * b / 2, -(a**3) * b / 2


def minimax_cubic(lower: Value, upper: Value, *, mean_square: Value | None = None) -> tuple[Value, Value]:
    """The odd cubic closest to 1 on [l, u]: p(x) = 2(3wx - x^3)/(2w^(3/2) + l^2 u + l u^2), w = (l^2 + lu + u^2)/3.

    Args:
        lower: lower end l > 0 of the interval; float, numpy array or `arb`.
        upper: upper end u > l.
        mean_square: w; None takes the best one.

    Returns:
        (c1, c3) of p(x) = c1 x + c3 x^3.

    Source: derived here in the form of CANS (Grishina et al., 2025, arXiv 2506.10935); claim PE-02.

    >>> [round(c, 6) for c in minimax_cubic(0.1, 1.0)]
    [3.963405, -3.570635]
    """
    l, u = _ends(lower, upper)
    w: Any = (l * l + l * u + u * u) / 3 if mean_square is None else mean_square
    denominator = 2 * w * _root(w) + l * u * (l + u)
    return 6 * w / denominator, -2 / denominator


def greedy_cubic_error(lower: Value, steps: int) -> Value:
    """The error of the greedy composition of minimax cubics on [l, 1].

    On [l, u] the minimax cubic has error E = (2w^(3/2) - l^2 u - l u^2)/(2w^(3/2) + l^2 u + l u^2); then l' = 1 - E,
    u' = 1 + E.

    Args:
        lower: smallest singular value l, in (0, 1); float, numpy array or `arb`.
        steps: number of steps, integer >= 0.

    Returns:
        The largest distance of an image from 1.

    Source: Amsel et al., 2025, arXiv 2505.16932, Theorem 4.1 (the greedy composition is optimal); E derived here.
    Accuracy: absolute; below about 1e-15 the difference cancels in float64, use `arb` there.

    >>> round(greedy_cubic_error(1e-3, 9), 6)
    0.002167
    """
    start: Any = lower
    l, u, error = start, 0 * start + 1, 1 - start
    for _ in range(steps):
        w = (l * l + l * u + u * u) / 3
        middle, ends = 2 * w * _root(w), l * u * (l + u)
        error = (middle - ends) / (middle + ends)
        l, u = 1 - error, 1 + error
    return error


def universal_alignment(
    k: int, q: int, *, rank: int, nuclear_rank: ArrayLike, knees: ArrayLike | None = None
) -> NDArray[np.float64]:
    """A lower bound on the alignment <C, X_q>/nuc(C) that assumes nothing about singular values.

    With X_0 = C/fro(C) and rho = nuc(C)^2/fro(C)^2 it is at least s_q(tau) (1 - r tau/(4 sqrt(rho))) for every tau in
    (0, 1]: s_q is concave and increasing, so s_q(x) >= s_q(tau) min(1, x/tau), and x (1 - x/tau) <= tau/4.

    Args:
        k: Taylor order, integer >= 1.
        q: number of steps, integer >= 0.
        rank: r >= 1, the number of singular values.
        nuclear_rank: rho in [1, r], any shape.
        knees: the tau that are tried, each valid; None takes 1201 from 1e-6 to 1.

    Returns:
        1 - ehat is at least this, shape of `nuclear_rank`; it may be <= 0, which says nothing.

    Raises:
        ValueError: a nuclear rank outside [1, r].

    Source: derived here, checked by claim THA-UNI1.

    >>> round(float(universal_alignment(2, 5, rank=64, nuclear_rank=46.0)), 3)
    0.799
    """
    tau, rho = (
        np.geomspace(1e-6, 1, 1201) if knees is None else np.asarray(knees, float),
        np.asarray(nuclear_rank, float),
    )
    if not np.all((rho >= 1 - 1e-9) & (rho <= rank * (1 + 1e-9))):
        raise ValueError(f"nuclear_rank = {nuclear_rank!r}: give numbers in [1, rank = {rank}]")
    image: Any = iterated(singular_value_map, k, tau, q)
    return np.max(image * (1 - rank * tau / (4 * np.sqrt(rho)[..., None])), axis=-1)


def universal_floor(k: int, q: int, rank: int) -> float:
    """The alignment that q Taylor steps reach on every matrix of rank r: 1 - ehat >= s_q(2/r)/2.

    Args:
        k: Taylor order, integer >= 1.
        q: number of steps, integer >= 0.
        rank: r >= 2.

    Returns:
        The floor, > 0 for every q.

    Raises:
        ValueError: a rank below 2.

    Source: derived here (`universal_alignment` at rho = 1, tau = 2/r), checked by claim THA-UNI2.

    >>> round(universal_floor(2, 5, 1024), 4)
    0.0226
    """
    if rank < 2:
        raise ValueError(f"rank = {rank}: give an integer >= 2; on rank 1 every step is exact after scaling")
    return float(iterated(singular_value_map, k, 2 / rank, q)) / 2


def interval_alignment(lower: float, error: float, *, rank: int, nuclear_rank: ArrayLike) -> NDArray[np.float64]:
    """The alignment of any map that sends [l, 1] into [1 - delta, 1 + delta] and [0, l) to numbers >= 0.

    1 - ehat >= (1 - delta)(1 - l r/sqrt(rho)), X_0 = C/fro(C); it covers polynomials that are not Newton-Schulz steps.

    Args:
        lower: l in (0, 1].
        error: delta in [0, 1).
        rank: r >= 1.
        nuclear_rank: rho in [1, r], any shape.

    Returns:
        1 - ehat is at least this, shape of `nuclear_rank`; it may be <= 0, which says nothing.

    Raises:
        ValueError: l or delta out of range.

    Source: derived here for the model of inexactness of Zhang and Lin 2026, claim THA-LDELTA.

    >>> round(float(interval_alignment(0.003, 0.318, rank=64, nuclear_rank=46.0)), 3)
    0.663
    """
    if not (0 < lower <= 1 and 0 <= error < 1):
        raise ValueError(f"lower, error = {lower!r}, {error!r}: give l in (0, 1] and delta in [0, 1)")
    return (1 - error) * (1 - lower * rank / np.sqrt(np.asarray(nuclear_rank, float)))


def _ends(lower: Any, upper: Any) -> tuple[Any, Any]:
    return lower, upper


def _root(value: Any) -> Any:
    return value.sqrt() if isinstance(value, arb) else value**0.5


def _where_small(sigma: Any, small: Any, large: Any) -> Any:
    """The first choice where sigma is below 3/4."""
    if isinstance(sigma, np.ndarray):
        return np.where(sigma < 0.75, small, large)
    return small if sigma < 0.75 else large
