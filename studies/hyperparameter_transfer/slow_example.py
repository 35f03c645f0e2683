"""Question: does the published example of slow transfer transfer slowly, at its own dimension, steps and batch?

Claim: to be told.

Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, section on slow transfer (b_n ~ a_n^(1/2), widths to 2^14; no
exponents); scale of the head and base width are ours. Exponents with free asymptotes: `transfer_speed`.

Cost: quick 4 s, full 2 h on one core. Scale: two-layer ReLU classifier with biases of a ball in d = 64, muP, Adam, 2^14
steps of batch 256; widths 2^8 to 2^12 at rates 2^-12 to 2^-6, 2^13 at 2^-11 to 2^-8 (fits use these four); 3 seeds. The
loss is the mean of 16 looks at 16,384 test points in the last sixteenth of the steps: one alone jitters as seeds do.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation, Relation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.hyperparameter_transfer.gaps import grid_minimum
from muon_theory.rooms.hyperparameter_transfer.speed import gap_powers, transfer_speed
from muon_theory.training.ball_indicator import ball_indicator_losses


def cell(width: int, log2_rate: float, seed: int, dimension: int, steps: int, batch: int, tests: int) -> dict[str, Any]:
    """Test loss of one run."""
    size = {"dimension": dimension, "steps": steps, "batch": batch, "tests": tests}
    loss = ball_indicator_losses(width, [log2_rate], seed=seed, looks=min(16, steps // 16), **size)
    return {
        "width": width,
        "log2_rate": log2_rate,
        "seed": seed,
        "dimension": dimension,
        "steps": steps,
        "loss": float(loss[0]),
    }


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per width, rate and seed."""
    if quick:
        rates = dict.fromkeys([16, 32, 64, 128], range(-8, 2))
        size = {"dimension": 8, "steps": 64, "batch": 32, "tests": 500}
    else:
        rates = dict.fromkeys([2**k for k in range(8, 13)], range(-12, -5)) | {2**13: range(-11, -7)}
        size = {"dimension": 64, "steps": 2**14, "batch": 256, "tests": 2**14}
    return map_cells(cell, [{"width": n, "log2_rate": rate, "seed": seed + i, **size}
                            for i in range(3) for n in reversed(rates) for rate in rates[n]])  # fmt: skip


def curves_of(table: Any) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Widths, ln of the rates that all of them were run at, and losses (seeds, widths, rates)."""
    wide = table.pivot_table(index=["seed", "width"], columns="log2_rate", values="loss").dropna(axis=1)
    widths = sorted(set(table["width"]))
    return (
        widths,
        wide.columns.to_numpy(dtype=float) * np.log(2),
        wide.to_numpy().reshape(-1, len(widths), wide.shape[1]),
    )


def verdicts(table: Any, draws: int = 400) -> tuple[Any, Any, Any]:
    """Gaps to the widest, powers of those gaps, and powers with both asymptotes fitted."""
    widths, grid, curves = curves_of(table)
    gaps, straight = gap_powers(widths[:-1], grid, curves[:, :-1], curves[:, -1:], resamples=draws)
    return gaps, straight, transfer_speed(widths, grid, curves, resamples=draws)


def figure(table: Any) -> Figure:
    """Loss against rate by width; best rate by width; both gaps to the widest."""
    widths, grid, curves = curves_of(table)
    gaps, straight, fitted = verdicts(table, 100)
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7))
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(widths)))
    for width, color in zip(widths, shades, strict=True):
        lines = table[table["width"] == width].groupby("log2_rate")["loss"].agg(["min", "max", "mean"])
        axes[0].fill_between(lines.index, lines["min"], lines["max"], color=color, alpha=0.25, linewidth=0)
        axes[0].plot(lines.index, lines["mean"], "o-", ms=2, color=color, label=f"{width}")
    axes[0].set(xlabel=r"$\log_2$ learning rate", ylabel="test loss, nats", yscale="log")
    axes[0].legend(title="width", fontsize=5.5, title_fontsize=6, ncols=2)
    each, mean = grid_minimum(grid, curves)[0] / np.log(2), grid_minimum(grid, curves.mean(0))[0] / np.log(2)
    for line in each:
        axes[1].plot(widths, line, "o", ms=3, color=OKABE_ITO["grey"])
    axes[1].plot(widths, mean, "o-", ms=3, color=OKABE_ITO["vermillion"])
    axes[1].set(
        xscale="log", xlabel="width n", ylabel=r"$\log_2$ of the best rate", title="seeds, and their mean curve"
    )
    for name, values, power in (("a", gaps.loss, straight.alpha), ("b", gaps.parameter, straight.beta)):
        axes[2].plot(widths[:-1], values, "o-", ms=3, color=OKABE_ITO["blue" if name == "a" else "vermillion"],
                     label=f"${name}_n$, power {power[0]:.2f} [{power[1]:.2f}, {power[2]:.2f}]")  # fmt: skip
    axes[2].set(xscale="log", yscale="log", xlabel="width n", title=f"gaps to n = {widths[-1]}")
    axes[2].legend(fontsize=5.5)
    for axis in axes[1:]:
        axis.set_xticks(widths, [f"$2^{{{np.log2(n):.0f}}}$" for n in widths])
        axis.minorticks_off()
    margin = ("{:.2f} [{:.2f}, {:.2f}]".format(*found.margin) for found in (straight, fitted))
    note = (
        f"d = {table['dimension'].iloc[0]}, {table['steps'].iloc[0]} steps, {len(curves)} seeds; bands: range of "
        r"the seeds. $\beta - \alpha/2$ by gaps to the widest: {}; with both asymptotes fitted: {} (95 %)."
    )
    small_print(drawing, note.format(*margin))
    return drawing


def claims(table: Any) -> list[Claim]:
    """HT-SLOW, how well these widths decide, and what gaps to the widest make of them; for the full profile."""
    if table["width"].max() < 1024:
        return []
    _, straight, fitted = verdicts(table)
    margin = list(fitted.margin)
    squared = [ours + power for ours, power in zip(fitted.margin, fitted.beta, strict=True)]
    length = [margin[2] - margin[1]] * 3
    rows: list[tuple[str, str, Relation, float, list[float], str, list[float]]] = [
        ("HT-SLOW", "for Adam under muP on the indicator of a ball (d = 64) the learning rate transfers slowly: "
         "beta - alpha/2 <= .1, both asymptotes fitted over widths 2^8 to 2^13", "<=", 0.1, margin, "b_n squared",
         squared),
        ("HT-SLOW-WIDEST", "gaps to the widest network in place of fitted limits call the same curves slow", "<=", 0.1,
         list(straight.margin), "fitted limits", margin),
        ("HT-SLOW-LENGTH", "three seeds bring the 95 % interval of beta - alpha/2 to .5 (HT-BALL: d = 16)", "<=", 0.5,
         length, "ten times as long", [10 * end for end in length]),
    ]  # fmt: skip
    return [
        Claim(
            id=name, statement=statement, source="Ghosh, Wu, Bietti 2025, arXiv 2512.22768, slow example",
            relation=relation, method="training run", evaluate=_measured, expected="open", attribution="relayed",
            parameters={"predicted": predicted, "ends": ends}, mutations=(Mutation(why, {"ends": other}),), tier="run",
        )
        for name, statement, relation, predicted, ends, why, other in rows
    ]  # fmt: skip


def _measured(*, predicted: float, ends: list[float]) -> Finding:
    return Finding(predicted, Estimate(*ends))
