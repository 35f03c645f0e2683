"""The polynomial p_k and the map F_k it makes on a singular value: coefficients, identities, monotonicity."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq, fmpq_poly

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.polar import coefficient_set, scalar_map
from muon_theory.rooms.newton_schulz_convergence.polynomial_range import divided, polynomial_range
from muon_theory.rooms.newton_schulz_convergence.taylor import (
    newton_schulz_polynomial,
    rational,
    singular_value_map,
    slope_at_zero,
    squared_map,
    taylor_weight,
)

PAPER = "Kim and Oh 2026, arXiv 2601.19156"
VARIABLE = fmpq_poly([0, 1])
ORDERS = range(1, 13)
ROUNDING = (
    "float64: each step leaves a few units of rounding (1.1e-16) on a value near 1, a second difference adds four"
)

# Power basis of p_1 .. p_5, lowest power of lam first, as the inventory prints them.
POWER_BASIS = [
    *("3/2", "-1/2"),
    *("15/8", "-5/4", "3/8"),
    *("35/16", "-35/16", "21/16", "-5/16"),
    *("315/128", "-105/32", "189/64", "-45/32", "35/128"),
    *("693/256", "-1155/256", "693/128", "-495/128", "385/256", "-63/256"),
]


def _power_basis(shift: Fraction = Fraction(0), base: int = 1) -> Finding:
    measured = [_fraction(c) / base for k in range(1, 6) for c in newton_schulz_polynomial(k, VARIABLE).coeffs()]
    measured[0] += shift
    return Finding([Fraction(text) for text in POWER_BASIS], measured)


def _taylor_series(exponent: Fraction = Fraction(1, 2)) -> Finding:
    """The weights c_s against the binomial series of (1 - u)^(-exponent), by its own recursion."""
    series = [Fraction(1)]
    for j in range(12):
        series.append(series[-1] * (exponent + j) / (j + 1))
    return Finding([taylor_weight(s) for s in range(13)], series)


def _differential_identity(added: int = 1) -> Finding:
    """The polynomial p_k + 2 lam p_k' over (1 - lam)^k must be a constant; measured: that constant and what is left."""
    constants, rests = [], []
    for k in ORDERS:
        p = newton_schulz_polynomial(k, VARIABLE)
        constant, rest = _constant_quotient(p + 2 * VARIABLE * p.derivative(), (1 - VARIABLE) ** k)
        constants.append(constant)
        rests.append(rest)
    return Finding([(2 * k + added) * taylor_weight(k) for k in ORDERS] + [0] * len(rests), constants + rests)


def _minimum_of_p(upper: Fraction = Fraction(1)) -> Finding:
    """The minimum of p_k, then of (p_k - 1)/(1 - lam), which is at least 1/2: equality only at lam = 1."""
    polynomials = [newton_schulz_polynomial(k, VARIABLE) for k in ORDERS]
    lowest = [polynomial_range(p, 0, upper)[0] for p in polynomials]
    gaps = [polynomial_range(divided(p - 1, 1 - VARIABLE), 0, upper)[0] for p in polynomials]
    return Finding([1] * len(lowest) + [Fraction(1, 2)] * len(gaps), lowest + gaps)


def _slope_of_tau(upper: Fraction = Fraction(1), method: str | None = None) -> Finding:
    """The minimum of tau' on [0, upper]; for Taylor also, negated, how far the identity and tau(1) = 1 are missed."""
    if method is not None:
        p = fmpq_poly([rational(c) for c in coefficient_set(method).exact_steps[0]])
        return Finding(0, polynomial_range((VARIABLE * p * p).derivative(), 0, upper)[0])
    lowest, missed = [], []
    for k in ORDERS:
        slope = squared_map(k, VARIABLE).derivative()
        identity = rational(slope_at_zero(k)) * newton_schulz_polynomial(k, VARIABLE) * (1 - VARIABLE) ** k
        lowest.append(polynomial_range(slope, 0, upper)[0])
        missed.append(-_size(slope - identity) - abs(squared_map(k, Fraction(1)) - 1))
    return Finding(0, lowest + missed)


def _slope_at_zero(formula: str = "(2k+1) c_k") -> Finding:
    slopes = [_fraction(singular_value_map(k, VARIABLE)[1]) for k in range(1, 7)]
    values = [newton_schulz_polynomial(k, Fraction(0)) for k in range(1, 7)]
    predicted = [slope_at_zero(k) if formula == "(2k+1) c_k" else 2 * k + 1 for k in range(1, 7)]
    return Finding(predicted * 2, slopes + values)


def _integral_form(lowered: int = 0) -> Finding:
    """F_k' over (1 - s^2)^(k - lowered) must be the constant a_k; measured: the constants, what is left, F_k(1)."""
    constants, rests = [], []
    for k in ORDERS:
        constant, rest = _constant_quotient(
            singular_value_map(k, VARIABLE).derivative(), (1 - VARIABLE * VARIABLE) ** (k - lowered)
        )
        constants.append(constant)
        rests.append(rest)
    ends = [singular_value_map(k, Fraction(1)) for k in ORDERS]
    return Finding([slope_at_zero(k) for k in ORDERS] + [0] * 12 + [1] * 12, constants + rests + ends)


