"""Question: what does the convergence theorem promise of a real run of Muon, with every constant measured on the run?

Claim: Theorem A bounds the average of the gradient's nuclear norms, summed over the layers, by a start, a curvature, a
momentum and a noise term. Here all layers of a network are trained from minibatches with Nesterov momentum .95 and five
Newton-Schulz steps; L is the largest secant of the run, D the fall to its lowest loss, sigma, deficit and overshoot are
measured: all at most the true constants, so the bound is the most favourable one. Found: 3.6, 12 and 52 times the
average at step sizes .002, .01 (f falls to .11) and .05; nine tenths of the last is the term of old gradients' drift.

Source: Theorem A, derived in the room newton_schulz_convergence (after Kim and Oh 2026, arXiv 2601.19156); one frozen
network's matrix, all theorems: newton_schulz_convergence/bound_against_training.

Cost: quick 3 s (digits), full 1 min on one core: MLP 784-32-32-10 without biases, GELU (26,000 parameters), f the mean
over 1024 images of MNIST, batch 64 drawn from them, 160 steps (10 epochs), 5 seeds, three constant step sizes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Mutation
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.newton_schulz_convergence.rates import Setting
from muon_theory.rooms.newton_schulz_convergence.stationarity import inexact_average_bound
from muon_theory.training.measured_network_run import measured_network_run
from studies.training._paired import over_seeds

MOMENTUM, BATCH, RATES = 0.95, 64, (0.002, 0.01, 0.05)
TERMS = {"start": "D/(Tη)", "curvature": "Lη/2", "drift": "momentum, ∝ Lη", "noise": "noise, √r σ",
         "initial_gradient": "first gradient"}  # fmt: skip
SHADES = dict(zip(TERMS, ("grey", "orange", "vermillion", "blue", "purple"), strict=True))
images_of = cache(load_images)


def cell(lr: float, exact: bool, dataset: str, width: int, count: int, steps: int, seed: int) -> pd.DataFrame:
    """One run: its average gradient norm and the terms of the bound after T = 1, 2, 4, ... steps."""
    run = measured_network_run(
        images_of(dataset), hidden=(width, width), count=count, steps=steps, lr=lr, momentum=MOMENTUM, batch=BATCH,
        exact=exact, seed=seed,
    )  # fmt: skip
    rows = []
    for T in sorted({*(2**i for i in range(12) if 2**i < steps), steps}):
        part = run[:T]
        gap = float(run.loss.iloc[0] - run.loss.min())
        constants = {"L": float(np.nanmax(run.secant)), "D": gap, "S": float(run.noise.max()),
                     "S_nuclear": float(run.noise_nuclear.max()), "deficit": max(0.0, float(run.deficit.max())),
                     "overshoot": float(run.overshoot.max())}  # fmt: skip
        rows.append({"T": T, "loss": float(part.loss.iloc[-1]), "measured": float(part.nuclear.mean()),
                     "last": float(part.nuclear.iloc[-1]), "secant": float(part.secant.iloc[-1]), **constants,
                     **terms(T, lr, float(run.nuclear.iloc[0]), constants, constants["S"]),
                     "total_nuclear": sum(terms(T, lr, float(run.nuclear.iloc[0]), constants,
                                                constants["S_nuclear"]).values())})  # fmt: skip
    fixed = {"lr": lr, "exact": exact, "dataset": dataset, "width": width, "count": count, "steps": steps, "seed": seed}
    return pd.DataFrame(rows).assign(**fixed)


def terms(T: int, lr: float, first: float, constants: dict[str, float], noise: float) -> dict[str, float]:
    """The five terms of Theorem A."""
    bound = inexact_average_bound(
        Setting(constants["L"], constants["D"], T, 1, 0.0, BATCH), step_size=lr, gradient_weight=1 - MOMENTUM,
        nesterov=True, alignment_deficit=constants["deficit"], overshoot=constants["overshoot"], noise_norm=noise,
        initial_gradient=first,
    )  # fmt: skip
    return {name: float(getattr(bound, name)) for name in TERMS}


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run and T."""
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "width": 16 if quick else 32,
              "count": 256 if quick else 1024, "steps": 32 if quick else 160}  # fmt: skip
    arms = [(lr, False) for lr in RATES]
    return map_cells(cell, [
        {**shared, "lr": lr, "exact": exact, "seed": seed + i} for lr, exact in arms for i in range(1 if quick else 5)
    ])  # fmt: skip


