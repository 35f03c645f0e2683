"""What an orthogonalizer makes of recorded spectra: its alignment deficit, the plan, and the update it predicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from muon_theory.polar import COEFFICIENTS, Plan, plan, scalar_map
from muon_theory.polar.rounding import DeficitsByStep

INPUTS = ("lmo_input", "momentum", "gradient")
"""Kinds that stand for what is orthogonalized, the best first."""


def published_methods() -> list[str]:
    """The coefficient sets whose map of a spectrum is known: all of `COEFFICIENTS` without a preconditioner.

    Returns:
        Names.

    Source: elementary.

    >>> "jordan_2024" in published_methods()
    True
    """
    return [name for name, each in COEFFICIENTS.items() if each.preconditioner is None]


def whole_spectra(table: pd.DataFrame) -> pd.DataFrame:
    """The table with condensed spectra filled up to min(rows, columns) values.

    Between two stored quantiles the logarithm of sigma is interpolated over the index (sigma itself next to a zero).

    Args:
        table: rows of `read_spectra`.

    Returns:
        The table, where nothing is condensed; else a copy with whole `sigma`.

    Source: derived here.

    Accuracy: the 65 quantiles are kept; what a spectrum does within its leading 1/64 is lost.
    """
    if "condensed" not in table.columns or not np.any(table["condensed"].to_numpy()):
        return table
    filled = [
        _filled(sigma, min(rows, columns)) if few else sigma
        for sigma, rows, columns, few in zip(
            table["sigma"], table["rows"], table["columns"], table["condensed"], strict=True
        )
    ]
    return table.assign(sigma=pd.Series(filled, index=table.index, dtype=object))


def _filled(quantiles: np.ndarray, length: int) -> np.ndarray:
    """All values of a spectrum from its quantiles."""
    if len(quantiles) == length or not np.isfinite(quantiles).all():
        return np.full(length, np.nan) if len(quantiles) != length else quantiles
    places, stored = np.arange(length), np.linspace(0, length - 1, len(quantiles))
    straight = np.interp(places, stored, quantiles)
    positive = np.where(quantiles > 0, quantiles, np.nan)
    curved = np.exp(np.interp(places, stored, np.log(positive)))
    return np.where(np.isfinite(curved), curved, straight)


def orthogonalizer_input(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows of a recording that say what is, or would be, orthogonalized, and their kind.

    Args:
        table: rows of `read_spectra`.

    Returns:
        The rows of the first of `INPUTS` that was recorded, and that kind. Where it is not "lmo_input", the answer is
        about another matrix: without Nesterov momentum the two are the same.

    Raises:
        ValueError: none of them was recorded.

    Source: elementary.
    """
    kinds = set(table["kind"])
    for kind in INPUTS:
        if kind in kinds:
            return table.query("kind == @kind").reset_index(drop=True), kind
    found = ", ".join(sorted(kinds)) or "nothing"
    raise ValueError(f"recorded is {found}; a deficit needs {', '.join(INPUTS)}: record one of these kinds")


def alignment_deficits(
    table: pd.DataFrame, methods: Iterable[str] | None = None, steps: Iterable[int] | None = None
) -> pd.DataFrame:
    """The alignment deficit that each coefficient set would have had on recorded matrices.

    1 - sum sigma_i f(sigma_i / ||sigma||) / sum sigma_i with f = `scalar_map(method, steps)`, as in
    `muon_theory.polar.inexactness`; no rounding.

    Args:
        table: rows of `read_spectra`, of one kind as a rule (see `orthogonalizer_input`).
        methods: coefficient sets; None for `published_methods`.
        steps: numbers of steps; None for the number that each set's source runs.

    Returns:
        DataFrame with a row for each row of the table, method and number of steps: run, step, layer, kind, method,
        steps, deficit, overshoot. Zero spectra have deficit 0, those with NaN or inf NaN.

    Raises:
        ValueError: an unknown or preconditioned method, a number of steps below 1.

    Source: elementary.

    >>> names = {"run": "a", "step": 0, "layer": "w", "kind": "lmo_input", "rows": 2, "columns": 4}
    >>> table = pd.DataFrame([names | {"sigma": np.array([4.0, 3.0])}])
    >>> alignment_deficits(table, ["taylor_3"], [1]).deficit.round(6).tolist()
    [0.121143]
    """
    wanted = None if steps is None else sorted(set(steps))
    if wanted is not None and (not wanted or wanted[0] < 1):
        raise ValueError(f"steps is {wanted}; give numbers of steps >= 1")
    names = published_methods() if methods is None else list(methods)
    if unmapped := [name for name in names if name in COEFFICIENTS and COEFFICIENTS[name].preconditioner]:
        raise ValueError(f"methods has {unmapped[0]}, whose preconditioner changes the spectrum")
    identity = table[["run", "step", "layer", "kind"]].reset_index(drop=True)
    found = [
        identity.assign(method=name, steps=count, deficit=deficit, overshoot=overshoot)
        for name in names
        for count, (deficit, overshoot) in deficit_arrays(
            table, name, [_natural_steps(name)] if wanted is None else wanted
        ).items()
    ]
    return pd.concat(found, ignore_index=True)


