"""Loss against q: how many Newton-Schulz steps does training itself need?

Question: Muon trained with q = 0, 1, 2, 3, 5 quintic Taylor steps and with the exact polar factor: how do the losses
compare, against the step and against the second, once the learning rate of each is tuned? And how much of the
difference is only the length of the update, which few steps shrink to .16-.5 of the polar factor's norm?

Claim: Kim and Oh find that q = 1 to 3 steps train as well as the SVD and faster in seconds.

Source: Kim and Oh 2026, arXiv 2601.19156, section 5 (k = 2). Arm "as is" takes the update that q steps give; arm
"matched" rescales each to the Frobenius norm of the exact polar factor. Learning rate, momentum and weight decay are
tuned for each q and arm by the same search on a seed of its own; judged by the test loss at the end of a linear decay.

Cost: quick 25 s (digits, learning rate only), full 7 min on 2 cores (MNIST, one third of an epoch, 5 paired seeds).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, apply_style, small_print
from muon_theory.training import train
from muon_theory.training.comparison import paired_difference
from muon_theory.training.tuning import learning_rates, momenta, tune, weight_decays

STEPS_Q = ("0", "1", "2", "3", "5", "exact")
COLORS = dict(zip(STEPS_Q, ("#9E9E9E", "#F0A030", "#D55E00", "#56B4E9", "#0072B2", OKABE_ITO["black"]), strict=True))
ARMS = {"as is": False, "matched": True}


def cell(
    q: str, arm: str, dataset: str, steps: int, seed: int, lr: float, momentum: float, weight_decay: float, points: int
) -> pd.DataFrame:
    """One run: losses averaged over `points` windows of steps, test loss at the end of each."""
    exact = q == "exact"
    run = train(load_images(dataset), "muon", lr=lr, momentum=momentum, weight_decay=weight_decay, steps=steps,
                seed=seed, method="taylor_5", ns_steps=0 if exact else int(q), exact=exact, schedule_lr="linear",
                match_frobenius=ARMS[arm] and not exact, evaluate_every=max(1, steps // points))  # fmt: skip
    window = np.minimum(run.step // max(1, steps // points), points - 1)
    table = run.groupby(window).agg(step=("step", "max"), train_loss=("loss", "mean"), test_loss=("test_loss", "last"),
                                    time_s=("time_s", "max"), optimizer_time_s=("optimizer_time_s", "max"),
                                    diverged=("diverged", "any"))  # fmt: skip
    table["test_loss"] = table.test_loss.where(~table.diverged, np.inf)
    fixed = {"q": q, "arm": arm, "dataset": dataset, "seed": seed, "lr": lr, "momentum": momentum,
             "weight_decay": weight_decay}  # fmt: skip
    return pd.DataFrame({**fixed, **table.to_dict("list")})


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run and window of steps; `phase` tells the tuning trials from the paired runs."""
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "steps": 60 if quick else 312}
    compared = [{"q": q, "arm": arm} for q in STEPS_Q for arm in ARMS if not (q == "exact" and arm == "matched")]
    grids = {"lr": learning_rates(0.04, count=3 if quick else 5)}
    if not quick:
        grids |= {"momentum": momenta((0.8, 0.9, 0.95)), "weight_decay": weight_decays((0.0, 0.03, 0.3))}
    trials = []

    def losses(candidates: list[dict]) -> list[float]:
        table = map_cells(cell, [{**c, **shared, "seed": seed + 1000, "points": 1} for c in candidates])
        trials.append(table.assign(phase="tuning"))
        return table.test_loss.tolist()

    start = {"lr": 0.04, "momentum": 0.9, "weight_decay": 0.0}
    tuned = [c | best for c, best in zip(compared, tune(losses, compared, start, grids), strict=True)]
    runs = map_cells(
        cell,
        [{**c, **shared, "seed": seed + s, "points": 12} for c in tuned for s in range(3 if quick else 5)],
    )
    return pd.concat([*trials, runs.assign(phase="runs")], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Loss against step, against seconds, and the paired difference to the exact polar factor."""
    runs = table.query("phase == 'runs'")
    with apply_style():
        result, (by_step, by_time, final) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.9))
        for q in STEPS_Q:
            curve = runs.query("q == @q and arm == 'as is'").groupby("step").agg(
                {"train_loss": ["min", "median", "max"], "time_s": "median"})  # fmt: skip
            loss, label = curve["train_loss"], q if q == "exact" else f"q = {q}"
            for axis, x in ((by_step, curve.index + 1), (by_time, curve["time_s"]["median"])):
                axis.fill_between(x, loss["min"], loss["max"], color=COLORS[q], alpha=0.15, linewidth=0)
                axis.plot(x, loss["median"], color=COLORS[q], label=label)
        by_step.set(yscale="log", xlabel="step", ylabel="train loss / nats", title="against steps")
        by_time.set(yscale="log", xlabel="time / s", title="against seconds")
        by_step.legend(ncol=2, columnspacing=0.8, handlelength=1.2)
        _differences(final, runs)
        setting = runs.iloc[0]
        note = (
            f"{setting.dataset}, MLP d-256-128-10, batch 64, {runs.step.max() + 1} steps, linear decay, float32, CPU, "
            f"{runs.seed.nunique()} paired seeds: median and range; right: 95 % interval.\n"
            f"Each q and arm tuned alike in {_tuned(table)} ({(table.phase == 'tuning').sum()} trials)."
        )
        small_print(result, note)
    return result


def _tuned(table: pd.DataFrame) -> str:
    trials = table.query("phase == 'tuning'")
    return ", ".join(name for name in ("lr", "momentum", "weight_decay") if len(set(trials[name])) > 1)


def final_differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Paired difference of the final test loss to the exact polar factor's, by q and arm."""
    last = runs[runs.step == runs.step.max()].pivot_table(index="seed", columns=["q", "arm"], values="test_loss")
    rows = []
    for q, arm in last.columns:
        if q != "exact":
            found = paired_difference(last[q, arm].tolist(), last["exact", "as is"].tolist())
            rows.append({"q": q, "arm": arm, "mean": found.mean, "lower": found.lower, "upper": found.upper,
                         "word": found.word})  # fmt: skip
    return pd.DataFrame(rows)


def _differences(axis: Axes, runs: pd.DataFrame) -> None:
    found = final_differences(runs)
    for offset, (arm, marker) in zip((-0.14, 0.14), (("as is", "o"), ("matched", "s")), strict=True):
        part = found.query("arm == @arm").set_index("q").reindex(STEPS_Q[:-1])
        x = np.arange(len(part)) + offset
        axis.errorbar(x, part["mean"], [part["mean"] - part.lower, part.upper - part["mean"]], fmt=marker, capsize=2,
                      color=OKABE_ITO["blue" if arm == "as is" else "vermillion"], label=f"update {arm}")  # fmt: skip
        for position, row in zip(x, part.to_dict("records"), strict=True):
            axis.annotate(row["word"], (position, row["upper"]), rotation=90, fontsize=5.5, ha="center", va="bottom",
                          xytext=(0, 3), textcoords="offset points")  # fmt: skip
    axis.axhline(0, color="black", linewidth=0.6)
    axis.margins(y=0.25)
    axis.set(xlabel="Newton-Schulz steps q", ylabel="test loss minus exact / nats", title="final, paired")
    axis.set_xticks(range(len(STEPS_Q) - 1), STEPS_Q[:-1])
    axis.legend(loc="lower left")
