"""In-context linear regression by one layer of linear attention with merged weights.

Prompt x_1 .. x_N, x_q ~ N(0, Sigma), w ~ N(0, I), y_i = w^T x_i; the model answers x_q^T Q (1/N) sum_i x_i y_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from muon_theory.problems.matrix_factorization import haar, log_spectrum

Array = NDArray[np.float64]


@dataclass(frozen=True)
class InContextRegression:
    """The expected squared error of the model as a function of Q, in closed form.

    L(Q) = tr[Sigma (I - Q Sigma - Sigma Q^T + Q E2 Q^T)], E2 = E[S^2] = (N+1)/N Sigma^2 + tr(Sigma)/N Sigma with
    S = (1/N) sum x_i x_i^T.

    Args:
        eigenvalues: lam > 0 of Sigma, shape (*batch, d).
        basis: orthogonal V, shape (*batch, d, d), Sigma = V diag(lam) V^T.
        context: N >= 1, number of examples in the prompt.

    Raises:
        ValueError: shapes that do not fit, an eigenvalue that is not positive, a context below 1.

    Source: derived here (Gaussian fourth moments), checked by simulation in claims ICL-01 and ICL-02. A model of the
    second case study of arXiv 2601.13474, of which only the abstract was read.

    >>> problem = in_context_problem(3, 10.0, 40, 0)
    >>> bool(problem.excess(problem.minimizer) < 1e-15), bool(np.abs(problem.gradient(problem.minimizer)).max() < 1e-14)
    (True, True)
    """

    eigenvalues: Array
    basis: Array
    context: int

    def __post_init__(self) -> None:
        if self.basis.ndim < 2 or self.eigenvalues.shape != self.basis.shape[:-1]:
            raise ValueError(
                f"eigenvalues {self.eigenvalues.shape} and basis {self.basis.shape} do not fit: give (*batch, d) and "
                "(*batch, d, d)"
            )
        if not np.all(self.eigenvalues > 0):
            raise ValueError("eigenvalues must be > 0: Sigma has to be invertible")
        if self.context < 1:
            raise ValueError(f"context is {self.context}; the prompt needs at least one example")

    @property
    def moments(self) -> Array:
        """e_i = (N+1)/N lam_i^2 + tr(Sigma)/N lam_i, eigenvalues of E2, shape (*batch, d). Source: derived here."""
        lam = self.eigenvalues
        return (self.context + 1) / self.context * lam**2 + lam.sum(-1, keepdims=True) / self.context * lam

    @property
    def curvatures(self) -> Array:
        """lam_i e_i: half the Hessian's diagonal for diagonal Q, shape (*batch, d). Source: derived here."""
        return self.eigenvalues * self.moments

    @property
    def modes(self) -> Array:
        """q_i* = lam_i / e_i, eigenvalues of the minimizer, shape (*batch, d). Source: derived here."""
        return self.eigenvalues / self.moments

    @cached_property
    def covariance(self) -> Array:
        """Sigma, shape (*batch, d, d). Source: elementary."""
        return self._with(self.eigenvalues)

    @cached_property
    def second_moment(self) -> Array:
        """E2 = E[S^2], shape (*batch, d, d). Source: derived here, checked in claim ICL-01."""
        return self._with(self.moments)

    @cached_property
    def minimizer(self) -> Array:
        """Q* = ((N+1)/N Sigma + tr(Sigma)/N I)^(-1), shape (*batch, d, d). Source: derived here, claim ICL-03."""
        return self._with(self.modes)

    def value(self, Q: Array) -> Array:
        """L(Q), shape (*batch). Source: derived here, checked in claim ICL-02."""
        return self._trace_of_covariance() - 2 * _inner(self.covariance @ self.covariance, Q) + self._quadratic(Q)

    def gradient(self, Q: Array) -> Array:
        """2 Sigma (Q E2 - Sigma), shape of Q. Source: derived here, checked in claim ICL-03."""
        return 2 * self.covariance @ (Q @ self.second_moment - self.covariance)

    def excess(self, Q: Array) -> Array:
        """L(Q) - L(Q*) = tr[Sigma (Q - Q*) E2 (Q - Q*)^T], without cancellation, shape (*batch). Source: elementary."""
        return self._quadratic(Q - self.minimizer)

    def initial_excess(self) -> Array:
        """L(0) - L(Q*) = sum_i lam_i^2 q_i*, shape (*batch). Source: elementary."""
        return np.sum(self.curvatures * self.modes**2, axis=-1)

    def take(self, index: NDArray[np.intp]) -> InContextRegression:
        """The instances with these numbers along the first batch axis. Source: elementary."""
        return InContextRegression(self.eigenvalues[index], self.basis[index], self.context)

    def _quadratic(self, Q: Array) -> Array:
        """tr[Sigma Q E2 Q^T]."""
        return _inner(self.covariance @ Q @ self.second_moment, Q)

    def _trace_of_covariance(self) -> Array:
        return self.eigenvalues.sum(-1)

    def _with(self, values: Array) -> Array:
        """V diag(values) V^T."""
        return (self.basis * values[..., None, :]) @ self.basis.swapaxes(-2, -1)


