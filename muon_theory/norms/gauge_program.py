"""The gauge of a sum of weighted unit balls as a convex program, solved by ADMM with bounds from both sides.

min {t : Y = sum Z_i, Z_i in t a_i B_i} has the dual max {<Y, G> : sum a_i dual_i(G) <= 1}, that is
1 / min {sum a_i dual_i(G) : <Y, G> = 1}. The latter is split: one copy of G for each ball, whose proximal step is a
projection onto the ball, and the plane <Y, G> = 1 for their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LOOK_EVERY = 10


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
    Y: Tensor, balls: Sequence[Ball], *, dims: int, accuracy: float = 1e-9, iterations: int = 20_000
) -> tuple[Tensor, Tensor]:
    r"""Bounds of the gauge min {t : Y in t (a_1 B_1 + ... + a_l B_l)}.

    The lower bound is <Y, G> / sum a_i dual_i(G) of the current G, the upper one max_i value_i(Z_i) / a_i of a
    decomposition Y = sum Z_i made from the multipliers. The penalty is balanced between primal and dual residual.

    Args:
        Y: float64 vectors (dims = 1) or matrices (dims = 2) with any batch; entries of any size.
        balls: the weighted balls, at least one.
        dims: number of trailing dimensions that form one point.
        accuracy: relative distance of the two bounds at which to stop.
        iterations: most iterations.

    Returns:
        Lower and upper bound, shape (*batch,).

    Source: Boyd et al. 2011, "Distributed optimization and statistical learning via ADMM", sections 3 and 7.

    Accuracy: certified by the bounds; where the limit of iterations is reached they are further apart than asked.

    Cost: a projection onto every ball in each of some 50 to 2000 iterations.

    Example:
        >>> from muon_theory.norms import MaxEntry
        >>> box = Ball(0.5, MaxEntry()._gauge, MaxEntry()._support, MaxEntry()._projection)
        >>> low, high = gauge_of_sum(torch.eye(2, dtype=torch.float64), [box, box], dims=2)
        >>> round(low.item(), 8), round(high.item(), 8)
        (1.0, 1.0)
    """
    axes = tuple(range(-dims, 0))
    expand = (..., *(None,) * dims)
    size = torch.linalg.vector_norm(Y, dim=axes)
    live = size > 0
    Y = Y / torch.where(live, size, 1)[expand]

    def bounds(G: Tensor, parts: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Of the norm of Y, of Frobenius norm one: from a dual point, from a decomposition nearly proportional to Y."""
        total = sum((ball.weight * ball.support(G) for ball in balls), torch.zeros_like(size))
        scale = (torch.stack(parts).sum(dim=0) * Y).sum(dim=axes)
        parts = [Z / torch.where(scale > 0, scale, 1)[expand] for Z in parts]
        rest = (Y - torch.stack(parts).sum(dim=0)) / len(balls)
        gauges = [ball.gauge(Z + rest) / ball.weight for ball, Z in zip(balls, parts, strict=True)]
        return (G * Y).sum(dim=axes) / torch.where(total > 0, total, 1), torch.stack(gauges).amax(dim=0)

    G, step = Y, torch.zeros_like(Y)
    parts = [torch.zeros_like(Y) for _ in balls]
    low, high = bounds(G, parts)
    penalty = 0.5 / torch.where(live, low, 1)  # between 0.3 and 1 the fewest iterations, measured
    for iteration in range(1, iterations + 1):
        parts = [
            ball.projection(Z + penalty[expand] * (G + step), torch.full_like(size, ball.weight))
            for ball, Z in zip(balls, parts, strict=True)
        ]
        before = G
        G = G - torch.stack(parts).mean(dim=0) / penalty[expand]
        G = G + (1 - (G * Y).sum(dim=axes))[expand] * Y  # back into the plane
        step = G - before
        if iteration % _LOOK_EVERY == 0:
            new_low, new_high = bounds(G, parts)
            low, high = torch.maximum(low, new_low), torch.minimum(high, new_high)
            if not bool((live & (high - low > accuracy * low)).any()):
                break
    return torch.where(live, low, 0) * size, torch.where(live, high, 0) * size
