"""The operator error eps_q after q steps: the slope bound, its tightness, and what does not hold for it."""

from fractions import Fraction
from itertools import product

from flint import arb, ctx, fmpq, fmpq_poly

from muon_theory.claim import Claim, Enclosure, Finding, Mutation
from muon_theory.rooms.newton_schulz_convergence.error_bounds import operator_error, slope_bound
from muon_theory.rooms.newton_schulz_convergence.polynomial_range import divided, enclosure, polynomial_range
from muon_theory.rooms.newton_schulz_convergence.taylor import (
    error_constant,
    rational,
    residual_constant,
    residual_map,
    singular_value_map,
    slope_at_zero,
)

SIGMA = fmpq_poly([0, 1])
TINY = Fraction(1, 10**8)


def _slope_exponent(stretch: Fraction = Fraction(1)) -> Finding:
    """For k = 1..6 the smallest log eps_q / log of the bound over q = 1, 3 and sigma = i/2000; the same at 1e-8."""
    ratios = []
    grid = [Fraction(i, 2000) for i in range(1, 2000)]
    with ctx.workprec(300):
        for points, k in product((grid, [TINY]), range(1, 7)):
            values = [_log_quotient(k, x, q, (stretch * slope_at_zero(k)) ** q) for x in points for q in (1, 3)]
            ratios.append(Enclosure(min(v.lower for v in values), min(v.upper for v in values)))
    return Finding(1, ratios)


def _limit_of_exponent(base: str = "a_k") -> Finding:
    """The quotient log eps_q / log eps_0 at sigma = 1e-8 for k = 1..6 and q = 1, 3, against base^q."""
    cases = [(k, q) for k in range(1, 7) for q in (1, 3)]
    with ctx.workprec(300):
        measured = [_log_quotient(k, TINY, q, Fraction(1)) for k, q in cases]
    return Finding([(slope_at_zero(k) if base == "a_k" else k + 1) ** q for k, q in cases], measured)


def _lemma(raised: int = 0) -> Finding:
    """The maximum on [0,1] of (1 - F_k) - (1-s)(1-s^2)^(k+raised), divided by s (1-s)^(k+1) > 0."""
    worst = []
    for k in range(1, 7):
        difference = 1 - singular_value_map(k, SIGMA) - (1 - SIGMA) * (1 - SIGMA * SIGMA) ** (k + raised)
        worst.append(polynomial_range(divided(difference, SIGMA * (1 - SIGMA) ** (k + 1)), 0, 1)[1])
    return Finding(0, worst)


def _sandwich(lowered: int = 0) -> Finding:
    """On [.001, .999], k = 1..4: the minimum of eps_1/eps_0^(k+1-lowered), then that of eps_0^(a_k)/eps_1 on a grid."""
    below, above = [], []
    with ctx.workprec(128):
        grid = [arb(fmpq(i, 1000)) for i in range(1, 1000)]
        for k in range(1, 5):
            quotient = divided(1 - singular_value_map(k, SIGMA), (1 - SIGMA) ** (k + 1 - lowered))
            below.append(polynomial_range(quotient, Fraction(1, 1000), Fraction(999, 1000))[0])
            values = [slope_bound(k, x, 1) / operator_error(k, x, 1) for x in grid]
            above.append(Enclosure(min(map(_low, values)), min(map(_high, values))))
    return Finding(1, below + above)


def _leading_constant(constant: str = "2^(k+1) c_(k+1)") -> Finding:
    """The polynomial (1 - F_k)/(1-s)^(k+1) at s = 1: the exact limit, k = 1..6."""
    limits = [divided(1 - singular_value_map(k, SIGMA), (1 - SIGMA) ** (k + 1))(1) for k in range(1, 7)]
    formula = error_constant if constant == "2^(k+1) c_(k+1)" else residual_constant
    return Finding([formula(k) for k in range(1, 7)], [Fraction(int(x.p), int(x.q)) for x in limits])


def _contraction(quantity: str = "operator error") -> Finding:
    """One step from sigma = 9/10, k = 1: the new error against the old one to the power k + 1."""
    sigma = Fraction(9, 10)
    if quantity == "residual":
        return Finding((1 - sigma**2) ** 2, residual_map(1, 1 - sigma**2))
    return Finding((1 - sigma) ** 2, 1 - singular_value_map(1, sigma))


def _degree_exponent(exponent: str = "degree") -> Finding:
    """One step from sigma = 3/10, k = 1, 2, 3: eps_1 against eps_0^(2k+1), or against eps_0^(a_k)."""
    sigma = Fraction(3, 10)
    measured = [1 - singular_value_map(k, sigma) for k in (1, 2, 3)]
    if exponent == "degree":
        return Finding([(1 - sigma) ** (2 * k + 1) for k in (1, 2, 3)], measured)
    return Finding([enclosure(slope_bound(k, arb(rational(sigma)), 1)).lower for k in (1, 2, 3)], measured)