def deficit_arrays(
    table: pd.DataFrame, method: str, steps: Sequence[int]
) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The numbers of `alignment_deficits` for one coefficient set, without a table around them.

    Args:
        table: rows of `read_spectra`.
        method: a coefficient set.
        steps: ascending numbers of steps >= 1.

    Returns:
        By number of steps: deficit and overshoot of each row of the table, shape (rows,).

    Source: elementary.

    >>> table = pd.DataFrame([{"sigma": np.array([4.0, 3.0])}])
    >>> deficit_arrays(table, "taylor_3", [1])[1][0].round(6)
    array([0.121143])
    """
    found = {count: (np.full(len(table), np.nan), np.full(len(table), np.nan)) for count in steps}
    for places, sigma in _stacked(whole_spectra(table)["sigma"]):
        zero = sigma[:, 0] == 0
        losses = DeficitsByStep(np.where(zero[:, None], 1.0, sigma), method)
        for count in range(1, max(steps) + 1):
            losses.step()
            if count in found:
                found[count][0][places] = np.where(zero, 0.0, losses.deficits)
                found[count][1][places] = np.where(zero, 0.0, losses.overshoot)
    return found


def _natural_steps(method: str) -> int:
    """The number of steps that the source of a set runs."""
    return COEFFICIENTS[method].natural_steps if method in COEFFICIENTS else 5


def plan_recording(table: pd.DataFrame, **options: Any) -> tuple[Plan, str]:
    """The cheapest iteration for the matrices that a recording holds.

    Args:
        table: rows of `read_spectra`.
        options: arguments of `muon_theory.polar.plan`.

    Returns:
        The plan, and the kind it was made for (see `orthogonalizer_input`).

    Raises:
        ValueError: nothing to plan for: no such kind, or all of it zero or not finite; arguments out of range.

    Source: `muon_theory.polar.plan`.
    """
    rows, kind = orthogonalizer_input(table)
    rows = whole_spectra(rows)
    shapes = list(zip(rows["rows"].tolist(), rows["columns"].tolist(), strict=True))
    try:
        return plan(list(rows["sigma"]), shapes, **options), kind
    except ValueError as error:
        if "no usable spectrum" in str(error):
            raise ValueError(f"all {len(rows)} recorded spectra of kind {kind} are zero or hold NaN or inf") from error
        raise


class PredictedUpdate(NamedTuple):
    """The spectrum of an update as an iteration predicts it from the recorded LMO input.

    Source: elementary (a record).
    """

    scale: float
    """Learning rate times shape factor that fits best, in the unit of the update."""
    sigma: NDArray[np.float64]
    """The predicted singular values, scale times the images, descending."""
    relative_error: float
    """||recorded - predicted|| / ||recorded||; 0 for a perfect prediction, inf where nothing fits."""


def predict_update(lmo_input: ArrayLike, update: ArrayLike, method: str, steps: int = 5) -> PredictedUpdate:
    """Compare a recorded update with what an iteration makes of the recorded LMO input.

    The update of Muon without weight decay is -scale f(C), so its singular values are scale |f(sigma_i / ||sigma||)|,
    sorted anew because f need not be monotone; the scale is the least-squares one. With weight decay the update holds
    a multiple of the weight, too, and the prediction is off by it.

    Args:
        lmo_input: singular values of the LMO input, shape (r,), finite, not all zero.
        update: singular values of the update of the same step, shape (r,).
        method: a coefficient set, "exact" for the polar factor, or "none" for a multiple of the input (as of SGD).
        steps: number of steps; idle for "exact" and "none".

    Returns:
        The prediction.

    Raises:
        ValueError: shapes differ, or the LMO input is zero or not finite.

    Source: elementary.

    >>> found = predict_update([4.0, 3.0], [0.2, 0.2], "exact")
    >>> round(found.scale, 12), found.relative_error
    (0.2, 0.0)
    """
    sigma, recorded = np.asarray(lmo_input, dtype=np.float64), np.asarray(update, dtype=np.float64)
    if sigma.shape != recorded.shape or sigma.ndim != 1:
        raise ValueError(f"lmo_input has shape {sigma.shape} and update {recorded.shape}; they must be equal, (r,)")
    largest = sigma.max(initial=0.0)
    if not (np.isfinite(sigma).all() and largest > 0):
        raise ValueError("lmo_input is zero or holds NaN or inf; there is nothing to predict from")
    relative = sigma / largest
    relative = relative / np.linalg.norm(relative)
    if method == "exact":
        images = np.where(sigma > len(sigma) * np.finfo(np.float32).eps * largest, 1.0, 0.0)
    elif method == "none":
        images = relative
    else:
        images = np.abs(scalar_map(method, steps)(relative))
    images = np.sort(images)[::-1]
    size = float(np.linalg.norm(recorded))
    if not (np.isfinite(images).all() and np.isfinite(size) and size > 0):
        return PredictedUpdate(math.nan, np.full_like(sigma, np.nan), math.inf)
    scale = float(images @ recorded / (images @ images))
    predicted = scale * images
    return PredictedUpdate(scale, predicted, float(np.linalg.norm(recorded - predicted)) / size)


def recognize_updates(
    table: pd.DataFrame, methods: Sequence[str] | None = None, steps: Sequence[int] | None = None
) -> pd.DataFrame:
    """Which iteration the recorded updates of each layer look like.

    Args:
        table: rows of `read_spectra` with kinds lmo_input and update.
        methods: what to try, as `predict_update` takes it; None for `published_methods`, "exact" and "none".
        steps: numbers of steps to try; None for the number that each set's source runs, and for 5.

    Returns:
        DataFrame with a row for each layer and candidate, best first: layer, method, steps (0 for "exact" and "none"),
        scale (median), relative_error (median over the recorded steps), events. No row for a layer without both kinds.

    Source: derived here.
    """
    names = [*published_methods(), "exact", "none"] if methods is None else list(methods)
    rows: list[dict[str, Any]] = []
    for layer, pairs in _pairs(whole_spectra(table)).items():
        for name in names:
            for count in _step_counts(name, steps):
                fits = [predict_update(before, after, name, count) for before, after in pairs]
                fits = [fit for fit in fits if math.isfinite(fit.relative_error)]
                if fits:
                    error = float(np.median([fit.relative_error for fit in fits]))
                    scale = float(np.median([fit.scale for fit in fits]))
                    row = {"layer": layer, "method": name, "steps": count, "scale": scale}
                    rows.append(row | {"relative_error": error, "events": len(fits)})
    found = pd.DataFrame(rows, columns=["layer", "method", "steps", "scale", "relative_error", "events"])
    return found.sort_values(["layer", "relative_error"], kind="stable", ignore_index=True)


def _step_counts(method: str, steps: Sequence[int] | None) -> list[int]:
    if method in {"exact", "none"}:
        return [0]
    if steps is not None:
        return list(steps)
    return sorted({5, _natural_steps(method)})


def _pairs(table: pd.DataFrame) -> Mapping[str, list[tuple[np.ndarray, np.ndarray]]]:
    """LMO input and update of the same run, step and layer, both finite and not zero, by layer."""
    before = {(row["run"], row["step"], row["layer"]): row["sigma"] for row in _records(table, "lmo_input")}
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for row in _records(table, "update"):
        sigma = before.get((row["run"], row["step"], row["layer"]))
        if sigma is not None and len(sigma) == len(row["sigma"]):
            pairs.setdefault(row["layer"], []).append((sigma, row["sigma"]))
    return pairs


def _records(table: pd.DataFrame, kind: str) -> list[dict[str, Any]]:
    rows = (row for row in table.to_dict("records") if row["kind"] == kind)
    return [row for row in rows if np.isfinite(row["sigma"]).all() and row["sigma"][0] > 0]


def _stacked(spectra: Iterable[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Finite spectra stacked by length, with their places."""
    by_length: dict[int, tuple[list[int], list[np.ndarray]]] = {}
    for place, sigma in enumerate(spectra):
        if np.isfinite(sigma).all() and len(sigma):
            places, members = by_length.setdefault(len(sigma), ([], []))
            places.append(place)
            members.append(sigma)
    return [(np.array(places), np.stack(members)) for places, members in by_length.values()]
