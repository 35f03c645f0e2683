"""How many steps a rule needs to a goal when its learning rate and its momentum are the best of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
_LIMIT = 1e9


class Arrival(NamedTuple):
    """Who on the grid was at the goal first.

    Args:
        steps: gradients taken, the one at the start included; the cap if nobody arrived.
        step_size: its learning rate, NaN if nobody arrived.
        momentum: its momentum b, NaN if nobody arrived.

    Source: elementary (a record).
    """

    steps: int
    step_size: float
    momentum: float


def first_arrival(
    gradient: Callable[[Array], Array], start: Array, rule: Literal["muon", "sgd"], *, step_sizes: ArrayLike,
    goal: float, momenta: Sequence[float] = (0.0, 0.9), largest: int = 20_000,
) -> Arrival:  # fmt: skip
    """The first run of a grid whose running mean of nuc(gradient) is at most the goal, without noise.

    N <- b N + (1-b) g, W <- W - eta P(N) for Muon, W - eta N for SGD with momentum.

    Args:
        gradient: of a stack of points, (configurations, m, n) to the same shape.
        start: W_0, (m, n).
        rule: "muon" or "sgd".
        step_sizes: eta > 0, the grid.
        goal: for the mean of nuc(g_1), ..., nuc(g_t), > 0.
        momenta: b in [0, 1), crossed with the step sizes.
        largest: cap on t, >= 1.

    Returns:
        The winner. Runs that diverge are cut off and lose.

    Raises:
        ValueError: a rule, step size, momentum, goal or cap out of range.

    Source: elementary; the goal is what the convergence theory of Muon bounds.

    >>> first_arrival(lambda W: W, np.eye(2), "sgd", step_sizes=[0.5, 1.0], goal=1.0)
    Arrival(steps=2, step_size=1.0, momentum=0.0)
    """
    sizes, b = np.asarray(step_sizes, dtype=float), np.asarray(momenta, dtype=float)
    if rule not in ("muon", "sgd"):
        raise ValueError(f"rule = {rule!r}: choose 'muon' or 'sgd'")
    if not (sizes.size and np.all(sizes > 0) and b.size and np.all((b >= 0) & (b < 1)) and goal > 0 and largest >= 1):
        raise ValueError(
            f"step_sizes, momenta, goal, largest = {step_sizes}, {momenta}, {goal}, {largest}: need > 0, in [0, 1), "
            "> 0, >= 1"
        )
    grid = np.array(list(product(sizes.tolist(), b.tolist())))
    eta, beta = grid[:, :1, None], grid[:, 1:, None]
    W = np.broadcast_to(start, (len(grid), *start.shape)).copy()
    N, total = np.zeros_like(W), np.zeros(len(grid))
    for step in range(1, largest + 1):
        g = gradient(W)
        total += np.linalg.svd(g, compute_uv=False).sum(-1)
        if (total <= goal * step).any():
            first = int(np.argmin(total))
            return Arrival(step, float(grid[first, 0]), float(grid[first, 1]))
        N = beta * N + (1 - beta) * g
        O = N
        if rule == "muon":
            U, sigma, Vt = np.linalg.svd(N, full_matrices=False)
            O = (U * (sigma > max(start.shape) * np.finfo(float).eps * sigma[:, :1])[:, None, :]) @ Vt
        W = np.clip(W - eta * O, -_LIMIT, _LIMIT)
    return Arrival(largest, np.nan, np.nan)
