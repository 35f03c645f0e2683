"""Question: between which two numbers do q steps of each coefficient set put every singular value in [l, 1]?

Claim: Taylor steps converge from below for every l; the quintic of Jordan 2024 stalls at a worst error of .318 for
ever; designed schedules are good on their design interval and converge only where Taylor steps follow.

Source: ball arithmetic on the printed decimals (the image of an interval under a composition is the composition of the
images, so nothing but rounding is lost); sets as published, see `muon_theory.polar.COEFFICIENTS`.

Cost: quick 1 s, full 2 s on one core. Scale: exact arithmetic, no data, no seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation, Relation
from muon_theory.polar import COEFFICIENTS, certified_range, certified_worst_error
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print

TAYLOR = ("taylor_3", "taylor_5", "taylor_7", "taylor_9", "taylor_11")
LOWER_ENDS = {1e-1: OKABE_ITO["blue"], 1e-2: OKABE_ITO["sky"], 1e-3: OKABE_ITO["orange"], 1e-4: OKABE_ITO["vermillion"]}
LONG_RUN = 40


def cell(method: str, steps: int, tolerance: float) -> list[dict]:
    largest = _last(lambda u: _stays(method, steps, u), 1.0, 3.0, tolerance)
    reach = _last(lambda e: certified_worst_error(method, 5, 10.0**-e) <= 1 / 3, 0.0, 6.0, tolerance)
    facts = {
        "largest_input": largest,
        "smallest_input": 10.0**-reach,
        "long_run_error": certified_worst_error(method, LONG_RUN, 0.1),
    }
    rows = []
    for lower in LOWER_ENDS:
        for q in range(steps + 1):
            low, high = certified_range(method, q, lower)
            worst = certified_worst_error(method, q, lower)
            row = {"method": method, "lower": lower, "steps": q, "range_lower": low, "range_upper": high}
            rows.append({**row, "worst_error": worst, **facts})
    return rows


def _stays(method: str, steps: int, upper: float) -> bool:
    """Whether each of the first `steps` steps leaves all singular values of [1e-3, upper] inside (0, 2)."""
    return all(certified_worst_error(method, q, 1e-3, upper) < 1 for q in range(1, steps + 1))


def _last(holds: Callable[[float], bool], good: float, bad: float, tolerance: float) -> float:
    """The last x on the way from `good` to `bad` at which `holds`; nan when it fails at `good`."""
    if not holds(good):
        return math.nan
    while abs(bad - good) > tolerance:
        middle = (good + bad) / 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    del seed  # nothing here is random
    tolerance = 1e-3 if quick else 1e-6
    return map_cells(cell, [{"method": m, "steps": 10, "tolerance": tolerance} for m in (*TAYLOR, *COEFFICIENTS)])


def figure(table: pd.DataFrame) -> Figure:
    drawing, axes = plt.subplots(3, 5, figsize=(DOUBLE_COLUMN, 5.6), sharex=True, sharey=True)
    for axis, method in zip(axes.flat, table["method"].unique(), strict=False):
        rows = table[table["method"] == method]
        for lower, color in reversed(LOWER_ENDS.items()):
            band = rows[rows["lower"] == lower]
            shade = tuple(0.3 * c + 0.7 for c in to_rgb(color))  # opaque, so that overlapping bands keep their colour
            axis.fill_between(band["steps"], band["range_lower"], band["range_upper"], color=shade, linewidth=0)
            axis.plot(band["steps"], band["range_lower"], color=color, label=f"l = {lower:g}")
            axis.plot(band["steps"], band["range_upper"], color=color, linewidth=0.8)
        facts = rows.iloc[0]
        stall = facts["long_run_error"]
        words = "converges" if stall < 1e-6 else f"stalls at {stall:.3f}"
        axis.axhline(1, color="black", linewidth=0.5)
        axis.set_title(str(method).replace("_", " ").capitalize(), fontsize=7.5, pad=10)
        axis.text(0, 1.03, f"{words}; σ < {facts['largest_input']:.2f}", transform=axis.transAxes, fontsize=6)
        axis.set(xlim=(0, 10), ylim=(0, 2), yticks=(0, 0.5, 1, 1.5, 2), xticks=range(0, 11, 2))
    drawing.supylabel("range of s$_q$(σ), σ in [l, 1]", fontsize=8)
    axes[2, 2].set_xlabel("steps q")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    drawing.legend(handles[::-1], labels[::-1], loc="outside upper center", ncols=4)
    small_print(
        drawing,
        "Certified by ball arithmetic on the published decimals; beyond the published rows as each source extends"
        f" them. “Stalls at”: worst error on [0.1, 1] after {LONG_RUN} steps.\n“σ < u”: 10 steps keep [0.001, u]"
        " inside (0, 2). Boissin: σ after the AOL preconditioner.",
    )
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """The deployed quintic's band and stall, Taylor steps without overshoot, and the two schedules that stall."""
    jordan = table[(table["method"] == "jordan_2024") & (table["lower"] == 1e-2) & (table["steps"] >= 5)]
    taylor = table[table["method"].isin(TAYLOR)]
    stalls = table.groupby("method")["long_run_error"].first()
    facts: list[tuple[str, str, Relation, list[float], Any, list[float], str]] = [
        ("PCR-JORDAN", "jordan_2024 stalls: sup of |sigma - 1| over [.01, 1] is .3181685 after q = 5, ..., 10 steps",
         "==", [0.3181685], jordan["worst_error"].tolist(), [0.31], "worst error .31"),
        ("PCR-TAYLOR", "Taylor steps of degree 3 to 11 send no singular value in [l, 1] above 1, q = 0, ..., 10",
         "<=", [1.0], [max(taylor["range_upper"].tolist())], [0.99], "upper end .99"),
        ("PCR-STALL", "jordan_2024, you_2024 (cycled) and grishina_2025 (last row repeated) do not converge on [.1, 1]",
         ">=", [0.025], [stalls[m] for m in ("jordan_2024", "you_2024", "grishina_2025")], [0.3], "error at least .3"),
    ]  # fmt: skip
    return [
        Claim(
            id=name,
            statement=statement,
            source="certified here from the published decimals (study polar/certified_range)",
            relation=relation,
            method="certified interval",
            evaluate=Finding,
            parameters={"predicted": predicted, "measured": measured},
            mutations=(Mutation(words, {"predicted": mutated}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-6,
            tolerance_reason="the table keeps six digits",
            tier="run",
        )
        for name, statement, relation, predicted, measured, mutated, words in facts
    ]
