"""Tuning under one contract: the same search for every configuration, and an optimum at the edge of a grid is refused.

A comparison of optimizers is worth what the tuning of the loser is worth. The search is by coordinates: one
hyperparameter at a time, over a grid that grows while its best value lies at an end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Configuration = Mapping[str, Any]
Measure = Callable[[list[dict[str, Any]]], Sequence[float]]
Extend = Callable[[float], float | None]


@dataclass(frozen=True)
class Grid:
    """Values of one hyperparameter, and how the grid grows at its ends.

    Args:
        values: ascending, at least two.
        below: the next value below the smallest, or None at a natural boundary.
        above: the next value above the largest, or None at a natural boundary.

    Raises:
        ValueError: fewer than two values, or values that do not ascend.

    Source: elementary.
    """

    values: tuple[float, ...]
    below: Extend
    above: Extend

    def __post_init__(self) -> None:
        if len(self.values) < 2 or list(self.values) != sorted(set(self.values)):
            raise ValueError(f"values are {self.values!r}; give at least two, ascending")


def learning_rates(center: float, *, count: int = 5, factor: float = 2.0) -> Grid:
    """Grid of learning rates: geometric around a centre, growing without end at both ends.

    Args:
        center: middle value, > 0.
        count: number of values, odd.
        factor: ratio of neighbours, > 1.

    Returns:
        The grid.

    Source: elementary.

    >>> learning_rates(0.02, count=3).values
    (0.01, 0.02, 0.04)
    """
    half = count // 2
    values = tuple(center * factor**i for i in range(-half, half + 1))
    return Grid(values, lambda lr: lr / factor, lambda lr: lr * factor)


def momenta(values: tuple[float, ...] = (0.8, 0.9, 0.95)) -> Grid:
    """Grid of momenta: 1 - momentum doubles downwards, to the natural boundary 0, and halves upwards.

    Args:
        values: ascending, in [0, 1).

    Returns:
        The grid.

    Source: elementary.

    >>> round(momenta().above(0.95), 6), momenta().below(0.5), momenta().below(0.0)
    (0.975, 0.0, None)
    """
    return Grid(values, lambda m: None if m <= 0 else max(0.0, 1 - 2 * (1 - m)), lambda m: 1 - (1 - m) / 2)


def weight_decays(values: tuple[float, ...] = (0.0, 0.01, 0.1), *, factor: float = 10.0) -> Grid:
    """Grid of weight decays: 0 is a natural boundary, upwards it grows by a factor.

    Args:
        values: ascending, >= 0.
        factor: ratio of the values it grows by, > 1.

    Returns:
        The grid.

    Source: elementary.

    >>> weight_decays().below(0.0), round(weight_decays().below(0.01), 6)
    (None, 0.001)
    """
    return Grid(values, lambda d: None if d == 0 else d / factor, lambda d: d * factor)


def tune(
    measure: Measure,
    configurations: Sequence[Configuration],
    start: Configuration,
    grids: Mapping[str, Grid],
    *,
    extensions: int = 8,
) -> list[dict[str, Any]]:
    """Best hyperparameters of every configuration, by the same coordinate search.

    For each hyperparameter in turn all values of its grid are measured with the others at their best so far. While the
    best value is an end of the grid and no natural boundary, the grid grows there by one value.

    Args:
        measure: losses (lower is better, NaN and inf count as worst) of a list of parameter sets, each a configuration
            joined with hyperparameters; called once a round with what all configurations need, so it may run in
            parallel.
        configurations: what is compared, e.g. `[{"q": 1}, {"q": 2}]`.
        start: initial value of every hyperparameter, one for each grid.
        grids: grid of each hyperparameter, in the order of the search.
        extensions: how often a grid may grow for one configuration.

    Returns:
        For each configuration its hyperparameters.

    Raises:
        ValueError: a hyperparameter without a start value, a configuration that diverges at every value, or a best
            value that is still at the edge after all extensions.

    Source: elementary (coordinate search).

    >>> losses = lambda trials: [(t["lr"] - t["target"]) ** 2 for t in trials]
    >>> tune(losses, [{"target": 0.08}, {"target": 4.1}], {"lr": 1.0}, {"lr": learning_rates(1.0, count=3)})
    [{'lr': 0.0625}, {'lr': 4.0}]
    """
    if missing := set(grids) - set(start):
        raise ValueError(f"start has no value for {', '.join(sorted(missing))}")
    best = [dict(start) for _ in configurations]
    for name, grid in grids.items():
        found: list[dict[float, float]] = [{} for _ in configurations]
        pending = {(index, value) for index in range(len(best)) for value in grid.values}
        for _ in range(extensions + 1):
            order = sorted(pending)
            trials = [{**configurations[index], **best[index], name: value} for index, value in order]
            for (index, value), loss in zip(order, measure(trials), strict=True):
                found[index][value] = loss if math.isfinite(loss) else math.inf
            pending = {(index, value) for index in range(len(best)) for value in _next_value(found[index], grid)}
            if not pending:
                break
        else:
            at_edge = ", ".join(f"{configurations[index]}: {name} -> {value:g}" for index, value in sorted(pending))
            raise ValueError(f"the best {name} is still at the edge after {extensions} extensions ({at_edge})")
        for index, losses in enumerate(found):
            if min(losses.values()) == math.inf:
                raise ValueError(f"{configurations[index]} diverges at every {name} in {sorted(losses)}")
            best[index][name] = min(losses, key=lambda value: losses[value])
    return best


def _next_value(losses: Mapping[float, float], grid: Grid) -> list[float]:
    """The value to try next because the best one is at an end, or nothing."""
    best = min(losses, key=lambda value: losses[value])
    if losses[best] == math.inf:
        return [value for value in [grid.below(min(losses))] if value is not None]
    if best == min(losses):
        return [value for value in [grid.below(best)] if value is not None]
    if best == max(losses):
        return [value for value in [grid.above(best)] if value is not None]
    return []
