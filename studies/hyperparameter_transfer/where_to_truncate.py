"""Question: do the leading directions of trained networks make learning-rate curves the same at every width?

Claim: the truncation that J_proxy chooses brings the curves of a narrow network nearer to those of the widest than the
whole decrease is, under Adam; the published comparison finds Muon's leading directions less invariant.

Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, Algorithm 1 (coordinate descent on J_proxy; its tolerances and list of
tau are not given, ours: at most a quarter of the interior points concave, minima at most one grid step apart, tau1 =
tau2 from 0 to 3 nats per factor of two). The network, its widths and its length are ours.

Cost: quick 3 s, full 2 min on one core. Scale: 64-n-n-10 perceptron on digits, n = 32, 64, 128 (published to 2048), muP
from width 64, 90 steps of batch 64, constant rates, 5 seeds, 6 rates a factor 2 apart. Weights averaged with decay
.97; every 6 steps the change of the average times the gradient on all images at its start, for both hidden matrices by
eigenvalues of S (of the first the rows' version), in full for the rest.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.hyperparameter_transfer.decomposition import minimise_proxy
from muon_theory.training.width_run import Arm
from studies.hyperparameter_transfer._top_curves import top_curve

ARMS: dict[Arm, tuple[int, str]] = {"Adam, muP": (-11, "orange"), "Muon, muP": (-9, "blue")}  # log2 of the first rate
TAUS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
images_of = cache(load_images)


def cell(arm: Arm, width: int, log2_lr: float, steps: int, seed: int) -> list[dict[str, Any]]:
    """Linearised change of the loss that the k leading directions carry, k = 1 .. n, summed over one run."""
    fixed = {"arm": arm, "width": width, "log2_lr": log2_lr, "steps": steps, "seed": seed}
    top = top_curve(images_of("digits"), arm, width, 2.0**log2_lr, steps, seed)
    return [fixed | {"k": k, "top": value} for k, value in enumerate(top.tolist(), 1)]


def truncated(grid: np.ndarray, own: np.ndarray, widest: np.ndarray) -> dict[str, Any]:
    """Algorithm 1: the smallest tau whose truncation is accepted (else the last tried), and the curves it cuts."""
    found, rows = {}, np.arange(len(grid))
    for tau in TAUS:
        kappa, _ = minimise_proxy(grid, own, widest, (tau, tau))
        tops = own[rows, kappa - 1], widest[rows, kappa - 1]
        concave = max(float((np.diff(top, 2) < 0).mean()) for top in tops)
        moved = [int(top.argmin()) - int(whole[:, -1].argmin()) for top, whole in ((tops[0], own), (tops[1], widest))]
        accepted = concave <= 0.25 and max(map(abs, moved)) <= 1
        found = {"truncation": kappa, "top": tops[0], "top_widest": tops[1], "tau": tau, "accepted": accepted}
        if accepted:
            break
    return found


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per arm, narrow width, seed and learning rate: curves of this width and of the widest, whole and cut."""
    widths, rates, steps, seeds = ((16, 32), 4, 30, 1) if quick else ((32, 64, 128), 6, 90, 5)
    apart = 2.0 if quick else 1.0
    cells = [{"arm": arm, "width": width, "log2_lr": first + i * apart, "steps": steps, "seed": seed + run}
             for arm, (first, _) in ARMS.items() for run in range(seeds) for width in widths
             for i in range(rates)]  # fmt: skip
    found: Any = map_cells(cell, cells)
    tables = []
    for (arm, run), part in found.groupby(["arm", "seed"], sort=False):
        wide = {n: part.query(f"width == {n}").pivot_table(index="log2_lr", columns="k", values="top") for n in widths}
        tops, grid = {n: curves.to_numpy() for n, curves in wide.items()}, wide[widths[0]].index.to_numpy()
        for n in widths[:-1]:
            widest = np.column_stack([tops[widths[-1]][:, : n - 1], tops[widths[-1]][:, -1]])
            fixed = {"arm": arm, "seed": run, "width": n, "widest": widths[-1], "steps": steps, "log2_lr": grid}
            whole = {"whole": tops[n][:, -1], "whole_widest": widest[:, -1]}
            tables.append(pd.DataFrame(fixed | whole | truncated(grid, tops[n], widest)))
    return pd.concat(tables, ignore_index=True)


