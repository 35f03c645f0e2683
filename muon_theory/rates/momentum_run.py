"""Momentum with an orthogonalising oracle, run on a quadratic whose constants are known, to hold bounds against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muon_theory.rates.quadratic import QuadraticProblem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """What a batch of runs did; every array has shape (steps, configurations, runs), `value` one row more.

    Args:
        value: f(W_0), ..., f(W_T).
        gradient_norm: nuc(g_t), g_t the gradient where step t = 1..T is taken.
        tracking_error: nuc(g_t - C_t), C_t the matrix given to the oracle.
        operator_error: op(O_t - P(C_t)).
        alignment_deficit: 1 - <C_t, O_t>/nuc(C_t).
        overshoot: max(0, op(O_t) - 1).
        stationarity: Phi = nuc(g_t) + lambda <W, g_t> at the point where step t is taken; nuc(g_t) without decay.
        weight_norm: op(W) at the point where step t is taken.
        step_size: eta of each configuration, shape (configurations, 1).
        gradient_weight: 1 - momentum of each configuration, shape (configurations, 1).

    Source: elementary (a record).
    """

    value: Array
    gradient_norm: Array
    tracking_error: Array
    operator_error: Array
    alignment_deficit: Array
    overshoot: Array
    stationarity: Array
    weight_norm: Array
    step_size: Array
    gradient_weight: Array

    @property
    def average(self) -> Array:
        """Mean of nuc(g_t) over the steps, shape (configurations, runs). Source: elementary."""
        return self.gradient_norm.mean(axis=0)


def spectral_oracle(method: str, oracle_steps: int = 0) -> Callable[[Array], Array]:
    """What an oracle does to the singular values of C / fro(C): all ones, or the images under Newton-Schulz steps.

    Args:
        method: "exact" for the polar factor, a key of `muon_theory.polar.COEFFICIENTS`, or "taylor_<degree>".
        oracle_steps: q >= 0, not used by "exact".

    Returns:
        A map from singular values in [0, 1] (last axis descending) to theirs; zero directions stay zero.

    Source: elementary.

    >>> spectral_oracle("exact")(np.array([0.8, 0.6, 0.0]))
    array([1., 1., 0.])
    """
    if method == "exact":
        return _indicator
    from muon_theory.polar import scalar_map  # imports torch, which the exact oracle does without

    return scalar_map(method, oracle_steps)


def momentum_run(
    problem: QuadraticProblem, oracle: Callable[[Array], Array], *, steps: int, step_size: ArrayLike,
    momentum: ArrayLike = 0.0, noise: ArrayLike = 0.0, weight_decay: ArrayLike = 0.0, runs: int = 1, seed: int = 0,
    nesterov: bool = False, start: Array | None = None,
) -> Trajectory:  # fmt: skip
    """Run momentum with an orthogonalising oracle: N_t = b N_{t-1} + (1-b) G_t, W <- (1 - eta lambda) W - eta O_t.

    O_t is the oracle's answer to C_t = N_t (plain) or b N_t + (1-b) G_t (Nesterov); G_t = gradient + noise/sqrt(m n)
    times a standard normal matrix. The oracle acts on the singular values of C_t / fro(C_t), so the run measures its
    inexactness exactly.

    Args:
        problem: the quadratic.
        oracle: from `spectral_oracle`.
        steps: T >= 1.
        step_size: eta > 0; a number or one per configuration.
        momentum: b in [0, 1); a number or one per configuration.
        noise: sigma/sqrt(B) >= 0, the Frobenius norm of the noise in mean square; a number or one per configuration.
        weight_decay: lambda >= 0, decoupled; a number or one per configuration.
        runs: independent runs of each configuration, >= 1; all configurations see the same noise matrices.
        seed: of the noise.
        nesterov: whether C_t looks ahead.
        start: W_0, (m, n); None starts at 0.

    Returns:
        The trajectories.

    Raises:
        ValueError: steps or runs below 1, a step size, momentum, noise or decay out of range, or a start of another
            shape.

    Source: Kim and Oh 2026, arXiv 2601.19156, Algorithm 1, with the normalisation by fro(C_t) of its experiments.
    Cost: four batched singular value decompositions a step.

    >>> from muon_theory.rates.quadratic import scalar_problem
    >>> run = momentum_run(scalar_problem(), spectral_oracle("exact"), steps=4, step_size=1.0, start=np.array([[0.5]]))
    >>> run.gradient_norm[:, 0, 0]
    array([0.5, 0.5, 0.5, 0.5])
    """
    eta, b, level, decay = _configurations(step_size, momentum, noise, weight_decay)
    if steps < 1 or runs < 1:
        raise ValueError(f"steps = {steps}, runs = {runs}: give integers >= 1")
    shape = problem.minimizer.shape
    if start is not None and start.shape != shape:
        raise ValueError(f"start has shape {start.shape}, the problem {shape}")
    generator = np.random.default_rng(seed)
    W = np.broadcast_to(np.zeros(shape) if start is None else start, (len(eta), runs, *shape)).copy()
    N = np.zeros_like(W)
    values, measures = [problem.value(W)], []
    for _ in range(steps):
        g = problem.gradient(W)
        G = g + level * (generator.standard_normal((runs, *shape)) / np.prod(shape) ** 0.5) if level.any() else g
        N = b * N + (1 - b) * G
        C = b * N + (1 - b) * G if nesterov else N
        O, inexactness = _orthogonalized(C, oracle)
        gradient_norm, inner = _nuclear(g), np.sum(W * g, axis=(-2, -1))
        stationarity = gradient_norm + decay[..., 0, 0] * inner
        weight_norm = np.linalg.norm(W, 2, axis=(-2, -1))
        measures.append((gradient_norm, _nuclear(g - C), *inexactness, stationarity, weight_norm))
        W = (1 - eta * decay) * W - eta * O
        values.append(problem.value(W))
    columns = [np.stack(column) for column in zip(*measures, strict=True)]
    return Trajectory(np.stack(values), *columns, step_size=eta[..., 0, 0], gradient_weight=1 - b[..., 0, 0])


def _configurations(step_size: ArrayLike, momentum: ArrayLike, noise: ArrayLike, decay: ArrayLike) -> list[Array]:
    """The four parameters as arrays of shape (configurations, 1, 1, 1)."""
    given = (step_size, momentum, noise, decay)
    parameters = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=float)) for x in given))
    eta, b, level, rate = parameters
    if not (np.all(eta > 0) and np.all(np.isfinite(eta))):
        raise ValueError(f"step_size = {step_size!r}: give finite numbers > 0")
    if not (np.all(b >= 0) and np.all(b < 1)):
        raise ValueError(f"momentum = {momentum!r}: give numbers in [0, 1)")
    if not (np.all(level >= 0) and np.all(np.isfinite(level))):
        raise ValueError(f"noise = {noise!r}: give finite numbers >= 0")
    if not (np.all(rate >= 0) and np.all(np.isfinite(rate))):
        raise ValueError(f"weight_decay = {decay!r}: give finite numbers >= 0")
    return [np.array(x, dtype=float).reshape(-1, 1, 1, 1) for x in parameters]


def _orthogonalized(C: Array, oracle: Callable[[Array], Array]) -> tuple[Array, tuple[Array, Array, Array]]:
    """The oracle's output for C, and its operator error, alignment deficit and overshoot."""
    U, sigma, Vt = np.linalg.svd(C, full_matrices=False)
    norm = np.sqrt(np.sum(sigma**2, axis=-1, keepdims=True))
    x = sigma / np.where(norm > 0, norm, 1.0)
    images = oracle(x)
    positive = _indicator(x)
    error = np.max(np.abs(images - positive) * (positive > 0), axis=-1)
    nuclear = np.sum(x, axis=-1)
    deficit = np.sum(x * (positive - images), axis=-1) / np.where(nuclear > 0, nuclear, 1.0)
    overshoot = np.maximum(0.0, np.max(images, axis=-1) - 1)
    return (U * images[..., None, :]) @ Vt, (error, deficit, overshoot)


def _indicator(x: Array) -> Array:
    """1 where a singular value is positive (beyond rounding of the largest), else 0."""
    return (x > 16 * np.finfo(float).eps * np.max(x, axis=-1, keepdims=True)).astype(float)


def _nuclear(X: Array) -> Array:
    return np.linalg.svd(X, compute_uv=False).sum(axis=-1)
