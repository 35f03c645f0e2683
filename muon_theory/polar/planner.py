"""Which iteration is enough: the cheapest coefficient set, number of steps, dtype and form for given spectra."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from muon_theory.polar.coefficients import COEFFICIENTS, CoefficientSet, Row, coefficient_set
from muon_theory.polar.gram_iteration import dense_cost, gram_cost, gram_restart
from muon_theory.polar.rounding import DTYPES, HALF_PRECISION, DeficitsByStep

SPEEDS: Mapping[str, float] = MappingProxyType({"float64": 0.5, "float32": 1.0, "bfloat16": 2.0, "float16": 2.0})
"""Speed of matrix products relative to float32 that a plan assumes unless it is told: an assumption, not a measurement.
Tensor cores are faster (bfloat16 4 to 16 against float32), processors without bfloat16 products slower than 1."""
FORMS = ("dense", "gram")
_DEGREES = (3, 5, 7, 9, 11)
Shape = tuple[int, int]


@dataclass(frozen=True)
class PlanOption:
    """One way to orthogonalize, what it costs and what it loses on the spectra of a plan.

    Args:
        method: name of the coefficient set.
        degree: largest degree in sigma of a step.
        steps: number of steps.
        dtype: dtype of the products.
        form: "dense" or "gram".
        flops: floating-point operations of the products, the mean over the matrices.
        cost: flops divided by the speed of the dtype: float32 flops' worth where speeds are relative, else seconds.
        deficit: alignment deficit that the asked-for share of the matrices stays within.
        mean_deficit: mean alignment deficit.
        overshoot: overshoot that the same share stays within.
        share_within: share of the matrices within tolerance and overshoot limit, 0 to 1.
        admissible: whether that is at least the share asked for.

    Source: elementary (a record).
    """

    method: str
    degree: int
    steps: int
    dtype: str
    form: str
    flops: float
    cost: float
    deficit: float
    mean_deficit: float
    overshoot: float
    share_within: float
    admissible: bool

    def __str__(self) -> str:
        return f"{self.method}, {self.steps} steps of degree {self.degree}, {self.dtype}, {self.form}"


@dataclass(frozen=True)
class Plan:
    """The cheapest option that loses little enough, and all that were weighed against it.

    Args:
        chosen: the cheapest admissible option; None where none is.
        options: all options, cheapest first.
        tolerance: largest alignment deficit wanted.
        share: share of the matrices that must stay within it.
        overshoot: largest overshoot wanted.
        count: number of matrices weighed.
        left_out: matrices left out because they are zero or hold NaN or inf.

    Source: elementary (a record).
    """

    chosen: PlanOption | None
    options: tuple[PlanOption, ...]
    tolerance: float
    share: float
    overshoot: float
    count: int
    left_out: int

    def doing_less(self) -> tuple[PlanOption, ...]:
        """What cheaper options lose: those that no cheaper one beats, dearest first.

        Among the options that cost less than the chosen one (all, where none is chosen) and keep the overshoot limit,
        each has a smaller deficit than every one that costs no more.

        Returns:
            The options.

        Source: elementary (Pareto front).
        """
        limit = math.inf if self.chosen is None else self.chosen.cost
        front: list[PlanOption] = []
        for option in self.options:
            if option.cost >= limit or option.overshoot > self.overshoot:
                continue
            if not front or option.deficit < front[-1].deficit:
                front.append(option)
        return tuple(reversed(front))


def plan(
    spectra: Sequence[ArrayLike],
    shapes: Sequence[Shape],
    *,
    tolerance: float = 0.01,
    share: float = 0.99,
    overshoot: float = 0.2,
    methods: Iterable[str] | None = None,
    most_steps: int = 10,
    dtypes: Iterable[str] = ("float32", "bfloat16"),
    forms: Iterable[str] = FORMS,
    speeds: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """The cheapest Newton-Schulz iteration that keeps the alignment deficit small on a share of given spectra.

    The deficit of a spectrum is 1 - sum sigma_i f(sigma_i / ||sigma||) / sum sigma_i with f = `scalar_map(method, q)`,
    the one of `inexactness`, plus the rounding floor that `DeficitsByStep` models for the dtype. An image above 1
    makes up for one below, which a deficit alone would reward: hence the overshoot limit. Each set is tried with 1 to
    `most_steps` steps; preconditioned sets (AOL), whose images do not follow from the spectrum, are not. Zero spectra
    and those with NaN or inf are left out and counted.

    Args:
        spectra: the singular values of what is orthogonalized, each of shape (r,), r = min(rows, columns), >= 0, in
            any unit.
        shapes: (rows, columns) of each, for the costs and the rounding.
        tolerance: largest deficit wanted, in (0, 1).
        share: share of the spectra that must stay within it, in (0, 1].
        overshoot: largest overshoot max f - 1 wanted on the same spectra, > 0; Jordan's five steps reach 0.2, and inf
            sets no limit.
        methods: names as `coefficient_set` takes them; None for `default_methods`.
        most_steps: an integer >= 1.
        dtypes: dtypes of the products to choose from, of float64, float32, bfloat16, float16.
        forms: of "dense" and "gram"; the Gram form with the restarts of `gram_restart`, and in float32 and float64 only
            (in half precision it errs several times as much as the dense form).
        speeds: floating-point operations per unit of cost and dtype; None for `SPEEDS`.
        progress: called with (methods done, methods in all).

    Returns:
        The plan.

    Raises:
        ValueError: no usable spectrum; lengths, numbers or names out of range.

    Source: derived here, checked in tests/polar/test_planner.py. Costs are those of `dense_cost` and `gram_cost`:
        products only, no normalisation, no memory traffic.

    Accuracy: in float32 that of the scalar map; in half precision that of the modelled floor.

    >>> sigma = np.linspace(1.0, 0.5, 64)
    >>> print(plan([sigma], [(64, 64)], tolerance=0.05, methods=["taylor_5"], dtypes=["float32"]).chosen)
    taylor_5, 5 steps of degree 5, float32, dense
    """
    _check_numbers(tolerance, share, overshoot, most_steps)
    sets = _sets(methods)
    pairs = _dtype_forms(dtypes, forms)
    rates = _rates(pairs, SPEEDS if speeds is None else speeds)
    groups, left_out = _groups(spectra, shapes)
    count = sum(len(sigma) for _, sigma in groups)
    if count == 0:
        raise ValueError(f"spectra holds no usable spectrum: {left_out} of {len(spectra)} are zero or not finite")
    options: list[PlanOption] = []
    for done, chosen in enumerate(sets):
        losses = [DeficitsByStep(sigma, chosen) for _, sigma in groups]
        for steps in range(1, most_steps + 1):
            for each in losses:
                each.step()
            rows = chosen.coefficients(steps)
            exact = np.concatenate([each.deficits for each in losses])
            excess = np.concatenate([each.overshoot for each in losses])
            for dtype, form in pairs:
                deficits = exact + np.concatenate([each.rounding_floor(dtype) for each in losses])
                within = float(np.mean((deficits <= tolerance) & (excess <= overshoot)))
                flops = _flops(groups, rows, dtype, form) / count
                options.append(
                    PlanOption(
                        method=chosen.name,
                        degree=max(2 * len(row) - 1 for row in rows),
                        steps=steps,
                        dtype=dtype,
                        form=form,
                        flops=flops,
                        cost=flops / rates[dtype],
                        deficit=_reached_by(deficits, share),
                        mean_deficit=float(deficits.mean()),
                        overshoot=_reached_by(excess, share),
                        share_within=within,
                        admissible=within >= share - 1e-12,
                    )
                )
        if progress is not None:
            progress(done + 1, len(sets))
    options.sort(key=lambda option: (option.cost, option.deficit))
    best = next((option for option in options if option.admissible), None)
    return Plan(best, tuple(options), tolerance, share, overshoot, count, left_out)


def _dtype_forms(dtypes: Iterable[str], forms: Iterable[str]) -> list[tuple[str, str]]:
    """Which dtype runs in which form: the Gram form only where it is as accurate as the dense one."""
    wanted = tuple(forms)
    if not wanted or set(wanted) - set(FORMS):
        raise ValueError(f"forms is {wanted!r}; it takes 'dense' and 'gram'")
    names = tuple(dtypes)
    if not names or set(names) - set(DTYPES):
        raise ValueError(f"dtypes is {names!r}; it takes {', '.join(DTYPES)}")
    pairs = [(dtype, form) for dtype in names for form in wanted if form == "dense" or dtype not in HALF_PRECISION]
    if not pairs:
        raise ValueError(f"forms is {wanted!r} for {names[0]}: in half precision only the dense form is planned")
    return pairs


def _reached_by(values: NDArray[np.float64], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed."""
    place = max(math.ceil(share * len(values) - 1e-9), 1) - 1
    return float(np.partition(values, place)[place])


