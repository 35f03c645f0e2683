"""Curves for measured steps-to-target against batch size, and the batch that a noise scale predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

FORMS: dict[str, tuple[str, Callable[[Array, float, float], Array]]] = {
    "linear": ("X/T + Y/B", lambda B, T, scale: T / (1 - np.minimum(scale / B, 1 - 1e-9))),
    "sqrt": ("X/T + Y/sqrt(B)", lambda B, T, scale: T / (1 - np.minimum(np.sqrt(scale / B), 1 - 1e-9))),
    "retuned sqrt": (
        "step tuned, Y/sqrt(B)",
        lambda B, T, scale: T / (1 - np.minimum(np.sqrt(scale / B), 1 - 1e-9)) ** 2,
    ),
    "additive": ("T (1 + B0/B)", lambda B, T, scale: T * (1 + scale / B)),
    "additive sqrt": ("T (1 + sqrt(B0/B))", lambda B, T, scale: T * (1 + np.sqrt(scale / B))),
}
"""Forms of T(B) with two constants, the steps at infinite batch and a batch scale B0; formula in words, function."""


class StepsFit(NamedTuple):
    """A fitted form: steps at infinite batch, batch scale, and the root mean square residual of log T.

    Source: elementary (a record).
    """

    steps: float
    batch: float
    residual: float


def fit_steps(batch: ArrayLike, steps: ArrayLike, form: str, *, near: StepsFit | None = None) -> StepsFit:
    """Least squares of log T over measured pairs (B, T); pairs with an infinite T are left out.

    Args:
        batch: batch sizes, (k,), positive, k >= 3 finite pairs.
        steps: steps to the target, (k,); inf where it was not reached.
        form: a key of `FORMS`.
        near: a fit to start from, instead of several starts.

    Returns:
        The fit; the residual is in units of log T, .1 being about 10 %.

    Raises:
        ValueError: an unknown form, or fewer than three finite pairs.

    Source: forms "linear" and "sqrt": arXiv 2507.01598 as restated; "additive": McCandlish et al. 2018, arXiv
    1812.06162; "retuned sqrt": derived here; "additive sqrt": for comparison.

    >>> fit = fit_steps([1, 4, 16, 64], [50, 20, 12.5, 10.625], "additive")
    >>> round(fit.steps, 6), round(fit.batch, 6)
    (10.0, 4.0)
    """
    if form not in FORMS:
        raise ValueError(f"form = {form!r}: give one of {sorted(FORMS)}")
    B, T = np.asarray(batch, dtype=float), np.asarray(steps, dtype=float)
    finite = np.isfinite(T)
    if finite.sum() < 3:
        raise ValueError(f"{finite.sum()} finite pairs: two constants need at least three")
    B, log = B[finite], np.log(T[finite])
    from scipy.optimize import minimize

    curve = FORMS[form][1]

    def residual(x: Any) -> float:
        return float(np.mean((np.log(curve(B, np.exp(x[0]), np.exp(x[1]))) - log) ** 2))

    starts = [(log.min(), np.log(scale)) for scale in (B.min() / 100, B.min() / 2, B.min(), np.median(B), B.max())]
    starts = starts if near is None else [(np.log(near.steps), np.log(near.batch))]
    options = {"xatol": 1e-10, "fatol": 1e-16, "maxiter": 4000}
    found = min((minimize(residual, start, method="Nelder-Mead", options=options) for start in starts), key=_value)
    return StepsFit(float(np.exp(found.x[0])), float(np.exp(found.x[1])), float(np.sqrt(found.fun)))


def batch_interval(
    batch: ArrayLike, steps: ArrayLike, form: str, *, confidence: float = 0.95, resamples: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Interval of the batch scale B0 of a form, by resampling the seeds; the fit is to the medians over seeds.

    Args:
        batch: batch sizes, (k,).
        steps: steps to the target, (k, seeds).
        form: a key of `FORMS`.
        confidence: two-sided level in (0, 1).
        resamples: number of bootstrap samples, >= 1.
        seed: of the resampling.

    Returns:
        The lower and the upper end, percentiles of the bootstrap distribution.

    Raises:
        ValueError: `steps` has no second axis, or as `fit_steps`.

    Source: Efron 1979 (bootstrap percentiles).

    >>> batch_interval([1, 4, 16], [[20.0, 20.0], [12.5, 12.5], [10.625, 10.625]], "additive", resamples=3)[0] > 0.99
    True
    """
    T = np.asarray(steps, dtype=float)
    if T.ndim != 2:
        raise ValueError(f"steps has shape {T.shape}: give (batches, seeds)")
    generator, whole = np.random.default_rng(seed), fit_steps(batch, np.median(T, axis=1), form)
    draws = generator.integers(T.shape[1], size=(resamples, T.shape[1]))
    scales = [fit_steps(batch, np.median(T[:, draw], axis=1), form, near=whole).batch for draw in draws]
    tail = 50 * (1 - confidence)
    lower, upper = np.percentile(scales, [tail, 100 - tail])
    return float(lower), float(upper)


def noise_scale(trace_sigma: ArrayLike, gradient_norm: ArrayLike) -> Any:
    """(tr Sigma / nuc(g))^2: the batch whose mean noise has the size of the gradient, in the nuclear norm.

    Args:
        trace_sigma: tr Sigma, Sigma^2 = E[N N^T] of one sample's gradient noise N, positive.
        gradient_norm: nuc(g), positive.

    Returns:
        The noise scale, samples.

    Raises:
        ValueError: a value is not positive.

    Source: derived here: the Frobenius scale tr E[N N^T]/fro(g)^2 of McCandlish et al. 2018, arXiv 1812.06162, carried
    over with E nuc(mean noise) <= tr Sigma/sqrt(B).

    >>> float(noise_scale(6.0, 2.0))
    9.0
    """
    trace, norm = np.asarray(trace_sigma, dtype=float), np.asarray(gradient_norm, dtype=float)
    if not (np.all(trace > 0) and np.all(norm > 0)):
        raise ValueError(f"trace_sigma = {trace_sigma}, gradient_norm = {gradient_norm}: give numbers > 0")
    return (trace / norm) ** 2


def _value(found: Any) -> float:
    return float(found.fun)
