"""The deployed quintic J(x) = 3.4445 x - 4.7750 x^3 + 2.0315 x^5: outside the theory, and what it does instead."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

from flint import ctx, fmpq_poly

from muon_theory.claim import Claim, Enclosure, Finding, Mutation
from muon_theory.polar import COEFFICIENTS, coefficient_set, exact_scalar_map
from muon_theory.polar.certified import certified_image, certified_worst_error
from muon_theory.rooms.newton_schulz_convergence.polynomial_range import enclosure, polynomial_range
from muon_theory.rooms.newton_schulz_convergence.taylor import rational

JORDAN = "jordan_2024"
BAND = (Fraction("0.6818315"), Fraction("1.2023686"))
VARIABLE = fmpq_poly([0, 1])
SEVEN_DIGITS = "the figures have seven digits"


def _image_of_one(method: str = JORDAN) -> Finding:
    image = exact_scalar_map(method, 1)(1)
    return Finding([Fraction(701, 1000), Fraction(508599, 10**6)], [image, 1 - image * image])


def _tau(slope: float = -0.506823) -> Finding:
    """Where tau' = p (p + 2 lam p') first changes sign, and tau'(1)."""
    p = fmpq_poly([rational(c) for c in coefficient_set(JORDAN).exact_steps[0]])
    with ctx.workprec(128):
        roots: Any = (p + 2 * VARIABLE * p.derivative()).complex_roots()
        first = min((enclosure(root.real) for root, _ in roots if root.imag == 0), key=lambda ball: ball.lower)
    end = (VARIABLE * p * p).derivative()(1)
    return Finding([0.307502, slope], [first, Fraction(int(end.p), int(end.q))])


def _largest_image(linear: str = "3.4445") -> Finding:
    """The ends of the image of [0, 1] after q = 1..7 steps: the upper ones, then the lower ones."""
    row = COEFFICIENTS[JORDAN].exact_steps[0]
    quintic = replace(COEFFICIENTS[JORDAN], exact_steps=((Fraction(linear), *row[1:]),))
    images = [certified_image(quintic, q, 0) for q in range(1, 8)]
    return Finding([float(BAND[1])] * 7 + [0] * 7, [high for _, high in images] + [low for low, _ in images])


def _image_of_band(lower: float = 0.6818315) -> Finding:
    """The image of the band under one step; then its least value again, as the value at the second critical point."""
    image = certified_image(JORDAN, 1, *BAND)
    p = fmpq_poly([rational(c) for c in coefficient_set(JORDAN).exact_steps[0]])
    with ctx.workprec(128):
        roots: Any = (p + 2 * VARIABLE * p.derivative()).complex_roots()
        square: Any = max((root.real for root, _ in roots if root.imag == 0), key=float)
        value = square.sqrt() * (p[0] + square * (p[1] + square * p[2]))
    return Finding([lower, 1.1343573, lower], [*image, enclosure(value)])


def _thresholds(four_steps: float = 0.00518438) -> Finding:
    """The sigma from which 5, and 4, steps end in the band, and where 5 steps take sigma = 1e-3."""
    reached = certified_image(JORDAN, 5, Fraction(1, 1000), Fraction(1, 1000))
    return Finding([0.00150512, four_steps, 0.470544], [_threshold(5), _threshold(4), Enclosure(*reached)])


def _threshold(steps: int) -> Enclosure:
    """The least sigma with J^steps([sigma, 1]) in the band, bisected: the image is certified in at the upper end."""
    least = certified_image(JORDAN, 1, *BAND)[0] - Fraction(1, 10**12)
    low, high = Fraction(1, 10**4), Fraction(1, 10)
    for _ in range(40):
        middle = (low + high) / 2
        inside = certified_image(JORDAN, steps, middle)[0] >= least
        low, high = (low, middle) if inside else (middle, high)
    return Enclosure(low, high)


def _worst_error(method: str = JORDAN) -> Finding:
    return Finding(float(1 - BAND[0]), [certified_worst_error(method, q, Fraction(1, 100)) for q in range(5, 11)])


