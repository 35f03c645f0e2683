"""Question: is F-Muon less sensitive to its learning rate than Muon?

Claim: it is, says a figure on fine-tuning. The window of a rule is the ratio of the largest to the smallest learning
rate whose test accuracy is within one point of the rule's best, between the grid's values by linear interpolation of
the accuracy in log rate; twelve rates in steps of sqrt(10), nothing else tuned. Found: F-Muon's is 2.4 times as wide
(1.4 to 4.2), but its best accuracy is .9 points lower: up to a rate of .3 Muon is the better of the two.

Source: Kravatskiy et al. 2025, arXiv 2512.09678, fine-tuning figure (the claim). F-Muon blends half the polar factor
with half the normalised momentum: at an equal rate its step is at most (1 + 1/sqrt(r))/2 as long.

Cost: quick 3 s, full 1 min on one core: digits, MLP 64-32-32-10 (3,500 parameters), batch 64, 150 steps, linear decay,
momentum .95, 8 paired seeds.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.optimizers import FFanion, Muon
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, color_of, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.hidden_matrices import train_hidden_matrices

RULES = {"Muon": "muon", "F-Muon": "vermillion"}
RATES = tuple(float(f"{rate:.3g}") for rate in 10.0 ** (np.arange(12) / 2 - 3.5))
images_of = cache(load_images)


def cell(rule: str, dataset: str, width: int, steps: int, rates: list[float], seed: int) -> pd.DataFrame:
    """Runs of one rule and seed at every rate."""
    rows = []
    for lr in rates:

        def build(matrices, lr=lr):
            if rule == "Muon":
                return Muon(matrices, lr, 0.0, 0.95, adjust_lr_fn="none", exact=True, check_finite=False)
            return FFanion(matrices, None, lr, 0.95, alpha=0.5, check_finite=False)

        run = train_hidden_matrices(images_of(dataset), build, steps=steps, seed=seed, hidden=(width, width))
        rows.append(run.assign(lr=lr))
    return pd.concat(rows).assign(rule=rule, dataset=dataset, width=width, seed=seed)


def compute(*, seed: int = 0, quick: bool = False, dataset: str = "digits", map_cells=serially) -> pd.DataFrame:
    """One row per run."""
    shared = {"dataset": dataset, "width": 16 if quick else 32, "steps": 30 if quick else 150}
    rates = list(RATES[4:9] if quick else RATES)
    seeds = range(seed, seed + (2 if quick else 8))
    return map_cells(cell, [{**shared, "rule": rule, "rates": rates, "seed": s} for rule in RULES for s in seeds])


def windows(table: pd.DataFrame, points: float = 1.0) -> pd.DataFrame:
    """log10 of the ratio of the ends of every run's window, one row a seed, one column a rule."""
    found = {key: _window(rows.sort_values("lr"), points) for key, rows in table.groupby(["rule", "seed"])}
    wide: Any = pd.Series(found).unstack(level=0)
    return wide[list(RULES)]


def _window(rows: pd.DataFrame, points: float) -> float:
    """Distance in log10 of the outermost crossings of the best accuracy minus some points."""
    x, y = np.log10(rows.lr.to_numpy()), 100 * rows.test_accuracy.to_numpy()
    level = y.max() - points
    inside = np.flatnonzero(y >= level)
    ends = []
    for last, step in ((inside[0], -1), (inside[-1], 1)):
        beyond = last + step
        if not 0 <= beyond < len(x):
            ends.append(x[last])
            continue
        share = (y[last] - level) / (y[last] - y[beyond])
        ends.append(x[last] + share * (x[beyond] - x[last]))
    return float(ends[1] - ends[0])


def figure(table: pd.DataFrame) -> Figure:
    """Accuracy against the rate, and the window of every seed."""
    drawing, (course, widths) = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 2.8), width_ratios=(1.6, 1))
    colors = {"Muon": color_of("muon"), "F-Muon": OKABE_ITO["vermillion"]}
    for rule, color in colors.items():
        accuracy: Any = 100 * table.query("rule == @rule").groupby("lr").test_accuracy.agg(["min", "median", "max"])
        course.fill_between(accuracy.index, accuracy["min"], accuracy["max"], color=color, alpha=0.15, linewidth=0)
        course.plot(accuracy.index, accuracy["median"], "o-", ms=3, color=color, label=rule)
    course.set(xscale="log", xlabel="learning rate", ylabel="test accuracy / %", title="a  twelve rates, steps of √10")
    course.legend()
    found = 10 ** windows(table)
    for _, row in found.iterrows():
        widths.plot([0, 1], row, "o-", ms=3, lw=0.6, color=OKABE_ITO["grey"])
    widths.plot([-0.1, 1.1], found.median(), "D", color=OKABE_ITO["black"], label="median")
    widths.set_xticks([0, 1], list(RULES))
    widths.set(yscale="log", xlim=(-0.4, 1.4), xlabel="rule", ylabel="largest / smallest rate",
               title="b  within a point of the best")  # fmt: skip
    widths.yaxis.set_minor_formatter("{x:g}")
    widths.yaxis.set_major_formatter("{x:g}")
    widths.tick_params(axis="y", which="both", labelsize=6)
    widths.legend()
    d = paired_difference(*(windows(table)[rule].tolist() for rule in ("F-Muon", "Muon")))
    row = table.iloc[0]
    text = f"{row.dataset}, MLP d-{row.width}-{row.width}-10, batch 64, {row.step + 1} steps, linear decay, momentum "
    text += f".95, float32, CPU; {table.seed.nunique()} paired seeds: median and range.\nWindow of F-Muon over Muon's: "
    text += f"{10**d.mean:.2f} (95 %: {10**d.lower:.2f} to {10**d.upper:.2f}). Hidden matrices by the rule, else AdamW."
    small_print(drawing, text)
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """TR-04, from five seeds on."""
    found: Any = windows(table)
    if len(found) < 5:
        return []
    curves = {rule: found[rule].tolist() for rule in RULES}
    return [
        Claim(id="TR-04", statement="F-Muon is less sensitive to the learning rate than Muon: the ratio of the largest "
              "to the smallest rate within 1 point of the best is larger", relation=">=", evaluate=_wider,
              source="Kravatskiy et al. 2025, arXiv 2512.09678, fine-tuning figure; run here", method="training run",
              parameters={"curves": curves, "rule": "F-Muon", "other": "Muon"}, expected="holds", tier="run",
              attribution="printed", unit="log10 of the ratio",
              mutations=(Mutation("the two curves exchanged", {"rule": "Muon", "other": "F-Muon"}),)),
    ]  # fmt: skip


def _wider(*, curves: dict[str, list[float]], rule: str, other: str) -> Finding:
    d = paired_difference(curves[rule], curves[other])
    return Finding(0.0, Estimate(d.mean, d.lower, d.upper))