def _shape(methods: Sequence[str] = ("taylor_3", "taylor_5", "taylor_7")) -> Finding:
    """The largest second difference and the largest fall on a grid of 2001 points, for q = 1, 2, 3, 5."""
    grid = np.linspace(0, 1, 2001)
    images = [scalar_map(method, q)(grid) for method in methods for q in (1, 2, 3, 5)]
    bends = [float(np.diff(image, 2).max()) for image in images]
    falls = [float(-np.diff(image).min()) for image in images]
    return Finding(0, bends + falls)


def _constant_quotient(numerator: fmpq_poly, denominator: fmpq_poly) -> tuple[Fraction, Fraction]:
    """The constant term of the quotient, and the sum of all other absolute coefficients of quotient and remainder."""
    quotient, remainder = divmod(numerator, denominator)
    constant = _fraction(quotient[0])
    return constant, _size(quotient) - abs(constant) + _size(remainder)


def _size(polynomial: fmpq_poly) -> Fraction:
    return sum((abs(_fraction(c)) for c in polynomial.coeffs()), Fraction(0))


def _fraction(value: fmpq | Any) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def claims() -> list[Claim]:
    """Claims NS-01 to NS-08.

    Returns:
        One claim a row of the inventory.

    Source: Kim and Oh, 2026, arXiv 2601.19156, Definition 2 and Proposition 1; the rest derived here.
    """
    return [
        Claim(
            id="NS-01",
            statement="Power-basis coefficients of p_k for k = 1..5, e.g. p_2 = 15/8 - 5/4 lam + 3/8 lam^2.",
            source=f"{PAPER}, Definition 2, expanded",
            relation="==",
            method="exact rational",
            evaluate=_power_basis,
            mutations=(
                Mutation("one entry + 1/256", {"shift": Fraction(1, 256)}),
                Mutation("c_s -> C(2s,s)/4^(s+1)", {"base": 4}),
            ),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="NS-02",
            statement="c_0..c_12 = C(2s,s)/4^s are the Taylor coefficients of (1-u)^(-1/2).",
            source=f"{PAPER}, Definition 2",
            relation="==",
            method="exact rational",
            evaluate=_taylor_series,
            mutations=(Mutation("series of (1-u)^(-1/3)", {"exponent": Fraction(1, 3)}),),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="NS-03",
            statement="p_k + 2 lam p_k' = (2k+1) c_k (1-lam)^k, k = 1..12 (the constants, then the remainders).",
            source=f"{PAPER}, proof of Proposition 1",
            relation="==",
            method="exact rational",
            evaluate=_differential_identity,
            mutations=(Mutation("factor 2k instead of 2k+1", {"added": 0}),),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="NS-04",
            statement="p_k >= 1 on [0,1], equality only at lam = 1: p_k >= 1 and (p_k - 1)/(1-lam) >= 1/2, k = 1..12.",
            source=f"{PAPER}, Proposition 1; the 1/2 derived here",
            relation=">=",
            method="certified interval",
            evaluate=_minimum_of_p,
            mutations=(Mutation("interval [0, 1.1]", {"upper": Fraction(11, 10)}),),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="NS-05",
            statement="tau = lam p_k^2 is non-decreasing on [0,1]: minimum of tau', k = 1..12; then what is missing in "
            "tau' = (2k+1) c_k p_k (1-lam)^k and tau(1) = 1.",
            source=f"{PAPER}, Proposition 1",
            relation=">=",
            method="certified interval",
            evaluate=_slope_of_tau,
            mutations=(
                Mutation("the deployed quintic", {"method": "jordan_2024"}),
                Mutation("interval [0, 1.1] (odd k fall there)", {"upper": Fraction(11, 10)}),
            ),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="NS-06",
            statement="a_k = F_k'(0) = p_k(0) = (2k+1) C(2k,k)/4^k: 3/2, 15/8, 35/16, 315/128, 693/256, 3003/1024.",
            source="derived here from NS-03 at lam = 0",
            relation="==",
            method="exact rational",
            evaluate=_slope_at_zero,
            mutations=(Mutation("a_k -> 2k+1", {"formula": "2k+1"}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="NS-07",
            statement="F_k(s) = s p_k(s^2) = a_k int_0^s (1-x^2)^k dx and F_k(1) = 1, k = 1..12.",
            source="derived here: NS-03 with lam = s^2",
            relation="==",
            method="exact rational",
            evaluate=_integral_form,
            mutations=(Mutation("exponent k-1 in the integrand", {"lowered": 1}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="NS-08",
            statement="q steps are increasing and concave on [0,1], k = 1..3: on a grid, the largest second "
            "difference, then the largest fall.",
            source="derived here: F'' = -2k a_k s (1-s^2)^(k-1) <= 0, and compositions stay increasing and concave",
            relation="<=",
            method="float64 evaluation",
            evaluate=_shape,
            mutations=(Mutation("the deployed quintic", {"methods": ("jordan_2024",)}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-14,
            tolerance_reason=ROUNDING,
        ),
    ]