def _flops(groups: list[tuple[Shape, NDArray[np.float64]]], rows: tuple[Row, ...], dtype: str, form: str) -> float:
    """Floating-point operations of the products for all matrices."""
    total = 0.0
    for (first, second), sigma in groups:
        n, m = min(first, second), max(first, second)
        units = (
            dense_cost(n, m, rows) if form == "dense" else gram_cost(n, m, rows, gram_restart(getattr(torch, dtype)))
        )
        total += 2.0 * n * n * units * len(sigma)
    return total


def _groups(
    spectra: Sequence[ArrayLike], shapes: Sequence[Shape]
) -> tuple[list[tuple[Shape, NDArray[np.float64]]], int]:
    """The usable spectra divided by their Frobenius norm, stacked by shape, and how many are left out."""
    if len(spectra) != len(shapes):
        raise ValueError(f"{len(spectra)} spectra but {len(shapes)} shapes: give one shape for each spectrum")
    stacks: dict[Shape, list[NDArray[np.float64]]] = {}
    for sigma, (rows, columns) in zip(spectra, shapes, strict=True):
        values = np.asarray(sigma, dtype=np.float64)
        if values.shape != (min(rows, columns),):
            raise ValueError(
                f"a spectrum has shape {values.shape}; a {rows} x {columns} matrix has {min(rows, columns)}"
            )
        stacks.setdefault((int(rows), int(columns)), []).append(values)
    groups: list[tuple[Shape, NDArray[np.float64]]] = []
    left_out = 0
    for shape, members in stacks.items():
        stack = np.stack(members)
        if (stack < 0).any():
            raise ValueError(f"a spectrum holds {stack[stack < 0][0]}; singular values are >= 0")
        largest = stack.max(axis=-1)
        usable = np.isfinite(largest) & (largest > 0)
        left_out += int((~usable).sum())
        if usable.any():
            relative = stack[usable] / largest[usable, None]
            groups.append((shape, relative / np.linalg.norm(relative, axis=-1, keepdims=True)))
    return groups, left_out


