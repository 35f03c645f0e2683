"""The convex least-squares problem of the Fanion paper, its smoothness in the dual Ky Fan geometry, and runs on it.

F(X) = <X, A X B> / 2 with A, B symmetric, eigenvalues uniform on (0, 1), minimum 0 at X = 0. In the dual Ky Fan k ball
its smoothness is L_k = sum of the k largest products of equally ranked eigenvalues.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LeastSquares:
    """F(X) = <X, A X B> / 2 with A = P diag(a) P^T, B = Q diag(b) Q^T.

    Args:
        a: eigenvalues of A, (m,), nonnegative.
        b: eigenvalues of B, (n,), nonnegative.
        left: P, (m, m), orthogonal.
        right: Q, (n, n), orthogonal.
        start: X_0, (m, n).

    Source: Kravatskiy et al. 2025, arXiv 2512.09678, the smooth convex problem.

    >>> problem = LeastSquares(np.ones(2), np.ones(2), np.eye(2), np.eye(2), np.eye(2))
    >>> float(problem.value(problem.start))
    1.0
    """

    a: Array
    b: Array
    left: Array
    right: Array
    start: Array

    def gradient(self, X: Array) -> Array:
        """A X B, shape of X (*batch, m, n). Source: elementary."""
        A, B = (self.left * self.a) @ self.left.T, (self.right * self.b) @ self.right.T
        return A @ X @ B

    def value(self, X: Array) -> Array:
        """F(X), shape (*batch). Source: elementary."""
        return np.sum(X * self.gradient(X), axis=(-2, -1)) / 2

    def in_eigenbasis(self) -> LeastSquares:
        """The same problem for P^T X Q: A and B diagonal, so that the gradient is a_i b_j X_ij. Source: elementary."""
        left, right = np.eye(len(self.a)), np.eye(len(self.b))
        return LeastSquares(self.a, self.b, left, right, self.left.T @ self.start @ self.right)

    def sharpest_direction(self, k: int) -> Array:
        """P_k Q_k^T from the k leading eigenvectors: where L_k is attained. Source: derived here, claim LS-01."""
        first, second = np.argsort(-self.a)[:k], np.argsort(-self.b)[:k]
        return self.left[:, first] @ self.right[:, second].T


def least_squares(n: int, seed: int) -> LeastSquares:
    """The random problem LSP(n, seed): eigenvalues uniform(0, 1), eigenvectors from a QR, X_0 entries N(0, 0.1^2).

    Args:
        n: size of X, >= 1.
        seed: of `numpy.random.default_rng`; drawn in the order a, b, P, Q, X_0.

    Returns:
        The problem.

    Raises:
        ValueError: n below 1.

    Source: Kravatskiy et al. 2025, arXiv 2512.09678, section on the convex problem (n = 500).

    >>> least_squares(4, 0).start.shape
    (4, 4)
    """
    if n < 1:
        raise ValueError(f"n = {n}: give an integer >= 1")
    generator = np.random.default_rng(seed)
    a, b = generator.uniform(size=n), generator.uniform(size=n)
    left, right = (np.linalg.qr(generator.standard_normal((n, n)))[0] for _ in range(2))
    return LeastSquares(a, b, left, right, 0.1 * generator.standard_normal((n, n)))


def dual_ky_fan_smoothness(a: ArrayLike, b: ArrayLike) -> Array:
    """L_k = max <D, A D B> over sigma_1(D) <= 1, nuc(D) <= k, for every k: running sums of ranked products.

    Args:
        a: eigenvalues of A, (*batch, m), nonnegative, any order.
        b: eigenvalues of B, (*batch, n), nonnegative, any order.

    Returns:
        L_1, ..., L_r, shape (*batch, min(m, n)).

    Source: derived here (a convex maximum lies at an extreme point, a partial isometry of rank k; interlacing).

    >>> dual_ky_fan_smoothness([0.5, 1.0], [1.0, 0.2]).tolist()
    [1.0, 1.1]
    """
    a, b = (-np.sort(-np.asarray(x, dtype=float), axis=-1) for x in (a, b))
    r = min(a.shape[-1], b.shape[-1])
    return np.cumsum(a[..., :r] * b[..., :r], axis=-1)


def one_step_decrease(problem: LeastSquares, X: Array) -> Array:
    """The guaranteed decrease KF_k(G)^2 / (2 L_k) of one Fanion-k step of length KF_k(G) / L_k, for every k.

    Args:
        problem: the least-squares problem.
        X: the point, (m, n).

    Returns:
        The bounds for k = 1, ..., r, shape (r,).

    Source: derived here, claim LS-02.

    >>> problem = LeastSquares(np.ones(2), np.ones(2), np.eye(2), np.eye(2), np.eye(2))
    >>> one_step_decrease(problem, problem.start).tolist()
    [0.5, 1.0]
    """
    sigma = np.linalg.svd(problem.gradient(X), compute_uv=False)
    return np.cumsum(sigma) ** 2 / (2 * dual_ky_fan_smoothness(problem.a, problem.b))


def descend(
    problem: LeastSquares, step: Callable[[Array], Array], *, lr: float, beta: float, steps: int
) -> tuple[Array, Array]:
    """Run X <- X + lr step(M) with the coded momentum buf <- beta buf + G, M = G + beta buf, from the problem's start.

    Args:
        problem: the least-squares problem.
        step: maps M to the downhill direction, e.g. a norm's LMO.
        lr: learning rate, >= 0.
        beta: momentum, in [0, 1).
        steps: number of steps, >= 0.

    Returns:
        The last X, and F after 0, 1, ..., `steps` steps.

    Source: Kravatskiy et al. 2025, arXiv 2512.09678, its public code.

    >>> problem = LeastSquares(np.ones(1), np.ones(1), np.eye(1), np.eye(1), np.eye(1))
    >>> descend(problem, lambda M: -np.sign(M), lr=0.5, beta=0.0, steps=2)[1].tolist()
    [0.5, 0.125, 0.0]
    """
    A, B = (problem.left * problem.a) @ problem.left.T, (problem.right * problem.b) @ problem.right.T
    X, buffer = problem.start, np.zeros_like(problem.start)
    values = [float(problem.value(X))]
    for _ in range(steps):
        G = A @ X @ B
        buffer = beta * buffer + G
        X = X + lr * step(G + beta * buffer)
        values.append(float(problem.value(X)))
    return X, np.array(values)
