"""Question: on the 500 x 500 problem, does a decayed learning rate leave F-Muon or S-Muon ahead of Muon?

Claim: where it is decided, yes, with one exception. Loss after 400 iterations over Muon's: F-Muon .21 [.14, .32] with
the exact polar factor, .88 [.86, .90] with five steps, undecided with three in bfloat16; S-Muon .74 [.67, .82] with
those, undecided with the others. After 100: F-Muon .83 and .65 with three and five steps, S-Muon .55 and .51, but 1.7
[1.1, 2.5] with the exact factor. All end below 1e-3 after 400, where a constant rate takes 770 or more to get there, on
some seeds only.

Source: Kravatskiy et al. 2025, arXiv 2512.09678, the smooth convex problem (there with a constant learning rate only).

Cost: quick 3 s, full 100 min on one core. Scale: 500 x 500, linear decay over 100 or 400 iterations; three steps in
bfloat16 (the published route), five in float32, the exact polar factor. Each method, route and length with a learning
rate and a momentum of its own: tuned by the mean log loss of two seeds on grids that grow until the best is interior
(factors 2 of the rate and of 1 - momentum, at the end sqrt 2 of the rate), then compared on five other seeds.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.fanions.least_squares import METHODS, Route, descend_batch, least_squares
from muon_theory.training.comparison import PairedDifference, paired_difference
from muon_theory.training.tuned_comparison import final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates, momenta

ROUTES = {"ns3_bf16": "3 steps, bfloat16", "ns5": "5 steps", "exact": "exact"}
NAMES = {"muon": "Muon", "f_muon": "F-Muon", "s_muon": "S-Muon", "nsgd": "normalised"}
COLORS = {"muon": "blue", "f_muon": "vermillion", "s_muon": "green", "nsgd": "grey"}
BY = ["steps", "route", "method"]
DECIDED = (  # all rows of F- and S-Muon whose interval leaves out 1 (the others are undecided), one of nsgd
    ("LS-29", "f_muon", "exact", 400), ("LS-30", "s_muon", "ns3_bf16", 400), ("LS-31", "nsgd", "ns3_bf16", 400),
    ("LS-32", "f_muon", "ns5", 400), ("LS-33", "s_muon", "exact", 100), ("LS-34", "f_muon", "ns3_bf16", 100),
    ("LS-35", "s_muon", "ns3_bf16", 100), ("LS-36", "f_muon", "ns5", 100), ("LS-37", "s_muon", "ns5", 100),
)  # fmt: skip
BEHIND = ("LS-31", "LS-33")


def cell(
    method: str,
    route: Route,
    steps: int,
    lr: float,
    momentum: float,
    n: int,
    seed: int,
    windows: int,  # noqa: ARG001  (asked by `tuned_runs`; one row here)
) -> list[dict[str, Any]]:
    """log10 of the loss after the decay, in units of the loss at n = 500, in the column the tuning reads."""
    run = descend_batch(
        [least_squares(n, seed)], [0], [lr], [momentum], weights=METHODS[method], route=route, steps=steps,
        thresholds=[[0.0]], decay=True,
    )  # fmt: skip
    loss = float(run.last[0]) * (500 / n) ** 2
    fixed = {"method": method, "route": route, "steps": steps, "lr": lr, "momentum": momentum, "n": n, "seed": seed}
    return [fixed | {"step": steps, "test_loss": math.log10(loss) if math.isfinite(loss) else math.inf}]


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per run, `phase` tells the trials from the paired runs; normalised descent takes no polar factor."""
    routes, lengths = (list(ROUTES)[:1], (40,)) if quick else (list(ROUTES), (100, 400))
    compared = [{"method": method, "route": route, "steps": steps} for steps in lengths
                for method, route in [("nsgd", "exact"), *itertools.product(list(NAMES)[:3], routes)]]  # fmt: skip
    grids = {"lr": learning_rates(0.2, count=3), "momentum": momenta((0.8, 0.9, 0.93, 0.95, 0.965))}
    return tuned_runs(
        cell, compared, {"lr": 0.2, "momentum": 0.9}, grids,
        shared={"n": 24 if quick else 500}, tuning_seeds=[seed + 1000] if quick else [seed + 1000, seed + 1001],
        seeds=[seed + i for i in range(2 if quick else 5)], windows=1, map_cells=map_cells,
        refined=None if quick else "lr",
    )  # fmt: skip


