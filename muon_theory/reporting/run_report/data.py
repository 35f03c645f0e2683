"""What a report shows: spectra thinned to a few megabytes, ranks, deficits, the recognised iteration and the plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from muon_theory.polar import COEFFICIENTS, Plan, coefficient_set
from muon_theory.recorder.alignment import (
    deficit_arrays,
    orthogonalizer_input,
    plan_recording,
    published_methods,
    recognize_updates,
    whole_spectra,
)
from muon_theory.recorder.analysis import summarize_spectra
from muon_theory.recorder.evolution import shown_places
from muon_theory.recorder.kinds import KINDS
from muon_theory.reporting.style import color_of

MOST_NUMBERS = 340_000
"""Numbers in a report; about 3 MB of text."""
MOST_STEPS, MOST_POINTS, FEWEST_POINTS = 160, 48, 12
LARGEST_STEP_COUNT = 8
"""Deficits are given for 1 to this many steps of each set."""
_PLANNED_VALUES = 600_000
_RECOGNIZED_STEPS = 24


def report_data(
    table: pd.DataFrame,
    *,
    title: str = "Recorded run",
    drift: pd.DataFrame | None = None,
    tolerance: float = 0.01,
    share: float = 0.99,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """What the page of a recording needs, thinned so that it stays below 5 MB.

    Args:
        table: rows of `read_spectra`, not empty.
        title: heading of the page.
        drift: rows of `subspace_drift`, or None.
        tolerance: largest alignment deficit of the plan.
        share: share of the recorded matrices within it.
        progress: called with the name of each layer that is ready.

    Returns:
        Plain data (JSON): title, notes (sentences on what was left out), kinds, colors, methods (coefficients for the
        scalar map), runs (each with its layers, their series, deficits and best-fitting iteration) and plan.

    Raises:
        ValueError: no rows, or more layers than a page can hold.

    Source: elementary.
    """
    if table.empty:
        raise ValueError("table holds no recorded spectra")
    methods = [*published_methods(), "taylor_5"]
    rows: Any = table
    layers = rows[["run", "layer"]].drop_duplicates()
    most_steps, points = _sizes(len(rows.groupby(["run", "layer", "kind"])), len(layers), len(methods))
    kinds = [kind for kind in dict.fromkeys([*KINDS, *rows["kind"]]) if kind in set(rows["kind"])]
    runs = []
    thinned = False
    for run, of_run in rows.groupby("run", sort=False):
        listed = []
        for layer, own in of_run.groupby("layer", sort=False):
            kept = _thinned(own, most_steps)
            thinned |= len(kept) < len(own)
            turned = None if drift is None else drift[(drift["run"] == run) & (drift["layer"] == layer)]
            listed.append(_layer(str(layer), kept, kinds, points, methods, turned))
            if progress is not None:
                progress(str(layer))
        steps = of_run["step"]
        events = {"name": str(run), "events": int(steps.nunique()), "spectra": len(of_run)}
        runs.append(events | {"first": int(steps.min()), "last": int(steps.max()), "layers": listed})
    found, note = _plan(rows, tolerance, share)
    notes = [note] if note else []
    if thinned:
        notes.insert(0, f"Of each series at most {most_steps} recorded steps are shown, more densely at the beginning.")
    if (rows[["rows", "columns"]].min(axis=1) > points).any():
        notes.insert(0, f"Of a spectrum at most {points} singular values are shown, the leading ones more densely.")
    if "condensed" in rows.columns and rows["condensed"].any():
        notes.append("Spectra stored as quantiles were interpolated; their deficits are approximate.")
    return {
        "title": title,
        "notes": notes,
        "kinds": kinds,
        "colors": {name: color_of(name) for name in [*kinds, *methods]},
        "methods": {name: _method(name) for name in methods},
        "runs": runs,
        "plan": found,
    }


def _sizes(series: int, layers: int, methods: int) -> tuple[int, int]:
    """How many steps of a series and how many values of a spectrum a page can hold."""
    for points in (MOST_POINTS, 32, 24, FEWEST_POINTS):
        a_step = series * (points + 6) + layers * methods * LARGEST_STEP_COUNT
        steps = MOST_NUMBERS // a_step
        if steps >= 40 or (points == FEWEST_POINTS and steps >= 3):
            return min(steps, MOST_STEPS), points
    raise ValueError(f"{layers} layers with {series} series are too many for one page: choose some with --layer")


def _thinned(own: Any, most: int) -> Any:
    """At most so many steps of each kind, the first and the last among them, denser at the beginning."""
    kept = []
    for _, rows in own.groupby("kind", sort=False):
        kept.append(rows.iloc[shown_places(len(rows), most)])
    return pd.concat(kept)


def _layer(name: str, own: Any, kinds: list[str], points: int, methods: list[str], drift: Any) -> dict[str, Any]:
    """One layer: its series by kind, its deficits, and the iteration its updates look like."""
    own = own.sort_values("step", kind="stable")
    data: dict[str, Any] = {"name": name, "rows": int(own["rows"].iloc[0]), "columns": int(own["columns"].iloc[0])}
    data["series"] = {kind: _series(own[own["kind"] == kind], points) for kind in kinds if kind in set(own["kind"])}
    data["deficits"] = None
    try:
        rows, kind = orthogonalizer_input(own)
    except ValueError:
        pass
    else:
        counts = range(1, LARGEST_STEP_COUNT + 1)
        by_method = {
            method: [_short(deficit, 3) for deficit, _ in deficit_arrays(rows, method, counts).values()]
            for method in methods
        }
        data["deficits"] = {"kind": kind, "steps": [int(step) for step in rows["step"]], "methods": by_method}
    fits = recognize_updates(_thinned(own, _RECOGNIZED_STEPS))
    data["fit"] = None
    if len(fits):
        best = fits.iloc[0]
        data["fit"] = {"method": best["method"], "steps": int(best["steps"]), "error": _number(best["relative_error"])}
    data["drift"] = None
    if drift is not None and len(drift):
        data["drift"] = {
            str(kind): {
                "steps": [int(step) for step in rows["step"]], "k": int(rows["k"].iloc[0]),
                "left": _short(rows["left_overlap"]), "right": _short(rows["right_overlap"]),
            }
            for kind, rows in ((kind, rows.iloc[shown_even(len(rows))]) for kind, rows in drift.groupby("kind"))
        }  # fmt: skip
    return data


def shown_even(count: int) -> np.ndarray:
    """At most `MOST_STEPS` evenly chosen places of `count`.

    Args:
        count: number of values, >= 1.

    Returns:
        Ascending places, the first and the last among them.

    Source: elementary.

    >>> shown_even(3).tolist(), len(shown_even(1000))
    ([0, 1, 2], 160)
    """
    return np.unique(np.round(np.linspace(0, count - 1, min(MOST_STEPS, count))).astype(int))


def _series(own: Any, points: int) -> dict[str, Any]:
    """One kind of one layer over time."""
    whole = whole_spectra(own)
    places = shown_places(len(whole["sigma"].iloc[0]), points)
    summary = summarize_spectra(own)
    effective = np.exp(summary["entropy"].to_numpy(dtype=float))
    return {
        "steps": [int(step) for step in own["step"]],
        "index": [int(place) + 1 for place in places],
        "sigma": [_short(sigma[places]) for sigma in whole["sigma"]],
        "floor": _short(own["noise_floor"]),
        "frobenius": _short(summary["frobenius_norm"], 6),
        "stable": _short(summary["stable_rank"]),
        "nuclear": _short(summary["nuclear_rank"]),
        "effective": _short(effective),
        "entropy": _short(np.where(effective > 0, summary["entropy"], np.nan)),
        "dtype": str(own["dtype"].iloc[0]),
    }


def _plan(table: Any, tolerance: float, share: float) -> tuple[dict[str, Any] | None, str]:
    """The plan as plain data with a remark, on evenly chosen matrices where there are very many."""
    try:
        rows, kind = orthogonalizer_input(table)
        every = len(rows)
        values = int(rows[["rows", "columns"]].min(axis=1).sum())
        if values > _PLANNED_VALUES:
            rows = rows.iloc[np.unique(np.linspace(0, every - 1, every * _PLANNED_VALUES // values).astype(int))]
        found, _ = plan_recording(rows, tolerance=tolerance, share=share)
    except ValueError as error:
        return None, f"No plan: {error}."
    note = f"The plan weighs {len(rows)} of {every} recorded matrices, evenly chosen." if len(rows) < every else ""
    return plan_as_data(found, kind), note


def plan_as_data(found: Plan, kind: str) -> dict[str, Any]:
    """A plan as plain data: JSON without numbers that JSON does not know.

    Args:
        found: the plan.
        kind: kind of the matrices it was made for.

    Returns:
        tolerance, share, overshoot, kind, matrices, left_out, chosen (or None), doing_less.

    Source: elementary.
    """

    def plain(option: Any) -> dict[str, Any]:
        return {name: _number(v) if isinstance(v, float) else v for name, v in asdict(option).items()}

    return {
        "tolerance": found.tolerance,
        "share": found.share,
        "overshoot": _number(found.overshoot),
        "kind": kind,
        "matrices": found.count,
        "left_out": found.left_out,
        "chosen": None if found.chosen is None else plain(found.chosen),
        "doing_less": [plain(option) for option in found.doing_less()],
    }


def _method(name: str) -> dict[str, Any]:
    """The coefficients that the page needs for the scalar map."""
    chosen = coefficient_set(name)
    natural = COEFFICIENTS[name].natural_steps if name in COEFFICIENTS else 5
    rows = [list(row) for row in chosen.coefficients(max(LARGEST_STEP_COUNT, natural))]
    return {"rows": rows, "safety": float(chosen.norm_safety), "natural": natural}


def _short(values: Any, digits: int = 4) -> list[float | None]:
    """Numbers with few digits; None for those that are not finite."""
    return [_number(float(f"{value:.{digits}g}")) for value in np.asarray(values, dtype=float)]


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
