"""The convex least-squares problem of the Fanion paper, its smoothness in the dual Ky Fan geometry, and runs on it.

F(X) = <X, A X B> / 2 with A, B symmetric, eigenvalues uniform on (0, 1), minimum 0 at X = 0. In the dual Ky Fan k ball
its smoothness is L_k = sum of the k largest products of equally ranked eigenvalues.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Route = Literal["exact", "ns3", "ns5", "ns3_bf16"]
NEWTON_SCHULZ_STEPS: Mapping[str, int] = MappingProxyType({"ns3": 3, "ns5": 5, "ns3_bf16": 3})
"""Steps of the Jordan quintic of each approximate route to the polar factor; `ns3_bf16` computes them in bfloat16."""

METHODS: Mapping[str, tuple[float, float, float]] = MappingProxyType({
    "muon": (1.0, 0.0, 0.0), "f_muon": (0.5, 0.5, 0.0), "s_muon": (0.5, 0.0, 0.005), "nsgd": (0.0, 1.0, 0.0),
    "sign_sgd": (0.0, 0.0, 0.01),
})  # fmt: skip
"""Weights of polar(M), M/fro(M) and sign(M) in a step of length one: alpha = 1/2, eta = .01, signs scaled by .01."""


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


def blended_direction(M: Tensor, weights: tuple[float, float, float], route: Route) -> Tensor:
    """D = w_1 polar(M) + w_2 M / fro(M) + w_3 sign(M), the polar factor by one of four routes.

    Args:
        M: shape (*batch, m, n), float32 or float64, no zero matrix.
        weights: w_1, w_2, w_3, e.g. a value of `METHODS`; a part of weight 0 is not computed.
        route: "exact" (singular vectors in float64), or 3 or 5 Newton-Schulz steps, see `NEWTON_SCHULZ_STEPS`.

    Returns:
        D, shape and dtype of M.

    Source: Kravatskiy et al. 2025, arXiv 2512.09678, and its public code (3 steps in bfloat16).

    Accuracy: "exact" to float64 rounding times the condition number, its singular values at 1 whatever that is; checked
    against `muon_theory.polar` in tests/rooms/fanions/test_least_squares.py.

    >>> import torch
    >>> blended_direction(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), (0.5, 0.5, 1.0), "exact")
    tensor([[1.8000, 0.0000],
            [0.0000, 1.9000]])
    """
    import torch

    polar, frobenius, sign = weights
    unit = M / torch.linalg.matrix_norm(M, keepdim=True)
    D = frobenius * unit if frobenius else torch.zeros_like(M)
    if polar and route == "exact":
        left, _, right = torch.linalg.svd(unit.double(), full_matrices=False)
        D = D + polar * (left @ right).to(M.dtype)
    elif polar:
        D = D + polar * _newton_schulz(unit, route)
    return D + sign * M.sign() if sign else D


def _newton_schulz(unit: Tensor, route: Route) -> Tensor:
    """Steps of the Jordan quintic, as the public code takes them: the runs depend on no other module."""
    X = unit.bfloat16() if route == "ns3_bf16" else unit
    for _ in range(NEWTON_SCHULZ_STEPS[route]):
        A = X @ X.mT
        X = 3.4445 * X + (-4.7750 * A + 2.0315 * (A @ A)) @ X
    return X.to(unit.dtype)


@dataclass(frozen=True)
class Descents:
    """What a batch of runs reached.

    Args:
        first_below: first iteration looked at with F below each threshold, inf if none, (runs, thresholds).
        lowest: lowest F looked at, (runs,).
        last: F at the last iteration looked at, (runs,).
        steps: that iteration, (runs,).

    Source: elementary.
    """

    first_below: Array
    lowest: Array
    last: Array
    steps: Array


def descend_batch(
    problems: Sequence[LeastSquares],
    which: ArrayLike,
    lr: ArrayLike,
    beta: ArrayLike,
    *,
    weights: tuple[float, float, float],
    route: Route,
    steps: int,
    thresholds: ArrayLike,
    decay: bool = False,
    look_every: int = 5,
    patience: int | None = None,
    allowance: float = math.inf,
) -> Descents:
    """Many runs X <- X - lr_t D(M) at once, coded momentum buf <- beta buf + G, M = G + beta buf.

    Without a sign part, and unless a product is rounded to bfloat16, a run takes place in the eigenbasis, where it is
    the same run (claim LS-07). It ends before `steps` when it is below every threshold; when it is not finite; when
    its lowest F fell by less than 1 % in `patience` iterations; or when another run on the same problem reached the
    last threshold `allowance` times as early.

    Args:
        problems: of one size.
        which: index of each run's problem, (runs,).
        lr: learning rates, (runs,), > 0.
        beta: momenta, (runs,), in [0, 1).
        weights: of the step, see `blended_direction`.
        route: to the polar factor; "exact" runs in float64, the others in float32.
        steps: number of steps, >= 1.
        thresholds: values of F, descending, (problems, thresholds).
        decay: linear decay lr_t = lr (1 - t / steps) instead of a constant learning rate.
        look_every: iterations between two looks at F.
        patience: iterations a run may go without progress; None for ever. A multiple of `look_every`.
        allowance: >= 1; inf for no such end.

    Returns:
        Iterations to each threshold, lowest and last F.

    Raises:
        ValueError: which, lr and beta differ in length, or patience is no multiple of look_every.

    Source: Kravatskiy et al. 2025, arXiv 2512.09678, its public code; batched here.

    >>> problem = least_squares(4, 0)
    >>> runs = descend_batch([problem], [0, 0], [0.05, 0.1], [0.0, 0.5], weights=(1.0, 0.0, 0.0), route="exact",
    ...                      steps=20, thresholds=[[0.5 * float(problem.value(problem.start))]])
    >>> runs.first_below.tolist()
    [[5.0], [5.0]]
    """
    import torch

    number, rates, momenta = np.asarray(which), np.asarray(lr, dtype=float), np.asarray(beta, dtype=float)
    if not number.shape == rates.shape == momenta.shape or number.ndim != 1:
        raise ValueError(
            f"which, lr and beta have shapes {number.shape}, {rates.shape}, {momenta.shape}; give one each"
        )
    if patience is not None and patience % look_every:
        raise ValueError(f"patience = {patience}: give a multiple of look_every = {look_every}")
    dtype = torch.float64 if route == "exact" else torch.float32
    rotated = not weights[2] and route != "ns3_bf16"
    shown = [problem.in_eigenbasis() if rotated else problem for problem in problems]

    def stacked(arrays: Sequence[Array]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(dtype)[torch.from_numpy(number)]

    if rotated:
        factors = [stacked([np.multiply.outer(p.a, p.b) for p in shown])]
    else:
        factors = [stacked([(Q * a) @ Q.T for Q, a in sides])
                   for sides in ([(p.left, p.a) for p in shown], [(p.right, p.b) for p in shown])]  # fmt: skip
    X = stacked([p.start for p in shown])
    buffer = torch.zeros_like(X)
    lr_now, beta_now = (torch.from_numpy(x).to(dtype)[:, None, None] for x in (rates, momenta))
    goals = np.asarray(thresholds, dtype=float)[number]
    runs = np.arange(len(number))  # which run each matrix of the batch belongs to
    first = np.full(goals.shape, np.inf)
    lowest, last, ended = np.full(len(runs), np.inf), np.full(len(runs), np.nan), np.zeros(len(runs))
    before = lowest.copy()  # lowest F when progress was last checked
    active = np.ones(len(runs), dtype=bool)
    for t in range(steps + 1):
        G = factors[0] * X if rotated else factors[0] @ X @ factors[1]
        if t % look_every == 0 or t == steps:
            F = (X * G).sum((1, 2)).double().numpy() / 2
            seen, F = runs[active[runs]], F[active[runs]]
            last[seen], ended[seen], lowest[seen] = F, t, np.fmin(lowest[seen], F)
            first[seen] = np.where((F[:, None] < goals[seen]) & np.isinf(first[seen]), t, first[seen])
            active &= ~np.isfinite(first).all(axis=1) & (~np.isnan(last)) & ~np.isinf(last)
            if math.isfinite(allowance):
                earliest = np.array([first[number == p, -1].min(initial=np.inf) for p in range(len(problems))])
                active &= t <= allowance * earliest[number]
            if patience is not None and t and t % patience == 0:
                active &= ~(lowest > 0.99 * before)
                before = lowest.copy()
            if not active.any():
                break
            if (keep := active[runs]).mean() < 0.9:
                chosen = torch.from_numpy(np.flatnonzero(keep))
                X, buffer, G, lr_now, beta_now = (x[chosen] for x in (X, buffer, G, lr_now, beta_now))
                factors, runs = [factor[chosen] for factor in factors], runs[keep]
        if t < steps:
            buffer = beta_now * buffer + G
            D = blended_direction(G + beta_now * buffer, weights, route)
            X = X - lr_now * ((1 - t / steps) if decay else 1.0) * D
    return Descents(first, lowest, last, ended)