def _contraction(method: str = JORDAN) -> Finding:
    """The largest excess of |1 - sigma'^2| over delta_0^3 for delta_0 in [0, 1]."""
    p = fmpq_poly([rational(c) for c in coefficient_set(method).exact_steps[0]])
    residual = 1 - (1 - VARIABLE) * p(1 - VARIABLE) ** 2
    excesses = [polynomial_range(sign * residual - VARIABLE**3, 0, 1)[1] for sign in (1, -1)]
    worst = Enclosure(max(e.lower for e in excesses), max(e.upper for e in excesses))
    return Finding(0, worst, attained=worst)


def claims() -> list[Claim]:
    """Claims JQ-01 to JQ-07.

    Returns:
        One claim a row of the inventory.

    Source: derived here; Kim and Oh, 2026, arXiv 2601.19156, Appendix H.4, excludes this polynomial.
    """
    return [
        Claim(
            id="JQ-01",
            statement="The deployed quintic does not fix 1: J(1) = .701, so M = [1] has delta_1 = .508599 from "
            "delta_0 = 0.",
            source="a third-party audit of Kim and Oh 2026, whose Appendix H.4 excludes the quintic",
            relation="==",
            method="exact rational",
            evaluate=_image_of_one,
            mutations=(Mutation("coefficients summing to 1 (Taylor degree 5)", {"method": "taylor_5"}),),
            expected="holds",
            attribution="relayed",
        ),
        Claim(
            id="JQ-02",
            statement="tau of the quintic is not monotone: it has a local maximum at lam = .307502, and tau'(1) is "
            "-.506823.",
            source="derived here: tau' = p (p + 2 lam p'), p(1) = .701, p'(1) = -.712",
            relation="==",
            method="certified interval",
            evaluate=_tau,
            mutations=(Mutation("tau'(1) = -.5087, as once noted", {"slope": -0.5087}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-6,
            tolerance_reason="the figure .307502 has six digits; tau'(1) is exact",
        ),
        Claim(
            id="JQ-03",
            statement="The image of [0,1] after q steps of the quintic is [0, 1.2023686] for every q = 1..7: the "
            "upper ends, then the lower.",
            source="derived here: interval images through the critical points .5545288 and 1.0501361",
            relation="==",
            method="certified interval",
            evaluate=_largest_image,
            mutations=(Mutation("coefficient 3.4445 -> 3.4", {"linear": "3.4"}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-7,
            tolerance_reason=SEVEN_DIGITS,
        ),
        Claim(
            id="JQ-04",
            statement="The quintic maps [.6818315, 1.2023686] into itself, onto [.6818315, 1.1343573]; the minimum is "
            "the value at the second critical point.",
            source="derived here: interval images",
            relation="==",
            method="certified interval",
            evaluate=_image_of_band,
            mutations=(Mutation("the band [.70, 1.2024]", {"lower": 0.70}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-7,
            tolerance_reason=SEVEN_DIGITS,
        ),
        Claim(
            id="JQ-05",
            statement="5 steps bring every sigma >= .00150513 into the band of JQ-04, 4 steps every sigma >= "
            ".00518439; 5 steps take sigma = 1e-3 to .470544 only.",
            source="derived here: interval images, bisection",
            relation="==",
            method="certified interval",
            evaluate=_thresholds,
            mutations=(Mutation("4 steps for sigma >= .005", {"four_steps": 0.005}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=4e-6,
            tolerance_reason="the figures have six digits",
        ),
        Claim(
            id="JQ-06",
            statement="The largest eps_q over sigma in [.01, 1] is .3181685 for q = 5..10: chi_q stays at 1.4666.",
            source="derived here: interval images",
            relation="==",
            method="certified interval",
            evaluate=_worst_error,
            mutations=(Mutation("Taylor degree 5 (tends to 0)", {"method": "taylor_5"}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-7,
            tolerance_reason=SEVEN_DIGITS,
        ),
        Claim(
            id="JQ-07",
            statement="delta_1 <= delta_0^3 for the quintic: the largest excess over [0,1].",
            source="transfer of Kim and Oh 2026, Lemma 3 (k = 2), to the deployed map",
            relation="<=",
            method="certified interval",
            evaluate=_contraction,
            mutations=(Mutation("Taylor degree 5 (k = 2)", {"method": "taylor_5"}),),
            expected="refuted",
            attribution="implied",
        ),
    ]
