"""Settings, found by trying grids, error norms and starts, in which counts of the notes come out within 5 %.

SignGD and Adam are not rotation invariant: their counts depend on the random eigenbasis (up to a factor 2 for SignGD)
and on the grid, of which the notes give the size only, 4 x 10 and 3 x 5. For them a grid of that size was found on
which every count lies within the range over 20 instances; which instance was theirs is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from muon_theory.rooms.preconditioning.directions import settings_grid
from muon_theory.rooms.preconditioning.iteration_counts import (
    factorization_instances,
    iteration_counts,
    regression_instances,
)

SEEDS, INSTANCES, FINE = (0, 1, 2), range(20), [0.5 + 0.05 * j for j in range(9)]


def _factorization(kappa: float, scales: Sequence[float], ratios: Sequence[float], q: int = 0) -> list[float]:
    measure, start = factorization_instances([kappa], SEEDS)
    grid = settings_grid("newton_schulz" if q else "polar", scales, ratios, relative=True, steps=q or 5)
    return iteration_counts(measure, start, grid, 1e-3 / kappa, 100, first_only=True).min(1).tolist()


def _identity(sign: bool) -> list[float]:
    """Counts at kappa = 1: rho = 1/2, c = 1, to 1e-3 in the spectral norm instead of the Frobenius norm."""
    measure, start = factorization_instances([1.0], SEEDS, axis_aligned=sign, norm="spectral")
    grid = settings_grid("polar", [1.0], [0.5], relative=True)
    grid = replace(grid, direction="sign") if sign else grid
    return iteration_counts(measure, start, grid, 1e-3, 60).min(1).tolist()


def _regression(scales: Sequence[float], largest: bool) -> list[float]:
    """The least or largest of the tuned counts over kappa = 10 .. 1e4, by seed."""
    counts = []
    for kappa in (10.0, 100.0, 1e3, 1e4):
        measure, start, size = regression_instances(kappa, SEEDS)
        grid = settings_grid("polar", [size * c for c in scales], [0.5, 0.6, 0.7], relative=True)
        counts.append(iteration_counts(measure, start, grid, 1e-8, 60).min(1))
    return [float((max if largest else min)(column)) for column in zip(*counts, strict=True)]


def _instances(method: str, kappa: float) -> list[float]:
    """The best counts on 20 instances over the grid of the method."""
    measure, start = factorization_instances([kappa], INSTANCES)
    return iteration_counts(measure, start, GRIDS[method], 1e-3 / kappa, 12_000, first_only=True).min(1).tolist()


GRIDS = {
    "SignGD": settings_grid(
        "sign", [0.03, 0.1, 0.3, 1.0], [0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.994, 0.998, 0.999]),
    "Adam (.9, .999)": settings_grid(
        "adam", [0.01, 0.03, 0.1], [0.993, 0.995, 0.997, 0.998, 0.999], momentum=[(0.9, 0.999)]),
}  # fmt: skip
STATED = (1.0, 1.1, 1.25, 1.5)
FOUND: dict[str, tuple[str, Callable[[], list[float]]]] = {
    "exact, kappa = 10000": ("rho .5 .6 .7, c 1 1.1", lambda: _factorization(1e4, (1, 1.1), (0.5, 0.6, 0.7))),
    "q = 5, kappa = 1000": ("rho .5 .55 .. .9, c 1 1.2 1.5", lambda: _factorization(1e3, (1, 1.2, 1.5), FINE, 5)),
    "q = 6, kappa = 100": ("rho .5 .55 .. .9, c 1 1.25 1.5", lambda: _factorization(1e2, (1, 1.25, 1.5), FINE, 6)),
    "Muon, rho = .5, kappa = 1": ("c 1, spectral norm", lambda: _identity(False)),
    "SignGD, M diagonal, kappa = 1": ("c 1, spectral norm", lambda: _identity(True)),
    "Muon tuned, least": ("c 1", lambda: _regression((1.0,), False)),
    "Muon tuned, largest": ("c 1", lambda: _regression((1.0,), True)),
} | {
    f"{method}, kappa = {kappa:g}": (f"{words}, 20 instances", partial(_instances, method, kappa))
    for method, words in (("SignGD", "4 eta_0 x 10 rho"), ("Adam (.9, .999)", "3 eta_0 x 5 rho"))
    for kappa in (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
}


def tuned_regression(largest: bool) -> list[float]:
    """The same over the factors c that the notes name for another of their rows."""
    return _regression(STATED, largest)
