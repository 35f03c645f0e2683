"""Question: does the learning rate tuned at width 64 stay the best one up to width 512, for Adam and for Muon?

Claim: under muP Adam's best learning rate stays within a factor of two; Muon's, scaled by sqrt(rows/columns), drifts
more (published: down by a factor of 2.6 from width 128 to 2048 in a small Llama). Here Muon's moves up and its curves
are flat: what the rate of width 64 costs at 512 is below the spread of the seeds.

Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768 (figures of the learning rate by width, read off); initialisation and
factors by width: Yang, Simon, Bernstein 2023, arXiv 2310.17813. The network is ours.

Cost: quick 4 s, full 1 min on one core. Scale: 64-n-n-10 perceptron on digits, 60 steps of batch 64, linear decay;
training loss on the whole training set; learning rates a factor sqrt(2) apart, a grid that grows until the best is
inside; 5 seeds. Muon: method auto, momentum .95, on both hidden matrices, Adam at .004 x width factor on the rest.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation, Relation
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.hyperparameter_transfer.gaps import grid_minimum
from muon_theory.training.width_run import Arm, width_run

ARMS = {"Adam, muP": (-9, "orange"), "Adam, standard": (-10, "grey"), "Muon, muP": (-1, "blue")}  # 2 log2 of first rate
images_of = cache(load_images)


def cell(arm: Arm, width: int, log2_lr: float, steps: int, seed: int) -> dict:
    """One run: loss on the whole training set after the last step."""
    loss = width_run(images_of("digits"), arm, width=width, lr=2.0**log2_lr, steps=steps, seed=seed)
    return {"arm": arm, "width": width, "log2_lr": log2_lr, "steps": steps, "seed": seed, "loss": loss}


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per arm, width, learning rate and seed; every grid grows until its best mean lies inside."""
    widths, count, steps = ((64, 128), 2, 40) if quick else ((64, 128, 256, 512), 5, 60)
    rows: dict[tuple[str, int, int], list[dict]] = {}
    wanted = [
        (arm, width, first + k) for arm, (first, _) in ARMS.items() for width in widths for k in (-2, -1, 0, 1, 2)
    ]
    while wanted:
        cells = [{"arm": arm, "width": width, "log2_lr": half / 2, "steps": steps, "seed": seed + i}
                 for arm, width, half in wanted for i in range(count)]  # fmt: skip
        found = map_cells(cell, cells).to_dict("records")
        for i, key in enumerate(wanted):
            rows[key] = found[i * count : (i + 1) * count]
        wanted = []
        for arm, width in product(ARMS, widths):
            means = {key[2]: np.mean([row["loss"] for row in rows[key]]) for key in rows if key[:2] == (arm, width)}
            best = min(means, key=lambda half: means[half])
            wanted += [(arm, width, best + k) for k in (-1, 1) if best + k not in means and len(means) < 16]
    return pd.DataFrame([row for key in sorted(rows, key=str) for row in rows[key]])


def best_rates(table: Any, draws: int = 400) -> dict[str, np.ndarray]:
    """Log2 of the best learning rate by arm: (1 + draws, widths), the first from all seeds, then resampled seeds."""
    seeds = sorted(set(table["seed"]))
    weights = np.random.default_rng(0).multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=draws)
    weights = np.concatenate([np.ones((1, len(seeds))), weights]) / len(seeds)
    found: dict[str, list[np.ndarray]] = {arm: [] for arm in ARMS}
    for (arm, _), part in table.groupby(["arm", "width"]):
        wide = part.pivot_table(index="seed", columns="log2_lr", values="loss")
        found[str(arm)].append(grid_minimum(wide.columns.to_numpy(dtype=float), weights @ wide.to_numpy())[0])
    return {arm: np.stack(columns, 1) for arm, columns in found.items()}


def figure(table: Any) -> Figure:
    """Loss against learning rate, a panel an arm and a line a width; right: the best learning rate by width."""
    widths, rates = sorted(set(table["width"])), best_rates(table)
    drawing, axes = plt.subplots(1, 4, figsize=(DOUBLE_COLUMN, 2.5))
    shades = [OKABE_ITO[name] for name in ("sky", "blue", "purple", "vermillion")]
    for axis, arm in zip(axes, ARMS, strict=False):
        for width, color, at in zip(widths, shades, rates[arm][0], strict=False):
            means = table.query("arm == @arm and width == @width").groupby("log2_lr")["loss"].mean()
            axis.plot(means.index, means, "o-", ms=2.5, color=color, label=f"n = {width}")
            axis.axvline(at, color=color, linewidth=0.6, linestyle=":")
        axis.set(xlabel=r"$\log_2$ of the rate at n = 64", title=arm, ylim=(0, None))
    axes[0].set_ylabel("training loss, nats")
    axes[2].legend(loc="lower right", fontsize=6)
    for arm, found in rates.items():
        moved = found - found[:, :1]
        lower, upper = np.percentile(moved[1:], [2.5, 97.5], axis=0)
        axes[3].fill_between(widths, 2.0**lower, 2.0**upper, color=OKABE_ITO[ARMS[arm][1]], alpha=0.2, linewidth=0)
        axes[3].plot(widths, 2.0 ** moved[0], "o-", color=OKABE_ITO[ARMS[arm][1]], label=arm)
    axes[3].axhspan(0.5, 2, color="black", alpha=0.05, linewidth=0)
    axes[3].set(xscale="log", yscale="log", xlabel="width n", title="best rate / best at 64")
    axes[3].set_xticks(widths, [str(n) for n in widths])
    axes[3].minorticks_off()
    axes[3].set_yticks([0.125, 0.25, 0.5, 1, 2, 4], ["1/8", "1/4", "1/2", "1", "2", "4"])
    axes[3].legend(loc="lower left", fontsize=6)
    note = (
        f"64-n-n-10 perceptron on digits, {table['steps'].iloc[0]} steps of batch 64, {table['seed'].nunique()} seeds"
    )
    small_print(
        drawing, f"{note}: means; dotted: best rate (parabola); bands: 95 % over resampled seeds; grey: factor 2"
    )
    return drawing


def claims(table: Any) -> list[Claim]:
    """HT-13 in its two halves: the largest shift from width 64, in octaves."""
    if table["width"].max() < 512:
        return []  # stated for the full profile
    shift = {arm: np.abs(found - found[:, :1]).max(1) for arm, found in best_rates(table).items()}

    def row(name: str, statement: str, relation: Relation, predicted: float, measured, mutated, why: str) -> Claim:
        ends = [[float(x[0]), *np.percentile(x[1:], [2.5, 97.5]).tolist()] for x in (measured, mutated)]
        return Claim(
            id=name, statement=statement, source="Ghosh, Wu, Bietti 2025, arXiv 2512.22768 (Llama, read off)",
            relation=relation, method="training run", evaluate=_shift, expected="open", attribution="implied",
            parameters={"predicted": predicted, "ends": ends[0]}, mutations=(Mutation(why, {"ends": ends[1]}),),
            tier="run",
        )  # fmt: skip

    adam, standard, muon = (shift[arm] for arm in ARMS)
    return [row("HT-13", "under muP Adam's best learning rate stays within a factor 2 from width 64 to 512", "<=", 1.0,
                adam, standard, "standard parametrization"),
            row("HT-13-MUON", "Muon's best rate moves more than Adam's (octaves from 64, noise included)", ">", 0.0,
                muon - adam, adam - adam, "Adam against itself")]  # fmt: skip


def _shift(*, predicted: float, ends: list[float]) -> Finding:
    return Finding(predicted, Estimate(*ends))
