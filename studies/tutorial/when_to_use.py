"""Question: for which roles, networks and stages of training does Muon help?

Claim: for hidden matrices and kernels, not for embeddings and output layers; in pre-training, less in fine-tuning; what
works for perceptrons need not for convolutional networks or transformers.

Source: Wei 2025, "Understanding the Muon Optimizer" (advice without measurements). Updates have AdamW's size (Liu et
al. 2025, arXiv 2502.16982), so that one rate serves both optimizers of an arm; the arms differ in who steps what.

Cost: quick 4 s, full 3 min on one core. Scale: perceptron 784-64-32-10 (MNIST, 200 steps), first_convolution_net of 16
channels (digits, 120 steps), transformer of one block, d = 32 (bigram-Zipf law of 64 tokens, 150 steps from scratch; 60
steps on another law after 300 by AdamW); linear decay; rate tuned alike, momentum and decay (0) not; 6 paired seeds.
"""

from __future__ import annotations

import copy
import math
from functools import lru_cache
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from muon_theory.claim import Claim
from muon_theory.optimizers import Hybrid, Muon, route_parameters
from muon_theory.problems import bigram_zipf, first_convolution_net, load_images, mlp, transformer
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import PairedDifference, paired_difference
from muon_theory.training.fine_tuning import excess_loss, token_batches
from muon_theory.training.language_run import train_on_tokens
from muon_theory.training.network_run import train_network
from muon_theory.training.tuned_comparison import final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates
from studies.tutorial._advice_claims import advice_claims

EXTRA = {"hidden": (), "and head": ("head",), "and embeddings": ("embedding",), "everything": ("head", "embedding")}
COLORS = {"hidden": "blue", "and head": "vermillion", "and embeddings": "purple", "everything": "black",
          "adamw": "orange"}  # fmt: skip
ARMS = {
    "perceptron": ("hidden", "and head", "adamw"),
    "convolution": ("hidden", "and head", "adamw"),
    "transformer": tuple(COLORS),
    "fine-tuning": ("hidden", "adamw"),
}
STEPS = {"perceptron": 200, "convolution": 120, "transformer": 150, "fine-tuning": 60}
LENGTH, BATCH, PRETRAINING = 32, 16, 300


