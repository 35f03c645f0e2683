"""Fast, slow or undecided: powers of the loss gap and of the hyperparameter gap, both asymptotes free.

Nobody has a model of infinite width. Its loss and its best hyperparameter are fitted together with the powers, and the
word follows from the interval of beta - alpha/2, not from its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muon_theory.rooms.hyperparameter_transfer.gaps import Gaps, grid_minimum, transfer_gaps

Array = NDArray[np.float64]

POWERS = np.geomspace(0.03, 5.0, 400)
"""Powers that a fit may take; an interval that reaches an end of them is open there."""


class PowerFit(NamedTuple):
    """values = limit + amplitude widths^-power, for each row of values. Source: elementary (a record)."""

    limit: Array
    amplitude: Array
    power: Array


class Speed(NamedTuple):
    """Powers with 95 % intervals and the word they allow.

    Args:
        alpha: (value, lower, upper) of the power of the loss gap.
        beta: the same of the hyperparameter gap.
        margin: the same of beta - alpha/2.
        word: "fast" if the interval of the margin lies above 0, "slow" if it reaches down to 0 and ends below
            `slow_below`, else "undecided".

    Source: derived here.
    """

    alpha: tuple[float, float, float]
    beta: tuple[float, float, float]
    margin: tuple[float, float, float]
    word: Literal["fast", "slow", "undecided"]


def fit_power(widths: ArrayLike, values: ArrayLike, *, errors: ArrayLike = 1.0) -> PowerFit:
    """Least squares of limit + amplitude n^-power over all three, the power among `POWERS`.

    Args:
        widths: n, (k,), k >= 4, positive and distinct.
        values: one or more series, (..., k), finite.
        errors: standard errors, (k,), or one for all.

    Returns:
        The fits, each of shape (...).

    Raises:
        ValueError: fewer than four widths, or values that are not finite.

    Source: elementary (variable projection).

    >>> n = np.array([40.0, 80, 160, 320, 640])
    >>> fit = fit_power(n, 3.0 + 7.0 / n**0.5)
    >>> round(float(fit.limit), 2), round(float(fit.power), 2)
    (3.0, 0.5)
    """
    n, y = np.asarray(widths, dtype=float), np.asarray(values, dtype=float)
    if n.ndim != 1 or len(n) < 4 or y.shape[-1] != len(n) or not np.all(np.isfinite(y)):
        raise ValueError(f"{n.shape} widths and values of shape {y.shape}: three constants need four finite points")
    weight = np.broadcast_to(1 / np.asarray(errors, dtype=float), n.shape)
    basis = (n / n.min())[None, :] ** -POWERS[:, None]  # (p, k)
    ones = np.broadcast_to(weight, basis.shape)
    design = np.stack([ones, basis * weight], -1)  # (p, k, 2)
    inverse = np.linalg.pinv(design)  # (p, 2, k)
    scaled = y * weight
    solution = np.einsum("pck,...k->...pc", inverse, scaled)
    residual = np.sum((np.einsum("pkc,...pc->...pk", design, solution) - scaled[..., None, :]) ** 2, -1)
    best = residual.argmin(-1)
    chosen = np.take_along_axis(solution, best[..., None, None], -2)[..., 0, :]
    power = POWERS[best]
    return PowerFit(chosen[..., 0], chosen[..., 1] * n.min() ** power, power)


def transfer_speed(
    widths: Sequence[int], grid: ArrayLike, curves: ArrayLike, *, resamples: int = 400, slow_below: float = 0.1,
    seed: int = 0,
) -> Speed:  # fmt: skip
    """The verdict from loss curves of several seeds; no infinite width is needed.

    The curves are averaged over the seeds, their minima found, and limit + amplitude n^-power fitted to the smallest
    loss and to the best hyperparameter. Intervals: percentiles over resampled seeds. They hold the noise, not the bias
    of widths too small for one power: no residual shows it, only wider models do (claim HT-CAL-RANGE).

    Args:
        widths: n, (k,), k >= 4.
        grid: hyperparameter values, ascending, usually logarithms, (g,).
        curves: losses, (s, k, g), s >= 3 seeds, finite.
        resamples: number of bootstrap draws.
        slow_below: how far above 0 the interval of beta - alpha/2 may reach for "slow"; exactly slow transfer has
            margin 0, which no interval can prove from one side.
        seed: seed of the bootstrap.

    Returns:
        The powers and the word.

    Raises:
        ValueError: fewer than three seeds or four widths, or curves that are not finite.

    Source: derived here; fast means b_n = o(a_n^(1/2)): Ghosh, Wu, Bietti 2025, arXiv 2512.22768. Calibrated on a fast
    and a slow system: claims HT-CAL-FAST, HT-CAL-SLOW.

    >>> x, n = np.linspace(-2, 2, 81), np.array([10, 20, 40, 80, 160])
    >>> noise = np.random.default_rng(0).normal(size=(8, 1, 1)) * 0.01
    >>> loss = 1 / n[:, None] + (x - 1 / n[:, None]) ** 2 + noise
    >>> transfer_speed(n, x, loss, resamples=50).word
    'fast'
    """
    phi = np.asarray(curves, dtype=float)
    if phi.ndim != 3 or len(phi) < 3 or phi.shape[1] != len(widths):
        raise ValueError(f"curves have shape {phi.shape}: give (seeds >= 3, {len(widths)} widths, grid points)")
    means = np.einsum("bs,skg->bkg", _resampling(len(phi), resamples, seed), phi)
    location, loss = grid_minimum(grid, means)
    return _speed(_power(widths, loss), _power(widths, location), slow_below)


def _power(widths: Sequence[int], values: Array) -> Array:
    """Powers of the rows, weighted by the spread over the resamples once what all widths share is taken out."""
    spread = (values[1:] - values[1:].mean(1, keepdims=True)).std(0)
    floor = max(float(spread.max()) * 0.05, 1e-12)
    return fit_power(widths, values, errors=np.maximum(spread, floor)).power


def _interval(values: Array) -> tuple[float, float, float]:
    lower, upper = np.percentile(values[1:], [2.5, 97.5])
    return float(values[0]), float(lower), float(upper)


def gap_powers(
    widths: Sequence[int], grid: ArrayLike, curves: ArrayLike, limits: ArrayLike, *, each: bool = False,
    resamples: int = 400, slow_below: float = 0.1, seed: int = 0,
) -> tuple[Gaps, Speed]:  # fmt: skip
    """Gaps to an infinite width that is known, and the straight-line powers of a_n and b_n with their intervals.

    Args:
        widths: n, (k,), k >= 2.
        grid: hyperparameter values, ascending, (g,).
        curves: losses, (s, k, g), s >= 3 seeds.
        limits: losses of infinite width, (s or 1, k or 1, g).
        each: False: gaps between mean curves (the seeds stand for one expectation); True: every seed's own gaps to
            `limits[0]`, then their means, from the lowest grid points (the seeds stand for draws of phi_n itself).
        resamples: number of bootstrap draws of the seeds.
        slow_below: as in `transfer_speed`.
        seed: seed of the bootstrap.

    Returns:
        The gaps, each (k,), and the verdict; for the powers a gap below 1e-12 counts as 1e-12.

    Raises:
        ValueError: fewer than three seeds, or curves that do not fit the widths.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768 (definitions); the fit is elementary.

    >>> x, n = np.linspace(-2, 2, 81), np.array([10, 20, 40])[:, None]
    >>> gaps, speed = gap_powers([10, 20, 40], x, np.stack([1 / n + (x - 1 / n) ** 2] * 3), x[None, None] ** 2)
    >>> round(speed.alpha[0], 6), round(speed.beta[0], 6), speed.word
    (1.0, 1.0, 'fast')
    """
    phi, bottom = np.asarray(curves, dtype=float), np.asarray(limits, dtype=float)
    if phi.ndim != 3 or len(phi) < 3 or phi.shape[1] != len(widths):
        raise ValueError(f"curves have shape {phi.shape}: give (seeds >= 3, {len(widths)} widths, grid points)")
    bottom = np.broadcast_to(bottom, phi.shape)
    weights = _resampling(len(phi), resamples, seed)
    if each:
        own = [transfer_gaps(grid, phi[:, k], bottom[0, k], parabola=False) for k in range(len(widths))]
        found = Gaps(*(weights @ np.stack([gap[i] for gap in own], 1) for i in range(3)))
    else:
        means, below = (np.einsum("bs,skg->bkg", weights, values) for values in (phi, bottom))
        pairs = zip(means, below, strict=True)
        drawn = [[transfer_gaps(grid, f, g) for f, g in zip(*row, strict=True)] for row in pairs]
        found = Gaps(*(np.array([[gap[i] for gap in row] for row in drawn]) for i in range(3)))
    x = np.log(np.asarray(widths, dtype=float))
    x -= x.mean()
    alpha, beta = (-np.log(np.maximum(gap, 1e-12)) @ x / (x @ x) for gap in found[:2])
    return Gaps(*(gap[0] for gap in found)), _speed(alpha, beta, slow_below)


def _resampling(seeds: int, resamples: int, seed: int) -> Array:
    """Weights of the seeds: equal in the first row, a bootstrap draw in every other."""
    counts = np.random.default_rng(seed).multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    return np.concatenate([np.ones((1, seeds)), counts]) / seeds


def _speed(alpha: Array, beta: Array, slow_below: float) -> Speed:
    intervals = [_interval(values) for values in (alpha, beta, beta - alpha / 2)]
    _, lower, upper = intervals[2]
    word = "fast" if lower > 0 else "slow" if upper < slow_below else "undecided"
    return Speed(intervals[0], intervals[1], intervals[2], word)
