"""Question: does blending Fanion-k with the normalised momentum, F-Fanion-k, help training once each blend is tuned?

Claim: F-Muon (alpha = 1/2) is as good as Muon (94.01 and 94.01 % on CIFAR-10), and F-Neon rescues Neon (87.15 after
69.8 %); there the blends were tuned for k = r only. Here learning rate, momentum and weight decay are tuned for every
alpha at k = 1 and k = r; alpha = 1 is Neon or Muon, alpha = 0 normalised SGD. Tuned as the length
lr (alpha sqrt k + 1 - alpha), the largest Frobenius norm a first step can have.

Source: Kravatskiy et al. 2025, arXiv 2512.09678, tables on CIFAR-10 (the claim).

Cost: quick 3 s (digits, length only), full 3 min on one core (MNIST, a third of an epoch, 8 paired seeds).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.optimizers.fanion import FFanion
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.hidden_matrices import train_hidden_matrices
from muon_theory.training.tuned_comparison import final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates, momenta, weight_decays
from studies.fanions._blend_panels import gain_over_the_better_end, loss_against_alpha

images_of = cache(load_images)


def cell(
    k: int, alpha: float, dataset: str, width: int, steps: int, seed: int, length: float, momentum: float,
    weight_decay: float, windows: int,
) -> pd.DataFrame:  # fmt: skip
    """One run with learning rate length / (alpha sqrt k + 1 - alpha)."""
    lr = length / (alpha * k**0.5 + 1 - alpha)

    def build(matrices):
        return FFanion(matrices, k, lr, momentum, weight_decay=weight_decay, alpha=alpha, check_finite=False)

    run = train_hidden_matrices(
        images_of(dataset), build, steps=steps, seed=seed, hidden=(width, width), windows=windows
    )
    fixed = {"k": k, "alpha": alpha, "width": width, "dataset": dataset, "seed": seed, "lr": lr, "length": length,
             "momentum": momentum, "weight_decay": weight_decay}  # fmt: skip
    return pd.DataFrame({**fixed, **run.to_dict("list")})


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; `phase` tells the trials from the paired runs; alpha = 0, the same for all k, runs once."""
    width = 16 if quick else 32
    alphas = (0.5, 1.0) if quick else (0.25, 0.5, 0.75, 1.0)
    compared = [{"k": width, "alpha": 0.0}, *({"k": k, "alpha": alpha} for k in (1, width) for alpha in alphas)]
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "width": width, "steps": 60 if quick else 312}
    grids = {"length": learning_rates(0.64, count=3 if quick else 5)}
    if not quick:
        grids |= {"momentum": momenta((0.8, 0.9, 0.95)), "weight_decay": weight_decays((0.0, 0.03, 0.3))}
    return tuned_runs(
        cell, compared, {"length": 0.64, "momentum": 0.9, "weight_decay": 0.0}, grids, shared=shared, windows=1,
        tuning_seeds=[seed + 1000] if quick else [seed + 1000, seed + 1001],
        seeds=[seed + i for i in range(2 if quick else 8)], map_cells=map_cells, refined=None if quick else "length",
    )  # fmt: skip


def figure(table: pd.DataFrame) -> Figure:
    """Final loss against alpha for both k, and the loss of the tuning trials against the step's length."""
    losses: Any = final_losses(table, ["k", "alpha"])
    r = max(k for k, _ in losses.columns)
    names = {r: "F-Muon (k = r)", 1: "F-Neon (k = 1)"}
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7))
    loss_against_alpha(axes[0], losses, names, "normalised SGD")
    gain_over_the_better_end(axes[1], losses, names, "norm. SGD")
    _sensitivity(axes[2], table, r)
    row, trials = table.query("phase == 'runs'").iloc[0], (table.phase == "tuning").sum()
    text = f"{row.dataset}, MLP d-{row.width}-{row.width}-10 (r = {row.width}), batch 64, {row.step + 1} steps, linear "
    text += f"decay, float32, CPU; {len(losses)} paired seeds: a: median and range; "
    text += "b: 95 % interval.\nHidden matrices by F-Fanion-k, each "
    text += f"(k, α) tuned alike ({trials} trials on other seeds); head and biases by AdamW."
    small_print(drawing, text)
    return drawing


