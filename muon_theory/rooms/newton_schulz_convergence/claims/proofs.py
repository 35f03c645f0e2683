"""The linear program behind the provable constants: it gives the closed forms, and its proofs are exact."""

from dataclasses import replace
from fractions import Fraction

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rates import Analysis, closed_average, provable_average
from muon_theory.rates.euclidean import HeavyBall, provable_heavy_ball
from muon_theory.rooms.newton_schulz_convergence.rates import Setting
from muon_theory.rooms.newton_schulz_convergence.stationarity import heavy_ball_bound, inexact_average_bound

ENGINE = "derived here; multipliers solved for and checked in rational numbers"
BASE = Analysis(smoothness=Fraction(3, 2), initial_gap=2, steps=24, step_size=Fraction(1, 7))
CASES = (
    {},
    {"momentum": Fraction(9, 10), "noise": 3},
    {"momentum": Fraction(9, 10), "nesterov": True, "noise": Fraction(1, 3)},
    {"momentum": Fraction(1, 2), "deficit": Fraction(1, 10), "overshoot": Fraction(1, 5), "noise": Fraction(1, 7)},
    {"momentum": Fraction(3, 4), "nesterov": True, "deficit": Fraction(1, 2), "scale_free": True},
)


def _closed_forms(share: Fraction = Fraction(1)) -> Finding:
    """The program's bound: b = 0 against D/(T eta) + L eta/2 exactly, then five cases against Theorem A in floats."""
    textbook = BASE.initial_gap * 7 / Fraction(24) + Fraction(3, 2) / 14
    predicted: list[float | Fraction] = [textbook * share]
    measured: list[float | Fraction] = [provable_average(BASE).bound]
    for case in CASES:
        run = replace(BASE, **case)
        terms = inexact_average_bound(
            Setting(1.5, 2.0, 24, 1, float(run.noise), 1), step_size=1 / 7, gradient_weight=float(1 - run.momentum),
            nesterov=run.nesterov, alignment_deficit=float(run.deficit), overshoot=float(run.overshoot),
        )  # fmt: skip
        predicted.append(float(terms.total) * float(share))
        measured.append(float(provable_average(run).bound))
    return Finding(predicted, measured)


def _verified(tamper: Fraction = Fraction(1)) -> Finding:
    """Proofs that pass the rational check, of ten: both programs in five cases; `tamper` multiplies their bounds."""
    proofs = [provable_average(replace(BASE, **case), sharp=sharp) for case in CASES for sharp in (False, True)]
    return Finding(10, sum(replace(proof, bound=proof.bound * tamper).verified for proof in proofs))


def _sharper(swapped: bool = False) -> Finding:
    """The sharp program's bound over Theorem A's in the five cases."""
    ratios = []
    for case in CASES:
        run = replace(BASE, **case)
        ratio = float(provable_average(run, sharp=True).bound / closed_average(run))
        ratios.append(1 / ratio if swapped else ratio)
    return Finding(1.0, ratios, provable=min(ratios))


def _heavy_ball(share: Fraction = Fraction(1)) -> Finding:
    """The Euclidean program's bound over Theorem B's, b = 0, 1/4, 1/2, 9/10, T = 20, without and with noise."""
    ratios = []
    for b in (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(9, 10)):
        for variance in (0, 2):
            method = HeavyBall(smoothness=1, initial_gap=1, steps=20, step_size=1 - b, momentum=b, variance=variance)
            bound = heavy_ball_bound(Setting(1.0, 1.0, 20, 1, variance**0.5, 1), float(1 - b))
            ratios.append(float(provable_heavy_ball(method).bound / share) / float(bound))
    return Finding(1.0, ratios, attained=max(ratios))


def claims() -> list[Claim]:
    """The claims THA-LP, THA-LP-EXACT, THA-LP-SHARP and THB-LP.

    Returns:
        The claims.

    Source: derived here.
    """
    return [
        Claim(
            id="THA-LP",
            statement="descent lemma, momentum recursion, alignment, noise: the best constant they prove is "
            "D/(T eta) + L eta/2 without momentum and the closed form of Theorem A with it",
            source=ENGINE,
            relation="==",
            method="linear program",
            evaluate=_closed_forms,
            mutations=(Mutation("a closed form smaller by 1e-8", {"share": 1 - Fraction(1, 10**8)}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=1e-9,
            tolerance_reason="float64 evaluation of the closed form; the program's side is rational",
        ),
        Claim(
            id="THA-LP-EXACT",
            statement="its multipliers are non-negative and add up to the objective and to the bound in rational "
            "numbers",
            source=ENGINE,
            relation="==",
            method="exact rational",
            evaluate=_verified,
            mutations=(Mutation("claim bounds smaller by 1e-15", {"tamper": 1 - Fraction(1, 10**15)}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="THA-LP-SHARP",
            statement="Theorem A is not the best these facts prove: transients, unbiased momentum and THA-JENSEN give "
            "a "
            "constant at most as large in every case",
            source=ENGINE,
            relation="<=",
            method="linear program",
            evaluate=_sharper,
            mutations=(Mutation("exchange the two", {"swapped": True}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="THB-LP",
            statement="the inequalities behind Theorem B (descent, Young) prove at most 2(1+b^2) L_F D/((1-b)T) + "
            "(1-b) sigma^2, with equality at b = 0",
            source=f"{ENGINE}; against the exact worst case of performance estimation in the tests",
            relation="<=",
            method="linear program",
            evaluate=_heavy_ball,
            mutations=(Mutation("a bound smaller by a thousandth", {"share": Fraction(999, 1000)}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=1e-12,
            tolerance_reason="float64 evaluation of Theorem B, equality at b = 0",
        ),
    ]
