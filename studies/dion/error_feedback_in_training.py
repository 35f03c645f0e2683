"""Question: does Dion's error feedback lower the loss of a network on stochastic gradients, and at which rank?

Claim: at rank n/8 it does; language models needed it at low rank (the loss degrades steeply below n/2 without it).

Source: Ahn et al. 2025, arXiv 2504.05295 (the claim, on language models); DN-22 states it for a small network. Both
arms are Dion as published (one warm power step, columns of unit length, the factor sqrt(m/n)), hidden matrices only.
Tuned are the length lr sqrt(r), momentum and weight decay, for every rank and arm by the same search. At r = n the arms
are one method up to rounding: what separates them there is the noise of the search and of rounding, not the method.

Cost: quick 3 s (digits, length only), full 3 min on one core (MNIST, a third of an epoch, 8 paired seeds).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.optimizers.dion import Dion
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.hidden_matrices import train_hidden_matrices
from muon_theory.training.tuned_comparison import final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates, momenta, weight_decays

images_of = cache(load_images)
ARMS = ((True, "with", "blue"), (False, "without", "vermillion"))


def cell(
    rank: int, feedback: bool, dataset: str, width: int, steps: int, seed: int, length: float, momentum: float,
    weight_decay: float, windows: int,
) -> pd.DataFrame:  # fmt: skip
    """One run with learning rate length / sqrt(rank)."""
    lr = length / rank**0.5

    def build(matrices):
        return Dion(matrices, lr, momentum, weight_decay, rank=rank, error_feedback=feedback, check_finite=False)

    run = train_hidden_matrices(
        images_of(dataset), build, steps=steps, seed=seed, hidden=(width, width), windows=windows
    )
    fixed = {"rank": rank, "feedback": feedback, "width": width, "dataset": dataset, "seed": seed, "lr": lr,
             "length": length, "momentum": momentum, "weight_decay": weight_decay}  # fmt: skip
    return pd.DataFrame({**fixed, **run.to_dict("list")})


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; `phase` tells the tuning trials from the paired runs."""
    width = 16 if quick else 32
    ranks = (2, 16) if quick else (1, 2, 4, 8, 16, 32)
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "width": width, "steps": 60 if quick else 312}
    grids = {"length": learning_rates(1.28, count=3 if quick else 5)}
    if not quick:
        grids |= {"momentum": momenta((0.8, 0.9, 0.95)), "weight_decay": weight_decays((0.0, 0.03, 0.3))}
    return tuned_runs(
        cell, [{"rank": rank, "feedback": feedback} for rank in ranks for feedback in (True, False)],
        {"length": 1.28, "momentum": 0.9, "weight_decay": 0.0}, grids, shared=shared, windows=1,
        tuning_seeds=[seed + 1000] if quick else [seed + 1000, seed + 1001],
        seeds=[seed + i for i in range(2 if quick else 8)], map_cells=map_cells, refined=None if quick else "length",
    )  # fmt: skip


def figure(table: pd.DataFrame) -> Figure:
    """Final loss of both arms against the rank, the paired difference, and the tuned momentum."""
    losses: Any = final_losses(table, ["rank", "feedback"])
    ranks = sorted({rank for rank, _ in losses.columns})
    drawing, (loss, paired, momentum) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7))
    tuned = table.query("phase == 'runs'").groupby(["feedback", "rank"])["momentum"].first()
    for feedback, name, color in ARMS:
        part = losses.xs(feedback, axis="columns", level="feedback")
        loss.fill_between(ranks, part.min(), part.max(), color=OKABE_ITO[color], alpha=0.15, linewidth=0)
        loss.plot(ranks, part.median(), "o-", color=OKABE_ITO[color], label=f"{name} error feedback")
        momentum.plot(ranks, tuned.loc[feedback], "o-", color=OKABE_ITO[color], label=name)
    loss.set(yscale="log", title="a  tuned", ylabel="test loss / nats")
    loss.set_yticks([0.15, 0.2, 0.3, 0.5, 1], ["0.15", "0.2", "0.3", "0.5", "1"])
    loss.minorticks_off()
    loss.margins(y=0.15)
    loss.legend()
    found = [paired_difference(losses[rank, True].tolist(), losses[rank, False].tolist()) for rank in ranks]
    mean, lower, upper = (np.array([getattr(f, end) for f in found]) for end in ("mean", "lower", "upper"))
    paired.errorbar(ranks, mean, [mean - lower, upper - mean], fmt="o", capsize=2, color=OKABE_ITO["black"])
    for rank, difference in zip(ranks, found, strict=True):
        paired.annotate(difference.word, (rank, difference.upper), rotation=90, fontsize=5.5, ha="center", va="bottom",
                        xytext=(0, 3), textcoords="offset points")  # fmt: skip
    paired.axhline(0, color="black", linewidth=0.6)
    paired.margins(y=0.4)
    paired.set(title="b  with minus without, paired", ylabel="difference of test loss / nats")
    momentum.set(title="c  tuned momentum", ylabel="μ", ylim=(0, 1))
    momentum.legend()
    for axis in (loss, paired, momentum):
        axis.set_xscale("log", base=2)
        axis.set_xticks(ranks, [str(rank) for rank in ranks])
        axis.set_xlabel(f"rank r (n = {ranks[-1]})")
    row, trials = table.query("phase == 'runs'").iloc[0], (table.phase == "tuning").sum()
    text = f"{row.dataset}, MLP d-{row.width}-{row.width}-10, batch 64, {row.step + 1} steps, linear decay, float32, "
    text += f"CPU; {len(losses)} paired seeds: median and range; b: 95 % interval.\nHidden matrices by Dion, each rank "
    text += f"and arm tuned alike ({trials} trials on other seeds); head, biases: AdamW. At r = n the arms are one."
    small_print(drawing, text)
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """The row DN-22: the gain in percent of the loss without feedback, from five seeds on."""
    losses: Any = final_losses(table, ["rank", "feedback"])
    if len(losses) < 5:
        return []
    n = max(rank for rank, _ in losses.columns)
    gains = {int(rank): (100 * (1 - losses[rank, True] / losses[rank, False])).tolist() for rank in (n // 8, n)}
    return [
        Claim(id="DN-22", statement=f"stochastic gradients: at r = n/8 = {n // 8} error feedback lowers the final test "
              "loss of a small network, by more than 1 %, each arm tuned",
              source="Ahn et al. 2025, arXiv 2504.05295 (language models); this study", relation=">",
              method="training run", evaluate=_gain, parameters={"gains": gains, "rank": n // 8},
              mutations=(Mutation("r = n", {"rank": n}),), expected="holds", attribution="implied", tier="run",
              unit="%")
    ]  # fmt: skip


def _gain(*, gains: dict[int, list[float]], rank: int) -> Finding:
    found = paired_difference(gains[rank], [0.0] * len(gains[rank]))
    return Finding(1.0, Estimate(found.mean, found.lower, found.upper))
