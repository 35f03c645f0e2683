"""Question: does the published example of slow transfer transfer slowly, at its own dimension, steps and batch?

Claim: to be told.

Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, section on slow transfer (b_n ~ a_n^(1/2), widths to 2^14; its numbers
are in a figure only; scale of the head and base width are ours).

Cost: quick 4 s, full 1 h on one core. Scale: two-layer ReLU classifier with biases of a ball in d = 64, muP, Adam, 2^14
steps of batch 256, rates 2^-12 to 2^-6, widths 2^8 to 2^12, 3 seeds; the loss is the mean of 16 looks at 16,384 test
points in the last sixteenth of the steps, since a single one jitters by as much as seeds differ.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim
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
        widths, rates = [16, 32, 64, 128], list(range(-8, 2))
        size = {"dimension": 8, "steps": 64, "batch": 32, "tests": 500}
    else:
        widths, rates = [2**k for k in range(8, 13)], list(range(-12, -5))
        size = {"dimension": 64, "steps": 2**14, "batch": 256, "tests": 2**14}
    return map_cells(cell, [{"width": n, "log2_rate": rate, "seed": seed + i, **size}
                            for i in range(3) for n in reversed(widths) for rate in rates])  # fmt: skip


def curves_of(table: Any) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Widths, ln of the rates, and losses (seeds, widths, rates)."""
    widths, rates = sorted(set(table["width"])), np.array(sorted(set(table["log2_rate"])), dtype=float)
    ordered = table.sort_values(["seed", "width", "log2_rate"])["loss"].to_numpy()
    return widths, rates * np.log(2), ordered.reshape(-1, len(widths), len(rates))


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
    for width, color, lines in zip(widths, shades, curves.swapaxes(0, 1), strict=True):
        axes[0].fill_between(grid / np.log(2), lines.min(0), lines.max(0), color=color, alpha=0.25, linewidth=0)
        axes[0].plot(grid / np.log(2), lines.mean(0), "o-", ms=2, color=color, label=f"{width}")
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
    """HT-SLOW and what the gaps to the widest say; for the full profile."""
    if table["width"].max() < 1024:
        return []
    return []
