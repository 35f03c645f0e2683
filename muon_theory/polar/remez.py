"""Best odd approximations of 1 on an interval, by the Remez exchange in ball arithmetic.

On [l, u] the best odd polynomial of degree 2k + 1 equioscillates around 1 in k + 2 points, both ends among them; the
other k are the zeros of its derivative, which has exactly k positive ones whenever the reference alternates. So the
full exchange is always defined and converges from any start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

import flint
from flint import arb, arb_mat

from muon_theory.polar.ball_arithmetic import critical_points, odd_value, to_ball, to_fraction
from muon_theory.polar.coefficients import ExactRow, Row, taylor_coefficients

_BITS = 384


def minimax_polynomial(degree: int, lower: float, upper: float = 1.0) -> tuple[Row, float]:
    """The odd polynomial closest to 1 on an interval, and its error.

    Minimises E = max over [lower, upper] of abs(1 - p(x)) over p(x) = c1 x + c3 x^3 + ... + c_degree x^degree.

    Args:
        degree: odd integer >= 3.
        lower: lower end, > 0.
        upper: upper end, > lower or equal to it (then the Taylor polynomial, the limit).

    Returns:
        (coefficients, error): float64 rows lowest power first; the error in [0, 1).

    Source: Remez exchange; Amsel et al. 2025, arXiv 2505.16932, section 3 (degree 5 in closed form of its points).

    Accuracy: correctly rounded from 384 bits.

    Cost: five to ten solves of a (k + 2) x (k + 2) system: milliseconds.

    >>> row, error = minimax_polynomial(3, 0.1)
    >>> [round(c, 6) for c in row], round(error, 6)
    ([3.963405, -3.570635], 0.60723)
    """
    taylor_coefficients(degree)  # checks the degree
    check_interval(lower, upper)
    row, error = best_odd_polynomial(degree, Fraction(lower), Fraction(upper))
    return tuple(float(c) for c in row), float(error)


@lru_cache(maxsize=4096)
def best_odd_polynomial(degree: int, lower: Fraction, upper: Fraction) -> tuple[ExactRow, Fraction]:
    """The best odd polynomial and its error, as dyadic fractions of about 384 bits.

    Within 2^-60 of l = u the Taylor polynomial about the middle stands in (its error is then below 2^-118).

    Args:
        degree: odd integer >= 3.
        lower: lower end, > 0.
        upper: upper end, >= lower.

    Returns:
        (coefficients lowest power first, error).

    Source: as `minimax_polynomial`.

    >>> row, error = best_odd_polynomial(3, Fraction(1, 10), Fraction(1))
    >>> round(float(error), 6)
    0.60723
    """
    order = (degree - 1) // 2
    middle = (lower + upper) / 2
    if upper - lower <= middle / 2**60:
        row = tuple(shortened(c / middle ** (2 * i + 1)) for i, c in enumerate(taylor_coefficients(degree)))
        return row, shortened(max(abs(1 - exact_value(row, lower)), abs(1 - exact_value(row, upper))))
    closeness = max(0, -math.floor(math.log2((upper - lower) / middle)))  # the system degenerates as l -> u
    with flint.ctx.workprec(_BITS + 2 * closeness * (order + 1) ** 2):
        points = [_midpoint(lower + (upper - lower) * Fraction(x)) for x in _chebyshev(order + 2)]
        points[0], points[-1] = _midpoint(lower), _midpoint(upper)
        for _ in range(100):
            row, error = _levelled(points, order)
            moved = [points[0], *_midpoints(row), points[-1]]
            largest = max(abs(1 - odd_value(row, x)).mid() for x in moved)
            points = moved
            if largest <= abs(error) * (1 + arb(2) ** -150):
                break
        row, error = _levelled(points, order)
        return tuple(map(to_fraction, row)), to_fraction(abs(error).mid())


def _levelled(points: list[arb], order: int) -> tuple[list[arb], arb]:
    """The row and E with p(x_j) + (-1)^j E = 1 at every reference point."""
    size = order + 2
    entries = [[*_odd_powers(x, order), arb(-1) ** j] for j, x in enumerate(points)]
    solution = arb_mat(entries).solve(arb_mat(size, 1, [1] * size))
    values = [solution[i, 0].mid() for i in range(size)]
    return values[:-1], values[-1]


def _odd_powers(x: arb, order: int) -> Iterator[arb]:
    power, square = x, x * x
    for _ in range(order + 1):
        yield power
        power = power * square


def _chebyshev(count: int) -> list[float]:
    return [(1 - math.cos(math.pi * j / (count - 1))) / 2 for j in range(count)]


def _midpoints(row: list[arb]) -> list[arb]:
    """The zeros of p' without their radii."""
    return [x.mid() for x in critical_points([to_fraction(c) for c in row])]


def _midpoint(x: Fraction) -> arb:
    return to_ball(x).mid()


def exact_value(row: Sequence[Fraction], x: Fraction) -> Fraction:
    """The odd polynomial c1 x + c3 x^3 + ... in fractions.

    Args:
        row: coefficients, lowest power first.
        x: the argument.

    Returns:
        The value.

    Source: elementary (Horner's rule in x^2).

    >>> exact_value((Fraction(3, 2), Fraction(-1, 2)), Fraction(1))
    Fraction(1, 1)
    """
    value, square = Fraction(0), x * x
    for c in reversed(row):
        value = value * square + c
    return value * x


def shortened(x: Fraction) -> Fraction:
    """A dyadic fraction of at most 384 bits next to x, so that a recursion does not grow.

    Args:
        x: any fraction.

    Returns:
        x rounded.

    Source: elementary.

    >>> shortened(Fraction(1, 2))
    Fraction(1, 2)
    """
    with flint.ctx.workprec(_BITS):
        return to_fraction(_midpoint(x))


def check_interval(lower: float, upper: float) -> None:
    """Refuse an interval that is not inside (0, inf).

    Args:
        lower: lower end.
        upper: upper end.

    Raises:
        ValueError: not 0 < lower <= upper < inf.

    Source: elementary.

    >>> check_interval(0.1, 1.0)
    """
    if not (0 < lower <= upper and math.isfinite(upper)):
        raise ValueError(f"lower and upper must satisfy 0 < lower <= upper < inf, got {lower} and {upper}")