def figure(table: pd.DataFrame) -> Figure:
    """The bound above the measured average against T, what the bound at the end is made of, and the secants."""
    drawing, (course, parts, curvature) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 3.0), width_ratios=(1.2, 1.2, 0.9))
    rows: Any = table.assign(bound=table[list(TERMS)].sum(axis=1))
    labels = []
    for i, ((exact, lr), part) in enumerate(rows.groupby(["exact", "lr"])):
        color = OKABE_ITO[("sky", "blue", "purple", "black")[i]]
        name = f"η = {lr:g}" + (", SVD" if exact else "")
        middle = part.groupby("T")[["measured", "bound", "total_nuclear", "last"]].median()
        course.plot(middle.index, middle.bound, "-", color=color, label=name)
        course.plot(middle.index, middle.measured, "o-", ms=2.5, lw=0.7, color=color)
        end = part[part["T"] == part["T"].max()]
        left, ratio = 0.0, float((end.bound / end.measured).median())
        for term, text in TERMS.items():
            share = float((end[term] / end.bound).median())
            parts.barh(i, share, left=left, color=OKABE_ITO[SHADES[term]], label=text if i == 0 else None)
            left += share
        nuclear = float((end.total_nuclear / end.measured).median())
        labels.append(f"{name}\n{ratio:.0f}× ({nuclear:.0f}×)")
        secants = part[part["T"] > 1].groupby("T").secant.median()
        curvature.plot(secants.index, secants, "o-", ms=2.5, color=color, label=name)
    course.set(xscale="log", yscale="log", xlabel="steps T", ylabel="Σ nuc(gradient) / (nats/weights)",
               title="a  bound (line), average (dots)")  # fmt: skip
    course.legend(fontsize=6)
    parts.set_yticks(range(len(labels)), labels, fontsize=6)
    parts.set(xlim=(0, 1), xlabel="share of the bound at the last T", title="b  bound / measured")
    parts.grid(visible=False)
    parts.legend(fontsize=5.5, loc="upper center", bbox_to_anchor=(0.4, -0.22), ncols=2)
    curvature.set(xscale="log", yscale="log", xlabel="step", ylabel="secant of the gradient / (nats/weights²)",
                  title="c  curvature seen")  # fmt: skip
    curvature.xaxis.set_minor_formatter("")
    curvature.legend(fontsize=5.5)
    row = table.iloc[0]
    text = f"{row['count']} images of {row.dataset}, MLP d-{row.width}-{row.width}-10, GELU, no biases, all of it by "
    text += (
        f"Muon (5 Jordan steps, Nesterov {MOMENTUM}), batch {BATCH}, float32, CPU; medians of {table.seed.nunique()}"
    )
    text += " seeds.\nL, D, σ, deficit and overshoot measured on the run, their worst; in brackets: with the nuclear "
    text += "norm of the noise as measured in the place of √r σ."
    small_print(drawing, text)
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """That no average exceeds the bound at the run's own constants, and that the noise term alone does, at large T."""
    if table.seed.nunique() < 5:
        return []
    rows: Any = table.assign(ratio=table.measured / table[list(TERMS)].sum(axis=1))
    worst = rows.groupby("seed").ratio.max()
    last: Any = rows[rows["T"] == rows["T"].max()].query("lr == 0.002 and not exact").set_index("seed")
    noisy = (last.noise / last.measured).tolist()
    rest: dict[str, Any] = {"method": "training run", "tier": "run", "expected": "holds", "attribution": "ours",
                            "source": "Theorem A, derived here; run here", "evaluate": over_seeds}  # fmt: skip
    less = 10.0 ** (np.floor(np.log10(worst.min())) - 1)
    return [
        Claim(id="RB-BOUND", statement="a network trained from minibatches by Muon stays under Theorem A at the "
              f"constants of the run: at most {worst.max():.2g} of it", relation="<=",
              parameters={"values": worst.tolist(), "bound": 1.0}, mutations=(Mutation(f"the bound times {less:g}",
              {"bound": less}),), **rest),
        Claim(id="RB-NOISE", statement="at the smallest step size the noise term alone exceeds the measured average, "
              "whatever T", relation=">=", parameters={"values": noisy, "bound": 1.0},
              mutations=(Mutation("batches 10,000 times as large", {"factor": 0.01}),), **rest),
    ]  # fmt: skip
