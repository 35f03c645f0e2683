"""Loss gap, hyperparameter gap and transfer suboptimality of measured curves, and what bounds them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Gaps(NamedTuple):
    """a_n, b_n and c_n of one or more widths.

    Args:
        loss: a_n = |min phi_n - min phi_inf|; loss.
        parameter: b_n = |nu*(n) - nu*(inf)|; unit of the hyperparameter.
        suboptimality: c_n = phi_inf(nu*(n)) - min phi_inf >= 0; loss.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, definitions.
    """

    loss: Array
    parameter: Array
    suboptimality: Array


def grid_minimum(grid: ArrayLike, values: ArrayLike, *, parabola: bool = True) -> tuple[Array, Array]:
    """Where curves on a grid are smallest, and how small: vertex of the parabola through the three lowest neighbours.

    Args:
        grid: ascending hyperparameter values, (g,), g >= 3; usually a logarithm.
        values: losses, (..., g), finite.
        parabola: False takes the lowest grid point itself, for a fine grid of curves that rise like a wall.

    Returns:
        (location, value), each of shape (...); where the smallest value is at an end of the grid, that end.

    Raises:
        ValueError: a grid that does not ascend, sizes that do not match, or a value that is not finite.

    Source: elementary.

    >>> location, value = grid_minimum([0.0, 1.0, 2.0, 3.0], [4.0, 1.0, 0.0, 1.0])
    >>> float(location), float(value)
    (2.0, 0.0)
    """
    x, y = np.asarray(grid, dtype=float), np.asarray(values, dtype=float)
    if x.ndim != 1 or len(x) < 3 or np.any(np.diff(x) <= 0):
        raise ValueError(f"grid has shape {x.shape}: give at least three ascending numbers")
    if y.shape[-1] != len(x) or not np.all(np.isfinite(y)):
        raise ValueError(f"values of shape {y.shape} on {len(x)} grid points: give finite losses, one for each point")
    best = y.argmin(-1)
    if not parabola:
        return x[best], np.take_along_axis(y, best[..., None], -1)[..., 0]
    middle = np.clip(best, 1, len(x) - 2)
    y0, y1, y2 = (np.take_along_axis(y, (middle + shift)[..., None], -1)[..., 0] for shift in (-1, 0, 1))
    left, right = x[middle] - x[middle - 1], x[middle + 1] - x[middle]
    down, up = (y1 - y0) / left, (y2 - y1) / right
    curvature = (up - down) / (left + right)  # half the second derivative
    slope = (down * right + up * left) / (left + right)
    inside = (best == middle) & (curvature > 0)
    vertex = np.clip(-slope / np.where(inside, 2 * curvature, 1.0), -left, right)  # flat to rounding: stay near
    shift = np.where(inside, vertex, x[best] - x[middle])
    value = np.where(
        inside, y1 + slope * shift + curvature * shift**2, np.take_along_axis(y, best[..., None], -1)[..., 0]
    )
    return x[middle] + shift, value


def transfer_gaps(grid: ArrayLike, curves: ArrayLike, limit: ArrayLike, *, parabola: bool = True) -> Gaps:
    """a_n, b_n, c_n of loss curves against the curve of infinite width.

    Args:
        grid: ascending hyperparameter values, (g,), g >= 4.
        curves: phi_n on the grid, (..., g).
        limit: phi_inf on the grid, (g,), its smallest value not at an end.
        parabola: as in `grid_minimum`.

    Returns:
        The gaps, each of shape (...); c_n is read off a cubic spline through phi_inf, or off the grid.

    Raises:
        ValueError: the limit is smallest at an end of the grid, or as in `grid_minimum`.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, definitions.

    >>> x = np.linspace(-1, 1, 201)
    >>> gaps = transfer_gaps(x, (x - 0.1) ** 2 + 0.01, x**2)
    >>> [round(float(gap), 6) for gap in gaps]
    [0.01, 0.1, 0.01]
    """  # noqa: DOC502  (some are raised by grid_minimum)
    from scipy.interpolate import CubicSpline

    x, bottom = np.asarray(grid, dtype=float), np.asarray(limit, dtype=float)
    nu, value = grid_minimum(x, curves, parabola=parabola)
    nu_limit, value_limit = grid_minimum(x, bottom, parabola=parabola)
    if int(bottom.argmin()) in (0, len(x) - 1):
        raise ValueError(f"the limit is smallest at the end {float(nu_limit):g} of the grid: widen the grid")
    spline = CubicSpline(x, bottom) if parabola else (lambda at: np.interp(at, x, bottom))
    suboptimality = np.maximum(spline(nu) - spline(nu_limit), 0.0)
    return Gaps(np.abs(value - value_limit), np.abs(nu - nu_limit), suboptimality)


def parameter_gap_bound(gap: Any, curvature: Any) -> Any:
    """2 sqrt(eps/mu): how far a minimiser moves when a mu-strongly convex loss changes by at most eps everywhere.

    Args:
        gap: eps = sup |phi_n - phi_inf| >= 0; loss. The gap of the *minima* is not enough (claim HT-03).
        curvature: mu > 0, a lower bound of one of the two second derivatives; loss / parameter^2.

    Returns:
        The bound on b_n, of the type of the arguments.

    Raises:
        ValueError: a negative gap, or a curvature that is not positive.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, lemma.

    >>> parameter_gap_bound(0.25, 1.0)
    1.0
    """
    if np.any(np.asarray(gap) < 0) or not np.all(np.asarray(curvature) > 0):
        raise ValueError(f"gap = {gap}, curvature = {curvature}: the lemma needs gap >= 0 and strong convexity, mu > 0")
    return 2 * (gap / curvature) ** 0.5


def parameter_shift_bound(slope: Any, curvature: Any) -> Any:
    """eps/mu: how far a minimiser moves when a function with |derivative| <= eps is added to a mu-strongly convex one.

    Args:
        slope: eps >= 0; loss / parameter.
        curvature: mu > 0; loss / parameter^2.

    Returns:
        The bound on the shift.

    Raises:
        ValueError: a negative slope, or a curvature that is not positive.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, lemma.

    >>> parameter_shift_bound(0.5, 2.0)
    0.25
    """
    if np.any(np.asarray(slope) < 0) or not np.all(np.asarray(curvature) > 0):
        raise ValueError(f"slope = {slope}, curvature = {curvature}: the lemma needs slope >= 0 and mu > 0")
    return slope / curvature
