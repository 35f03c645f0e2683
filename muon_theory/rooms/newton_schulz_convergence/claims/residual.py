"""The residual map phi_k: its closed form, and the two-sided contraction delta -> delta^(k+1)."""

from fractions import Fraction

from flint import arb, ctx, fmpq, fmpq_poly

from muon_theory.claim import Claim, Enclosure, Finding, Mutation
from muon_theory.rooms.newton_schulz_convergence.error_bounds import residual_bounds
from muon_theory.rooms.newton_schulz_convergence.polynomial_range import divided, enclosure, polynomial_range
from muon_theory.rooms.newton_schulz_convergence.taylor import (
    iterated,
    newton_schulz_polynomial,
    residual_constant,
    residual_map,
    slope_at_zero,
    taylor_weight,
)

PAPER = "Kim and Oh 2026, arXiv 2601.19156"
RESIDUAL = fmpq_poly([0, 1])
ORDERS = range(1, 13)
BEST = [Fraction(text) for text in ("3/4", "5/8", "35/64", "63/128", "231/512", "429/1024")]


def _closed_form(forty: int = 40, lowered: int = 0) -> Finding:
    """The coefficients of phi_1 and phi_2 from the definition, then what the closed form misses for k = 1..12."""
    printed = [Fraction(3, 4), Fraction(1, 4)] + [Fraction(c, 64) for c in (forty, 15, 9)]
    defined = {
        k: _coefficients(1 - (1 - RESIDUAL) * newton_schulz_polynomial(k, 1 - RESIDUAL) ** 2, k + 1) for k in ORDERS
    }
    missed = []
    for k in ORDERS:
        formula = [slope_at_zero(k) * taylor_weight(s) / (k + 1 + s - lowered) for s in range(k + 1)]
        missed.append(sum(abs(a - b) for a, b in zip(defined[k], formula, strict=True)))
    return Finding(printed + [0] * len(missed), defined[1] + defined[2] + missed)


def _largest_ratio(factor: Fraction = Fraction(1)) -> Finding:
    return Finding(factor, [polynomial_range(_ratio(k), 0, 1)[1] for k in ORDERS], attained=1)


def _smallest_ratio(factor: Fraction = Fraction(1)) -> Finding:
    constants = BEST + [residual_constant(k) for k in ORDERS[len(BEST) :]]
    return Finding([factor * c for c in constants], [polynomial_range(_ratio(k), 0, 1)[0] for k in ORDERS])


def _slope_of_ratio(extra: int = 0) -> Finding:
    """The minimum on [0,1] of the derivative of phi_k/u^(k+1+extra), times u^(1+extra) when extra > 0."""
    lowest = []
    for k in ORDERS:
        ratio = _ratio(k)
        slope = ratio.derivative() if extra == 0 else RESIDUAL * ratio.derivative() - extra * ratio
        lowest.append(polynomial_range(slope, 0, 1)[0])
    return Finding(0, lowest)


def _two_sided(factor: Fraction = Fraction(1), added: int = 0) -> Finding:
    """For k = 1, 2, 3: the largest lower bound over delta_q, then the largest delta_q over its upper bound."""
    above, below = [], []
    with ctx.workprec(300):
        grid = [arb(fmpq(1, 100)) + arb(fmpq(989, 1000)) * i / 299 for i in range(300)]
        for k in (1, 2, 3):
            constant = factor * residual_constant(k)
            low, high = [], []
            for q in (1, 2, 3, 4):
                for delta in grid:
                    exact = iterated(residual_map, k, delta, q)
                    lower, upper = residual_bounds(k, delta, q, constant=constant)
                    low.append(enclosure(lower / exact))
                    high.append(enclosure(exact / (upper * delta**added)))
            below.append(_largest(low))
            above.append(_largest(high))
    return Finding(1, below + above)


def _largest(values: list[Enclosure]) -> Enclosure:
    return Enclosure(max(value.lower for value in values), max(value.upper for value in values))


def _ratio(k: int) -> fmpq_poly:
    """The polynomial phi_k(u) / u^(k+1)."""
    return divided(residual_map(k, RESIDUAL), RESIDUAL ** (k + 1))


def _coefficients(polynomial: fmpq_poly, lowest: int) -> list[Fraction]:
    quotient = divided(polynomial, RESIDUAL**lowest)
    return [Fraction(int(c.p), int(c.q)) for c in quotient.coeffs()]


def claims() -> list[Claim]:
    """Claims NS-09 to NS-13.

    Returns:
        One claim a row of the inventory.

    Source: Kim and Oh, 2026, arXiv 2601.19156, Lemma 3, Corollary 2 and Theorem 2; the rest derived here.
    """
    return [
        Claim(
            id="NS-09",
            statement="phi = 1-(1-u)p_k(1-u)^2 is u^2(3+u)/4 (k=1), u^3(40+15u+9u^2)/64 (k=2), and for all k "
            "(2k+1) c_k sum_s c_s u^(k+1+s)/(k+1+s).",
            source=f"{PAPER}, Corollary 2 (k = 1, 2); all k derived here",
            relation="==",
            method="exact rational",
            evaluate=_closed_form,
            mutations=(
                Mutation("40 -> 41 in k = 2", {"forty": 41}),
                Mutation("k+1+s -> k+s in the denominator", {"lowered": 1}),
            ),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="NS-10",
            statement="phi(u) <= u^(k+1) on [0,1]: the maximum of phi/u^(k+1) is 1, at u = 1, k = 1..12.",
            source=f"{PAPER}, Lemma 3 (proved there for k = 1, 2); all k derived here: positive coefficients, sum 1",
            relation="<=",
            method="certified interval",
            evaluate=_largest_ratio,
            mutations=(Mutation("phi <= .99 u^(k+1)", {"factor": Fraction(99, 100)}),),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="NS-11",
            statement="phi(u) >= C_k u^(k+1) on [0,1], C_k = 2c_(k+1) = 3/4, 5/8, 35/64, 63/128, 231/512, 429/1024: "
            "the minimum of phi/u^(k+1), attained as u -> 0, k = 1..12.",
            source="derived here: the constant term of phi/u^(k+1) is 2c_(k+1), the other coefficients are positive",
            relation=">=",
            method="certified interval",
            evaluate=_smallest_ratio,
            mutations=(Mutation("1.01 C_k", {"factor": Fraction(101, 100)}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="NS-12",
            statement="phi(u)/u^(k+1) is strictly increasing on [0,1]: the minimum of its derivative, k = 1..12.",
            source="derived here: positive coefficients in degrees 1..k",
            relation=">",
            method="certified interval",
            evaluate=_slope_of_ratio,
            mutations=(Mutation("phi(u)/u^(k+2)", {"extra": 1}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="NS-13",
            statement="C_k^(((k+1)^q - 1)/k) delta_0^((k+1)^q) <= delta_q <= delta_0^((k+1)^q), k = 1..3, q = 1..4: "
            "the largest quotients of neighbours.",
            source=f"{PAPER}, Theorem 2 (upper); lower derived here by induction on NS-11",
            relation="<=",
            method="certified interval",
            evaluate=_two_sided,
            mutations=(
                Mutation("C_k -> 1.1 C_k in the lower bound", {"factor": Fraction(11, 10)}),
                Mutation("exponent (k+1)^q + 1 in the upper bound", {"added": 1}),
            ),
            expected="holds",
            attribution="printed",
        ),
    ]
