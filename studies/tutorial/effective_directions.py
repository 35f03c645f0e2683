"""Question: in how many directions does a gradient of the 256 x 128 layer effectively lie?

Claim: about 10 to 20; few large and many tiny singular values.

Source: Wei 2025, "Understanding the Muon Optimizer" (no measure named). Measures here: stable rank, effective rank
(entropy), and the number of directions that hold 90 % and 99 % of the energy; of gradient, momentum and update.

Cost: quick 2 s (digits), full 1 min on one core. Scale: MNIST, perceptron 784-256-128-10 (weight 128 x 256), batch 64,
one epoch, optimizers and rates as the tutorial has them (Muon .01, SGD .01, AdamW .001), 3 seeds, 30 gradients a run.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.problems import load_images, mlp
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, color_of, small_print
from muon_theory.rooms.tutorial.printed import DIRECTIONS
from muon_theory.rooms.tutorial.update import directions_holding
from muon_theory.spectra.summaries import effective_rank, stable_rank
from muon_theory.training.network_run import train_network
from studies.tutorial.muon_from_scratch import TutorialMuon

LAYER = "layer2.weight"
KINDS = {"gradient": "-", "momentum": "--"}
MEASURES = {"directions_90": "90 % of the energy", "directions_99": "99 % of the energy", "effective": "effective rank"}
OPTIMIZERS = ("muon", "sgd", "adamw")


def tutorial_optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer with the tutorial's settings for MNIST."""
    if name == "muon":
        return TutorialMuon(model.parameters())
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.01)
    return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)


def cell(optimizer: str, dataset: str, epochs: float, windows: int, seed: int) -> pd.DataFrame:
    """One run: the spectra of the layer's last gradient and momentum after each window."""
    images = load_images(dataset)
    model = mlp(images.features, seed=seed)
    stepper, weight = tutorial_optimizer(optimizer, model), model.get_parameter(LAYER)

    def observe(_: nn.Module) -> dict[str, float]:
        state: Any = stepper.state.get(weight, {})
        momentum = state.get("momentum_buffer", state.get("exp_avg"))
        seen: dict[str, float] = {}
        for kind, matrix in (("gradient", weight.grad), ("momentum", momentum)):
            if matrix is not None and float(matrix.abs().max()) > 0:
                sigma = torch.linalg.svdvals(matrix.double()).numpy()
                values = (
                    stable_rank(sigma),
                    effective_rank(sigma),
                    *(directions_holding(sigma, x) for x in (0.9, 0.99)),
                )
                names = ("stable", "effective", "directions_90", "directions_99")
                seen |= {f"{kind}_{name}": value for name, value in zip(names, values, strict=True)}
        return seen

    steps = round(epochs * (len(images.train_labels) // 64))
    run = train_network(
        images, model, stepper, steps=steps, seed=seed, schedule_lr="constant", windows=windows, observe=observe
    )
    return run.assign(optimizer=optimizer, dataset=dataset, epochs=epochs, seed=seed)


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per window of a run."""
    fixed = {"dataset": dataset or ("digits" if quick else "mnist"), "epochs": 1}
    fixed |= {"windows": 4 if quick else 30}
    seeds = range(seed, seed + (2 if quick else 3))
    return map_cells(cell, [{"optimizer": name, **fixed, "seed": s} for name in OPTIMIZERS for s in seeds])


def figure(table: Any) -> Figure:
    """Each measure along training, gradient and momentum, beside the tutorial's 10 to 20."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.6), sharey=True)
    for axis, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        axis.axhspan(*DIRECTIONS, color="#EEEEEE", zorder=0)
        for name in OPTIMIZERS:
            runs = table[table["optimizer"] == name]
            for kind, line in KINDS.items():
                if (column := f"{kind}_{measure}") not in runs or runs[column].isna().all():
                    continue
                curve = runs.groupby("step")[column]
                axis.plot(curve.median(), line, color=color_of(name), label=f"{name}, {kind}")
                if kind == "gradient":
                    axis.fill_between(
                        curve.min().index, curve.min(), curve.max(), color=color_of(name), alpha=0.12, lw=0
                    )
        axis.set(yscale="log", xlabel="step", title=title)
    axes[0].set_ylabel("directions of 128")
    axes[0].set_yticks([1, 2, 5, 10, 20, 50, 128], ["1", "2", "5", "10", "20", "50", "128"])
    axes[0].minorticks_off()
    axes[2].legend(fontsize=5.5, ncols=2, loc="lower left")
    row = table.iloc[0]
    text = f"{row['dataset']}, MLP d-256-128-10, the 128 x 256 weight, batch 64, {row['epochs']} epoch, the tutorial's "
    text += f"settings, CPU; {table['seed'].nunique()} seeds: median, bands of gradients: range. Grey: 10 to 20."
    small_print(drawing, text)
    return drawing


def claims(table: Any) -> list[Claim]:
    """TUT-01 and TUT-01-RANGE: medians over the second half of the run and the seeds, for each optimizer."""
    if table["seed"].nunique() < 3:
        return []
    late = table[table["step"] > table["step"].max() / 2].groupby("optimizer").median(numeric_only=True)
    gradients, middle = late["gradient_directions_90"].tolist(), sum(DIRECTIONS) / 2
    away = {name: abs(float(late.loc["muon", name]) - middle) for name in late.columns if "_" in name}
    several = [away[f"gradient_{name}"] for name in MEASURES]
    layer = "256 x 128 layer of the MNIST perceptron, batch 64, later half of an epoch"
    shared: dict[str, Any] = {"source": "Wei 2025, no measure named; this study", "method": "training run",
                              "tier": "run", "evaluate": Finding, "relation": "<="}  # fmt: skip
    return [
        Claim(id="TUT-01", statement="a gradient has few large and many tiny singular values: at most 20 directions of "
              f"128 hold 90 % of its energy ({layer}; AdamW, Muon, SGD)", expected="holds", attribution="printed",
              parameters={"predicted": DIRECTIONS[1], "measured": gradients},
              mutations=(Mutation("one direction", {"predicted": 1}),), **shared),
        Claim(id="TUT-01-RANGE", statement="it effectively uses 10 to 20 directions, whether those that hold 90 % or "
              f"99 % of the energy or the effective rank are meant ({layer}, under Muon; distance from 15)",
              expected="refuted", attribution="implied",
              parameters={"predicted": (DIRECTIONS[1] - DIRECTIONS[0]) / 2, "measured": several},
              mutations=(Mutation("the momentum, 90 % of its energy",
                                  {"measured": [away["momentum_directions_90"]]}),), **shared),
    ]  # fmt: skip
