"""Question: how far may the start be from commuting with the target before Muon's condition-free rate is lost?

Claim: The rate belongs to aligned starts. On the factorization a Gaussian start is as good as an aligned one when it is
tiny, and loses as its size nears the smallest singular value of the solution; on in-context regression a start of
size .3 that does not commute with Sigma needs many times the steps at kappa = 10 and does not arrive at kappa >= 100.

Source: derived here. arXiv 2601.13474 (abstract only) states rates free of the condition number for its start and
schedule, which were not read; this study shows what such a statement cannot cover.

Cost: quick 3 s, full 3 min on one core. Scale: factorization 16 x 16 to 1e-3 lam_min, regression d = 16, N = 40 to 1e-8
of the first excess loss; exact polar factor, schedules tuned for every point, at most 200 steps; 5 seeds, float64.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.problems.matrix_factorization import gaussian
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.preconditioning.directions import wide_grid
from muon_theory.rooms.preconditioning.iteration_counts import (
    best_tuned,
    factorization_instances,
    regression_instances,
)

KAPPAS = (10.0, 100.0, 1000.0)
COLORS = dict(zip(KAPPAS, (OKABE_ITO["sky"], OKABE_ITO["blue"], OKABE_ITO["black"]), strict=True))
STARTS = {"aligned": "commutes", "random": "does not commute"}
PROBLEMS = {"factorization": "symmetric factorization", "regression": "in-context regression"}


def cell(problem: str, start: str, condition_number: float, size: float, seeds: list[int], cap: int) -> list[dict]:
    """Best-tuned steps of exact Muon from one kind and size of start, a row a seed."""
    if problem == "factorization":
        measure, turned = factorization_instances([condition_number], seeds, size=size)
        random = size / 4 * gaussian(16, 16, [20_000 + seed for seed in seeds])  # op(X_0) = 2 size
        X, largest, goal = (turned if start == "aligned" else random), 1.0, 1e-3 / condition_number
    else:
        kind = "identity" if start == "aligned" else "haar"
        measure, unit, largest = regression_instances(condition_number, seeds, start=kind)
        X, goal = unit * (size / 0.3), 1e-8
    rows = best_tuned(measure, X, wide_grid("muon_exact", largest), goal, cap)
    fixed = {"problem": problem, "start": start, "condition_number": condition_number, "size": size, "cap": cap}
    return [fixed | {"seed": seed} | row for seed, row in zip(seeds, rows, strict=True)]


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per problem, kind and size of the start, condition number and seed."""
    sizes = [1e-4, 1e-1] if quick else [1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 3e-1]
    kappas, seeds = KAPPAS[:2] if quick else KAPPAS, [seed + i for i in range(2 if quick else 5)]
    return map_cells(cell, [
        {"problem": problem, "start": start, "condition_number": kappa, "size": size, "seeds": seeds,
         "cap": 40 if quick else 200}
        for problem in PROBLEMS for start in STARTS for kappa in kappas for size in sizes
        if start == "random" or size in (sizes[0], 1e-3, 0.1, 0.3)
    ])  # fmt: skip


def figure(table: pd.DataFrame) -> Figure:
    """Best-tuned steps against the size of the start, for both problems."""
    drawing, axes = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 2.9), sharey=True)
    groups = table.groupby(["problem", "start", "condition_number", "size"])
    steps, reached = groups["steps"].agg(["median", "min", "max"]), groups["reached"].all()
    for axis, (problem, title) in zip(axes, PROBLEMS.items(), strict=True):
        for kappa in sorted(set(table["condition_number"])):
            for start, mark in (("aligned", "s--"), ("random", "o-")):
                rows, done = steps.loc[(problem, start, kappa)], reached.loc[(problem, start, kappa)].to_numpy()
                x, y = rows.index.to_numpy(), rows["median"].to_numpy()
                axis.plot(x[done], y[done], mark, color=COLORS[kappa], lw=1.2 if start == "random" else 0.8)
                axis.fill_between(x[done], rows["min"].to_numpy()[done], rows["max"].to_numpy()[done], alpha=0.15,
                                  color=COLORS[kappa], linewidth=0)  # fmt: skip
                axis.plot(x[~done], y[~done], "^", color=COLORS[kappa], fillstyle="none", ms=5)
        axis.set(xscale="log", yscale="log", title=title)
        axis.set_xlabel("size of the start / largest singular value of the solution")
    axes[0].set_ylabel("steps, best tuned")
    for kappa in sorted(set(table["condition_number"])):
        axes[0].plot([], [], "-", color=COLORS[kappa], label=f"κ = {kappa:g}")
    for start, mark in (("random", "o-"), ("aligned", "s--")):
        axes[0].plot([], [], mark, color="grey", label=f"start {STARTS[start]}")
    axes[0].plot([], [], "^", color="grey", fillstyle="none", ms=5, label="a seed needs more than the cap")
    axes[0].legend()
    scale = f"16 × 16, {table['seed'].nunique()} seeds (median, range), exact polar factor, no momentum, float64,"
    small_print(drawing, f"{scale} schedule tuned for every point, at most {int(table['cap'].iloc[0])} steps.")
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """Tiny starts are free of alignment on the factorization; large ones that do not commute fail on both."""
    rows: Any = table
    counts = rows.assign(steps=table["steps"].where(table["reached"], np.inf))
    worst = counts.groupby(["problem", "start", "condition_number", "size"])["steps"].max().to_dict()
    if ("regression", "random", 1000.0, 0.3) not in worst or rows["seed"].nunique() < 5:
        return []

    def factor(problem: str, kappa: float, size: float) -> float:
        return worst[(problem, "random", kappa, size)] / worst[(problem, "aligned", kappa, size)]

    tiny = [factor("factorization", kappa, 1e-8) for kappa in KAPPAS]
    large = [factor("regression", kappa, 0.3) for kappa in KAPPAS]
    facts = [
        ("MF-START-TINY", "factorization: a Gaussian start of size 1e-8 needs at most 1.5 x the steps of an aligned "
         "one (kappa = 10, 100, 1000, worst seeds)", tiny, 1.5, "holds", "size .1",
         {"measured": [factor("factorization", kappa, 0.1) for kappa in KAPPAS]}),
        ("ICL-START-LARGE", "regression: a start of size .3 q_max that does not commute needs at most 3 x the steps of "
         "one that does", large, 3.0, "refuted", "size 1e-8",
         {"measured": [factor("regression", 10.0, 1e-8)]}),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=statement, source="derived here; this study", relation="<=", method="simulation",
              evaluate=Finding, parameters={"predicted": predicted, "measured": measured}, tier="run",
              expected=expected, attribution="ours", mutations=(Mutation(words, changed),))  # pyright: ignore
        for name, statement, measured, predicted, expected, words, changed in facts
    ]  # fmt: skip
