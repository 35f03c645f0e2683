"""How many steps are enough: the exact recursion beside the two bounds, as numbers one can use."""

from fractions import Fraction

from flint import arb, ctx

from muon_theory.claim import Claim, Enclosure, Finding, Mutation
from muon_theory.rooms.newton_schulz_convergence.error_bounds import (
    operator_error,
    slope_bound,
    smallest_steps,
    theorem_two_bound,
)
from muon_theory.rooms.newton_schulz_convergence.polynomial_range import enclosure
from muon_theory.rooms.newton_schulz_convergence.taylor import rational

STARTS = [Fraction(3, 10), Fraction(1, 10), Fraction(3, 100), Fraction(1, 100), Fraction(1, 1000), Fraction(1, 10**4)]
# x at which the slope bound and the bound of Theorem 2 are equal, k = 2, q = 1, 2, 3, 5.
CROSSINGS = (0.225399, 0.166627, 0.120272, 0.058876)
# Smallest q with chi_q <= 1.01 from each of STARTS: by the exact recursion, by the bound of Theorem 2.
NEEDED = {
    1: ((5, 8, 11, 14, 19, 25), (6, 9, 13, 16, 22, 29)),
    2: ((4, 5, 7, 9, 13, 16), (4, 6, 8, 10, 14, 19)),
    3: ((3, 4, 6, 7, 10, 13), (3, 5, 7, 8, 11, 15)),
}
SPOT = {
    "exact": (0.943784, 0.894816, 0.804231, 0.384188),
    "Theorem 2": (0.948062, 0.910162, 0.845023, 0.556698),
    "slope": (0.944489, 0.898451, 0.818092, 0.493679),
}


def _crossings(order: int = 2) -> Finding:
    """Where the slope bound of this order stops beating Theorem 2; NaN unless it does so exactly once."""
    return Finding(CROSSINGS, [_crossing(order, q) for q in (1, 2, 3, 5)])


def _crossing(k: int, q: int) -> Enclosure:
    """The one sign change on 1000 log-spaced points of [1e-6, .9], bisected to 1e-9 relative."""
    with ctx.workprec(128):
        grid = [Fraction(10.0 ** (-6 + 5.95 * i / 999)).limit_denominator(10**12) for i in range(1000)]
        signs = [_slope_wins(k, x, q) for x in grid]
        changes = [i for i in range(999) if signs[i] != signs[i + 1]]
        if len(changes) != 1 or not signs[0]:
            return Enclosure(float("nan"), float("nan"))
        low, high = grid[changes[0]], grid[changes[0] + 1]
        for _ in range(25):
            middle = (low + high) / 2
            low, high = (middle, high) if _slope_wins(k, middle, q) else (low, middle)
    return Enclosure(low, high)


def _slope_wins(k: int, x: Fraction, q: int) -> bool:
    ball = arb(rational(x))
    difference = slope_bound(k, ball, q) - theorem_two_bound(k, ball, q)
    if not (difference < 0 or difference > 0):
        raise ArithmeticError(f"undecided at x = {x}")
    return bool(difference < 0)


def _steps_needed(k: int, chi: Fraction = Fraction(101, 100), exact: bool = True) -> Finding:
    errors = (operator_error if exact else theorem_two_bound, theorem_two_bound)
    with ctx.workprec(300):
        counts = [smallest_steps(k, x, chi, error=error) for error in errors for x in STARTS]
    return Finding(NEEDED[k][0] + NEEDED[k][1], counts)


def _spot_values(k: int = 2) -> Finding:
    """At x = .03, q = 1, 2, 3, 5: the exact error, the bound of Theorem 2, the slope bound."""
    x = arb(rational(Fraction(3, 100)))
    errors = (operator_error, theorem_two_bound, slope_bound)
    measured = [enclosure(error(k, x, q)) for error in errors for q in (1, 2, 3, 5)]
    return Finding([value for row in SPOT.values() for value in row], measured)


def claims() -> list[Claim]:
    """Claims NS-21 to NS-23.

    Returns:
        One claim a row of the inventory.

    Source: derived here from Kim and Oh, 2026, arXiv 2601.19156, Theorem 2.
    """
    mutations = {
        1: Mutation("chi <= 1.1", {"chi": Fraction(11, 10)}),
        2: Mutation("phi -> u^(k+1) in the recursion", {"exact": False}),
        3: Mutation("chi <= 1.001", {"chi": Fraction(1001, 1000)}),
    }
    return [
        Claim(
            id="NS-21",
            statement="k = 2: the slope bound is below the bound of Theorem 2 iff x is below .225399, .166627, "
            ".120272, .058876 (q = 1, 2, 3, 5).",
            source="derived here: one sign change on a logarithmic grid, then bisection",
            relation="==",
            method="certified interval",
            evaluate=_crossings,
            mutations=(Mutation("the crossings of k = 1", {"order": 1}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-6,
            tolerance_reason="the figures have six digits",
        ),
        *(
            Claim(
                id=f"NS-22-K{k}",
                statement=f"Smallest q with chi_q <= 1.01 for x = .3 .1 .03 .01 1e-3 1e-4, k = {k}: "
                f"exact recursion {_listed(NEEDED[k][0])}; by the bound of Theorem 2 {_listed(NEEDED[k][1])}.",
                source="derived here from Kim and Oh 2026, Lemma 2 and Theorem 2",
                relation="==",
                method="certified interval",
                evaluate=_steps_needed,
                parameters={"k": k},
                mutations=(mutations[k],),
                expected="holds",
                attribution="ours",
            )
            for k in (1, 2, 3)
        ),
        Claim(
            id="NS-23",
            statement="k = 2, x = .03, q = 1, 2, 3, 5: eps_q, the bound of Theorem 2, the slope bound.",
            source="derived here from Kim and Oh 2026, Theorem 2, and NS-14",
            relation="==",
            method="certified interval",
            evaluate=_spot_values,
            mutations=(Mutation("k = 3", {"k": 3}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-6,
            tolerance_reason="the printed figures have six digits",
        ),
    ]


def _listed(counts: tuple[int, ...]) -> str:
    return " ".join(map(str, counts))
