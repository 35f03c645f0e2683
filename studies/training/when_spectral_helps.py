"""Question: can one tell from a layer's gradient and its incoming activations whether Muon is worth it there?

Claim: a spectral step beats a Frobenius step where the gradient's squared nuclear-to-Frobenius ratio (its nuclear rank)
exceeds the stable rank of the incoming activations: then its guaranteed decrease is larger. Measured here: one step of
one layer along polar(G) and along G, at the lengths of the guarantees and at the best length of a line search, all
else held, without noise; and training with Muon switched off layer by layer. Found: rank correlation .86 at guaranteed
and .60 at best lengths; ratio and measured gain exceed 1 nearly always, so the winner is no test; what switching off a
layer costs (.044, .009, .008 nats) the ratio (3.4, 3.7, 3.3) does not tell.

Source: Davis and Drusvyatskiy 2025, arXiv 2512.04299 (relayed; the criterion is derived in training/spectral_gain).
A layer switched off takes the normalised momentum, of the polar factor's Frobenius norm, at a length of its own: the
learning rate of the others is tuned with Muon everywhere, its own then by the same search; other seeds, momentum .9.

Cost: quick 5 s (digits), full 2 min on one core: MNIST, a third of an epoch, MLP 784-32-32-32-10 (28,000 parameters),
5 paired seeds; probes on 1000 training images, 5 seeds, runs of Muon and of the normalised gradient.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Mutation
from muon_theory.optimizers import Power, SpectralMap
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.hidden_matrices import train_hidden_matrices
from muon_theory.training.spectral_gain import spectral_gain
from muon_theory.training.tuned_comparison import differences_to, final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates
from studies.training._gain_panels import advantage, agreement
from studies.training._paired import excess, over_seeds

LAYERS = {"layer1.weight": "green", "layer2.weight": "blue", "layer3.weight": "purple", "head.weight": "orange"}
COUNT, MOMENTS = 1000, (1, 3, 8, 26)  # after these 26ths of a run
images_of = cache(load_images)


def cell(
    off: str, dataset: str, width: int, steps: int, seed: int, lr: float, ratio: float, windows: int,
    probe: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """One run with Muon off in layer `off` ("none", "all"), there at ratio * lr; with `probe`, steps of each layer."""
    images, names, seen = images_of(dataset), list(LAYERS)[:3], []
    passed = count(1)

    def build(matrices):
        switched = [off in (name, "all") for name in names]
        groups = [{"params": [W], "f": Power(1.0 if gone else 0.0), "lr": lr * (ratio if gone else 1.0)}
                  for W, gone in zip(matrices, switched, strict=True)]  # fmt: skip
        return SpectralMap(groups, Power(0.0), lr, 0.9, check_finite=False)

    def observe(model) -> dict[str, float]:
        window = next(passed)
        if probe and (windows < 26 or window in MOMENTS):
            inputs, labels = images.train_images[:COUNT].double(), images.train_labels[:COUNT]
            model.double()
            seen.extend({"layer": name, "window": window - 1, **spectral_gain(model, name, inputs, labels)}
                        for name in LAYERS)  # fmt: skip
            model.float()
        return {}

    run = train_hidden_matrices(
        images, build, steps=steps, seed=seed, hidden=(width,) * 3, windows=windows, observe=observe
    )
    fixed = {"off": off, "dataset": dataset, "width": width, "seed": seed, "lr": lr, "ratio": ratio}
    if probe:
        return pd.DataFrame(seen).assign(step=lambda t: run.step.to_numpy()[t.window], **fixed)
    return run.assign(**fixed)


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per probe of a layer (phase "probe") and per run (phases "tuning" and "runs")."""
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "width": 16 if quick else 32,
              "steps": 60 if quick else 312}  # fmt: skip
    seeds, rates = [seed + i for i in range(2 if quick else 5)], 3
    options: dict[str, Any] = {"shared": shared, "seeds": seeds, "windows": 1, "map_cells": map_cells,
                               "tuning_seeds": [seed + 1000]}  # fmt: skip
    start, grid = {"lr": 0.08, "ratio": 1.0}, learning_rates(0.08, count=rates)
    whole = tuned_runs(cell, [{"off": "none", "ratio": 1.0}], {"lr": 0.08}, {"lr": grid}, **options)
    lr = float(whole.query("phase == 'runs'").lr.iloc[0])
    arms = [{"off": name} for name in (("layer2.weight", "all") if quick else (*list(LAYERS)[:3], "all"))]
    parts = tuned_runs(cell, arms, start | {"lr": lr}, {"ratio": learning_rates(1.0, count=rates)}, **options)
    paths = [{"off": off, "seed": seed + 2000 + i} for off in ("none", "all") for i in range(1 if quick else 5)]
    looked = {"lr": lr, "ratio": 1.0, "windows": 3 if quick else 26, "probe": True}
    probes = map_cells(cell, [{**shared, **looked, **path} for path in paths])
    return pd.concat([probes.assign(phase="probe"), whole, parts], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Measured against predicted advantage of both kinds, and what switching Muon off costs."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 3.0))
    probes = table.query("phase == 'probe'")
    for axis, measure in zip(axes, ("line", "scaled"), strict=False):
        advantage(axis, table, measure, LAYERS)
    axes[0].legend(fontsize=6)
    losses: Any = final_losses(table, ["off"])
    arms = [name for name in [*LAYERS, "all"] if name in losses.columns]
    found = differences_to(losses, "none")
    typical = probes.query("off == 'none'").groupby("layer").predicted.median()
    for x, name in enumerate(arms):
        axes[2].plot(np.full(len(losses), x), losses[name] - losses["none"], "_", color=OKABE_ITO["grey"], ms=8)
        row = found.loc[name]
        axes[2].errorbar(x + 0.2, row["mean"], [[row["mean"] - row.lower], [row.upper - row["mean"]]], fmt="o", ms=3,
                         capsize=2, color=OKABE_ITO[LAYERS.get(name, "vermillion")])  # fmt: skip
        axes[2].annotate(row.word, (x, row.upper), (0, 6), textcoords="offset points", fontsize=6, ha="center")
    texts = [f"{name.split('.')[0]}\n({typical[name]:.1f})" if name in typical else "all" for name in arms]
    axes[2].set_xticks(range(len(arms)), texts)
    axes[2].axhline(0, color=OKABE_ITO["black"], lw=0.6)
    axes[2].margins(x=0.2, y=0.2)
    axes[2].set(xlabel="Muon off in (median prediction)", ylabel="test loss minus Muon's / nats",
                title="c  switched off, tuned")  # fmt: skip
    row = table.query("phase == 'runs'").iloc[0]
    text = f"{row.dataset}, MLP d-{row.width:.0f}-{row.width:.0f}-{row.width:.0f}-10, batch 64, {row.step + 1:.0f} "
    text += f"steps, linear decay, CPU. a, b: {len(probes)} probes ({probes.seed.nunique()} seeds) on {COUNT} training "
    text += "images, float64;\no: along runs of Muon, x: of the normalised momentum; no point where a step did not "
    text += f"lower the loss. c: {len(losses)} paired seeds (bars), 95 % intervals."
    small_print(drawing, text)
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """How good the criterion is, and what switching off costs, from five seeds on."""
    losses: Any = final_losses(table, ["off"])
    if len(losses) < 5:
        return []
    best, found = agreement(table, "line"), differences_to(losses, "none").to_dict("index")
    rest: dict[str, Any] = {"method": "training run", "tier": "run"}
    source, negative = "Davis and Drusvyatskiy 2025, arXiv 2512.04299 (relayed); run here", {"factor": -1.0}
    return [
        Claim(id="WS-RANK", statement="the criterion orders layers and moments by the advantage of a spectral step "
              "of the best length: rank correlation at least 1/2", source=source, relation=">=", evaluate=over_seeds,
              parameters={"values": best["rank"].tolist(), "bound": 0.5}, attribution="implied", expected="holds",
              mutations=(Mutation("the opposite order", negative),), **rest),
        Claim(id="WS-OFF", statement="with Muon off in all hidden layers the test loss ends higher, rates tuned",
              source="implied by the criterion; run here", relation=">", evaluate=excess, attribution="implied",
              parameters={"found": found, "names": ["all"]}, mutations=(Mutation("exchanged", {"sign": -1.0}),),
              expected="holds", unit="nats", **rest),
    ]  # fmt: skip
