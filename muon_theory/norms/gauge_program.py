"""The gauge of a sum of weighted unit balls as a convex program, solved by restarted ADMM with bounds from both sides.

min {t : Y = sum Z_i, Z_i in t a_i B_i} has the dual max {<Y, G> : sum a_i dual_i(G) <= 1}, that is
1 / min {sum a_i dual_i(G) : <Y, G> = 1}. The latter is split: one copy of G for each ball, whose proximal step is a
projection onto the ball, and the plane <Y, G> = 1 for their mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LOOK_EVERY = 10
_ENOUGH_PROGRESS = 0.5  # restart when the distance of the bounds has halved ...
_LONGEST_RUN = 0.36  # ... or when a run makes up this part of all iterations


@dataclass(frozen=True)
class Ball:
    """A weighted unit ball a B, as the program needs it.

    Attributes:
        weight: a > 0.
        gauge: value of the norm of B, (*batch, *shape) to (*batch,).
        support: its dual norm, likewise.
        projection: nearest point of {value <= radius}, radius of shape (*batch,).

    Source: elementary.
    """

    weight: float
    gauge: Callable[[Tensor], Tensor]
    support: Callable[[Tensor], Tensor]
    projection: Callable[[Tensor, Tensor], Tensor]


def gauge_of_sum(
    Y: Tensor, balls: Sequence[Ball], *, accuracy: float = 1e-9, iterations: int = 20_000
) -> tuple[float, float]:
    r"""Bounds of the gauge min {t : Y in t (a_1 B_1 + ... + a_l B_l)}.

    The lower bound is <Y, G> / sum a_i dual_i(G) at the dual point G, the upper one max_i value_i(Z_i) / a_i of a
    decomposition Y = sum Z_i made from the multipliers. Restarts from the better one of iterate and average, with the
    penalty set anew from the distances travelled, keep degenerate points (tied singular values) from stalling.

    Args:
        Y: one float64 vector or matrix.
        balls: the weighted balls, at least one.
        accuracy: relative distance of the two bounds at which to stop.
        iterations: most iterations.

    Returns:
        Lower and upper bound.

    Source: Boyd et al. 2011, "Distributed optimization and statistical learning via ADMM", section 7; restarts and
        penalty as in Applegate et al. 2021 (arXiv 2106.04756).

    Accuracy: certified by the bounds; where the limit of iterations is reached they are further apart than asked.

    Cost: a projection onto every ball in each of the iterations: 50 to 250 for generic points, up to 2000 seen for
        tied singular values.

    Example:
        >>> from muon_theory.norms import MaxEntry
        >>> box = Ball(0.5, MaxEntry()._gauge, MaxEntry()._support, MaxEntry()._projection)
        >>> gauge_of_sum(torch.eye(2, dtype=torch.float64), [box, box])
        (1.0, 1.0)
    """
    size = float(torch.linalg.vector_norm(Y))
    if size == 0:
        return 0.0, 0.0
    Y = Y / size
    weights = [Y.new_tensor(ball.weight) for ball in balls]
    now = before = _Point(Y, tuple(torch.zeros_like(Y) for _ in balls))
    start = total = now.scaled(0.0)
    low, high, gap, length = now.lower_bound(Y, balls), math.inf, math.inf, 0
    penalty = 0.5 / low  # between 0.3 and 1 the fewest iterations, measured
    for iteration in range(1, iterations + 1):
        ahead = (penalty / len(balls)) * (2 * now.G - before.G)
        parts = tuple(b.projection(Z + ahead, a) for b, Z, a in zip(balls, now.parts, weights, strict=True))
        G = now.G - sum(parts, torch.zeros_like(Y)) / penalty
        before, now = now, _Point(G + (1 - (G * Y).sum()) * Y, parts)  # back into the plane
        total, length = total.plus(now), length + 1
        if iteration % _LOOK_EVERY:
            continue
        ends = [(p.lower_bound(Y, balls), p.upper_bound(Y, balls), p) for p in (now, total.scaled(1 / length))]
        low, high = max(low, *(end[0] for end in ends)), min(high, *(end[1] for end in ends))
        if high - low <= accuracy * low:
            break
        new_low, new_high, best = min(ends, key=lambda end: end[1] - end[0])
        if new_high - new_low < _ENOUGH_PROGRESS * gap or length >= _LONGEST_RUN * iteration:
            primal, dual = best.distances(start)
            if primal > 1e-12 and dual > 1e-12:
                penalty = math.sqrt(penalty * dual * math.sqrt(len(balls)) / primal)
            now = before = start = best
            total, length, gap = best.scaled(0.0), 0, new_high - new_low
    return low * size, high * size


@dataclass(frozen=True)
class _Point:
    """A dual point G and the multipliers Z_i, points of the weighted balls."""

    G: Tensor
    parts: tuple[Tensor, ...]

    def scaled(self, factor: float) -> _Point:
        """All of it times a factor."""
        return _Point(self.G * factor, tuple(Z * factor for Z in self.parts))

    def plus(self, other: _Point) -> _Point:
        """The sum."""
        return _Point(self.G + other.G, tuple(Z + z for Z, z in zip(self.parts, other.parts, strict=True)))

    def distances(self, other: _Point) -> tuple[float, float]:
        """How far apart two points are, in G and in the multipliers."""
        squares = [float((Z - z).square().sum()) for Z, z in zip(self.parts, other.parts, strict=True)]
        return float((self.G - other.G).square().sum()) ** 0.5, math.fsum(squares) ** 0.5

    def lower_bound(self, Y: Tensor, balls: Sequence[Ball]) -> float:
        """<Y, G> / sum a_i dual_i(G)."""
        cost = math.fsum(ball.weight * float(ball.support(self.G)) for ball in balls)
        return float((self.G * Y).sum()) / cost

    def upper_bound(self, Y: Tensor, balls: Sequence[Ball]) -> float:
        """Max value_i(Z_i) / a_i, once the multipliers are scaled and shifted so that their sum is Y."""
        scale = float((sum(self.parts, torch.zeros_like(Y)) * Y).sum())  # Y has length one
        if scale <= 0:
            return math.inf
        parts = [Z / scale for Z in self.parts]
        rest = (Y - sum(parts, torch.zeros_like(Y))) / len(balls)
        return max(float(ball.gauge(Z + rest)) / ball.weight for ball, Z in zip(balls, parts, strict=True))
