"""How many steps until the target, for many problems and many settings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muon_theory.problems.in_context_regression import InContextRegression, in_context_problem
from muon_theory.problems.matrix_factorization import SymmetricFactorization, haar, symmetric_problem
from muon_theory.rooms.preconditioning.directions import TUNED, Settings, Stepper

Array = NDArray[np.float64]
_Problem = TypeVar("_Problem", SymmetricFactorization, InContextRegression)


class _Measure(Protocol):
    """Gradient and error at X, and the least error that runs may still reach within a travel."""

    def take(self, index: NDArray[np.intp]) -> _Measure: ...
    def gradient_and_error(self, X: Array) -> tuple[Array, Array]: ...
    def least(self, error: Array, travel: Array) -> Array: ...


@dataclass(frozen=True)
class FactorizationError:
    """Error of a symmetric factorization: the Frobenius or the spectral norm of X X^T - M.

    Args:
        problem: batched along one axis, lam_max <= 1.
        norm: which one.

    Source: elementary.

    >>> from muon_theory.problems.matrix_factorization import symmetric_problem
    >>> error = FactorizationError(stacked([symmetric_problem(3, 1.0, 0)]))
    >>> error.gradient_and_error(np.zeros((1, 3, 3)))[1].round(6).tolist()
    [1.732051]
    """

    problem: SymmetricFactorization
    norm: Literal["frobenius", "spectral"] = "frobenius"

    def take(self, index: NDArray[np.intp]) -> FactorizationError:
        """The problems with these numbers. Source: elementary."""
        return replace(self, problem=self.problem.take(index))

    def gradient_and_error(self, X: Array) -> tuple[Array, Array]:
        """(X X^T - M) X and the norm of X X^T - M. Source: elementary."""
        R = self.problem.residual(X)
        if self.norm == "spectral":
            return R @ X, np.abs(np.linalg.eigvalsh(R)).max(-1)
        return R @ X, np.sqrt(np.einsum("bij,bij->b", R, R))

    def least(self, error: Array, travel: Array) -> Array:
        """At least error - 2 op(X) travel - travel^2, with op(X)^2 <= 1 + error. Source: elementary."""
        return error - 2 * np.sqrt(1 + error) * travel - travel**2


@dataclass(frozen=True)
class ExcessLoss:
    """Error of an in-context regression: L(Q) - L(Q*) over L(0) - L(Q*).

    Args:
        problem: batched along one axis.

    Source: elementary.

    >>> from muon_theory.problems.in_context_regression import in_context_problem
    >>> ExcessLoss(stacked([in_context_problem(3, 1.0, 40, 0)])).gradient_and_error(np.zeros((1, 3, 3)))[1].round(12)
    array([1.])
    """

    problem: InContextRegression

    def take(self, index: NDArray[np.intp]) -> ExcessLoss:
        """The problems with these numbers. Source: elementary."""
        return ExcessLoss(self.problem.take(index))

    def gradient_and_error(self, X: Array) -> tuple[Array, Array]:
        """The gradient and <Q - Q*, gradient> / 2 over its value at 0. Source: elementary (L is quadratic)."""
        G = self.problem.gradient(X)
        excess = np.einsum("bij,bij->b", X - self.problem.minimizer, G) / 2
        return G, np.abs(excess) / self.problem.initial_excess()

    def least(self, error: Array, travel: Array) -> Array:
        """(sqrt(error) - travel sqrt(largest curvature / L_0))^2. Source: elementary: sqrt(excess) is a norm."""
        slope = np.sqrt(self.problem.curvatures.max(-1) / self.problem.initial_excess())
        with np.errstate(invalid="ignore"):
            return np.maximum(0.0, np.sqrt(error) - slope * travel) ** 2


def stacked(problems: Sequence[_Problem]) -> _Problem:
    """Problems of equal shape as one batched problem.

    Args:
        problems: without batch axes.

    Returns:
        The problem with one batch axis.

    Source: elementary.

    >>> from muon_theory.problems.matrix_factorization import symmetric_problem
    >>> stacked([symmetric_problem(3, 10.0, seed) for seed in range(2)]).basis.shape
    (2, 3, 3)
    """
    eigenvalues, bases = (np.stack([getattr(p, name) for p in problems]) for name in ("eigenvalues", "basis"))
    return replace(problems[0], eigenvalues=eigenvalues, basis=bases)


def factorization_instances(
    condition_numbers: Sequence[float],
    seeds: Sequence[int],
    *,
    dimension: int = 16,
    size: float = 1e-2,
    axis_aligned: bool = False,
    norm: Literal["frobenius", "spectral"] = "frobenius",
) -> tuple[FactorizationError, Array]:
    """The symmetric test problems and their aligned starts size * Haar, condition numbers outermost.

    Args:
        condition_numbers: of M.
        seeds: of eigenbases and starts.
        dimension: d = k.
        size: alpha.
        axis_aligned: M diagonal and X_0 = alpha I instead.
        norm: in which the error is measured.

    Returns:
        The measure and X_0, batched over condition numbers times seeds.

    Source: derived here (the instance of the tables of this room).

    >>> factorization_instances([1.0, 10.0], [0, 1, 2], dimension=4)[1].shape
    (6, 4, 4)
    """
    problems = [
        symmetric_problem(dimension, kappa, seed, axis_aligned=axis_aligned)
        for kappa in condition_numbers
        for seed in seeds
    ]
    turns = np.tile([10_000 + seed for seed in seeds], len(condition_numbers))
    start = np.stack([np.eye(dimension)] * len(turns)) if axis_aligned else haar(dimension, dimension, turns)
    return FactorizationError(stacked(problems), norm), size * start


def regression_instances(
    condition_number: float,
    seeds: Sequence[int],
    *,
    dimension: int = 16,
    context: int = 40,
    axis_aligned: bool = False,
    start: Literal["zero", "identity", "haar"] = "zero",
) -> tuple[ExcessLoss, Array, float]:
    """In-context regressions of one condition number, their starts, and q_max.

    Args:
        condition_number: of Sigma.
        seeds: of eigenbases and starts.
        dimension: d.
        context: N.
        axis_aligned: Sigma diagonal instead of randomly rotated.
        start: Q_0 = 0, .3 q_max I (which commutes with Sigma) or .3 q_max Haar (which does not).

    Returns:
        The measure and Q_0, batched over seeds, and the largest eigenvalue q_max of Q*.

    Source: derived here (the instance of the tables of this room).

    >>> measure, start, largest = regression_instances(1.0, [0], dimension=4)
    >>> start.shape, round(largest, 6)
    ((1, 4, 4), 0.888889)
    """
    problems = [in_context_problem(dimension, condition_number, context, s, axis_aligned=axis_aligned) for s in seeds]
    largest = float(problems[0].modes.max())
    start_of = {"zero": np.zeros((len(seeds), dimension, dimension)),
                "identity": np.stack([np.eye(dimension)] * len(seeds)),
                "haar": haar(dimension, dimension, [10_000 + seed for seed in seeds])}  # fmt: skip
    return ExcessLoss(stacked(problems)), 0.3 * largest * start_of[start], largest


def iteration_counts(
    measure: FactorizationError | ExcessLoss,
    start: Array,
    settings: Settings,
    target: ArrayLike,
    cap: int,
    *,
    first_only: bool = False,
) -> Array:
    """Steps until the error of each run is at most the target.

    Every problem is run with every setting. A run ends when it reaches the target, diverges, or provably cannot reach
    it any more with what its schedule has left to travel.

    Args:
        measure: the problems, batched along one axis, and their error.
        start: X_0 of each problem, shape (problems, m, n).
        settings: shape (settings,).
        target: a number, or one for each problem.
        cap: largest number of steps.
        first_only: end all runs of a problem with its first success, and return inf for the others: enough for the
            best-tuned count, and much cheaper.

    Returns:
        Shape (problems, settings), float64; inf where the target was not reached within the cap.

    Source: elementary.

    Cost: one gradient and one direction a run and step.

    >>> from muon_theory.problems.matrix_factorization import haar, symmetric_problem
    >>> from muon_theory.rooms.preconditioning.directions import settings_grid
    >>> problems = stacked([symmetric_problem(8, 100.0, 0)])
    >>> grid = settings_grid("polar", [1.0], [0.5, 0.6], relative=True)
    >>> iteration_counts(FactorizationError(problems), 1e-6 * haar(8, 8, [1]), grid, 1e-5, 60).tolist()
    [[18.0, 24.0]]
    """
    problems, count = len(start), len(settings)
    group, setting = np.repeat(np.arange(problems), count), np.tile(np.arange(count), problems)
    counts = np.full((problems, count), np.inf)
    goal = np.broadcast_to(np.asarray(target, dtype=np.float64), problems)[group]
    X, at, stepper = start[group], measure.take(group), Stepper(settings.take(setting), (len(group), *start.shape[1:]))
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(cap + 1):
            G, error = at.gradient_and_error(X)
            reached = error <= goal
            counts[group[reached], setting[reached]] = step
            left = stepper.settings.travel(step, start.shape[1:])
            keep = np.isfinite(error) & ~reached & ~(at.least(error, left) > goal)
            if first_only and reached.any():
                keep &= ~np.isin(group, group[reached])
            if not keep.all():
                if not keep.any():
                    break
                chosen = np.flatnonzero(keep)
                stepper.keep(keep)
                X, G, at = X[keep], G[keep], at.take(chosen)
                group, setting, goal = group[keep], setting[keep], goal[keep]
            X = X + stepper.step(G)
    return counts


def best_tuned(
    measure: FactorizationError | ExcessLoss, start: Array, settings: Settings, target: ArrayLike, cap: int
) -> list[dict[str, float | bool]]:
    """The best-tuned count of each problem, with the settings that gave it.

    Args:
        measure: as for `iteration_counts`.
        start: likewise.
        settings: the grid.
        target: likewise.
        cap: largest number of steps.

    Returns:
        For each problem `steps` (the cap where nothing reached the target), `reached`, the settings `first`, `ratio`,
        `momentum`, `second` of one winner (NaN without one), and `at_edge`: every winner is at an end of the grid of
        first steps (of c, for Muon) or of ratios.

    Source: elementary.

    >>> from muon_theory.rooms.preconditioning.directions import wide_grid
    >>> measure, start = factorization_instances([10.0], [0], dimension=6)
    >>> best_tuned(measure, start, wide_grid("muon_exact"), 1e-4, 100)[0]["steps"]
    15.0
    """
    counts, names = iteration_counts(measure, start, settings, target, cap, first_only=True), TUNED
    ratio = settings.ratio
    scale = settings.first / (1 - ratio) if settings.direction in ("polar", "newton_schulz") else settings.first
    edge = np.isclose(scale, scale.min()) | np.isclose(scale, scale.max()) | (ratio == ratio.min())
    edge |= ratio == ratio.max()
    rows = []
    for row in counts:
        winners = np.flatnonzero(np.isfinite(row))
        if len(winners) == 0:
            rows.append({"steps": float(cap), "reached": False, **dict.fromkeys(names, np.nan), "at_edge": False})
            continue
        inner = winners[~edge[winners]]
        chosen = int(inner[0] if len(inner) else winners[0])
        values = {name: float(getattr(settings, name)[chosen]) for name in names}
        rows.append({"steps": float(row[chosen]), "reached": True, **values, "at_edge": len(inner) == 0})
    return rows
