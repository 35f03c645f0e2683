"""Question: what does get_post_step_metrics, norm and largest entry of each update, tell about a run?

Claim: it gives what one needs to watch an optimizer.

Source: Wei 2025 (the claim); allenai/OLMo pull request 882 (keys; sizes before the learning rate). Here the sizes are
those of `muon_theory.optimizers.get_post_step_metrics` divided by the learning rate. A run *fails* where its rate is
too large: its test loss ends a nat or more above that of its optimizer's best rate, which is smaller, or it diverges.

Cost: quick 3 s (digits), full 1 min on one core. Scale: MNIST, perceptron 784-128-64-10, batch 64, 150 steps, constant
rate: five rates, factor 4 apart, for each of Muon, SGD, AdamW, momentum .95 (AdamW .9), 3 seeds.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.optimizers import UpdateRecord, get_post_step_metrics
from muon_theory.problems import load_images, mlp
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, color_of, small_print
from muon_theory.training.network_run import train_network
from studies.tutorial.muon_from_scratch import TutorialMuon

LAYER = "layer2.weight"
CENTERS = {"muon": 0.01, "sgd": 0.04, "adamw": 0.001}
SIZES = {"norm": "norm of the update", "max": "largest entry of the update"}


def optimizer_of(name: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """The optimizer, without decay."""
    if name == "muon":
        return TutorialMuon(model.parameters(), lr)
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.95)
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)


def cell(optimizer: str, factor: float, dataset: str, steps: int, windows: int, seed: int) -> pd.DataFrame:
    """One run: the metrics of the layer after each window."""
    images = load_images(dataset)
    model, lr = mlp(images.features, (128, 64), seed=seed), CENTERS[optimizer] * factor
    stepper = optimizer_of(optimizer, model, lr)
    record = UpdateRecord(stepper)

    def observe(_: nn.Module) -> dict[str, float]:
        metrics = get_post_step_metrics(stepper, model)
        return {size: metrics[f"update/{LAYER}.{size}"] / lr for size in SIZES}

    run = train_network(
        images, model, stepper, steps=steps, seed=seed, schedule_lr="constant", windows=windows, observe=observe
    )
    record.close()
    fixed = {"optimizer": optimizer, "factor": factor, "lr": lr, "dataset": dataset, "seed": seed}
    return run.reindex(columns=[*run.columns.union(list(SIZES), sort=False)]).assign(**fixed)


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per window of a run."""
    fixed = {"dataset": dataset or ("digits" if quick else "mnist"), "steps": 20 if quick else 150}
    fixed |= {"windows": 5 if quick else 10}
    factors = (1.0, 256.0) if quick else tuple(4.0**i for i in range(-1, 4))
    seeds = range(seed, seed + (1 if quick else 3))
    arms = [{"optimizer": name, "factor": factor} for name in CENTERS for factor in factors]
    return map_cells(cell, [{**arm, **fixed, "seed": s} for arm in arms for s in seeds])


def outcomes(table: Any) -> Any:
    """One row a run: test loss at the end, median sizes over the run, and whether it fails."""
    ordered = table.sort_values("step")
    runs = ordered.groupby(["optimizer", "lr", "seed"]).agg(
        test_loss=("test_loss", "last"), diverged=("diverged", "max"), norm=("norm", "median"), max=("max", "median")
    )
    runs = runs.reset_index()
    means = runs.groupby(["optimizer", "lr"])["test_loss"].mean()
    best = {name: (part.idxmin()[1], part.min()) for name, part in means.groupby("optimizer")}
    rates, losses = ([best[name][i] for name in runs["optimizer"]] for i in (0, 1))
    above = ~(runs["test_loss"] - losses < 1) & (runs["lr"] > rates)
    return runs.assign(failing=runs["diverged"].astype(bool) | above)


def separation(table: Any) -> dict[str, dict[str, float]]:
    """For each optimizer and size, the median of failing runs over that of the others; NaN where there are none."""
    runs, found = outcomes(table), {}
    for name, part in runs.groupby("optimizer"):
        medians = part.groupby("failing")[list(SIZES)].median()
        both = {True, False} <= set(medians.index)
        found[name] = {s: float(medians.loc[True, s] / medians.loc[False, s]) if both else np.nan for s in SIZES}
    return found


def figure(table: Any) -> Figure:
    """The norm along a good and a failing run of each optimizer, and the sizes against the loss at the end."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7))
    runs = outcomes(table)
    for name in CENTERS:
        own = runs[runs["optimizer"] == name]
        means = own.groupby("lr")["test_loss"].mean()
        failing = own[own["failing"]]["lr"]
        for lr, line in ((means.idxmin(), "-"), (failing.min() if len(failing) else None, "--")):
            if lr is not None:
                shown = table[(table["optimizer"] == name) & (table["lr"] == lr)].groupby("step")["norm"].median()
                axes[0].plot(shown, line, color=color_of(name), label=f"{name}, rate {lr:.2g}")
        for axis, size in zip(axes[1:], SIZES, strict=True):
            for failed, marker in ((False, "o"), (True, "x")):
                part = own[own["failing"] == failed]
                loss = part["test_loss"].replace(np.inf, np.nan).fillna(30).clip(upper=30)
                axis.plot(part[size], loss, marker, color=color_of(name), label=None if failed else name, ls="")
    axes[0].set(yscale="log", xlabel="step", ylabel="norm before the rate", title="a  best and failing (- -) rate")
    axes[0].legend(fontsize=5.5, loc="lower left")
    for axis, size, title in zip(axes[1:], SIZES, ("median norm", "median largest entry"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel=title, title=f"update/{{name}}.{size}")
        axis.set_yticks([0.3, 1, 3, 10], ["0.3", "1", "3", "10"])
        axis.minorticks_off()
    axes[1].set_ylabel("test loss at the end / nats")
    axes[1].legend(fontsize=6, loc="upper right")
    row = table.iloc[0]
    text = (
        f"{row['dataset']}, MLP d-128-64-10, {LAYER}, batch 64, {table['step'].max() + 1} steps, constant rates, CPU; "
    )
    small_print(
        drawing, text + f"{table['seed'].nunique()} seeds; crosses: failing runs (rate too large, a nat above the best)"
    )
    return drawing


def claims(table: Any) -> list[Claim]:
    """TUT-20-RUN: the norm of failing runs over that of the others, by optimizer."""
    if table["seed"].nunique() < 3:
        return []
    found = separation(table)
    return [
        Claim(id="TUT-20-RUN", statement="the norm in get_post_step_metrics tells a failing run: its median over "
              "failing runs is at least twice, or at most half, that over the others under Muon (MNIST, five rates)",
              source="Wei 2025; allenai/OLMo pull request 882; this study", relation=">=", method="training run",
              evaluate=_factor, parameters={"ratio": found["muon"]["norm"]}, expected="refuted", tier="run",
              attribution="implied", mutations=(Mutation("SGD", {"ratio": found["sgd"]["norm"]}),)),
    ]  # fmt: skip


def _factor(*, ratio: float) -> Finding:
    return Finding(2.0, max(ratio, 1 / ratio))
