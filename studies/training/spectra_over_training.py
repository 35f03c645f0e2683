"""Question: how do the spectra of gradient, momentum and update change during training under SGD, AdamW and Muon?

Claim: gradients and momenta are of low stable rank throughout, so that SGD's update is too; Muon's update fills all
directions. AdamW divides every entry by its own scale, which knows nothing of singular directions. Found: its update's
stable rank, 4 % of the full one, is hardly above SGD's 3 %; Muon's is 52 %, its effective rank 93 %.

Source: Jordan 2024 (updates of SGD and Adam are almost of low rank: anecdotal); here recorded, exact spectra.
Thresholds were set on seeds 0-2; seeds 100-102, run once afterwards, give both claims the same verdict.

Cost: quick 4 s (digits), full 1 min on one core: MNIST, MLP 784-256-128-10 (235,000 parameters), 312 steps of 64;
10,000 images of CIFAR-10, halved, three convolutions (26,000 parameters), 234 steps of 64; 3 seeds, rates untuned.
"""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Mutation
from muon_theory.problems import Images, load_images
from muon_theory.problems.image_subsets import random_subset, small_conv_net
from muon_theory.recorder import read_spectra
from muon_theory.recorder.schedule import at
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, color_of, small_print
from muon_theory.spectra import effective_rank, nuclear_rank, stable_rank
from muon_theory.training import train
from studies.training._paired import each_over_seeds

OPTIMIZERS = {"sgd": "SGD", "adamw": "AdamW", "muon": "Muon"}
RATES = {
    "perceptron": {"sgd": 0.02, "adamw": 1e-3, "muon": 0.02},
    "convolutions": {"sgd": 0.02, "adamw": 3e-3, "muon": 0.02},
}
KINDS, LAYER = ("gradient", "momentum", "update"), {"perceptron": "layer2.weight", "convolutions": "conv3.weight"}
LEVELS = np.linspace(0, 1, 9)


@cache
def images_of(name: str) -> Images:
    """The data; of CIFAR-10 a part."""
    images = load_images(name)
    return random_subset(images, 10_000, seed=0, tests=2000) if name == "cifar10" else images


