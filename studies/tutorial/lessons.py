"""Question: do the tutorial's practical lessons hold: bfloat16 is enough, the shape factor matters, compiling can cost?

Claim: Newton-Schulz in bfloat16 gives the same quality; scaling by shape keeps update sizes consistent; scripting or
compiling can cost more than it gains on small models.

Source: Wei 2025, "Understanding the Muon Optimizer", lessons. Muon on all matrices, vectors by heavy ball at its rate.

Cost: quick 4 s (digits), full 1 min on one core. Scale: precision: MNIST, perceptron 784-64-32-10, 120 steps of 64;
shape: digits, perceptron 64-256-64-10 (first matrix tall: factor 2), 80 steps; linear decay, rate tuned alike (to a
factor 2), momentum .95 and decay 0 not; 6 paired seeds. Compiling: torch.compile of the iteration for 128 x 64, once.
"""

from __future__ import annotations

import os
import time
import timeit
import warnings
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.optimizers import Hybrid, Muon
from muon_theory.problems import mlp
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.tutorial.update import newton_schulz
from muon_theory.training.network_run import train_network
from muon_theory.training.tuned_comparison import differences_to, final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates
from studies.tutorial.small_batches import images_of

LESSONS: dict[str, dict[str, dict[str, Any]]] = {
    "precision": {"float32": {}, "bfloat16": {"compute_dtype": torch.bfloat16}, "exact polar factor": {"exact": True}},
    "shape": {rule: {"adjust_lr_fn": rule} for rule in ("original", "none", "spectral", "match_rms_adamw")},
}
HIDDEN = {"precision": (64, 32), "shape": (256, 64)}
COLORS = ("blue", "vermillion", "black", "green")
CALLS_OF_A_RUN = 3 * 2814  # three matrices


def cell(lesson: str, arm: str, factor: float, dataset: str, steps: int, seed: int, windows: int) -> pd.DataFrame:
    """One run of one arm of a lesson at learning rate .01 * factor (match_rms_adamw: .2 * factor)."""
    images = images_of(dataset)
    lr = factor * (0.1 if arm == "match_rms_adamw" else 0.01)
    model = mlp(images.features, HIDDEN[lesson], seed=seed)
    matrices, vectors = ([p for p in model.parameters() if (p.ndim > 1) == kind] for kind in (True, False))
    heavy_ball = torch.optim.SGD(vectors, lr=0.01 * factor, momentum=0.95, nesterov=True)
    optimizer = Hybrid([Muon(matrices, lr, 0.0, check_finite=False, **LESSONS[lesson][arm]), heavy_ball])
    run = train_network(images, model, optimizer, steps=steps, seed=seed, windows=windows)
    return run.assign(lesson=lesson, arm=arm, factor=factor, lr=lr, dataset=dataset, seed=seed)


def compiling(rows: int, columns: int, calls: int) -> dict:
    """CPU time of compiling the iteration in this process and its children, without a cache, and of a call."""
    from torch._inductor import config

    G, start = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)), sum(os.times()[:4])
    with config.patch(force_disable_caches=True, compile_threads=1), warnings.catch_warnings(action="ignore"):
        compiled = torch.compile(newton_schulz)
        compiled(G)
    spent = {"compile_s": sum(os.times()[:4]) - start}
    for name, function in (("eager_s", newton_schulz), ("compiled_s", compiled)):
        function(G)
        spent[name] = timeit.timeit(lambda f=function: f(G), timer=time.process_time, number=calls) / calls
    return {"lesson": "compile", "rows": rows, "columns": columns, "calls": calls, **spent}


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; the full profile has one more, phase "compile"."""
    tables = []
    for lesson, (data, steps) in {"precision": (dataset or "mnist", 120), "shape": ("digits", 80)}.items():
        options: dict[str, Any] = {"windows": 1, "map_cells": map_cells, "tuning_seeds": [seed + 1000]}
        options["shared"] = {"lesson": lesson, "dataset": "digits" if quick else data, "steps": 12 if quick else steps}
        options["seeds"] = [seed + i for i in range(2 if quick else 6)]
        compared, grid = [{"arm": arm} for arm in LESSONS[lesson]], learning_rates(8.0 if quick else 2.0, count=3)
        tables.append(tuned_runs(cell, compared, {"factor": 2.0}, {"factor": grid}, **options))
    if not quick:
        tables.append(map_cells(compiling, [{"rows": 128, "columns": 64, "calls": 500}]).assign(phase="compile"))
    return pd.concat(tables, ignore_index=True)


def differences(table: Any, lesson: str) -> Any:
    """Paired differences of the test loss to the lesson's first arm."""
    return differences_to(final_losses(table[table["lesson"] == lesson], ["arm"]), next(iter(LESSONS[lesson])))