def default_methods() -> list[str]:
    """The coefficient sets that a plan weighs by default.

    Returns:
        Names: all of `COEFFICIENTS` without a preconditioner, and the Taylor steps of degree 3 to 11.

    Source: elementary.

    >>> default_methods()[-1]
    'taylor_11'
    """
    named = [name for name, each in COEFFICIENTS.items() if each.preconditioner is None]
    return [*named, *(f"taylor_{degree}" for degree in _DEGREES)]


def _sets(methods: Iterable[str] | None) -> list[CoefficientSet]:
    """The coefficient sets to weigh."""
    methods = default_methods() if methods is None else methods
    sets = [coefficient_set(name) for name in methods]
    if not sets:
        raise ValueError("methods is empty; name a coefficient set or leave it out")
    if wrong := [each.name for each in sets if each.preconditioner is not None]:
        raise ValueError(f"methods has {wrong[0]}, whose preconditioner changes the spectrum; plan it by measurement")
    return sets


def _rates(pairs: list[tuple[str, str]], speeds: Mapping[str, float]) -> dict[str, float]:
    """The speed of each dtype asked for."""
    rates: dict[str, float] = {}
    for dtype, _ in pairs:
        if not speeds.get(dtype, math.nan) > 0:
            raise ValueError(f"speeds[{dtype!r}] is {speeds.get(dtype)}; give a positive number for each dtype")
        rates[dtype] = float(speeds[dtype])
    return rates


def _check_numbers(tolerance: float, share: float, overshoot: float, most_steps: int) -> None:
    """Refuse numbers out of range."""
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}; a deficit wanted lies in (0, 1), e.g. 0.01")
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must lie in (0, 1], e.g. 0.99")
    if not overshoot > 0:
        raise ValueError(f"overshoot is {overshoot}; it must be positive, inf for no limit")
    if isinstance(most_steps, bool) or not isinstance(most_steps, int) or most_steps < 1:
        raise ValueError(f"most_steps is {most_steps!r}; it must be an integer >= 1")
