"""The certified minimum and maximum of a rational polynomial on an interval.

All critical points are isolated in ball arithmetic, so an inequality between polynomials on an interval is decided, not
sampled. An extreme attained at an end of the interval comes out exactly.
"""

from fractions import Fraction
from typing import Any

from flint import arb, arb_poly, ctx, fmpq, fmpq_poly

from muon_theory.claim import Enclosure
from muon_theory.rooms.newton_schulz_convergence.taylor import rational


def polynomial_range(
    polynomial: fmpq_poly, lower: Fraction | int, upper: Fraction | int
) -> tuple[Enclosure, Enclosure]:
    """The minimum and the maximum of a polynomial with rational coefficients on [lower, upper].

    Args:
        polynomial: the polynomial, any degree.
        lower: left end, exact.
        upper: right end, exact, above `lower`.

    Returns:
        Enclosures of the minimum and of the maximum; exact (lower end == upper end) where attained at an end.

    Raises:
        ValueError: lower >= upper.

    Source: elementary; roots by `fmpz_poly.complex_roots` of FLINT.
    Accuracy: about 1e-80 relative to the largest coefficient; an ArithmeticError where a critical point cannot be told
        from an end of the interval at 300 bits (not seen).

    >>> x = fmpq_poly([0, 1])
    >>> low, high = polynomial_range(x * x - x, 0, 1)
    >>> float(low.lower), float(high.upper)
    (-0.25, 0.0)
    """
    if lower >= upper:
        raise ValueError(f"lower must be below upper, got [{lower}, {upper}]")
    with ctx.workprec(300):
        ends = [rational(lower), rational(upper)]
        values = [_exact(polynomial(end)) for end in ends]
        in_balls: Any = arb_poly(polynomial)
        values += [enclosure(in_balls(point)) for point in _critical_points(polynomial, ends)]
    minimum = Enclosure(min(value.lower for value in values), min(value.upper for value in values))
    maximum = Enclosure(max(value.lower for value in values), max(value.upper for value in values))
    return minimum, maximum


def divided(numerator: fmpq_poly, denominator: fmpq_poly) -> fmpq_poly:
    """The quotient of two polynomials that divide exactly.

    Args:
        numerator: the dividend.
        denominator: the divisor, not zero.

    Returns:
        The polynomial quotient.

    Raises:
        ArithmeticError: the division leaves a remainder.

    Source: elementary.

    >>> x = fmpq_poly([0, 1])
    >>> divided(1 - x * x, 1 - x)
    x + 1
    """
    quotient, remainder = divmod(numerator, denominator)
    if remainder:
        raise ArithmeticError(f"{numerator} is not a multiple of {denominator}")
    return quotient


def enclosure(ball: arb) -> Enclosure:
    """The interval of a ball, with exact rational ends.

    Args:
        ball: a finite ball.

    Returns:
        The certified interval.

    Source: elementary.

    >>> enclosure(arb(2) / 4)
    Enclosure(lower=Fraction(1, 2), upper=Fraction(1, 2))
    """
    return Enclosure(_fraction(ball.lower().fmpq()), _fraction(ball.upper().fmpq()))


def _critical_points(polynomial: fmpq_poly, ends: list[fmpq]) -> list[arb]:
    """Balls around the critical points strictly inside the interval."""
    slope = polynomial.derivative()
    # A critical point at an end is the end: its value is already there, exactly.
    for end in ends:
        factor = fmpq_poly([-end, 1])
        while slope and slope(end) == 0:
            slope = divided(slope, factor)
    inside = []
    roots: Any = slope.complex_roots() if slope.degree() > 0 else []
    for root, _ in roots:
        if root.imag != 0:
            continue
        point: Any = root.real
        if point > ends[0] and point < ends[1]:
            inside.append(point)
        elif not (point < ends[0] or point > ends[1]):
            raise ArithmeticError(f"a critical point of {polynomial} cannot be told from an end of {ends}")
    return inside


def _exact(value: Any) -> Enclosure:
    exact = _fraction(value)
    return Enclosure(exact, exact)


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.p), int(value.q))
