"""Question: is Muon unlikely to work well at a small batch, and does it want ten times AdamW's learning rate?

Claim: yes to both (1e-2 against 1e-3).

Source: Wei 2025, "Understanding the Muon Optimizer" (both statements, no measurement). Muon is the tutorial's, on every
tensor at one rate. The number of images seen is the same for all batches.

Cost: quick 4 s (digits), full 2 min on one core. Scale: MNIST, perceptron 784-64-32-10, 20,480 images (1280 steps of
16 to 20 of 1024), linear decay, learning rate tuned for each optimizer and batch (one other seed, to a factor 2),
momentum (.95, AdamW .9) and decay (0) not; 5 paired seeds.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.problems import Images, load_images, mlp
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, color_of, small_print
from muon_theory.training.comparison import PairedDifference, paired_difference
from muon_theory.training.network_run import train_network
from muon_theory.training.tuned_comparison import final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates
from studies.tutorial.muon_from_scratch import TutorialMuon

OPTIMIZERS = ("muon", "sgd", "adamw")
CENTERS = {"muon": 0.01, "sgd": 0.08, "adamw": 0.002}


@lru_cache(maxsize=1)
def images_of(dataset: str) -> Images:
    """The images, read once a process."""
    return load_images(dataset)


def cell(
    optimizer: str,
    batch: int,
    factor: float,
    dataset: str,
    images_seen: int,
    hidden: list[int],
    seed: int,
    windows: int,
) -> pd.DataFrame:
    """One run at the learning rate factor * CENTERS[optimizer]."""
    images, lr = images_of(dataset), factor * CENTERS[optimizer]
    model = mlp(images.features, hidden, images.classes, seed=seed)
    if optimizer == "muon":
        stepper: torch.optim.Optimizer = TutorialMuon(model.parameters(), lr, dtype=torch.float32)
    elif optimizer == "sgd":
        stepper = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.95)
    else:
        stepper = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    run = train_network(
        images,
        model,
        stepper,
        steps=images_seen // batch,
        batch=batch,
        seed=seed,
        schedule_lr="linear",
        windows=windows,
    )
    fixed = {"optimizer": optimizer, "batch": batch, "factor": factor, "lr": lr, "dataset": dataset, "seed": seed}
    return run.assign(**fixed, images_seen=images_seen)


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; `phase` tells the tuning trials from the paired runs."""
    batches = (16, 256) if quick else (16, 64, 256, 1024)
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "images_seen": 1024 if quick else 20_480}
    shared |= {"hidden": [32, 16] if quick else [64, 32]}
    return tuned_runs(
        cell, [{"optimizer": name, "batch": batch} for name in OPTIMIZERS for batch in batches], {"factor": 1.0},
        {"factor": learning_rates(1.0, count=3)}, shared=shared, tuning_seeds=[seed + 1000], windows=1,
        seeds=[seed + i for i in range(2 if quick else 5)], map_cells=map_cells,
    )  # fmt: skip


def differences(table: Any) -> dict[int, PairedDifference]:
    """Muon's test loss minus AdamW's, paired, for each batch."""
    losses: Any = final_losses(table, ["optimizer", "batch"])
    pairs = {b: (losses["muon", b].tolist(), losses["adamw", b].tolist()) for b in sorted(set(table["batch"]))}
    return {batch: paired_difference(*pair) for batch, pair in pairs.items()}


def figure(table: Any) -> Figure:
    """Loss, paired difference and tuned rate against the batch."""
    drawing, (loss, paired, rate) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.6))
    losses: Any = final_losses(table, ["optimizer", "batch"])
    rates = table.query("phase == 'runs'").groupby(["optimizer", "batch"])["lr"].first()
    for name in OPTIMIZERS:
        part = losses[name]
        loss.fill_between(part.columns, part.min(), part.max(), color=color_of(name), alpha=0.15, linewidth=0)
        loss.plot(part.median(), "o-", color=color_of(name), label=name)
        rate.plot(rates[name], "o-", color=color_of(name), label=name)
    found = differences(table)
    for batch, row in found.items():
        paired.errorbar(batch, row.mean, row.upper - row.mean, fmt="o", capsize=2, color=color_of("muon"))
        paired.annotate(row.word, (batch, row.upper), rotation=90, fontsize=6, ha="center", va="bottom", xytext=(0, 3),
                        textcoords="offset points")  # fmt: skip
    paired.axhline(0, color="black", linewidth=0.6)
    loss.set(yscale="log", ylabel="test loss / nats", title="a  tuned")
    loss.set_yticks([0.15, 0.2, 0.3, 0.5, 1], ["0.15", "0.2", "0.3", "0.5", "1"])
    loss.legend(loc="upper left")
    paired.set(ylabel="Muon minus AdamW / nats", title="b  paired, 95 %", ymargin=0.35)
    rate.set(yscale="log", ylabel="learning rate", title="c  tuned rate")
    for axis in (loss, paired, rate):
        axis.set_xscale("log", base=2)
        axis.set_xticks(list(found), [str(batch) for batch in found])
        axis.set_xlabel("batch")
    loss.minorticks_off()
    text = "{dataset}, MLP with two hidden layers, {images_seen} images seen, linear decay, CPU".format(**table.iloc[0])
    trials = f"rates tuned alike ({(table['phase'] == 'tuning').sum()} trials, another seed)"
    small_print(drawing, f"{text}; {len(losses)} paired seeds: median and range; {trials}")
    return drawing


def claims(table: Any) -> list[Claim]:
    """TUT-07, TUT-15 and TUT-15-SIGN."""
    if (runs := table.query("phase == 'runs'"))["seed"].nunique() < 5:
        return []
    estimates = {batch: Estimate(row.mean, row.lower, row.upper) for batch, row in differences(table).items()}
    rates = runs.groupby(["optimizer", "batch"])["lr"].first()
    ratios = [float(rates["muon", batch] / rates["adamw", batch]) for batch in estimates]
    octaves = [round(abs(math.log2(ratio / 10)), 6) for ratio in ratios]
    small, ratio = min(estimates), "the ratio of the tuned rates at every batch from 16 to 1024 (MNIST perceptron) is"
    shared: dict[str, Any] = {"source": "Wei 2025; this study", "method": "training run", "tier": "run",
                              "attribution": "implied", "evaluate": Finding}  # fmt: skip
    return [
        Claim(id="TUT-07", statement=f"Muon is unlikely to work well at a small batch: at batch {small} its test loss "
              "is higher than AdamW's (MNIST perceptron, tuned, paired)", relation=">", expected="refuted", unit="nats",
              parameters={"predicted": 0.0, "measured": estimates[small]},
              mutations=(Mutation("AdamW against Muon", {"measured": -estimates[small].value}),), **shared),
        Claim(id="TUT-15", statement=f"Muon wants ten times AdamW's learning rate (1e-2, 1e-3): {ratio} 10 to a "
              "factor 2 (octaves from 10)", relation="<=", parameters={"predicted": 1.0, "measured": octaves},
              expected="refuted", mutations=(Mutation("batch 1024", {"measured": octaves[-1:]}),), **shared),
        Claim(id="TUT-15-SIGN", statement=f"Muon wants higher learning rates than AdamW: {ratio} at least 1",
              relation=">=", parameters={"predicted": 1.0, "measured": ratios}, expected="holds",
              mutations=(Mutation("in the other direction", {"measured": [1 / r for r in ratios]}),), **shared),
    ]  # fmt: skip
