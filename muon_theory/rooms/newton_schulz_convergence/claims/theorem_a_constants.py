"""Theorem A as arithmetic: the best step size, the distance to Kim and Oh's bound, and additive oracle errors."""

from typing import Any

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.newton_schulz_convergence.rates import Setting, average_bound
from muon_theory.rooms.newton_schulz_convergence.stationarity import (
    best_step_size,
    curvature_constant,
    inexact_average_bound,
)

DERIVED = "derived here (Theorem A)"
SHULGIN = "derived here in the setting of Shulgin et al. 2025, arXiv 2510.19933 (theorems not read)"
UNIT = Setting(1.0, 1.0, 100, 1, 0.0, 1)


def _best_step(without_half: bool = False) -> Finding:
    """eta* and the terms with eta, minimised on a grid: ehat = .1, omega = .2, b = .9 Nesterov; then b = 0 exact."""
    eta, predicted, measured = np.geomspace(1e-3, 1e1, 200_001), [], []
    for o, nesterov, ehat, omega in ((0.1, True, 0.1, 0.2), (1.0, False, 0.0, 0.0)):
        A = float(curvature_constant(o, nesterov=nesterov, alignment_deficit=ehat, overshoot=omega))
        A = A - (1 + omega) ** 2 / 2 * without_half
        terms = inexact_average_bound(
            UNIT, step_size=eta, gradient_weight=o, nesterov=nesterov, alignment_deficit=ehat, overshoot=omega,
            initial_gradient=0.0,
        )  # fmt: skip
        total = np.asarray(terms.total)
        best = (
            (1 / (100 * A)) ** 0.5
            if without_half and A > 0
            else np.inf
            if without_half
            else float(best_step_size(UNIT, A))
        )
        predicted += [1.0, 2 * (A / 100) ** 0.5 / (1 - ehat)]
        measured += [float(eta[np.argmin(total)]) / best, float(total.min())]
    return Finding(predicted, measured)


def _difference_to_printed(steps: int = 100, power: bool = True) -> Finding:
    """K3 - Theorem A at ehat = omega = e = .3, nuc(g_1) = sqrt(2LD), b = .9, r = 6; `power` keeps b^T."""
    predicted, measured = [], []
    for T in (steps, 1):
        setting = Setting(1.0, 1.0, T, 6, 0.0, 1)
        kwargs: dict[str, Any] = {"step_size": 0.05, "gradient_weight": 0.1}
        ours = inexact_average_bound(setting, alignment_deficit=0.3, overshoot=0.3, **kwargs).total
        measured.append(float(average_bound(setting, operator_error=0.3, **kwargs).total) - float(ours))
        predicted.append(2 * 0.9 * 2**0.5 * (6**0.5 - 1 + power * 0.9**T) / (T * 0.1 * 0.7))
    return Finding(predicted, measured)


def _additive_error(corrected: bool = True) -> Finding:
    """eta* sqrt(LT/2D) (1 + delta) and the least bound over sqrt(2LD/T), delta = .3, b = 0, on a grid."""
    eta, delta = np.geomspace(1e-2, 1, 200_001), 0.3
    total = np.asarray(
        inexact_average_bound(UNIT, step_size=eta, gradient_weight=1.0, alignment_deficit=delta, overshoot=delta).total
    )
    best = float(eta[np.argmin(total)]) * 50**0.5 * (1 + delta if corrected else 1)
    return Finding([1.0, (1 + delta) / (1 - delta)], [best, float(total.min()) * 50**0.5])


def _best_weight(sign: int = 1) -> Finding:
    """Best 1-b at delta = .1, .5 over that at 0 (L = D = sigma = r = B = 1, T = 1e14, eta best for each b)."""
    o, best = np.geomspace(5e-8, 2e-6, 100_001), []
    setting = Setting(1.0, 1.0, 1e14, 1, 1.0, 1)
    for delta in (0.0, 0.1, 0.5):
        A = curvature_constant(o, alignment_deficit=delta, overshoot=delta)
        terms = inexact_average_bound(
            setting, step_size=best_step_size(setting, A), gradient_weight=o, alignment_deficit=delta, overshoot=delta
        )
        best.append(float(o[np.argmin(np.asarray(terms.total))]))
    return Finding([(1 + sign * 0.1) ** 0.5, (1 + sign * 0.5) ** 0.5], [best[1] / best[0], best[2] / best[0]])


def claims() -> list[Claim]:
    """The claims THA-ETA, THA-K3, THA-SHU1 and THA-SHU2.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="THA-ETA",
            statement="best step eta* = sqrt(D/(TLA)), A = (1+omega)^2/2 + (2-ehat+omega)(1+omega) a_C b/(1-b); the "
            "terms "
            "with eta are then 2 sqrt(LDA/T)/(1-ehat)",
            source=DERIVED,
            relation="==",
            method="float64 evaluation",
            evaluate=_best_step,
            mutations=(Mutation("A without its first term", {"without_half": True}),),
            expected="holds",
            attribution="ours",
            tolerance=5e-5,
            tolerance_reason="the grid has ratio 1 + 4.6e-5 between neighbours",
        ),
        Claim(
            id="THA-K3",
            statement="at ehat = omega = e and nuc(g_1) = sqrt(2LD): K3 - Theorem A = "
            "2b sqrt(2LD)(sqrt r - 1 + b^T)/(T(1-b)(1-e)), T = 100 and 1",
            source=DERIVED,
            relation="==",
            method="float64 evaluation",
            evaluate=_difference_to_printed,
            mutations=(Mutation("without b^T", {"power": False}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-11,
            tolerance_reason="float64 rounding of a difference of numbers of order 100",
        ),
        Claim(
            id="THA-SHU1",
            statement="additive oracle error op(O-P) <= delta, b = 0, no noise: eta* = sqrt(2D/(LT))/(1+delta), bound "
            "(1+delta)/(1-delta) sqrt(2LD/T)",
            source=SHULGIN,
            relation="==",
            method="float64 evaluation",
            evaluate=_additive_error,
            mutations=(Mutation("eta* without 1/(1+delta)", {"corrected": False}),),
            expected="holds",
            attribution="ours",
            tolerance=5e-5,
            tolerance_reason="the grid has ratio 1 + 2.3e-5 between neighbours",
        ),
        Claim(
            id="THA-SHU2",
            statement="the best 1-b scales like sqrt(1+delta) where it is small: a coarser oracle wants less momentum "
            "memory",
            source=SHULGIN,
            relation="==",
            method="float64 evaluation",
            evaluate=_best_weight,
            mutations=(Mutation("sqrt(1-delta)", {"sign": -1}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-3,
            tolerance_reason="the law is the limit of small 1-b; here 1-b is 3e-7 and the corrections 1e-4 to 1e-3",
        ),
    ]