def figure(table: Any) -> Figure:
    """Trials and paired differences of both lessons."""
    drawing, axes = plt.subplots(2, 2, figsize=(DOUBLE_COLUMN, 3.8), width_ratios=(1, 1.2))
    for (trial, paired), (lesson, arms) in zip(axes, LESSONS.items(), strict=True):
        trials = table[(table["lesson"] == lesson) & (table["phase"] == "tuning")]
        means, found = trials.groupby(["arm", "factor"])["test_loss"].mean(), differences(table, lesson)
        for place, arm in enumerate(arms):
            color, row = OKABE_ITO[COLORS[place]], found.loc[arm]
            trial.plot(means[arm], "o-", color=color, label=arm)
            ends = [[row["mean"] - row["lower"]], [row["upper"] - row["mean"]]]
            paired.errorbar(row["mean"], -place, xerr=ends, fmt="o", capsize=2, color=color)
            word = "reference" if place == 0 else row["word"]
            paired.annotate(word, (row["mean"], -place), fontsize=6, xytext=(0, 5), textcoords="offset points")
        trial.set(xscale="log", yscale="log", xlabel="rate / default", ylabel="test loss / nats", title=lesson)
        trial.legend(fontsize=5, loc="upper right" if lesson == "precision" else "upper left")
        paired.axvline(0, color="black", linewidth=0.6)
        paired.set_yticks([-place for place in range(len(arms))], list(arms))
        paired.set(xlabel="test loss minus the first's / nats", title="tuned, paired, 95 %", ymargin=0.2)
    seeds = table[table["phase"] == "runs"]["seed"].nunique()
    text = (
        f"Perceptrons on {' and '.join(table['dataset'].dropna().unique())}, linear decay, CPU; {seeds} paired seeds; "
    )
    text += f"rate tuned alike ({(table['phase'] == 'tuning').sum()} trials, another seed)."
    for row in table[table["phase"] == "compile"].to_dict("records"):
        spent = f"{row['compile_s']:.0f} s of CPU, saves {1e6 * (row['eager_s'] - row['compiled_s']):.0f} µs a call"
        text += f"\ntorch.compile of the iteration, 128 x 64: {spent}."
    small_print(drawing, text)
    return drawing


def claims(table: Any) -> list[Claim]:
    """TUT-11-RUN, TUT-13-RUN and TUT-16."""
    if not (compiled := table[table["phase"] == "compile"].to_dict("records")):
        return []
    losses: Any = final_losses(table[table["lesson"] == "precision"], ["arm"])["float32"]
    found, factor = differences(table, "precision").loc["bfloat16"], differences(table, "shape").loc["none"]
    shared: dict[str, Any] = {"source": "Wei 2025, lessons; this study", "tier": "run", "expected": "holds",
                              "attribution": "printed"}  # fmt: skip
    return [
        Claim(id="TUT-11-RUN", statement="Newton-Schulz in bfloat16 trains to the same test loss as in float32 (MNIST "
              "perceptron, tuned, paired)", relation="==", method="training run", evaluate=Finding, unit="nats",
              parameters={"predicted": 0.0, "measured": Estimate(found["mean"], found["lower"], found["upper"])},
              mutations=(Mutation("a fifth of the loss", {"predicted": 0.2 * losses.median()}),), **shared),
        Claim(id="TUT-13-RUN", statement="scaling by shape matters: without the factor a perceptron with a tall matrix "
              "(256 x 64) ends at a higher test loss (digits, tuned, paired)", relation=">", method="training run",
              evaluate=Finding, unit="nats", mutations=(Mutation("against itself", {"measured": 0.0}),), **shared,
              parameters={"predicted": 0.0, "measured": Estimate(factor["mean"], factor["lower"], factor["upper"])}),
        Claim(id="TUT-16", statement="compiling can cost more than it gains on small models: torch.compile of the "
              "iteration for 128 x 64 is not paid back within the 8,442 calls of the tutorial's MNIST run (CPU)",
              relation=">", method="simulation", evaluate=_calls_to_pay_back, unit="calls",
              parameters={key: compiled[0][key] for key in ("compile_s", "eager_s", "compiled_s")},
              mutations=(Mutation("a thousand such runs", {"calls": 1000 * CALLS_OF_A_RUN}),), **shared),
    ]  # fmt: skip


def _calls_to_pay_back(*, compile_s: float, eager_s: float, compiled_s: float, calls: int = CALLS_OF_A_RUN) -> Finding:
    """Seconds of compiling over seconds saved a call; inf where nothing is saved."""
    return Finding(calls, compile_s / (eager_s - compiled_s) if eager_s > compiled_s else float("inf"))
