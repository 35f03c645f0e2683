"""Matrix factorization in float64: symmetric, asymmetric and from noisy entries, many instances at once.

Every array may carry leading batch axes that broadcast, so that a grid of step sizes and seeds is one computation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def log_spectrum(count: int, condition_number: float) -> Array:
    """Eigenvalues spaced evenly on a logarithmic scale from 1 down to 1 / condition_number.

    Args:
        count: number of eigenvalues, >= 1; one eigenvalue is 1.
        condition_number: largest over smallest, >= 1.

    Returns:
        lam, shape (count,), descending.

    Raises:
        ValueError: no eigenvalue asked for, or a condition number below 1.

    Source: elementary.

    >>> log_spectrum(3, 100.0).tolist()
    [1.0, 0.1, 0.01]
    """
    if count < 1 or not condition_number >= 1:
        raise ValueError(f"count is {count} and condition_number is {condition_number}; both must be at least 1")
    return condition_number ** -np.linspace(0.0, 1.0, count)


def haar(rows: int, columns: int, seeds: ArrayLike) -> Array:
    """Orthonormal columns distributed uniformly: the QR factor of a Gaussian with the signs of R made positive.

    The correction matters: the orthogonal factor LAPACK returns for a square Gaussian has a determinant of one sign.

    Args:
        rows: number of rows, >= columns.
        columns: number of columns, >= 1.
        seeds: seeds of `numpy.random.default_rng`, an integer or an array of any shape.

    Returns:
        Shape (*seeds.shape, rows, columns).

    Raises:
        ValueError: not 1 <= columns <= rows.

    Source: Mezzadri 2007, arXiv math-ph/0609050, section 5.

    >>> sorted(set(np.linalg.det(haar(3, 3, range(20))).round().tolist()))
    [-1.0, 1.0]
    """
    if not 1 <= columns <= rows:
        raise ValueError(f"rows = {rows}, columns = {columns}: give 1 <= columns <= rows")
    Q, R = np.linalg.qr(gaussian(rows, columns, seeds))
    return Q * np.sign(np.diagonal(R, axis1=-2, axis2=-1))[..., None, :]


def gaussian(rows: int, columns: int, seeds: ArrayLike) -> Array:
    """Standard Gaussian matrices, one for each seed.

    Args:
        rows: number of rows.
        columns: number of columns.
        seeds: seeds of `numpy.random.default_rng`, an integer or an array of any shape.

    Returns:
        Shape (*seeds.shape, rows, columns).

    Source: elementary.

    >>> gaussian(2, 3, [[0], [1]]).shape
    (2, 1, 2, 3)
    """
    numbers = np.asarray(seeds)
    draws = [np.random.default_rng(int(seed)).standard_normal((rows, columns)) for seed in numbers.ravel()]
    return np.stack(draws).reshape(*numbers.shape, rows, columns)


@dataclass(frozen=True)
class SymmetricFactorization:
    """f(X) = fro(X X^T - M)^2 / 4 for X of shape (d, k), with M = V diag(lam) V^T >= 0.

    Args:
        eigenvalues: lam >= 0, shape (*batch, r).
        basis: V with orthonormal columns, shape (*batch, d, r), r <= d.

    Raises:
        ValueError: shapes that do not fit, a negative eigenvalue, or a NaN.

    Source: elementary; the first case study of arXiv 2601.13474 (abstract), whose normalisation was not read.

    >>> problem = symmetric_problem(4, 10.0, 0)
    >>> X = problem.basis * np.sqrt(problem.eigenvalues)
    >>> round(float(problem.value(X)), 12), float(problem.value(0 * X)) > 0.2
    (0.0, True)
    """

    eigenvalues: Array
    basis: Array

    def __post_init__(self) -> None:
        if self.basis.ndim < 2 or self.eigenvalues.shape != self.basis.shape[:-2] + self.basis.shape[-1:]:
            raise ValueError(
                f"eigenvalues {self.eigenvalues.shape} and basis {self.basis.shape} do not fit: give (*batch, r) and "
                "(*batch, d, r)"
            )
        if not (np.all(self.eigenvalues >= 0) and np.isfinite(self.basis).all()):
            raise ValueError("eigenvalues must be >= 0 and basis finite: M = V diag(eigenvalues) V^T has a real root")

    @cached_property
    def target(self) -> Array:
        """M, shape (*batch, d, d). Source: elementary."""
        return (self.basis * self.eigenvalues[..., None, :]) @ self.basis.swapaxes(-2, -1)

    def residual(self, X: Array) -> Array:
        """X X^T - M, shape (*batch, d, d). Source: elementary."""
        return X @ X.swapaxes(-2, -1) - self.target

    def value(self, X: Array) -> Array:
        """f(X), shape (*batch). Source: elementary."""
        return np.sum(self.residual(X) ** 2, axis=(-2, -1)) / 4

    def gradient(self, X: Array) -> Array:
        """(X X^T - M) X, shape of X. Source: elementary."""
        return self.residual(X) @ X

    def take(self, index: NDArray[np.intp]) -> SymmetricFactorization:
        """The instances with these numbers along the first batch axis. Source: elementary."""
        return SymmetricFactorization(self.eigenvalues[index], self.basis[index])


def symmetric_problem(
    dimension: int, condition_number: float, seed: int, *, rank: int | None = None, axis_aligned: bool = False
) -> SymmetricFactorization:
    """The symmetric test problem: lam log-spaced in [1 / condition_number, 1], V random or the coordinate axes.

    Args:
        dimension: d >= 1.
        condition_number: lam_1 / lam_r >= 1.
        seed: of the eigenbasis.
        rank: r of M; None takes d.
        axis_aligned: take the first r unit vectors for V.

    Returns:
        The problem, without batch axes.

    Raises:
        ValueError: not 1 <= rank <= dimension, or a condition number below 1.

    Source: derived here (the instance of the tables of the room `preconditioning`).

    >>> np.diag(symmetric_problem(3, 100.0, 0, axis_aligned=True).target).tolist()
    [1.0, 0.1, 0.01]
    """
    r = dimension if rank is None else rank
    if not 1 <= r <= dimension:
        raise ValueError(f"rank is {rank} and dimension is {dimension}; give 1 <= rank <= dimension")
    V = np.eye(dimension, r) if axis_aligned else haar(dimension, r, seed)
    return SymmetricFactorization(log_spectrum(r, condition_number), V)


@dataclass(frozen=True)
class AsymmetricFactorization:
    """f(P, Q) = fro(P Q^T - M)^2 / 2, with entries outside a mask left out where one is given.

    Args:
        target: M, shape (*batch, m, n), finite.
        mask: ones and zeros, broadcast against M; None observes every entry.

    Raises:
        ValueError: a target with fewer than two dimensions or with NaN or inf.

    Source: elementary.

    >>> problem = AsymmetricFactorization(np.eye(2))
    >>> float(problem.value(np.eye(2), np.eye(2))), float(problem.value(np.eye(2), 0 * np.eye(2)))
    (0.0, 1.0)
    """

    target: Array
    mask: Array | None = None

    def __post_init__(self) -> None:
        if self.target.ndim < 2 or not np.isfinite(self.target).all():
            raise ValueError(f"target has shape {self.target.shape}; give finite matrices of shape (*batch, m, n)")

    def residual(self, P: Array, Q: Array) -> Array:
        """P Q^T - M on the observed entries and 0 elsewhere, shape (*batch, m, n). Source: elementary."""
        difference = P @ Q.swapaxes(-2, -1) - self.target
        return difference if self.mask is None else difference * self.mask

    def value(self, P: Array, Q: Array) -> Array:
        """f(P, Q), shape (*batch). Source: elementary."""
        return np.sum(self.residual(P, Q) ** 2, axis=(-2, -1)) / 2

    def gradients(self, P: Array, Q: Array) -> tuple[Array, Array]:
        """(R Q, R^T P) with R the residual, shapes of P and Q. Source: elementary."""
        R = self.residual(P, Q)
        return R @ Q, R.swapaxes(-2, -1) @ P


@dataclass(frozen=True)
class NoisyCompletion:
    """A random low-rank matrix of which some entries are seen, with noise.

    Args:
        problem: factorization of what is seen, batched over seeds.
        truth: the matrix without noise, shape (*batch, d, d); its entries have root mean square 1.

    Source: derived here, after the abstract of arXiv 2607.13246 (low-rank factorization and completion).
    """

    problem: AsymmetricFactorization
    truth: Array

    def test_error(self, P: Array, Q: Array) -> Array:
        """Root mean square of P Q^T - truth over the entries that were not seen, shape (*batch). Source: elementary."""
        unseen = 1 - np.asarray(self.problem.mask)
        square = np.sum(unseen * (P @ Q.swapaxes(-2, -1) - self.truth) ** 2, axis=(-2, -1))
        return np.sqrt(square / np.sum(unseen, axis=(-2, -1)))


def noisy_completion(
    dimension: int, rank: int, condition_number: float, observed: float, noise: float, seeds: ArrayLike
) -> NoisyCompletion:
    """Completion of random d x d matrices of rank r, singular values log-spaced, entries of mean square 1.

    Args:
        dimension: d.
        rank: r, 1 <= r <= d.
        condition_number: of the truth, sigma_1 / sigma_r >= 1.
        observed: chance that an entry is seen, in (0, 1).
        noise: standard deviation of the noise on a seen entry, in units of the root mean square entry, >= 0.
        seeds: of the singular vectors, the entries seen and the noise; integers of any shape.

    Returns:
        The instances, batched over the seeds.

    Raises:
        ValueError: observed outside (0, 1), a negative noise; rank or condition number out of range.

    Source: derived here.

    >>> instance = noisy_completion(20, 2, 10.0, 0.5, 0.0, [0, 1])
    >>> instance.truth.shape, round(float((instance.truth**2).mean()), 12)
    ((2, 20, 20), 1.0)
    """
    if not 0 < observed < 1 or not noise >= 0:
        raise ValueError(f"observed is {observed} and noise is {noise}; observed must lie in (0, 1), noise be >= 0")
    numbers = np.asarray(seeds)
    U, V = haar(dimension, rank, 3 * numbers), haar(dimension, rank, 3 * numbers + 1)
    sigma = log_spectrum(rank, condition_number)
    truth = (U * (dimension * sigma / np.linalg.norm(sigma))) @ V.swapaxes(-2, -1)
    draws = [np.random.default_rng(int(3 * seed + 2)) for seed in numbers.ravel()]
    mask = np.stack([g.random((dimension, dimension)) < observed for g in draws]).reshape(truth.shape).astype(float)
    added = np.stack([g.standard_normal((dimension, dimension)) for g in draws]).reshape(truth.shape)
    return NoisyCompletion(AsymmetricFactorization(truth + noise * added, mask), truth)


def low_rank_start(dimension: int, columns: int, rank: int, size: float, seeds: ArrayLike) -> Array:
    """A random start of low rank: size times a product of two Gaussian factors, divided by sqrt(rank).

    Args:
        dimension: rows.
        columns: columns.
        rank: rank of the start, 1 <= rank <= min(dimension, columns).
        size: root mean square of an entry.
        seeds: integers of any shape; twice the seed and the next number seed the factors.

    Returns:
        Shape (*seeds.shape, dimension, columns).

    Raises:
        ValueError: a rank out of range.

    Source: derived here. No step along a spectral function of the gradient of f(X) enlarges the row space of X, so a
    start of rank below that of M never reaches M.

    >>> int(np.linalg.matrix_rank(low_rank_start(6, 5, 2, 1e-3, 0)))
    2
    """
    if not 1 <= rank <= min(dimension, columns):
        raise ValueError(f"rank is {rank}; a {dimension} x {columns} start takes 1 to {min(dimension, columns)}")
    numbers = np.asarray(seeds)
    return size / rank**0.5 * (gaussian(dimension, rank, 2 * numbers) @ gaussian(rank, columns, 2 * numbers + 1))
