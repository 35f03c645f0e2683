"""Question: how many steps and samples does a training loss take at each batch size, and does a noise scale predict it?

Claim: the theory's form X/T + Y/sqrt(B) + Z gives an interior batch size with the fewest samples, B* = 16 r sigma^2 V
/ goal^2 with the step tuned for every batch; published curves of samples rise from the smallest batch on.

Source: arXiv 2507.01598 (form of the bound as restated, figures of its repository); Theorem C of the room
critical_batch; McCandlish et al. 2018, arXiv 1812.06162 (the form T (1 + B0/B), the noise scale).

Cost: quick 5 s, full 25 min on 1 core. Scale: 784-64-32-10 perceptron on MNIST, cross-entropy .3 over the last 2048
samples, batch 16 to 4096, constant rates; learning rate, momentum and (where there is decay) weight decay tuned for
every optimizer and batch size on 1 seed, 5 further seeds; Muon with the deployed quintic, q = 5, on all matrices.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, apply_style, small_print
from muon_theory.rooms.critical_batch.fits import FORMS, fit_steps
from muon_theory.training.optimizer_choice import OptimizerOptions
from muon_theory.training.target_run import train_to_target
from muon_theory.training.tuning import Grid, learning_rates, momenta, tune

SETTINGS = {"plain": ("muon", False, False), "Nesterov": ("muon", True, False), "SGD": ("sgd", False, False),
            "plain + decay": ("muon", False, True), "Nesterov + decay": ("muon", True, True),
            "AdamW": ("adamw", None, False)}  # fmt: skip
COLORS = dict(zip(SETTINGS, ("blue", "sky", "black", "vermillion", "orange", "green"), strict=True))
START = {"muon": 0.02, "sgd": 0.2, "adamw": 0.003}


def cell(
    setting: str, dataset: str, target: float, batch: int, lr: float, momentum: float, samples: int, noise_batches: int,
    seed: int, weight_decay: float = 0.0,
) -> dict:  # fmt: skip
    """One run to the target; `samples` caps it."""
    name, nesterov, _ = SETTINGS[setting]
    options = OptimizerOptions(lr=lr * START[name], momentum=momentum, nesterov=nesterov, weight_decay=weight_decay,
                               matrices="all")  # fmt: skip
    run = train_to_target(load_images(dataset), name, options, batch=batch, target=target, seed=seed,
                          largest=max(samples // batch, 300), noise_batches=noise_batches)  # fmt: skip
    fixed = {"setting": setting, "dataset": dataset, "batch": batch, "lr": lr * START[name], "momentum": momentum,
             "weight_decay": weight_decay, "seed": seed}  # fmt: skip
    return fixed | run._asdict()


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; `phase` tells the tuning trials from the paired runs."""
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "target": 1.0 if quick else 0.3,
              "samples": 6_000 if quick else 120_000}  # fmt: skip
    batches = [32, 256] if quick else [4**k for k in range(2, 7)]
    grids = {"lr": learning_rates(1.0, count=3 if quick else 5)}
    grids |= {} if quick else {"momentum": momenta((0.8, 0.9, 0.95))}
    decays = Grid((0.01, 0.1), lambda d: d / 10 if d > 1e-3 else None, lambda d: d * 10)
    trials = []

    def steps(candidates: list[dict]) -> list[float]:
        table = map_cells(cell, [{**c, **shared, "noise_batches": 0, "seed": seed + 1000} for c in candidates])
        trials.append(table)
        return table["steps"].tolist()

    tuned, start = [], {"lr": 1.0, "momentum": 0.9}
    for decayed in (False, True):
        compared = [{"setting": name, "batch": b} for name in SETTINGS for b in batches if SETTINGS[name][2] == decayed]
        more, extra = ({"weight_decay": 0.01}, {"weight_decay": decays}) if decayed else ({}, {})
        best = tune(steps, compared, start | more, grids | ({} if quick else extra))
        tuned += [{**c, **found} for c, found in zip(compared, best, strict=True)]
    seeds = range(seed, seed + (2 if quick else 5))
    runs = map_cells(cell, [{**c, **shared, "noise_batches": 20, "seed": s} for c in tuned for s in seeds])
    return pd.concat([pd.concat(trials).assign(phase="tuning"), runs.assign(phase="runs")], ignore_index=True)


def fits(table: pd.DataFrame) -> pd.DataFrame:
    """Every form fitted to the median steps of every setting: steps, batch, residual."""
    medians = table.query("phase == 'runs'").groupby(["setting", "batch"], as_index=False)["steps"].median()
    rows = []
    for setting in SETTINGS:
        part = medians[medians["setting"] == setting]
        if np.isfinite(part["steps"]).sum() >= 3:
            found = {form: fit_steps(part["batch"], part["steps"], form) for form in FORMS}
            rows += [{"setting": setting, "form": form, **fit._asdict()} for form, fit in found.items()]
    return pd.DataFrame(rows, columns=["setting", "form", "steps", "batch", "residual"])


def figure(table: pd.DataFrame) -> Figure:
    """Left: steps against batch size. Middle: samples. Right: noise scale at the target against batch size."""
    runs = table.query("phase == 'runs'").assign(scale=lambda t: (t.noise_norm / t.gradient_norm) ** 2)
    with apply_style():
        drawing, (steps, samples, scales) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.9))
        for setting in SETTINGS:
            color, part = OKABE_ITO[COLORS[setting]], runs[runs["setting"] == setting].groupby("batch")
            for axis, name, power in ((steps, "steps", 0), (samples, "steps", 1), (scales, "scale", 0)):
                curve = part[name].agg(["min", "median", "max"])
                factor = curve.index.to_numpy(dtype=float) ** power
                axis.plot(curve.index, curve["median"] * factor, "o-", ms=3, color=color, label=setting)
                axis.fill_between(curve.index, curve["min"] * factor, curve["max"] * factor, color=color, alpha=0.15)
        for axis, what in ((steps, "steps to the target"), (samples, "samples to the target"),
                           (scales, "nuclear noise scale at the target")):  # fmt: skip
            axis.set(xscale="log", yscale="log", xlabel="batch size B", ylabel=what)
        samples.legend()
        note = (
            f"{runs['dataset'].iloc[0]}, perceptron d-64-32-10, constant rate, {runs['seed'].nunique()} seeds (median "
            f"and range), tuned for every point ({(table['phase'] == 'tuning').sum()} trials).\n"
            "Right: (sqrt(B) E nuc(noise) / nuc(gradient))², summed over the matrices."
        )
        small_print(drawing, note)
    return drawing
