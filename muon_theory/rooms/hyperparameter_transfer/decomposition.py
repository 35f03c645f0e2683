"""The decomposition of a training trajectory into leading and remaining directions, and what it bounds.

Along a smoothed trajectory the loss changes by the sum of <g_t, w_{t+1} - w_t>. For one matrix that inner product is
the sum of the eigenvalues of S = (G^T dW + dW^T G)/2; its k largest in size are the top-k change.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def alignment_matrix(gradient: ArrayLike, change: ArrayLike) -> Array:
    """S = (G^T dW + dW^T G)/2.

    Args:
        gradient: G, (..., m, n); loss / weight.
        change: dW, (..., m, n); weight.

    Returns:
        Symmetric matrices (..., n, n) of trace <G, dW>; loss.

    Raises:
        ValueError: the shapes differ or are not matrices.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768.

    >>> alignment_matrix(np.eye(2), -np.diag([1.0, 2.0])).tolist()
    [[-1.0, 0.0], [0.0, -2.0]]
    """
    G, dW = np.asarray(gradient, dtype=float), np.asarray(change, dtype=float)
    if G.shape != dW.shape or G.ndim < 2:
        raise ValueError(f"gradient of shape {G.shape} and change of shape {dW.shape}: give matrices of one shape")
    product = np.swapaxes(G, -1, -2) @ dW
    return (product + np.swapaxes(product, -1, -2)) / 2


def top_k_changes(gradient: ArrayLike, change: ArrayLike) -> Array:
    """Sums of the k eigenvalues of S that are largest in size, k = 1..n; the last is <G, dW>.

    Args:
        gradient: G, (..., m, n); loss / weight. For m > n or m < n the transpose gives another decomposition.
        change: dW, (..., m, n); weight.

    Returns:
        Cumulative sums, (..., n); loss, negative where the loss falls.

    Raises:
        ValueError: as in `alignment_matrix`.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768.

    >>> top_k_changes(np.diag([1.0, 2.0]), -np.diag([1.0, 2.0])).tolist()
    [-4.0, -5.0]
    """  # noqa: DOC502  (raised by alignment_matrix)
    values = np.linalg.eigvalsh(alignment_matrix(gradient, change))
    order = np.argsort(-np.abs(values), axis=-1)
    return np.cumsum(np.take_along_axis(values, order, -1), axis=-1)  # pyright: ignore[reportReturnType]


def curvature_and_slope(grid: ArrayLike, values: ArrayLike) -> tuple[float, float]:
    """Smallest second and largest first difference quotient of a curve: mu = inf f'' and Lip = sup |f'| on a grid.

    Args:
        grid: ascending, (g,), g >= 3.
        values: the curve, (g,).

    Returns:
        (mu, Lip); mu is negative where the curve is not convex.

    Raises:
        ValueError: sizes that do not match.

    Source: elementary; arXiv 2512.22768 takes both on the grid.

    >>> curvature_and_slope([0.0, 1.0, 2.0], [0.0, 1.0, 4.0])
    (2.0, 3.0)
    """
    x, f = np.asarray(grid, dtype=float), np.asarray(values, dtype=float)
    if x.shape != f.shape or len(x) < 3:
        raise ValueError(f"grid of shape {x.shape} and curve of shape {f.shape}: give three points or more of each")
    slope = np.diff(f) / np.diff(x)
    bend = np.diff(slope) / ((x[2:] - x[:-2]) / 2)
    return float(bend.min()), float(np.abs(slope).max())


class TransferBound(NamedTuple):
    """J(kappa) = 2 sqrt(eps_inv) + eps_flat and its parts; an upper bound of b_n. Source: arXiv 2512.22768."""

    bound: float
    invariance: float
    flatness: float


def transfer_bound(
    grid: ArrayLike, curve: ArrayLike, limit: ArrayLike, top: ArrayLike, top_limit: ArrayLike
) -> TransferBound:
    """J for one choice of top curves: b_n <= J, whatever the truncation that made them.

    eps_inv = sup |top_n - top_inf| / max(mu(top_n), mu(top_inf)); eps_flat = Lip(phi_n - top_n)/mu(phi_n) +
    Lip(phi_inf - top_inf)/mu(phi_inf).

    Args:
        grid: hyperparameter values, ascending, (g,).
        curve: phi_n, (g,).
        limit: phi_inf, (g,).
        top: phi_n's top curve, (g,).
        top_limit: phi_inf's top curve, (g,).

    Returns:
        J with eps_inv and eps_flat.

    Raises:
        ValueError: one of the four curves is not strongly convex on the grid; the message names it.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, proposition b_n <= t_n; claim HT-J1.

    >>> x = np.linspace(-1, 1, 41)
    >>> round(transfer_bound(x, x**2 + 0.1 * x, x**2, x**2, x**2).bound, 6)
    0.05
    """
    x = np.asarray(grid, dtype=float)
    arrays = {name: np.asarray(f, dtype=float) for name, f in
              {"curve": curve, "limit": limit, "top": top, "top_limit": top_limit}.items()}  # fmt: skip
    mu = {name: curvature_and_slope(x, f)[0] for name, f in arrays.items()}
    for name, value in mu.items():
        if value <= 0:
            raise ValueError(f"{name} has second derivative {value:g} somewhere: the bound needs strong convexity")
    flat = sum(
        curvature_and_slope(x, arrays[whole] - arrays[part])[1] / mu[whole]
        for whole, part in (("curve", "top"), ("limit", "top_limit"))
    )
    invariance = float(np.abs(arrays["top"] - arrays["top_limit"]).max()) / max(mu["top"], mu["top_limit"])
    return TransferBound(2 * invariance**0.5 + flat, invariance, flat)


def proxy_objective(
    grid: ArrayLike, tops: ArrayLike, tops_widest: ArrayLike, truncation: ArrayLike, tau: tuple[float, float]
) -> float:
    """J_proxy(kappa): mean |top_n - top_widest| + tau1 Lip(residual_n) + tau2 Lip(residual_widest).

    Args:
        grid: hyperparameter values, ascending, (g,).
        tops: top-k curves of width n, (g, K), k = 1..K; the last column is the whole change.
        tops_widest: those of the widest model, (g, K).
        truncation: kappa_i in 1..K for every grid point, (g,).
        tau: weights (tau1, tau2) >= 0.

    Returns:
        The objective; loss, if tau has the unit of the hyperparameter.

    Raises:
        ValueError: sizes that do not match, or a truncation outside 1..K.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, Algorithm 1.

    >>> proxy_objective([0.0, 1.0], [[1.0, 2.0], [1.0, 3.0]], [[1.0, 2.5], [1.0, 4.0]], [1, 1], (1.0, 0.0))
    1.0
    """
    x, own, widest = (np.asarray(v, dtype=float) for v in (grid, tops, tops_widest))
    kappa = np.asarray(truncation, dtype=int)
    if own.shape != widest.shape or own.ndim != 2 or len(own) != len(x) or kappa.shape != x.shape:
        raise ValueError(f"shapes {x.shape}, {own.shape}, {widest.shape}, {kappa.shape}: give (g,), (g, K) twice, (g,)")
    if kappa.min() < 1 or kappa.max() > own.shape[1]:
        raise ValueError(f"truncation = {kappa.tolist()}: give numbers from 1 to {own.shape[1]}")
    return _proxy(x, own, widest, kappa, tau)


def minimise_proxy(
    grid: ArrayLike, tops: ArrayLike, tops_widest: ArrayLike, tau: tuple[float, float], *, sweeps: int = 100
) -> tuple[NDArray[np.int64], float]:
    """Coordinate descent on J_proxy from kappa_i = K/2: each grid point in turn takes its best k, until none changes.

    Args:
        grid: as in `proxy_objective`.
        tops: as in `proxy_objective`.
        tops_widest: as in `proxy_objective`.
        tau: weights (tau1, tau2) >= 0.
        sweeps: largest number of rounds.

    Returns:
        (kappa, J_proxy(kappa)); no single entry of kappa can be improved, which is less than a minimum (HT-J2).

    Raises:
        ValueError: as in `proxy_objective`.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, Algorithm 1.

    >>> kappa, value = minimise_proxy([0.0, 1.0], [[1.0, 2.0], [1.0, 2.0]], [[1.0, 3.0], [1.0, 3.0]], (0.1, 0.1))
    >>> kappa.tolist(), value
    ([1, 1], 0.0)
    """  # noqa: DOC502  (raised by proxy_objective)
    x, own, widest = (np.asarray(v, dtype=float) for v in (grid, tops, tops_widest))
    kappa = np.full(len(x), max(own.shape[-1] // 2, 1))
    best = proxy_objective(x, own, widest, kappa, tau)
    for _ in range(sweeps):
        before = kappa.copy()
        for i in range(len(x)):
            values = []
            for k in range(1, own.shape[1] + 1):
                trial = kappa.copy()
                trial[i] = k
                values.append(_proxy(x, own, widest, trial, tau))
            if min(values) < best:
                best, kappa[i] = min(values), int(np.argmin(values)) + 1
        if np.array_equal(before, kappa):
            break
    return kappa.astype(np.int64), best


def _proxy(x: Array, own: Array, widest: Array, kappa: Any, tau: tuple[float, float]) -> float:
    rows = np.arange(len(x))
    gap = float(np.mean(np.abs(own[rows, kappa - 1] - widest[rows, kappa - 1])))
    steps = np.diff(x)
    slopes = [np.abs(np.diff(f[:, -1] - f[rows, kappa - 1]) / steps).max() for f in (own, widest)]
    return gap + tau[0] * float(slopes[0]) + tau[1] * float(slopes[1])
