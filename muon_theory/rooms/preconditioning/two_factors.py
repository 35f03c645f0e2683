"""Asymmetric factorization: both factors stepped at once, what is conserved, and when a schedule can succeed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muon_theory.problems.matrix_factorization import AsymmetricFactorization, gaussian
from muon_theory.rooms.preconditioning.directions import exact_polar

Array = NDArray[np.float64]


class FactorRun(NamedTuple):
    """The end of a run of both factors, and its losses.

    `P`, `Q` have the shapes of the starts, `losses` is f at every step, shape (steps + 1, *batch).

    Source: elementary.
    """

    P: Array
    Q: Array
    losses: Array


def run_factors(
    problem: AsymmetricFactorization,
    P: Array,
    Q: Array,
    step_sizes: ArrayLike,
    direction: Callable[[Array], Array] = exact_polar,
) -> FactorRun:
    """P <- P - eta_t D(grad_P), Q <- Q - eta_t D(grad_Q), both gradients at the old point.

    Args:
        problem: f, batched or not.
        P: start, shape (*batch, m, k).
        Q: start, shape (*batch, n, k).
        step_sizes: eta_t, shape (steps,) or (steps, *batch).
        direction: D, the polar factor for simplified Muon; the identity for gradient descent.

    Returns:
        Where it ended, with the loss at every step.

    Source: derived here (1.6 of the notes on arXiv 2601.13474); "simplified Muon" as in its abstract.

    >>> problem = AsymmetricFactorization(np.diag([1.0, 0.5]))
    >>> run = run_factors(problem, np.zeros((2, 2)), 1e-6 * np.eye(2), 2 * 0.4 * 0.6 ** np.arange(60))
    >>> bool(run.losses[-1] < 1e-20)
    True
    """
    losses = [problem.value(P, Q)]
    for eta in np.asarray(step_sizes, dtype=np.float64)[..., None, None]:
        G, H = problem.gradients(P, Q)
        P, Q = P - eta * direction(G), Q - eta * direction(H)
        losses.append(problem.value(P, Q))
    return FactorRun(P, Q, np.stack(losses))


def one_sided_start(rows: int, columns: int, rank: int, size: float, seeds: ArrayLike) -> tuple[Array, Array]:
    """P_0 = 0 and a Gaussian Q_0: the first step aligns P with M Q_0, the second Q with P.

    Args:
        rows: rows of P.
        columns: rows of Q.
        rank: columns of both.
        size: standard deviation of the entries of Q_0.
        seeds: integers of any shape.

    Returns:
        P_0 and Q_0, batched over the seeds.

    Source: derived here; claim MF-27.

    >>> P, Q = one_sided_start(4, 3, 2, 1e-6, [0, 1])
    >>> P.shape, Q.shape
    ((2, 4, 2), (2, 3, 2))
    """
    Q = size * gaussian(columns, rank, seeds)
    return np.zeros((*Q.shape[:-2], rows, rank)), Q


def smallest_scale(ratio: float) -> float:
    """The least scale c = rho^(-1/2) of eta_t = c (1 - rho) rho^t with which a one-sided start can reach sigma = 1.

    Q stands still at step 0, so that P can travel c and Q only c rho: the product reaches 1 only if c^2 rho >= 1.

    Args:
        ratio: rho in (0, 1).

    Returns:
        c > 1.

    Raises:
        ValueError: ratio outside (0, 1).

    Source: derived here; claim MF-27.

    >>> smallest_scale(0.64)
    1.25
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio is {ratio}; it must lie in (0, 1)")
    return ratio**-0.5


def determinant_condition(P: Array, Q: Array, target: Array) -> NDArray[np.bool_]:
    """Whether det(P_0) det(Q_0) has the sign of det(M): what decides about the "spiked" schedule.

    Args:
        P: square starts, shape (*batch, n, n).
        Q: square starts, shape (*batch, n, n).
        target: M, shape (*batch, n, n), invertible.

    Returns:
        Shape (*batch).

    Raises:
        ValueError: a matrix that is not square.

    Source: derived here, for the schedule in the released code of arXiv 2606.30509; claims MF-30 and MF-31.

    >>> bool(determinant_condition(np.eye(2), np.eye(2), np.diag([1.0, -1.0])))
    False
    """
    if len({*P.shape[-2:], *Q.shape[-2:], *target.shape[-2:]}) != 1:
        raise ValueError(f"P {P.shape}, Q {Q.shape} and target {target.shape} must be square of one size")
    signs = [np.linalg.slogdet(A)[0] for A in (P, Q, target)]
    return np.asarray(signs[0] * signs[1] * signs[2] > 0)


def with_determinant_sign(P: Array, Q: Array, sign: int) -> Array:
    """P, with its first column negated where det(P) det(Q) has not the given sign.

    Args:
        P: square, shape (*batch, n, n); not modified.
        Q: square, shape (*batch, n, n).
        sign: +1 or -1.

    Returns:
        Shape of P.

    Source: elementary.

    >>> float(np.linalg.det(with_determinant_sign(np.eye(2), np.eye(2), -1)))
    -1.0
    """
    flipped = P.copy()
    flipped[..., 0] *= (sign * np.linalg.slogdet(P)[0] * np.linalg.slogdet(Q)[0])[..., None]
    return flipped


def imbalance(P: Array, Q: Array, form: Literal["root", "gram"]) -> Array:
    """sqrt(P^T P) - sqrt(Q^T Q) ("root") or P^T P - Q^T Q ("gram").

    Args:
        P: shape (*batch, m, k).
        Q: shape (*batch, n, k).
        form: what is conserved by aligned Muon ("root") or by the gradient flow ("gram").

    Returns:
        Symmetric matrices, shape (*batch, k, k).

    Raises:
        ValueError: another form.

    Source: arXiv 2606.30509 (abstract) for both flows.

    >>> imbalance(np.diag([2.0]), np.diag([1.0]), "root").tolist()
    [[1.0]]
    """
    if form not in ("root", "gram"):
        raise ValueError(f"form is {form!r}; choose 'root' or 'gram'")
    return _absolute(P, form) - _absolute(Q, form)


def _absolute(P: Array, form: str) -> Array:
    _, sigma, Vt = np.linalg.svd(P, full_matrices=False)
    return (Vt.swapaxes(-2, -1) * (sigma if form == "root" else sigma**2)[..., None, :]) @ Vt