def in_context_problem(
    dimension: int, condition_number: float, context: int, seed: int, *, axis_aligned: bool = False
) -> InContextRegression:
    """The test problem: eigenvalues of Sigma log-spaced in [1 / condition_number, 1], eigenbasis random or the axes.

    Args:
        dimension: d >= 1.
        condition_number: of Sigma, >= 1.
        context: N >= 1.
        seed: of the eigenbasis.
        axis_aligned: take the coordinate axes for the eigenbasis.

    Returns:
        The problem, without batch axes; a dimension, condition number or context below 1 is refused with a ValueError.

    Source: derived here.

    >>> in_context_problem(2, 10.0, 40, 0).covariance.shape
    (2, 2)
    """
    V = np.eye(dimension) if axis_aligned else haar(dimension, dimension, seed)
    return InContextRegression(log_spectrum(dimension, condition_number), V, context)


def sample_moments(problem: InContextRegression, draws: int, seed: int) -> Array:
    """Draws of S = (1/N) sum x_i x_i^T, the empirical covariance of a prompt.

    Args:
        problem: without batch axes.
        draws: number of prompts.
        seed: of the prompts.

    Returns:
        Shape (draws, d, d).

    Source: elementary.

    >>> sample_moments(in_context_problem(2, 10.0, 3, 0), 5, 0).shape
    (5, 2, 2)
    """
    x = _inputs(problem, np.random.default_rng(seed), (draws, problem.context))
    return x.swapaxes(-2, -1) @ x / problem.context


def sample_losses(problem: InContextRegression, Q: Array, draws: int, seed: int) -> Array:
    """Squared errors of the model on fresh prompts and queries, whose expectation is L(Q).

    Args:
        problem: without batch axes.
        Q: shape (d, d).
        draws: number of prompts.
        seed: of prompts, queries and tasks.

    Returns:
        Shape (draws,).

    Source: elementary: the model itself, with no formula for its moments.

    >>> problem = in_context_problem(2, 1.0, 40, 0)
    >>> bool(sample_losses(problem, problem.minimizer, 2000, 0).mean() < 0.5)
    True
    """
    generator = np.random.default_rng(seed)
    x = _inputs(problem, generator, (draws, problem.context))
    query = _inputs(problem, generator, (draws,))
    w = generator.standard_normal(query.shape)
    attended = np.mean(x * np.sum(x * w[:, None], axis=-1, keepdims=True), axis=1)
    return (np.sum((query @ Q) * attended, axis=-1) - np.sum(query * w, axis=-1)) ** 2


def _inputs(problem: InContextRegression, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draws of N(0, Sigma), shape (*shape, d)."""
    root = problem.basis * np.sqrt(problem.eigenvalues)
    return generator.standard_normal((*shape, root.shape[-1])) @ root.T


def _inner(X: Array, Y: Array) -> Array:
    return np.sum(X * Y, axis=(-2, -1))
