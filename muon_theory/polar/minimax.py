"""Schedules of best odd polynomials: Polar Express, and mixed degrees under a budget of matrix products.

One composes greedily: after a step with error E the interval is [1 - E, 1 + E]. The greedy composition is optimal among
all compositions of polynomials of those degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from muon_theory.polar.certified import certified_worst_error
from muon_theory.polar.coefficients import CoefficientSet, ExactRow, Row, matmuls_per_step, taylor_coefficients
from muon_theory.polar.remez import best_odd_polynomial, check_interval, exact_value, minimax_polynomial, shortened

__all__ = ["minimax_polynomial", "mixed_degree_schedule", "polar_express"]

_Schedule = tuple[Fraction, tuple[int, ...], tuple[ExactRow, ...]]
_NEGLIGIBLE = Fraction(1, 2**200)


def polar_express(
    lower: float, steps: int, *, degree: int | Sequence[int] = 5, cushion: float = 0.0, safety: float = 1.0
) -> CoefficientSet:
    """The Polar Express schedule: the greedy composition of best odd polynomials on [lower, 1].

    p_t is the best odd polynomial of its degree on [l_t, u_t]; l_{t+1} = p_t(l_t), u_{t+1} = 2 - l_{t+1}; l_1 = lower,
    u_1 = 1. Two stabilisers of the released code: where l_t < cushion u_t, p_t is designed for [cushion u_t, u_t] and
    rescaled so that p_t(l_t) + p_t(u_t) = 2; and every row but the last is divided by safety^degree before l_{t+1} is
    computed.

    Args:
        lower: smallest singular value aimed at, in (0, 1].
        steps: number of steps, an integer >= 1.
        degree: odd integer >= 3 of every step, or one for each step.
        cushion: in [0, 1); 0 gives the optimal composition.
        safety: factor >= 1 on the argument; 1 gives the optimal composition.

    Returns:
        A `CoefficientSet` named after its parameters, extended by Taylor steps, to hand to `orthogonalize`.

    Raises:
        ValueError: lower, steps, degree, cushion or safety is out of range.

    Source: Amsel et al. 2025, arXiv 2505.16932, Theorem 4.1 and Remark 4.2, and the stabilisers of its released code.

    Accuracy: rows correctly rounded; `worst_error` is certified for the rounded rows on [lower, 1].

    >>> fast = polar_express(1e-3, 5)
    >>> [round(c, 4) for c in fast.steps[0]], round(fast.worst_error, 4)
    ([8.4703, -25.1081, 18.6293], 0.1134)
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps must be an integer >= 1, got {steps!r}")
    degrees = (degree,) * steps if isinstance(degree, int) else tuple(degree)
    if len(degrees) != steps:
        raise ValueError(f"degree must be one odd integer or {steps} of them, got {len(degrees)}")
    for d in degrees:
        taylor_coefficients(d)  # checks the degree
    check_interval(lower, 1.0)
    if not 0 <= cushion < 1:
        raise ValueError(f"cushion must be in [0, 1), got {cushion}")
    if not (math.isfinite(safety) and safety >= 1):
        raise ValueError(f"safety must be a finite factor >= 1, got {safety}")
    return _polar_express(lower, degrees, float(cushion), float(safety))


