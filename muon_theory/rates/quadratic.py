"""A quadratic whose smoothness constants are known exactly.

f(W) = fro(A (W - W*))^2 / 2 has spectral-to-nuclear smoothness fro(A)^2 and Frobenius smoothness op(A)^2, both
attained, so every constant of a convergence bound is known and the bound can be compared with what a run really does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class QuadraticProblem:
    """The function f(W) = fro(A (W - W*))^2 / 2 of an m x n matrix W, with minimum 0.

    Args:
        A: (p, m) float64.
        minimizer: W*, (m, n) float64.

    Raises:
        ValueError: A and W* do not fit, or hold a NaN or an infinity.

    Source: derived here, checked in claims KO-G0 and KO-G1.

    >>> problem = QuadraticProblem(np.eye(2), np.ones((2, 3)))
    >>> problem.smoothness, problem.frobenius_smoothness, problem.rank
    (2.0, 1.0, 2)
    """

    A: Array
    minimizer: Array

    def __post_init__(self) -> None:
        if self.A.ndim != 2 or self.minimizer.ndim != 2 or self.A.shape[1] != self.minimizer.shape[0]:
            raise ValueError(
                f"A {self.A.shape} and minimizer {self.minimizer.shape} do not fit: give (p, m) and (m, n)"
            )
        if not (np.isfinite(self.A).all() and np.isfinite(self.minimizer).all()):
            raise ValueError("A or minimizer holds NaN or inf: give finite matrices")

    @property
    def smoothness(self) -> float:
        """L = fro(A)^2: nuc(grad f(X) - grad f(Y)) <= L op(X - Y), attained. Source: derived here, claim KO-G1."""
        return float(np.sum(self.A**2))

    @property
    def frobenius_smoothness(self) -> float:
        """L_F = op(A)^2, the smoothness with the Frobenius norm on both sides. Source: elementary."""
        return float(np.linalg.norm(self.A, 2) ** 2)

    @property
    def rank(self) -> int:
        """min(m, n), the largest rank of a gradient. Source: elementary."""
        return min(self.minimizer.shape)

    def value(self, W: Array) -> Array:
        """f(W), shape (*batch) for W of shape (*batch, m, n). Source: elementary."""
        return np.sum((self.A @ (W - self.minimizer)) ** 2, axis=(-2, -1)) / 2

    def gradient(self, W: Array) -> Array:
        """A^T A (W - W*), shape of W. Source: elementary."""
        return self.A.T @ (self.A @ (W - self.minimizer))


def quadratic_problem(rows: int, columns: int, seed: int) -> QuadraticProblem:
    """The random quadratic test problem QTP(m, n, seed): A normal / m, then W* normal, from one generator.

    Args:
        rows: m >= 1.
        columns: n >= m.
        seed: of `numpy.random.default_rng`.

    Returns:
        The problem; runs start at W_0 = 0.

    Raises:
        ValueError: not 1 <= rows <= columns.

    Source: derived here.

    >>> round(quadratic_problem(6, 8, 7).smoothness, 4)
    0.8717
    """
    if not 1 <= rows <= columns:
        raise ValueError(f"rows = {rows}, columns = {columns}: give 1 <= rows <= columns")
    generator = np.random.default_rng(seed)
    A = generator.standard_normal((rows, rows)) / rows
    return QuadraticProblem(A, generator.standard_normal((rows, columns)))


def scalar_problem(smoothness: float = 1.0) -> QuadraticProblem:
    """The 1 x 1 case f = L x^2 / 2, on which the bounds are attained; its polar factor is the sign, sign(0) = 0.

    Args:
        smoothness: L > 0.

    Returns:
        The problem with its minimum at 0.

    Source: elementary.

    >>> scalar_problem(4.0).smoothness
    4.0
    """
    return QuadraticProblem(np.array([[smoothness**0.5]]), np.zeros((1, 1)))