def _log_quotient(k: int, x: Fraction, q: int, exponent: Fraction) -> Enclosure:
    ball = arb(rational(x))
    return enclosure(operator_error(k, ball, q).log() / (rational(exponent) * (1 - ball).log()))


def _low(ball: arb) -> Fraction:
    return enclosure(ball).lower  # pyright: ignore[reportReturnType]


def _high(ball: arb) -> Fraction:
    return enclosure(ball).upper  # pyright: ignore[reportReturnType]


def claims() -> list[Claim]:
    """Claims NS-14 to NS-20.

    Returns:
        One claim a row of the inventory.

    Source: derived here; NS-19 and NS-20 are readings of Kim and Oh, 2026, arXiv 2601.19156, that do not extend.
    """
    return [
        Claim(
            id="NS-14",
            statement="eps_q <= eps_0^(a_k^q): log eps_q / (a_k^q log eps_0) >= 1; for k = 1..6 the smallest "
            "over q = 1, 3 on a grid, then at sigma = 1e-8.",
            source="derived here: NS-16 makes (1-F)/(1-s)^(a_k) non-increasing",
            relation=">=",
            method="certified interval",
            evaluate=_slope_exponent,
            mutations=(Mutation("exponent (1.01 a_k)^q", {"stretch": Fraction(101, 100)}),),
            expected="holds",
            attribution="ours",
            tier="medium",
        ),
        Claim(
            id="NS-15",
            statement="The exponent a_k^q is best possible: log eps_q / log eps_0 -> a_k^q as sigma -> 0, "
            "k = 1..6, q = 1, 3.",
            source="derived here: F^(q) has slope a_k^q at 0",
            relation="==",
            method="certified interval",
            evaluate=_limit_of_exponent,
            mutations=(Mutation("a_k -> k+1", {"base": "k + 1"}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=1e-6,
            tolerance_reason="taken at sigma = 1e-8, where the quotient is within sigma a_k^q / 2 of its limit",
        ),
        Claim(
            id="NS-16",
            statement="1-F_k(s) <= (1-s)(1-s^2)^k on [0,1]: the maximum of the difference over "
            "s (1-s)^(k+1), k = 1..6.",
            source="derived here: the derivative of the difference changes sign once, as 1 < a_k < k+1",
            relation="<=",
            method="certified interval",
            evaluate=_lemma,
            mutations=(Mutation("(1-s)(1-s^2)^(k+1) on the right", {"raised": 1}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="NS-17",
            statement="eps_0^(k+1) <= eps_1 <= eps_0^(a_k): the smallest eps_1/eps_0^(k+1), then the smallest "
            "eps_0^(a_k)/eps_1, for sigma in [.001, .999], k = 1..4.",
            source="derived here: (1-F)/(1-s)^(k+1) is a polynomial, 1 at s = 0 and increasing; upper bound NS-14",
            relation=">=",
            method="certified interval",
            evaluate=_sandwich,
            mutations=(Mutation("lower exponent k", {"lowered": 1}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="NS-18",
            statement="eps_1/eps_0^(k+1) -> 2^(k+1) c_(k+1) = 3/2, 5/2, 35/8, ... as eps_0 -> 0, k = 1..6.",
            source="derived here: F_k' = a_k (1-s^2)^k integrated from s to 1",
            relation="==",
            method="exact rational",
            evaluate=_leading_constant,
            mutations=(Mutation("C_k in its place", {"constant": "C_k"}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="NS-19",
            statement="eps contracts like delta: eps_1 <= eps_0^(k+1) (k = 1, sigma = .9).",
            source="misreading of Kim and Oh 2026, Lemma 3, which is about delta; it fails on all of (0,1), NS-17",
            relation="<=",
            method="exact rational",
            evaluate=_contraction,
            mutations=(Mutation("delta in place of eps", {"quantity": "residual"}),),
            expected="refuted",
            attribution="implied",
        ),
        Claim(
            id="NS-20",
            statement="eps_q <= eps_0^((2k+1)^q) (sigma = .3, q = 1, k = 1, 2, 3).",
            source="a note on Kim and Oh 2026 in circulation; by NS-17 it fails for every sigma in (0,1)",
            relation="<=",
            method="exact rational",
            evaluate=_degree_exponent,
            mutations=(Mutation("exponent a_k^q", {"exponent": "slope"}),),
            expected="refuted",
            attribution="folklore",
        ),
    ]
