"""Exponents of compute: tuning at the final width against tuning at a smaller one."""

from fractions import Fraction

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.hyperparameter_transfer.compute_optimal import (
    best_errors,
    direct_exponent,
    is_useful,
    transfer_exponent,
)

PAPER = "Ghosh, Wu, Bietti 2025, arXiv 2512.22768, theorem on useful transfer"
DIRECT = ((0.5, 1), (1.0, 1), (0.5, 3))
TRANSFER = ((0.5, 0.1, 1), (0.5, 0.25, 1), (0.5, 0.4, 1), (1.0, 1.0, 1), (1.0, 2.0, 1), (0.5, 0.1, 3), (0.5, 0.4, 3))


def _slope(alpha: float, beta: float | None, parameters: int) -> float:
    budget = np.geomspace(1e10, 1e14, 9)
    errors = best_errors(budget, alpha=alpha, beta=beta, parameters=parameters)
    return float(-np.polyfit(np.log(budget), np.log(errors), 1)[0])


def _direct(doubled: bool = False) -> Finding:
    predicted = [direct_exponent(alpha, h * (2 if doubled else 1)) for alpha, h in DIRECT]
    return Finding(predicted, [_slope(alpha, None, h) for alpha, h in DIRECT])


def _transfer(capped: bool = True) -> Finding:
    predicted = [transfer_exponent(a, b, h) if capped else 2 * b / (2 + b * h) for a, b, h in TRANSFER]
    return Finding(predicted, [_slope(a, b, h) for a, b, h in TRANSFER])


def _useful(share: int = 2) -> Finding:
    """Over 1000 random rationals, how often the comparison of exponents agrees with share beta > alpha."""
    generator, agreed = np.random.default_rng(0), 0
    for _ in range(1000):
        alpha, beta, r = (Fraction(int(generator.integers(1, 60)), int(generator.integers(1, 30))) for _ in range(3))
        h = int(generator.integers(1, 6))
        better = transfer_exponent(alpha, beta, h, r) > direct_exponent(alpha, h, r)
        agreed += better == (is_useful(alpha, beta) if share == 2 else share * beta > alpha)
    return Finding(1000, agreed)


def claims() -> list[Claim]:
    """The claims on compute.

    Returns:
        Rows HT-04, HT-05 and HT-06.

    Source: see each row.
    """
    finite = "the next order of the sum at a budget of 1e10 to 1e14"
    return [
        Claim(id="HT-04", statement="direct tuning with budget F has error ~ F^-(alpha/(r + alpha h/2))", source=PAPER,
              relation="==", method="float64 evaluation", evaluate=_direct,
              mutations=(Mutation("alpha h in place of alpha h/2", {"doubled": True}),), expected="holds",
              attribution="printed", tolerance=0.005, tolerance_reason=finite),
        Claim(id="HT-05", statement="transfer with budget F has error ~ F^-min(alpha/r, 2 beta/(r + beta h))",
              source=PAPER, relation="==", method="float64 evaluation", evaluate=_transfer,
              mutations=(Mutation("without the cap alpha/r", {"capped": False}),), expected="holds",
              attribution="printed", tolerance=0.015, tolerance_reason=finite),
        Claim(id="HT-06", statement="transfer beats direct tuning iff 2 beta > alpha, whatever r and h", source=PAPER,
              relation="==", method="exact rational", evaluate=_useful,
              mutations=(Mutation("iff beta > alpha", {"share": 1}),), expected="holds", attribution="printed"),
    ]  # fmt: skip
