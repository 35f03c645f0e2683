"""Question: which k in Fanion-k trains best, once learning rate, momentum and weight decay of each k are tuned?

Claim: at Muon's learning rate Neon and Fanion-5 train far worse than Muon (69.8, 80.7 and 94.0 % on CIFAR-10), but a
step of k directions is sqrt(k) long: at an equal rate a small k also steps shorter. Here each k has a step length of
its own. A quadratic model with one curvature in every direction would choose the k with the largest KF_k(G)^2 / k, one
with a curvature bounded in the spectral norm all r; G is the gradient on 10,000 training images.

Source: Kravatskiy et al. 2025, arXiv 2512.09678 (the claim; KF_k^2 / (2 L_k) as the gain of a step); the choice of k
by it is derived here. A product with the gradient is a matvec: one power iteration of a block of k takes 2k of them,
five Newton-Schulz steps of degree 5 on a 32 x 784 matrix 5 (2 * 32 + 32^2 / 784) = 327 and on 32 x 32 480.

Cost: quick 4 s (digits, learning rate only), full 3 min on one core (MNIST, a third of an epoch, 8 paired seeds).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.norms import KyFan
from muon_theory.optimizers.fanion import Fanion
from muon_theory.optimizers.parameter_groups import parameter_roles
from muon_theory.problems import Images, load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.hidden_matrices import train_hidden_matrices
from muon_theory.training.tuned_comparison import differences_to, final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates, momenta, weight_decays

images_of = cache(load_images)


def cell(
    k: int, dataset: str, width: int, steps: int, seed: int, length: float, momentum: float, weight_decay: float,
    windows: int,
) -> pd.DataFrame:  # fmt: skip
    """One run with learning rate length / sqrt(k); windows other than 1 look at the gradient too."""
    images, lr = images_of(dataset), length / k**0.5
    run = train_hidden_matrices(
        images, lambda matrices: Fanion(matrices, k, lr, momentum, weight_decay=weight_decay, check_finite=False),
        steps=steps, seed=seed, hidden=(width, width), windows=windows,
        observe=(lambda model: gradient_shares(model, images, k)) if windows > 1 else None,
    )  # fmt: skip
    fixed = {"k": k, "width": width, "dataset": dataset, "seed": seed, "lr": lr, "length": length,
             "momentum": momentum, "weight_decay": weight_decay}  # fmt: skip
    return pd.DataFrame({**fixed, **run.to_dict("list")})


def gradient_shares(model: nn.Module, images: Images, k: int, *, count: int = 10_000) -> dict[str, float]:
    """KF_k(G) / nuc(G) of the hidden matrices' gradient, and the k that maximises KF_k(G)^2 / k: both means."""
    model.zero_grad()
    nn.functional.cross_entropy(model(images.train_images[:count]), images.train_labels[:count]).backward()
    gradients = [matrix.grad for _, matrix in parameter_roles(model).matrices if matrix.grad is not None]
    norms = torch.stack([torch.stack([KyFan(j).value(G) for G in gradients]) for j in range(1, len(gradients[0]) + 1)])
    count_of = torch.arange(1, len(norms) + 1, dtype=norms.dtype)[:, None]
    chosen = (norms**2 / count_of).argmax(0) + 1
    return {"share": float((norms[k - 1] / norms[-1]).mean()), "isotropic_k": float(chosen.double().mean())}


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run and window of steps; `phase` tells the tuning trials from the paired runs."""
    ks, width = ((1, 4, 16), 16) if quick else ((1, 2, 4, 8, 16, 24, 32), 32)
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "width": width, "steps": 60 if quick else 312}
    grids = {"length": learning_rates(0.64, count=3 if quick else 5)}
    if not quick:
        grids |= {"momentum": momenta((0.8, 0.9, 0.95)), "weight_decay": weight_decays((0.0, 0.03, 0.3))}
    return tuned_runs(
        cell, [{"k": k} for k in ks], {"length": 0.64, "momentum": 0.9, "weight_decay": 0.0}, grids, shared=shared,
        tuning_seeds=[seed + 1000] if quick else [seed + 1000, seed + 1001], windows=3 if quick else 6,
        seeds=[seed + i for i in range(2 if quick else 8)], map_cells=map_cells, refined=None if quick else "length",
    )  # fmt: skip


def figure(table: pd.DataFrame) -> Figure:
    """Final loss, tuned length of a step and share of the gradient's nuclear norm, against k."""
    losses: Any = final_losses(table, ["k"])
    ks = losses.columns.to_numpy()
    drawing, (loss, length, share) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7))
    loss.fill_between(ks, losses.min(), losses.max(), color=OKABE_ITO["blue"], alpha=0.15, linewidth=0)
    loss.plot(ks, losses.median(), "o-", color=OKABE_ITO["blue"])
    for k, row in differences_to(losses, ks[-1]).iloc[:-1].iterrows():
        loss.annotate(row["word"], (k, losses[k].max()), rotation=90, fontsize=5.5, ha="center", va="bottom",
                      xytext=(0, 2), textcoords="offset points")  # fmt: skip
    loss.annotate("Neon", (1, losses[1].min()), (2, -9), textcoords="offset points", fontsize=6)
    loss.annotate("Muon", (ks[-1], losses[ks[-1]].min()), (0, -9), textcoords="offset points", fontsize=6, ha="center")
    loss.set(yscale="log", ylabel="test loss / nats", title="a  tuned (words: against Muon)")
    loss.set_yticks([0.15, 0.2, 0.3, 0.5, 1, 2], ["0.15", "0.2", "0.3", "0.5", "1", "2"])
    loss.minorticks_off()
    loss.margins(y=0.25)
    runs = table.query("phase == 'runs'")
    tuned = runs.groupby("k")[["length", "lr"]].first()
    for name, color, label in (("length", "vermillion", "length lr √k"), ("lr", "grey", "lr")):
        length.plot(ks, tuned[name], "o-", color=OKABE_ITO[color], label=label)
    length.set(yscale="log", ylabel="weights (Frobenius norm)", title="b  tuned length of the first step")
    length.set_yticks([0.08, 0.16, 0.32, 0.64], ["0.08", "0.16", "0.32", "0.64"])
    length.minorticks_off()
    length.set_ylim(0.06, 1)
    length.legend()
    _shares(share, runs)
    for axis in (loss, length, share):
        axis.set_xscale("log", base=2)
        axis.set(xlabel="k", xticks=[2**i for i in range(int(np.log2(ks[-1])) + 1)])
        axis.set_xticklabels([str(2**i) for i in range(int(np.log2(ks[-1])) + 1)])
    row, trials = runs.iloc[0], (table.phase == "tuning").sum()
    text = f"{row.dataset}, MLP d-{row.width}-{row.width}-10, batch 64, {runs.step.max() + 1} steps, linear decay, "
    text += f"float32, CPU; {runs.seed.nunique()} paired seeds: median and range.\nHidden matrices by Fanion-k, "
    text += f"each k tuned alike ({trials} trials on other seeds); head, biases: AdamW. c: 10,000 images; dotted: Muon."
    small_print(drawing, text)
    return drawing