def optimizer_of(arm: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """AdamW, or Muon for hidden matrices and the roles an arm adds, with AdamW for the rest."""
    if arm == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    parameters, muon, rest = dict(model.named_parameters()), [], []
    for route in route_parameters(model).routes:
        if route.optimizer == "muon" or route.role in EXTRA[arm]:
            muon.append({"params": [parameters[route.name]], "split_rows": route.split_rows})
        else:
            rest.append(parameters[route.name])
    inner = Muon(muon, lr, 0.0, adjust_lr_fn="match_rms_adamw", check_finite=False)
    return Hybrid([inner, torch.optim.AdamW(rest, lr=lr, weight_decay=0.0)])


@lru_cache(maxsize=16)
def pretrained(seed: int, steps: int) -> nn.Module:
    """A transformer trained by AdamW on one law; not to be modified."""
    model = transformer(64, 32, layers=1, length=LENGTH, seed=seed)
    data = token_batches(bigram_zipf(64, seed=seed), steps, BATCH, LENGTH, seed=seed)
    train_on_tokens(model, optimizer_of("adamw", model, 0.004), data, steps=steps)
    return model


def cell(network: str, arm: str, lr: float, part: float, mnist: bool, seed: int, windows: int) -> dict:
    """One run: test loss, for language the excess over the law's entropy."""
    steps = max(4, round(part * STEPS[network]))
    if network in ("perceptron", "convolution"):
        images = load_images("mnist" if mnist and network == "perceptron" else "digits")
        model = first_convolution_net(16, seed=seed)
        if network == "perceptron":
            model = mlp(images.features, (64, 32), seed=seed)
        loss = train_network(images, model, optimizer_of(arm, model, lr), steps=steps, seed=seed)["test_loss"].iloc[-1]
    else:
        law = bigram_zipf(64, seed=seed, drift=0.5 if network == "fine-tuning" else 0.0)
        model = transformer(64, 32, layers=1, length=LENGTH, seed=seed)
        if network == "fine-tuning":
            model = copy.deepcopy(pretrained(seed, round(part * PRETRAINING)))
        data = token_batches(law, steps, BATCH, LENGTH, seed=seed + 1)
        run = train_on_tokens(model, optimizer_of(arm, model, lr), data, steps=steps)
        loss = math.inf if True in run["diverged"].tolist() else excess_loss(model, law, LENGTH, seed=seed + 2)
    return {"network": network, "arm": arm, "lr": lr, "part": part, "step": steps - 1, "seed": seed,
            "windows": windows, "test_loss": float(loss)}  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; the perceptron's images are MNIST's unless `dataset` is digits or the profile quick."""
    mnist, center = dataset != "digits" and not quick, 0.064 if quick else 0.008
    compared = [{"network": network, "arm": arm} for network in ARMS for arm in ARMS[network]]
    return tuned_runs(
        cell, compared, {"lr": center}, {"lr": learning_rates(center, count=3)}, windows=1, map_cells=map_cells,
        shared={"part": 0.04 if quick else 1.0, "mnist": mnist}, tuning_seeds=[seed + 1000],
        seeds=[seed + i for i in range(2 if quick else 6)], refined=None if quick else "lr",
    )  # fmt: skip


def differences(table: Any, reference: str = "hidden") -> dict[tuple[str, str], PairedDifference]:
    """Paired differences of log loss to an arm, by network and arm: relative differences."""
    losses: Any = final_losses(table, ["network", "arm"]).map(math.log)
    pairs = [(network, arm) for network in ARMS for arm in ARMS[network] if arm != reference]
    return {(n, a): paired_difference(losses[n, a].tolist(), losses[n, reference].tolist()) for n, a in pairs}


def figure(table: Any) -> Figure:
    """Relative differences to Muon for hidden matrices alone, and the tuned rates."""
    drawing, (paired, rates) = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 3.0), width_ratios=(1.6, 1))
    found, ticks = differences(table), []
    for place, ((network, arm), row) in enumerate(found.items()):
        paired.errorbar(row.mean, -place, xerr=row.upper - row.mean, fmt="o", capsize=2, color=OKABE_ITO[COLORS[arm]])
        paired.annotate(f"  {row.word}", (row.upper, -place), fontsize=6, va="center")
        ticks.append(f"{network}: {arm}")
    paired.axvline(0, color="black", linewidth=0.6)
    paired.set_yticks([-place for place in range(len(ticks))], ticks)
    paired.set(xlabel="log(loss / loss of Muon for hidden matrices)", title="a  paired, 95 %", xmargin=0.25)
    runs = table.query("phase == 'runs'").groupby(["arm", "network"])["lr"].first()
    for shift, (arm, color) in enumerate(COLORS.items()):
        places = [place + 0.12 * (shift - 2) for place, network in enumerate(ARMS) if network in runs[arm]]
        rates.plot(places, [runs[arm][n] for n in ARMS if n in runs[arm]], "o", color=OKABE_ITO[color], label=arm)
    rates.set(yscale="log", ylabel="learning rate", title="b  tuned", ylim=(2e-3, None))
    rates.set_xticks(range(len(ARMS)), list(ARMS), rotation=30)
    rates.legend(fontsize=5.5, loc="lower left")
    seeds, trials = table.query("phase == 'runs'")["seed"].nunique(), (table["phase"] == "tuning").sum()
    text = "Small networks, linear decay, updates of AdamW's size, CPU; language: excess over the law's entropy.\n"
    small_print(drawing, text + f"{seeds} paired seeds; rate tuned alike ({trials} trials, another seed)")
    return drawing


def claims(table: Any) -> list[Claim]:
    """TUT-05, TUT-06 and TUT-17."""
    return advice_claims(differences(table)) if table["part"].iloc[0] == 1 else []