def cell(network: str, optimizer: str, dataset: str, steps: int, recorded: list[int], seed: int) -> pd.DataFrame:
    """One recorded run: ranks and quantiles of every spectrum."""
    images, convolutions = images_of(dataset), network == "convolutions"
    model = small_conv_net(images.image_shape, images.channels, seed=seed) if convolutions else None
    with tempfile.TemporaryDirectory() as folder:
        run = train(images, optimizer, lr=RATES[network][optimizer], steps=steps, seed=seed, model=model,
                    record_to=folder, schedule=at(recorded), kinds=KINDS, schedule_lr="linear")  # fmt: skip
        spectra = read_spectra(folder)
    rows = []
    for event in (row for row in spectra.to_dict("records") if row["sigma"][0] > 0):
        sigma = np.asarray(event["sigma"], dtype=float)
        at_levels = sigma[np.round(LEVELS * (len(sigma) - 1)).astype(int)] / sigma[0]
        rows.append({
            **{name: event[name] for name in ("step", "layer", "kind", "rows", "columns")}, "rank": len(sigma),
            "stable_rank": float(stable_rank(sigma)), "effective_rank": float(effective_rank(sigma)),
            "nuclear_rank": float(nuclear_rank(sigma)),
            **{f"sigma_{level:g}": float(value) for level, value in zip(LEVELS, at_levels, strict=True)},
        })  # fmt: skip
    fixed = {"network": network, "optimizer": optimizer, "dataset": dataset, "seed": seed, "steps": steps}
    return pd.DataFrame(rows).assign(test_accuracy=run.test_accuracy.iloc[-1], **fixed).round(6)


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per recorded matrix."""
    runs = {"perceptron": ("mnist", 312), "convolutions": ("cifar10", 234)}
    if quick:
        runs = dict.fromkeys(runs, ("digits", 40))
    cells = []
    for network, (dataset, steps) in runs.items():
        recorded = sorted({0, *np.geomspace(2, steps - 1, 5 if quick else 9).astype(int).tolist()})
        fixed = {"network": network, "dataset": dataset, "steps": steps, "recorded": recorded}
        cells += [
            {**fixed, "optimizer": name, "seed": seed + i} for name in OPTIMIZERS for i in range(1 if quick else 3)
        ]
    return map_cells(cell, cells)


def figure(table: pd.DataFrame) -> Figure:
    """Effective and stable rank over the steps of both networks, and the spectra at the end of the first."""
    drawing, axes = plt.subplots(3, 3, figsize=(DOUBLE_COLUMN, 6.4), sharey="row")
    texts = []
    for line, (network, part) in enumerate(table.groupby("network", sort=False)):
        rows: Any = part[part.layer == LAYER[str(network)]]
        shape = f"{rows['rows'].iloc[0]} × {rows['columns'].iloc[0]}"
        for axis, kind in zip(axes[line], KINDS, strict=True):
            _courses(axis, rows.query("kind == @kind"))
            axis.set_title(f"{kind} of {LAYER[str(network)].split('.')[0]} ({shape})")
        axes[line, 0].set_ylabel(f"{part.dataset.iloc[0]}: rank / {rows['rank'].iloc[0]}")
        accuracy = 100 * part.groupby("optimizer").test_accuracy.median()
        reached = ", ".join(f"{OPTIMIZERS[name]} {accuracy[name]:.1f} %" for name in OPTIMIZERS)
        texts.append(f"{part.dataset.iloc[0]}, {network}, {part.steps.iloc[0]} steps of 64, median accuracy {reached}")
        if line == 0:
            for axis, kind in zip(axes[2], KINDS, strict=True):
                _spectra(axis, rows[(rows.kind == kind) & (rows.step == rows.step.max())])
    axes[2, 0].set_ylabel("σᵢ / σ₁, last step")
    axes[0, 0].legend(fontsize=6)
    text = f"Solid: effective rank exp(entropy), dotted: stable rank; {table.seed.nunique()} seeds, median and range; "
    small_print(drawing, ".\n".join([*texts, text + "learning rates untuned, linear decay. Exact spectra, CPU"]) + ".")
    return drawing


def _courses(axis: Axes, rows: pd.DataFrame) -> None:
    """Effective rank (solid) and stable rank (dotted), both over the largest possible."""
    for name, label in OPTIMIZERS.items():
        of_name = rows.query("optimizer == @name")
        for measure, line in (("effective_rank", "-"), ("stable_rank", ":")):
            share = (of_name[measure] / of_name["rank"]).groupby(of_name.step + 1).agg(["min", "median", "max"])
            axis.fill_between(share.index, share["min"], share["max"], color=color_of(name), alpha=0.15, linewidth=0)
            axis.plot(share.index, share["median"], line, color=color_of(name), label=label if line == "-" else None)
    axis.set(xscale="log", yscale="log", xlabel="step", ylim=(None, 1.1))


def _spectra(axis: Axes, rows: pd.DataFrame) -> None:
    """Relative singular values against their place."""
    for name in OPTIMIZERS:
        middle = rows.query("optimizer == @name")[[f"sigma_{level:g}" for level in LEVELS]].median()
        axis.plot(LEVELS, middle, "o-", color=color_of(name))
    axis.set(yscale="log", ylim=(1e-4, 1.5), xlabel="place i / r")


def claims(table: pd.DataFrame) -> list[Claim]:
    """That SGD's and AdamW's updates are of low rank and Muon's are not; from three seeds on."""
    if table.seed.nunique() < 3:
        return []
    late: Any = table[(table.step >= 30) & (table["rank"] > 10)]
    share = late.assign(stable=late.stable_rank / late["rank"], effective=late.effective_rank / late["rank"])
    updates: Any = share[share.kind == "update"].groupby(["optimizer", "seed"])[["stable", "effective"]].mean()
    stable, full = ({name: updates.loc[name][each].tolist() for name in OPTIMIZERS} for each in ("stable", "effective"))
    rest: dict[str, Any] = {"method": "training run", "tier": "run", "evaluate": each_over_seeds, "expected": "holds",
                            "attribution": "folklore", "source": "Jordan 2024 (anecdotal); run here"}  # fmt: skip
    return [
        Claim(id="SO-LOW", statement="SGD's and AdamW's updates have a stable rank of at most a tenth of the full one",
              relation="<=", parameters={"values": {name: stable[name] for name in ("sgd", "adamw")}, "bound": 0.1},
              mutations=(Mutation("Muon's", {"values": {"muon": stable["muon"]}}),), **rest),
        Claim(id="SO-MUON", statement="Muon's updates have an effective rank of at least .85 of the full one",
              relation=">=", parameters={"values": {"muon": full["muon"]}, "bound": 0.85},
              mutations=(Mutation("AdamW's", {"values": {"adamw": full["adamw"]}}),), **rest),
    ]  # fmt: skip