def against_muon(table: pd.DataFrame, steps: int, route: str, method: str) -> PairedDifference:
    """Difference of log10 losses to Muon by the same route, paired by seed, with its 95 % t interval."""
    ends: Any = final_losses(table, BY)[steps]
    own = "exact" if method == "nsgd" else route
    return paired_difference(ends[own, method].tolist(), ends[route, "muon"].tolist())


def figure(table: pd.DataFrame) -> Figure:
    """Loss after the decay by length, route and method, one point a seed; its ratio to Muon's by the same route."""
    drawing, axes = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 3.0))
    ends: Any = final_losses(table, BY)
    groups = [(steps, route) for steps in ends.columns.unique(0) for route in ROUTES if route in ends[steps]]
    groups = [group for group in groups if "muon" in ends[group]]
    for x, (steps, route) in enumerate(groups):
        for i, method in enumerate(NAMES):
            color, at = OKABE_ITO[COLORS[method]], x + 0.18 * (i - 1.5)
            losses = ends[steps, "exact" if method == "nsgd" else route, method]
            axes[0].plot([at] * len(losses), 10**losses, "o", ms=3, mfc="none", color=color,
                         label=None if x else NAMES[method])  # fmt: skip
            if method != "muon":
                d = against_muon(table, steps, route, method)
                low, mid, high = (10**v for v in (d.lower, d.mean, d.upper))
                axes[1].errorbar(at, mid, [[mid - low], [high - mid]], fmt="o", ms=4, color=color,
                                 mfc="white" if d.word == "undecided" else color)  # fmt: skip
    for axis in axes:
        axis.set_xticks(range(len(groups)), [f"{ROUTES[route]}\n{steps} its" for steps, route in groups], fontsize=5.5)
        axis.set(yscale="log", xlabel="way to the polar factor, length of the run")
    axes[0].set(ylabel="loss after the decay", title="a  every seed")
    axes[0].axhline(1e-3, color="black", linewidth=0.6, linestyle=":")
    axes[1].axhline(1, color=OKABE_ITO["blue"], linewidth=0.8)
    axes[1].set(ylabel="loss / Muon's, paired, 95 %", title="b  below 1: ahead of Muon")
    axes[0].legend(fontsize=6)
    row, tuned = table.iloc[0], (table["phase"] == "tuning").sum()
    small_print(drawing, f"{row.n}², linear decay, {len(ends)} seeds; rate and momentum of each point tuned on other "
                f"seeds ({tuned} trials). Normalised descent takes no polar factor.\nDotted: the published target. "
                "Open: undecided.")  # fmt: skip
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """Who ends below the published target, and below Muon where it is decided; for the full profile."""
    if table["n"].iloc[0] != 500:
        return []
    ends: Any = final_losses(table, BY)
    below = {goal: [[float((ends[400][key] < goal).sum())] * 3 for key in ends[400].columns] for goal in (-3, -7)}
    rows: list[tuple[Any, ...]] = [("LS-28", "after 400 iterations every method ends below 1e-3 on all of 5 seeds by "
                                    "every route (seeds that do)", ">=", 5.0, below[-3], "holds", "target 1e-7",
                                    below[-7])]  # fmt: skip
    for name, method, route, steps in DECIDED:
        d = against_muon(table, steps, route, method)
        rows.append((name, f"after {steps} iterations {NAMES[method]} ends below Muon, {ROUTES[route]} (log10 of the "
                     "ratio of the losses, paired by seed)", "<", 0.0, [[d.mean, d.lower, d.upper]],
                     "refuted" if name in BEHIND else "holds", "Muon below it",
                     [[-d.mean, -d.upper, -d.lower]]))  # fmt: skip
    return [
        Claim(id=name, statement=f"500 x 500, linear decay, tuned on other seeds: {statement}",
              source="arXiv 2512.09678, its problem; the decay is ours", relation=relation, method="simulation",
              evaluate=_measured, parameters={"predicted": predicted, "ends": found}, expected=expected, tier="run",
              mutations=(Mutation(why, {"ends": other}),), attribution="ours")
        for name, statement, relation, predicted, found, expected, why, other in rows
    ]  # fmt: skip


def _measured(*, predicted: float, ends: list[list[float]]) -> Finding:
    return Finding([predicted] * len(ends), [Estimate(*end) for end in ends])
