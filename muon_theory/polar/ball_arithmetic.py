"""Exact numbers in and out of ball arithmetic, and the certified critical points of an odd polynomial."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import cast

from flint import acb, arb, fmpq, fmpq_poly


def to_fraction(x: arb) -> Fraction:
    """The midpoint of a ball as an exact fraction.

    Args:
        x: a finite ball.

    Returns:
        mantissa times two to the exponent.

    Source: elementary.

    >>> to_fraction(arb(3) / 4)
    Fraction(3, 4)
    """
    mantissa, exponent = x.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def to_ball(x: Fraction) -> arb:
    """A ball that contains a fraction, at the working precision.

    Args:
        x: any fraction.

    Returns:
        The ball; exact when x is a dyadic fraction that fits.

    Source: elementary.

    >>> to_ball(Fraction(3, 4)) == arb(0.75)
    True
    """
    return arb(fmpq(x.numerator, x.denominator))


def odd_value(row: Sequence[arb], x: arb) -> arb:
    """The odd polynomial c1 x + c3 x^3 + ... in ball arithmetic.

    Args:
        row: coefficients, lowest power first.
        x: the argument.

    Returns:
        A ball that contains the value for every argument in x.

    Source: elementary (Horner's rule in x^2).

    >>> odd_value([arb(1), arb(1)], arb(2))
    10.0000000000000
    """
    value, square = arb(0), x * x
    for c in reversed(row):
        value = value * square + c
    return value * x


def critical_points(row: Sequence[Fraction]) -> list[arb]:
    """The positive zeros of the derivative of an odd polynomial, ascending, as balls.

    p'(x) = c1 + 3 c3 x^2 + 5 c5 x^4 + ... is a polynomial in x^2 whose zeros are isolated with certainty.

    Args:
        row: coefficients of p, lowest power first, not all zero.

    Returns:
        One ball for each distinct positive zero (a double zero once; zero itself counts as positive).

    Source: root isolation of FLINT/Arb (Johansson 2017).

    >>> jordan = tuple(Fraction(c) for c in ("3.4445", "-4.7750", "2.0315"))
    >>> [round(float(x), 7) for x in critical_points(jordan)]
    [0.5545288, 1.0501361]
    """
    derivative = fmpq_poly([fmpq(c.numerator, c.denominator) * (2 * i + 1) for i, c in enumerate(row)])
    roots = cast("list[tuple[acb, int]]", derivative.complex_roots())
    squares = [root.real for root, _ in roots if root.imag.contains(0) and not root.real < 0]
    return sorted((square.nonnegative_part().sqrt() for square in squares), key=float)