def _sensitivity(axis, table: pd.DataFrame, r: int) -> None:
    """Loss of the tuning trials against the length, at the starting momentum and without decay."""
    trials = table.query("phase == 'tuning' and momentum == 0.9 and weight_decay == 0")
    styles = {(r, 1.0): ("blue", "-", "Muon"), (r, 0.5): ("blue", "--", "F-Muon, α = ½"),
              (1, 1.0): ("vermillion", "-", "Neon"), (1, 0.5): ("vermillion", "--", "F-Neon, α = ½"),
              (r, 0.0): ("grey", "-", "normalised SGD")}  # fmt: skip
    curves: Any = trials.groupby(["k", "alpha", "length"])["test_loss"].mean()
    for configuration, (color, line, label) in styles.items():
        curve = curves.loc[configuration]
        axis.plot(curve.index, curve, line, marker=".", color=OKABE_ITO[color], label=label)
    axis.set(xscale="log", yscale="log", title="c  trials", ylabel="test loss / nats",
             xlabel="length lr (α √k + 1 − α)")  # fmt: skip
    axis.set_xticks([0.16, 0.32, 0.64, 1.28, 2.56], ["0.16", "0.32", "0.64", "1.28", "2.56"])
    axis.set_yticks([0.15, 0.2, 0.3, 0.5, 1, 2], ["0.15", "0.2", "0.3", "0.5", "1", "2"])
    axis.minorticks_off()
    axis.legend(handlelength=1.6, fontsize=6)


def claims(table: pd.DataFrame) -> list[Claim]:
    """That half a Frobenius part rescues Neon, not beyond that part alone, and costs Muon little; from five seeds."""
    losses: Any = final_losses(table, ["k", "alpha"])
    if len(losses) < 5:
        return []
    r = max(k for k, _ in losses.columns)
    values = {f"{k} {alpha:g}": losses[k, alpha].tolist() for k, alpha in losses.columns}
    source = "Kravatskiy et al. 2025, arXiv 2512.09678, table on CIFAR-10 (accuracies); this study"
    rows = [
        ("BF-NEON", "F-Neon (alpha = 1/2) ends at a lower loss than Neon, each tuned", "1 0.5", "1 1", 1.0,
         "printed", Mutation("exchanged", {"first": "1 1", "second": "1 0.5"})),
        ("BF-MUON", "F-Muon (alpha = 1/2) ends at no more than 1.1 times Muon's loss, each tuned", f"{r} 0.5", f"{r} 1",
         1.1, "printed", Mutation("Neon against F-Muon", {"first": "1 1", "second": f"{r} 0.5"})),
        ("BF-NSGD", "normalised SGD alone ends at a lower loss than F-Neon (alpha = 1/2), each tuned", f"{r} 0",
         "1 0.5", 1.0, "ours", Mutation("exchanged", {"first": "1 0.5", "second": f"{r} 0"})),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=words, source=source, relation="<", method="training run", evaluate=_difference,
              parameters={"values": values, "first": first, "second": second, "factor": factor}, mutations=(mutation,),
              expected="holds", attribution=attribution, tier="run", unit="nats")  # pyright: ignore[reportArgumentType]
        for name, words, first, second, factor, attribution, mutation in rows
    ]  # fmt: skip


def _difference(*, values: dict[str, list[float]], first: str, second: str, factor: float) -> Finding:
    found = paired_difference(values[first], [factor * loss for loss in values[second]])
    return Finding(0.0, Estimate(found.mean, found.lower, found.upper))
