"""Maps of the spectrum as answers to the model: how much of the optimum they reach; high dimension; other inputs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muon_theory.polar import scalar_map
from muon_theory.rooms.isotropic_curvature.growth import Growth
from muon_theory.rooms.isotropic_curvature.moments import power_moment

Array = NDArray[np.float64]
MAPS = ("gradient", "square root", "polar", "NS-3", "NS-5")


def mapped_spectrum(sigma: ArrayLike, name: str, coefficients: str = "jordan_2024") -> Array:
    """The singular values of an update with the gradient's singular vectors.

    Args:
        sigma: singular values, (r,), > 0.
        name: "gradient" (sigma), "square root" (sigma^(1/2)), "polar" (1), or "NS-q": q Newton-Schulz steps on
            sigma / |sigma|.
        coefficients: name of the Newton-Schulz steps.

    Returns:
        v, (r,); only its direction matters, the scale is chosen best.

    Raises:
        ValueError: an unknown name.

    Source: elementary.

    >>> mapped_spectrum([4.0, 1.0], "square root").tolist()
    [2.0, 1.0]
    """
    values = np.asarray(sigma, dtype=np.float64)
    if name.startswith("NS-"):
        return np.asarray(scalar_map(coefficients, int(name[3:]))(values / np.linalg.norm(values)))
    simple = {"gradient": values, "square root": np.sqrt(values), "polar": np.ones_like(values)}
    if name not in simple:
        raise ValueError(f"name is {name!r}; choose one of {MAPS} or another NS-q")
    return simple[name]


def power_efficiency(sigma: ArrayLike, v: ArrayLike, s: ArrayLike, p: float, n: int | None = None) -> float:
    """Best-scale decrease along v over that along s, H = r^p: [(sigma.v/N(v)) / (sigma.s/N(s))]^(p/(p-1)).

    N(v) = (E rho_v^p)^(1/p); the decrease along t v at the best t is proportional to (sigma.v / N(v))^(p/(p-1)).

    Args:
        sigma: singular values of the gradient, (r,).
        v: the update's, (r,), any scale, signs allowed.
        s: the optimum's, (r,), any scale.
        p: > 1.
        n: number of columns, >= r; None takes r.

    Returns:
        The efficiency, at most 1; 0 where sigma.v <= 0.

    Source: derived here (homogeneity).

    >>> power_efficiency([2.0, 1.0], [4.0, 2.0], [2.0, 1.0], 2.0)
    1.0
    """
    target, update, optimum = (np.asarray(each, dtype=np.float64) for each in (sigma, v, s))
    columns = len(target) if n is None else n
    size = power_moment(np.abs(update), p, columns).value / power_moment(optimum, p, columns).value
    gain = max(0.0, float(target @ update) / float(target @ optimum))
    return float((gain / size ** (1 / p)) ** (p / (p - 1)))


def best_scale_value(sigma: ArrayLike, v: ArrayLike, growth: Growth, z: Array) -> float:
    """Least value over t >= 0 of -t sigma.v + mean H(t rho_v) on samples: what a map reaches at its best scale.

    Args:
        sigma: singular values of the gradient, (r,).
        v: the update's, (r,), signs allowed.
        growth: H.
        z: squares of unit vectors, (N, r).

    Returns:
        The value, <= 0; -inf where it is unbounded along v.

    Source: elementary (bisection of the slope).

    >>> from muon_theory.rooms.isotropic_curvature.growth import power_growth
    >>> round(best_scale_value([1.0, 1.0], [2.0, 2.0], power_growth(2.0), np.array([[0.5, 0.5]])), 9)
    -1.0
    """
    update = np.asarray(v, dtype=np.float64)
    rho, gain = np.sqrt(z @ update**2), float(np.asarray(sigma, dtype=np.float64) @ update)
    if gain <= 0:
        return 0.0
    low, high = 1e-9 / float(rho.max()), 1e9 / float(rho.max())
    with np.errstate(over="ignore"):
        if float((growth.right_slope(high * rho) * rho).mean()) < gain:
            return -math.inf
        for _ in range(100):
            t = math.sqrt(low * high)
            if float((growth.right_slope(t * rho) * rho).mean()) < gain:
                low = t
            else:
                high = t
    return min(0.0, float(growth.value(low * rho).mean()) - low * gain)


def first_order_weights(s: ArrayLike, p: float, n: int | None = None) -> Array:
    """High-dimension formula for w_i = E[(H'(rho)/rho) z_i], H = r^p, up to a common factor.

    w_i ~ 1 + (p - 2) (s_i^2/mu - 1) / (n + 2), mu = sum s^2 / n: a mode is compressed only if it carries a share of
    about 1/(p - 2) of ||Q||_F^2.

    Args:
        s: singular values of the update, (r,).
        p: the power.
        n: number of columns, >= r; None takes r.

    Returns:
        (r,).

    Source: derived here (first order in the concentration of rho); exact at p = 4.

    >>> first_order_weights([1.0, 1.0], 7.0).tolist()
    [1.0, 1.0]
    """
    squares = np.asarray(s, dtype=np.float64) ** 2
    columns = len(squares) if n is None else n
    return 1 + (p - 2) * (squares / (squares.sum() / columns) - 1) / (columns + 2)


def elliptical_update(G: Array, C: Array, spectrum: Array | None = None) -> Array:
    """The update for inputs u = C^(1/2) zeta: Q = P C^(-1/2), P the model's answer to the gradient G C^(-1/2).

    Args:
        G: gradient, (m, n), m >= n, full rank.
        C: second moment of the inputs times n, (n, n), symmetric positive definite.
        spectrum: singular values of P in the order of those of G C^(-1/2); None: all one, the kinked case.

    Returns:
        Q, (m, n).

    Raises:
        ValueError: C is not symmetric positive definite.

    Source: stated in a public research log of 2026; derived here: E H(||Q C^(1/2) zeta||) - <Q, G> in P = Q C^(1/2).

    >>> elliptical_update(np.diag([3.0, 1.0]), np.eye(2)).round(12).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    values, vectors = np.linalg.eigh(C)
    if not np.allclose(C, C.T) or values.min() <= 0:
        raise ValueError(f"C has least eigenvalue {values.min():g}; it must be symmetric positive definite")
    inverse_root = (vectors / np.sqrt(values)) @ vectors.T
    U, sigma, Vh = np.linalg.svd(G @ inverse_root, full_matrices=False)
    return (U * (np.ones_like(sigma) if spectrum is None else spectrum)) @ Vh @ inverse_root


def left_average(D: Array, hessian: Array) -> float:
    """Mean of <OD, H OD> over left rotations O, or over signed permutations: tr(F D^T D) / m.

    F_ij = sum_a H_(ai)(aj) is the partial trace of the curvature over the output index a.

    Args:
        D: update, (m, n).
        hessian: curvature as an array (m, n, m, n).

    Returns:
        The mean curvature along rotated updates; a cost E H(||Dx||) cannot tell them from D.

    Source: stated in a public research log of 2026; derived here: signs remove a != b, permutations average D's rows.

    >>> left_average(np.eye(2), np.eye(4).reshape(2, 2, 2, 2))
    2.0
    """
    partial = np.einsum("aiaj->ij", hessian)
    return float(np.einsum("ij,ai,aj->", partial, D, D)) / D.shape[0]
