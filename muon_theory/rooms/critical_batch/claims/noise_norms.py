"""Which norm the noise may be measured in, and why the Y/B form of the bound is weak."""

from fractions import Fraction
from itertools import product

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.critical_batch.batch_size import critical_batch
from muon_theory.rooms.critical_batch.four_settings import BatchTerms

RESTATED = "an account of arXiv 2507.01598 that says it generalises it (second hand)"


def _young(share: Fraction = Fraction(1, 2)) -> Finding:
    """(fro^2)/2 + share r - sqrt(r) fro at r = 4 and fro = 1/2, 1, 2, 3; zero at fro = 2."""
    r = 4
    return Finding(0, [f * f / 2 + share * r - 2 * f for f in map(Fraction, ("1/2", "1", "2", "3"))])


def _batch_mean(norm: str = "nuclear") -> Finding:
    """E norm^2 of the mean of two draws of +-E_11, +-E_22 against half of one draw's, exactly."""
    draws = [(sign, 0) for sign in (1, -1)] + [(0, sign) for sign in (1, -1)]

    def squared(diagonal: tuple[Fraction, Fraction]) -> Fraction:
        a, b = map(abs, diagonal)
        return (a + b) ** 2 if norm == "nuclear" else a * a + b * b

    single = sum(squared((Fraction(a), Fraction(b))) for a, b in draws) / Fraction(len(draws))
    pairs = list(product(draws, repeat=2))
    means = [(Fraction(x[0] + y[0], 2), Fraction(x[1] + y[1], 2)) for x, y in pairs]
    return Finding(single / 2, sum(map(squared, means)) / Fraction(len(pairs)))


def _second_difference(norm: str = "nuclear") -> Finding:
    """Second difference quotient of norm^2/2 from diag(1, 0) along E_22 at t = .001 and 1e-6, against that at .1."""

    def quotient(t: Fraction) -> Fraction:
        ahead = (1 + t) ** 2 if norm == "nuclear" else 1 + t * t  # the same at -t
        return (2 * ahead / 2 - 1) / t**2

    return Finding(quotient(Fraction(1, 10)), [quotient(Fraction(1, 10**3)), quotient(Fraction(1, 10**6))])


def _covariance_trace(rank_factor: int = 6) -> Finding:
    """B* with tr Sigma over B* with sqrt(r) sigma, for random row scales of a 6-row noise and for equal rows."""
    scales = np.concatenate([np.random.default_rng(0).exponential(size=(200, 6)) ** 3, np.ones((1, 6))])
    trace, frobenius = scales.sum(1), (rank_factor * (scales**2).sum(1)) ** 0.5
    sharp, plain = (critical_batch(BatchTerms(1.0, Y, 0.0 * Y), 1.0).batch for Y in (trace, frobenius))
    ratios = (sharp / plain).tolist()
    return Finding(1.0, [min(ratios), max(ratios)], attained=ratios[-1])


def claims() -> list[Claim]:
    """The claims on the norm of the noise.

    Returns:
        Rows CB-21 to CB-24.

    Source: see each row.
    """
    return [
        Claim(id="CB-21", statement="sqrt(r) fro(E) <= (fro(E)^2 + r)/2, equal iff fro(E) = sqrt(r): the Young form of "
              "the noise term leaves a floor r/2 that no batch size removes", source="derived here", relation=">=",
              method="exact rational", evaluate=_young,
              mutations=(Mutation("r/4 in place of r/2", {"share": Fraction(1, 4)}),), expected="holds",
              attribution="ours"),
        Claim(id="CB-22", statement="E nuc(mean of B noises)^2 <= (1/B) E nuc(one noise)^2", source=RESTATED,
              relation="<=", method="exact rational", evaluate=_batch_mean,
              mutations=(Mutation("the Frobenius norm (equality)", {"norm": "frobenius"}),), expected="refuted",
              attribution="relayed"),
        Claim(id="CB-23", statement="nuc(.)^2/2 is smooth: its second difference from diag(1, 0) stays bounded as "
              "t -> 0 (it is 2/t + 1)", source=RESTATED, relation="<=", method="exact rational",
              evaluate=_second_difference,
              mutations=(Mutation("the Frobenius norm", {"norm": "frobenius"}),), expected="refuted",
              attribution="relayed"),
        Claim(id="CB-24", statement="B* with (tr Sigma)^2 in place of r sigma^2 is never larger; equal iff the rows of "
              "the noise have equal variance", source="derived here, after Tao, Yu and Zhang 2026 (Sigma^2 is the "
              "noise covariance)", relation="<=",
              method="simulation", evaluate=_covariance_trace,
              mutations=(Mutation("sigma^2 without r", {"rank_factor": 1}),), expected="holds", attribution="ours",
              tolerance=1e-12, tolerance_reason="equality up to rounding at equal rows"),
    ]  # fmt: skip