def mixed_degree_schedule(
    lower: float, matmuls: int, *, degrees: Sequence[int] = (3, 5, 7, 9)
) -> tuple[tuple[int, ...], tuple[Row, ...], float]:
    """The composition of best odd polynomials with the smallest error under a budget of matrix products.

    A step of degree 3, 5, 7, 9 costs 2, 3, 4, 4 products. The error after a step grows with that before it (the
    intervals are nested), so the best schedule of b products begins with a best schedule of fewer: dynamic programming
    finds the optimum over all sequences.

    Args:
        lower: smallest singular value, in (0, 1).
        matmuls: budget of matrix products, an integer >= 2; less may be used.
        degrees: odd degrees allowed.

    Returns:
        (degrees, rows, error): the sequence of degrees, float64 rows lowest power first, and the worst error on
        [lower, 1] of the composition.

    Raises:
        TypeError: matmuls is not an integer.
        ValueError: lower is not in (0, 1), or the budget is too small for one step.

    Source: Amsel et al. 2025, arXiv 2505.16932, Theorem 4.1 and Remark 4.2 (any fixed sequence); the search: derived
    here, checked in tests/polar.

    Accuracy: once the error is below 2^-200 no further step is added, whatever budget is left.

    Cost: matmuls times len(degrees) best polynomials, under a second; cached.

    >>> mixed_degree_schedule(1e-2, 15)[0]
    (5, 9, 9, 9)
    """
    check_interval(lower, 1.0)
    if lower >= 1:
        raise ValueError(f"lower must be below 1, got {lower}")
    for d in degrees:
        taylor_coefficients(d)  # checks the degree
    if isinstance(matmuls, bool) or not isinstance(matmuls, int):
        raise TypeError(f"matmuls must be an integer, got {matmuls!r}")
    cheapest = min(map(matmuls_per_step, degrees), default=0)
    if cheapest == 0 or matmuls < cheapest:
        raise ValueError(f"matmuls must be at least the {cheapest} of one step, got {matmuls}")
    return _mixed(lower, matmuls, tuple(sorted(set(degrees))))


@lru_cache(maxsize=128)
def _mixed(lower: float, matmuls: int, degrees: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Row, ...], float]:
    """Dynamic programming over the budget; a state is (error, degrees, rows), the interval follows from the error."""
    start = Fraction(lower)
    best: list[_Schedule] = [(1 - start, (), ())]
    for budget in range(1, matmuls + 1):
        chosen = best[budget - 1]
        if chosen[0] < _NEGLIGIBLE:
            return _floats(chosen)
        for d in reversed(degrees):
            before = budget - matmuls_per_step(d)
            if before < 0:
                continue
            error, sequence, rows = best[before]
            row, smaller = best_odd_polynomial(d, 1 - error, 1 + error if sequence else Fraction(1))
            if smaller < chosen[0]:
                chosen = (smaller, (*sequence, d), (*rows, row))
        best.append(chosen)
    return _floats(best[matmuls])


def _floats(schedule: _Schedule) -> tuple[tuple[int, ...], tuple[Row, ...], float]:
    error, sequence, rows = schedule
    return sequence, tuple(tuple(float(c) for c in row) for row in rows), float(error)


@lru_cache(maxsize=128)
def _polar_express(lower: float, degrees: tuple[int, ...], cushion: float, safety: float) -> CoefficientSet:
    l, u = Fraction(lower), Fraction(1)
    rows = []
    for t, d in enumerate(degrees):
        row, _ = best_odd_polynomial(d, max(l, Fraction(cushion) * u), u)
        if Fraction(cushion) * u > l:
            scale = 2 / (exact_value(row, l) + exact_value(row, u))
            row = tuple(c * scale for c in row)
        if t < len(degrees) - 1:
            row = tuple(c / Fraction(safety) ** (2 * i + 1) for i, c in enumerate(row))
        rows.append(tuple(Fraction(float(c)) for c in row))
        l = shortened(exact_value(row, l))
        u = 2 - l
    label = "x".join(map(str, degrees))
    made = CoefficientSet(
        name=f"polar_express(lower={lower:g}, degrees={label}, cushion={cushion:g}, safety={safety:g})",
        exact_steps=tuple(rows),
        interval=(float(lower), 1.0),
        worst_error=1.0,
        natural_steps=len(degrees),
        extension="taylor",
        source="Amsel et al. 2025, arXiv 2505.16932, computed here",
    )
    return replace(made, worst_error=certified_worst_error(made, len(degrees), lower))
