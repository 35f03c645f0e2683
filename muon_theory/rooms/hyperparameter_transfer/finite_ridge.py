"""Two families of loss curves phi_n(nu) whose infinite width is exact: random-feature ridge and sketched descent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def arc_cosine_kernel(X: ArrayLike, Y: ArrayLike) -> Array:
    """E relu(<w, x>) relu(<w, y>) for w ~ N(0, I/d): |x||y| (sin t + (pi - t) cos t) / (2 pi d), t the angle.

    Args:
        X: points as rows, (..., k, d).
        Y: points as rows, (..., l, d).

    Returns:
        The kernel, (..., k, l): the limit of <relu(W x), relu(W y)>/n as the number n of features grows.

    Raises:
        ValueError: the points differ in dimension.

    Source: Cho and Saul 2009, "Kernel methods for deep learning", order one.

    >>> arc_cosine_kernel([[2.0, 0.0]], [[2.0, 0.0], [-1.0, 0.0]]).round(12).tolist()
    [[1.0, 0.0]]
    """
    left, right = np.asarray(X, dtype=float), np.asarray(Y, dtype=float)
    if left.shape[-1] != right.shape[-1]:
        raise ValueError(f"points of dimension {left.shape[-1]} and {right.shape[-1]}: give equal dimensions")
    inner = left @ np.swapaxes(right, -1, -2)
    lengths = np.linalg.norm(left, axis=-1)[..., :, None] * np.linalg.norm(right, axis=-1)[..., None, :]
    cosine = np.clip(inner / np.where(lengths > 0, lengths, 1.0), -1.0, 1.0)
    angle = np.arccos(cosine)
    return lengths * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi * left.shape[-1])


def ridge_curves(
    widths: Sequence[int], log_penalty: ArrayLike, *, seeds: Sequence[int], dimension: int = 20, samples: int = 80,
    noise: float = 0.5, tests: int = 400,
) -> Array:  # fmt: skip
    """Test loss of random-feature ridge against the log of the penalty, for every seed and width; infinite width last.

    y = <x, b> + noise e with x ~ N(0, I), |b| = 1; features relu(W x)/sqrt(n), W_ij ~ N(0, 1/d); the weights minimise
    |y - f|^2 + lambda |a|^2. All widths of a seed share data and the first rows of W.

    Args:
        widths: numbers of features, ascending, (k,).
        log_penalty: nu = log lambda, (g,).
        seeds: one draw of data and features each, (s,).
        dimension: d.
        samples: training points.
        noise: standard deviation of the label noise.
        tests: test points of each seed; their labels carry no noise.

    Returns:
        Mean squared test error, (s, k + 1, g).

    Raises:
        ValueError: a width below one, or no seeds.

    Source: the setting is ours, after Ghosh, Wu, Bietti 2025, arXiv 2512.22768; infinite width by `arc_cosine_kernel`.

    Cost: about .05 s a seed with the default sizes, widths to 2560 and 201 penalties, on one core.

    >>> curves = ridge_curves([20, 80], np.linspace(-6, 4, 41), seeds=[0, 1])
    >>> curves.shape, bool(curves[:, 0].min() > curves[:, 2].min())
    ((2, 3, 41), True)
    """
    if not len(seeds) or min(widths) < 1:
        raise ValueError(f"widths = {widths}, seeds = {seeds}: give positive widths and at least one seed")
    penalties = np.exp(np.asarray(log_penalty, dtype=float))
    rows = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        b = generator.standard_normal(dimension)
        b /= np.linalg.norm(b)
        X = generator.standard_normal((samples + tests, dimension))
        y = X[:samples] @ b + noise * generator.standard_normal(samples)
        features = np.maximum(X @ generator.standard_normal((dimension, max(widths))) / dimension**0.5, 0.0)
        kernels = [features[:, :n] @ features[:samples, :n].T / n for n in widths]
        kernels.append(arc_cosine_kernel(X, X[:samples]))
        lam, U = np.linalg.eigh(np.stack([K[:samples] for K in kernels]))
        weights = np.einsum("ksj,s->kj", U, y)[:, :, None] / (np.maximum(lam, 0.0)[:, :, None] + penalties)
        fitted = np.stack([K[samples:] for K in kernels]) @ (U @ weights)
        rows.append(np.mean((fitted - (X[samples:] @ b)[:, None]) ** 2, axis=1))
    return np.stack(rows)


def sketched_descent_curves(
    widths: Sequence[int], log_rate: ArrayLike, *, steps: Sequence[int], seeds: Sequence[int], dimension: int = 400,
    capacity: float = 1.0, target: float = 0.75,
) -> Array:  # fmt: skip
    """Loss of gradient descent on sketched linear regression against the log of the learning rate; no sketch last.

    Features with covariance H = diag(i^-2 capacity) and target coefficients i^-target in units of H^(1/2); gradient
    descent on the exact loss from zero, in the weights of S x, S an n x d Gaussian sketch with E S^T S = I. After T
    steps of rate eta the loss is the sum of (1 - eta lam_i)^(2T) c_i^2 over the eigenpairs of H^(1/2) S^T S H^(1/2).

    Args:
        widths: sketch sizes n, (k,).
        log_rate: nu = log eta, (g,).
        steps: horizon T of every width, the unsketched one last, (k + 1,).
        seeds: one sketch each, (s,).
        dimension: d.
        capacity: half the decay of the covariance's eigenvalues, > 0.
        target: decay of the target's coefficients, > 1/2.

    Returns:
        Loss over its value at the start, (s, k + 1, g); inf beyond float64.

    Raises:
        ValueError: the number of horizons does not fit, or no seeds.

    Source: the setting is ours, after the abstract of the follow-up to arXiv 2512.22768 (sketched linear regression).

    >>> curves = sketched_descent_curves([10, 40], np.linspace(-3, 0, 31), steps=[20] * 3, seeds=[0], dimension=50)
    >>> bool(curves[0, 0].min() > curves[0, 1].min() > curves[0, 2].min())
    True
    """
    if len(steps) != len(widths) + 1 or not len(seeds):
        raise ValueError(f"{len(steps)} horizons for {len(widths)} widths and the limit, {len(seeds)} seeds")
    index = np.arange(1, dimension + 1, dtype=float)
    scale, coefficient = index**-capacity, index**-target
    coefficient /= np.linalg.norm(coefficient)
    rate = np.exp(np.asarray(log_rate, dtype=float))

    def loss(lam: Array, squares: Array, horizon: int) -> Array:
        with np.errstate(over="ignore"):
            return 1.0 - squares.sum() + squares @ (1 - lam[:, None] * rate) ** (2 * horizon)

    limit = loss(scale**2, coefficient**2, steps[-1])
    rows = []
    for seed in seeds:
        Z = np.random.default_rng(seed).standard_normal((max(widths), dimension)) * scale
        curves = []
        for n, horizon in zip(widths, steps[:-1], strict=True):
            lam, U = np.linalg.eigh(Z[:n] @ Z[:n].T / n)
            kept = lam > 1e-12 * lam[-1]  # a sketch of more rows than the input has rank d
            lam, U = lam[kept], U[:, kept]
            squares = (U.T @ (Z[:n] @ coefficient)) ** 2 / (n * lam)
            curves.append(loss(lam, squares, horizon))
        rows.append(np.stack([*curves, limit]))
    return np.stack(rows)