def _shares(axis: Axes, runs: pd.DataFrame) -> None:
    """Share of the nuclear norm that k directions hold, at the first, the middle and the last window."""
    steps = sorted(set(runs.query("k == k.max()")["step"]))
    for step, color in zip((steps[0], steps[len(steps) // 2], steps[-1]), ("sky", "blue", "black"), strict=True):
        part: Any = runs.query("step == @step").groupby("k")[["share", "isotropic_k"]].median()
        axis.plot(part.index, part["share"], "o-", color=OKABE_ITO[color], label=f"after step {step + 1}")
        axis.axvline(part["isotropic_k"].iloc[-1], color=OKABE_ITO[color], linestyle=":", linewidth=1)
    axis.set(ylim=(0, 1.03), ylabel="KF$_k$(G) / nuc(G)", title="c  dotted: argmax of KF$_k^2$/k")
    axis.legend(loc="lower right")


def claims(table: pd.DataFrame) -> list[Claim]:
    """That Muon wins over small k even at tuned lengths, from five seeds on."""
    losses: Any = final_losses(table, ["k"])
    if len(losses) < 5:
        return []
    values = {int(k): losses[k].tolist() for k in losses.columns}
    return [
        Claim(id="WK-SMALL", statement="at tuned step lengths Fanion-k with k <= r/4 ends at a higher loss than Muon",
              source="implied by Kravatskiy et al. 2025, arXiv 2512.09678 (untuned); this study", relation=">",
              method="training run", evaluate=_excess, parameters={"values": values, "ks": [1, 2, 4, 8]},
              mutations=(Mutation("Muon exchanged with the others", {"sign": -1.0}),), expected="holds",
              attribution="implied", tier="run", unit="nats")
    ]  # fmt: skip


def _excess(*, values: dict[int, list[float]], ks: list[int], sign: float = 1.0) -> Finding:
    found = [paired_difference([sign * x for x in values[k]], [sign * x for x in values[max(values)]]) for k in ks]
    return Finding(0.0, [Estimate(d.mean, d.lower, d.upper) for d in found])