def gaps(table: Any) -> Any:
    """By arm, width and seed: mean distance to the widest, of the cut curve and of the whole, and their ratio."""
    distances = table.assign(cut=(table["top"] - table["top_widest"]).abs(),
                             full=(table["whole"] - table["whole_widest"]).abs())  # fmt: skip
    means = distances.groupby(["arm", "width", "seed"])[["cut", "full"]].mean()
    return means.assign(ratio=means["cut"] / means["full"])


def figure(table: Any) -> Figure:
    """Curves of one seed, whole and cut; truncation by rate; distance to the widest, cut over whole, by seed."""
    drawing, axes = plt.subplots(1, 4, figsize=(DOUBLE_COLUMN, 2.6))
    narrow, widest = table["width"].min(), table["widest"].max()
    lines = {"whole": ("-", "blue", f"n = {narrow}"), "whole_widest": ("-", "black", f"n = {widest}"),
             "top": ("--", "blue", "cut"), "top_widest": ("--", "black", "cut")}  # fmt: skip
    for place, (arm, (_, color)) in enumerate(ARMS.items()):
        one = table.query(f"arm == '{arm}' and width == {narrow} and seed == {table['seed'].min()}")
        for column, (style, shade, label) in lines.items():
            axes[place].plot(one["log2_lr"], one[column], style, color=OKABE_ITO[shade], label=label)
        axes[place].set(title=arm)
        for width, style in zip(sorted(set(table["width"])), ("-", "--"), strict=False):
            part = table.query(f"arm == '{arm}' and width == {width}").groupby("log2_lr")["truncation"].median()
            axes[2].plot(part.index, part / width, style, marker="o", ms=2.5, color=OKABE_ITO[color])
            ratios = gaps(table).query(f"arm == '{arm}' and width == {width}")["ratio"]
            axes[3].plot(np.full(len(ratios), place + (0.15 if style == "--" else -0.15)), ratios, "o", ms=4,
                         color=OKABE_ITO[color], fillstyle="none" if style == "--" else "full")  # fmt: skip
    axes[0].set_ylabel("linearised change of the loss, nats")
    axes[0].legend(fontsize=6)
    for axis in axes[:3]:
        axis.set_xlabel(r"$\log_2$ rate at n = 64")
    axes[2].set(title="directions kept / n")
    axes[3].axhline(1, color="black", linewidth=0.8)
    axes[3].set(xticks=(0, 1), xticklabels=["Adam", "Muon"], xlim=(-0.5, 1.5), title="distance to widest,\ncut / whole")
    taken = table.drop_duplicates(["arm", "width", "seed"])["accepted"]
    note = f"64-n-n-10 on digits, {table['steps'].iloc[0]} steps, {table['seed'].nunique()} seeds, muP. Accepted by"
    small_print(drawing, f"{note} Algorithm 1: {int(taken.sum())} of {len(taken)}. Full line, filled: n = {narrow}.")
    return drawing


def claims(table: Any) -> list[Claim]:
    """Whether cutting brings the curves together, and for which optimizer more; for the full profile."""
    if table["seed"].nunique() < 5:
        return []
    found = gaps(table)["ratio"].groupby(["arm", "seed"]).mean().unstack("arm")

    def interval(values: Any) -> Estimate:
        mean, error = float(values.mean()), 2.776 * float(values.sem())  # 95 %, five seeds
        return Estimate(mean, mean - error, mean + error)

    adam, muon = found["Adam, muP"], found["Muon, muP"]
    source = "Ghosh, Wu, Bietti 2025, arXiv 2512.22768 (Algorithm 1, figures by width); digits networks here"
    rows: list[tuple[str, str, float, Estimate, str, Estimate]] = [
        ("HT-J3", "under Adam the truncation of Algorithm 1 brings the curves nearer to the widest network's than the "
         "whole decrease is (ratio of mean distances, n = 32 and 64 against 128)", 1.0, interval(adam),
         "the inverse ratio", interval(1 / adam)),
        ("HT-J4", "that ratio is smaller under Adam than under Muon (paired by seed)", 0.0, interval(adam - muon),
         "the two exchanged", interval(muon - adam)),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=words, source=source, relation="<", method="training run", evaluate=Finding,
              parameters={"predicted": bound, "measured": measured}, expected="holds", attribution="implied",
              tier="run", mutations=(Mutation(change, {"measured": other}),))
        for name, words, bound, measured, change, other in rows
    ]  # fmt: skip
