"""A streaming linear teacher: the one learning problem here whose smoothness and gradient noise are known exactly.

Inputs x ~ N(0, C), answers y = W* x + s e with e ~ N(0, I); every step draws a fresh batch. The loss is
f(W) = E |W x - y|^2 / 2, so f(W) - min f = tr(D C D^T)/2 with D = W - W*, and the gradient is D C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StreamingTeacher:
    """The teacher with covariance C = diag(eigenvalues).

    Args:
        eigenvalues: of C, (n,), positive.
        weights: W*, (m, n).
        noise: s >= 0, standard deviation of each answer.

    Raises:
        ValueError: the shapes do not fit, an eigenvalue is not positive, or the noise is negative.

    Source: elementary; the moments by Isserlis' theorem, checked by simulation in tests/problems.

    >>> teacher = StreamingTeacher(np.ones(2), np.eye(2), 0.0)
    >>> float(teacher.excess(np.zeros((2, 2)))), teacher.smoothness
    (1.0, 2.0)
    """

    eigenvalues: Array
    weights: Array
    noise: float

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.eigenvalues.shape != self.weights.shape[1:]:
            raise ValueError(
                f"weights {self.weights.shape} and eigenvalues {self.eigenvalues.shape} do not fit: (m, n), (n,)"
            )
        if not (np.all(self.eigenvalues > 0) and np.isfinite(self.eigenvalues).all()):
            raise ValueError(f"eigenvalues = {self.eigenvalues}: give finite numbers > 0")
        if not 0 <= self.noise < np.inf:
            raise ValueError(f"noise = {self.noise}: give a finite number >= 0")

    @property
    def smoothness(self) -> float:
        """L: nuc(grad f(X) - grad f(Y)) <= L op(X - Y), attained: the sum of the r largest eigenvalues of C.

        r = min(m, n). Source: derived here (nuc(D C) <= op(D) times the Ky Fan r norm of C; equality at a partial
        isometry on the leading eigenvectors).
        """
        return float(np.sort(self.eigenvalues)[::-1][: min(self.weights.shape)].sum())

    def excess(self, W: Array) -> Array:
        """f(W) - min f, shape (*batch) for W (*batch, m, n). Source: elementary."""
        return np.sum((W - self.weights) ** 2 * self.eigenvalues, axis=(-2, -1)) / 2

    def gradient(self, W: Array) -> Array:
        """(W - W*) C, shape of W. Source: elementary."""
        return (W - self.weights) * self.eigenvalues

    def batch_moments(self, batch: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """What a fresh batch says: S = mean of x x^T, (n, n), and E = mean of s e x^T, (m, n).

        The gradient of the batch at any W is `(W - W*) S - E`, so one draw serves many runs.

        Args:
            batch: number of samples, >= 1.
            generator: source of the draws.

        Returns:
            S and E.

        Raises:
            ValueError: batch below 1.

        Source: elementary.
        """
        if batch < 1:
            raise ValueError(f"batch = {batch}: give an integer >= 1")
        x = generator.standard_normal((batch, len(self.eigenvalues))) * np.sqrt(self.eigenvalues)
        e = self.noise * generator.standard_normal((batch, len(self.weights)))
        return x.T @ x / batch, e.T @ x / batch

    def noise_covariance(self, W: Array) -> Array:
        """E[N N^T] of one sample's gradient noise N: D (C^2 + tr(C) C) D^T + s^2 tr(C) I, shape (*batch, m, m).

        Args:
            W: the point, (*batch, m, n).

        Returns:
            The left covariance; its trace is sigma^2, the trace of its square root is tr Sigma.

        Source: derived here (Isserlis: E[x x^T C^-1 x x^T]-type moments of a Gaussian).
        """
        D, trace = W - self.weights, float(self.eigenvalues.sum())
        spread = (D * (self.eigenvalues**2 + trace * self.eigenvalues)) @ np.swapaxes(D, -1, -2)
        return spread + self.noise**2 * trace * np.eye(D.shape[-2])


def streaming_teacher(rows: int, columns: int, *, decay: float, noise: float, seed: int) -> StreamingTeacher:
    """A teacher with eigenvalues i^-decay, summing to `columns`, and Gaussian weights of variance 1/columns.

    Args:
        rows: m >= 1.
        columns: n >= 1.
        decay: power of the eigenvalues, >= 0; 0 is isotropic.
        noise: s >= 0.
        seed: of `numpy.random.default_rng`.

    Returns:
        The teacher.

    Raises:
        ValueError: a size below 1.

    Source: elementary.

    >>> streaming_teacher(3, 4, decay=0.0, noise=0.1, seed=0).smoothness
    3.0
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"rows = {rows}, columns = {columns}: give integers >= 1")
    eigenvalues = np.arange(1, columns + 1) ** -float(decay)
    weights = np.random.default_rng(seed).standard_normal((rows, columns)) / columns**0.5
    return StreamingTeacher(eigenvalues * columns / eigenvalues.sum(), weights, noise)
