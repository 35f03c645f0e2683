"""When tuning small and transferring beats direct tuning under one budget of compute.

One run costs n^r; a grid of K points in h hyperparameters has resolution K^(-1/h), so an excess loss of K^(-2/h).
Exponents are exact for rational arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def direct_exponent(alpha: Any, parameters: Any, cost_power: Any = 2) -> Any:
    """Exponent e in error ~ F^-e when the grid is run at the final width: alpha / (r + alpha h/2).

    Args:
        alpha: power of the loss gap a_n ~ n^-alpha, > 0.
        parameters: h, number of hyperparameters tuned, >= 1.
        cost_power: r, a run costs n^r, > 0.

    Returns:
        The exponent, of the type of the arguments.

    Raises:
        ValueError: an argument is not positive.

    Source: derived here; it agrees with Ghosh, Wu, Bietti 2025, arXiv 2512.22768, theorem on useful transfer.

    >>> direct_exponent(1, 1)
    0.4
    """  # noqa: DOC502  (raised by the check below)
    _require_positive(alpha=alpha, parameters=parameters, cost_power=cost_power)
    return 2 * alpha / (2 * cost_power + alpha * parameters)


def transfer_exponent(alpha: Any, beta: Any, parameters: Any, cost_power: Any = 2) -> Any:
    """Exponent e in error ~ F^-e when the grid is run at a smaller width: min(alpha/r, 2 beta / (r + beta h)).

    Args:
        alpha: power of the loss gap, > 0.
        beta: power of the hyperparameter gap b_n ~ n^-beta, > 0.
        parameters: h, >= 1.
        cost_power: r, > 0.

    Returns:
        The exponent; the tuned width grows as F^(1/(r + beta h)), the final one as F^(1/r).

    Raises:
        ValueError: an argument is not positive.

    Source: as `direct_exponent`.

    >>> transfer_exponent(1, 1, 1)
    0.5
    """  # noqa: DOC502  (raised by the check below)
    _require_positive(alpha=alpha, beta=beta, parameters=parameters, cost_power=cost_power)
    return min(alpha / cost_power, 2 * beta / (cost_power + beta * parameters))


def is_useful(alpha: Any, beta: Any) -> bool:
    """Whether transfer beats direct tuning as the budget grows: 2 beta > alpha, whatever r and h; also "fast".

    Args:
        alpha: power of the loss gap, > 0.
        beta: power of the hyperparameter gap, > 0.

    Returns:
        True if so.

    Raises:
        ValueError: an argument is not positive.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768; claim HT-06.

    >>> is_useful(0.5, 0.25), is_useful(0.5, 0.4)
    (False, True)
    """  # noqa: DOC502  (raised by the check below)
    _require_positive(alpha=alpha, beta=beta)
    return bool(2 * beta > alpha)


def best_errors(
    budget: ArrayLike,
    *,
    alpha: float,
    beta: float | None,
    parameters: int,
    cost_power: float = 2.0,
    points: int = 20_000,
) -> NDArray[np.float64]:
    """Smallest error for each budget, by minimising over the width at which the grid is run.

    direct: n^-alpha + K^(-2/h) with K n^r = F. Transfer from width m: n^-alpha + m^(-2 beta) + K^(-2/h) with K m^r = F
    and n = F^(1/r).

    Args:
        budget: F > 1, (k,), in units of a run at width one.
        alpha: power of the loss gap, > 0.
        beta: power of the hyperparameter gap; None: direct tuning.
        parameters: h, >= 1.
        cost_power: r, > 0.
        points: number of widths tried, geometric from 1 to F^(1/r).

    Returns:
        The errors, (k,).

    Raises:
        ValueError: an argument is not positive, or a budget not above one.

    Source: derived here.

    >>> [best_errors([1e6], alpha=1.0, beta=beta, parameters=1).round(4).tolist() for beta in (1.0, None)]
    [[0.0012], [0.0066]]
    """
    _require_positive(alpha=alpha, parameters=parameters, cost_power=cost_power, beta=1 if beta is None else beta)
    F = np.asarray(budget, dtype=float)
    if not np.all(F > 1):
        raise ValueError(f"budget = {budget}: give more than the one run at width one costs")
    width = F[:, None] ** (np.linspace(0, 1, points) / cost_power)
    grid = (F[:, None] / width**cost_power) ** (-2 / parameters)
    if beta is None:
        return np.min(width**-alpha + grid, axis=1)
    return F ** (-alpha / cost_power) + np.min(width ** (-2 * beta) + grid, axis=1)


def _require_positive(**values: Any) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} = {value}: give a number > 0")
