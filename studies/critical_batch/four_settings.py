"""Question: how do the steps to a target fall with the batch size on a problem whose constants are known exactly?

Claim: the bound X/T + Y/sqrt(B) + Z gives the fewest samples at an interior batch size, with the step tuned for every
batch at B* = 16 r sigma^2 V/goal^2, and look-ahead moves it by V_N/V_H = 1 + 2b - 2b^3. Found: see `claims`.

Source: arXiv 2507.01598 (form of the bound as restated; its theorems were not read); Theorem C of the room
critical_batch; McCandlish et al. 2018, arXiv 1812.06162 (the form T (1 + B0/B)).

Cost: quick 4 s, full 20 min on 1 core. Scale: linear teacher of 12 x 12 weights, covariance 1/i, noise .5, batch 1 to
4096; 13 learning rates (factor 2) and 3 momenta tuned on 3 seeds for every optimizer and batch size, judged on 6 other
seeds; the goal is the theory's own: the running mean of nuc(gradient) falls to .2 of its start.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from muon_theory.problems.gradient_noise import StreamingTeacher, streaming_teacher
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, apply_style, small_print
from muon_theory.rooms.critical_batch.fits import FORMS, fit_steps
from muon_theory.training.teacher_runs import Rule, steps_to_goal

SETTINGS: dict[str, tuple[Rule, float]] = {
    "plain": ("muon", 0.0), "Nesterov": ("muon_nesterov", 0.0), "plain + decay": ("muon", 0.2),
    "Nesterov + decay": ("muon_nesterov", 0.2), "SGD": ("sgd", 0.0), "AdamW": ("adamw", 0.0),
}  # fmt: skip
COLORS = dict(zip(SETTINGS, ("blue", "sky", "vermillion", "orange", "black", "green"), strict=True))
CENTRE = {"sgd": 0.2, "adamw": 0.04}  # middle of the grid of learning rates; .04 for Muon
TUNING_SEEDS, SHARE = 3, 0.2


def teacher_and_goal(size: int, seed: int) -> tuple[StreamingTeacher, float]:
    """The problem and the goal for the mean of nuc(gradient)."""
    teacher = streaming_teacher(size, size, decay=1.0, noise=0.5, seed=seed)
    return teacher, SHARE * float(np.linalg.norm(teacher.gradient(0 * teacher.weights), "nuc"))


def cell(
    setting: str, batch: int, momentum: float, size: int, cap: int, seeds: int, rates: int, seed: int
) -> list[dict]:
    """All learning rates and seeds of a setting at a batch size."""
    teacher, goal = teacher_and_goal(size, seed)
    rule, decay = SETTINGS[setting]
    lr = CENTRE.get(rule, 0.04) * 2.0 ** (np.arange(rates) - rates // 2)
    times = steps_to_goal(teacher, rule, lr=lr, momentum=momentum, batch=batch, goal=goal, cap=cap, seeds=seeds,
                          weight_decay=decay, seed=seed)  # fmt: skip
    scales = np.where(np.isfinite(times.steps), times.trace_sigma / times.gradient_norm, np.nan) ** 2
    fixed = {"setting": setting, "batch": batch, "momentum": momentum, "size": size}
    return [fixed | {"lr": float(lr[i]), "edge": i in (0, rates - 1), "seed": j, "steps": times.steps[i, j],
                     "noise_scale": scales[i, j], "phase": "tuning" if j < TUNING_SEEDS else "runs"}
            for i in range(rates) for j in range(seeds)]  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per setting, batch size, momentum, learning rate and seed."""
    size, cap, seeds, rates = (4, 200, 5, 7) if quick else (12, 3000, 9, 13)
    batches = [4, 64, 1024] if quick else [4**k for k in range(7)]
    momenta = [0.9] if quick else [0.0, 0.5, 0.9]
    return map_cells(cell, [
        {"setting": setting, "batch": batch, "momentum": b, "size": size, "cap": cap, "seeds": seeds, "rates": rates,
         "seed": seed} for setting in SETTINGS for batch in batches for b in momenta
    ])  # fmt: skip


def tuned(table: pd.DataFrame) -> pd.DataFrame:
    """The runs at the learning rate and momentum that the tuning seeds chose, for every setting and batch size."""
    keys = ["setting", "batch", "momentum", "lr"]
    means: Any = table.query("phase == 'tuning'").groupby(keys, as_index=False)["steps"].mean()
    best = means.sort_values("steps", kind="stable").groupby(["setting", "batch"]).head(1)
    return table.query("phase == 'runs'").merge(best[keys], on=keys)


def fits(runs: pd.DataFrame) -> pd.DataFrame:
    """Every form fitted to the median steps of every setting: steps, batch, residual."""
    medians = runs.groupby(["setting", "batch"], as_index=False)["steps"].median()
    rows = []
    for setting in SETTINGS:
        part = medians[medians["setting"] == setting]
        if np.isfinite(part["steps"]).sum() >= 3:
            found = {form: fit_steps(part["batch"], part["steps"], form) for form in FORMS}
            rows += [{"setting": setting, "form": form, **fit._asdict()} for form, fit in found.items()]
    return pd.DataFrame(rows)


def figure(table: pd.DataFrame) -> Figure:
    """Left: steps against batch size. Middle: samples. Right: how well each form fits."""
    runs = tuned(table)
    with apply_style():
        drawing, (steps, samples, forms) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.9))
        for setting in SETTINGS:
            part = runs[runs["setting"] == setting].groupby("batch")["steps"].agg(["min", "median", "max"])
            for axis, factor in ((steps, 1.0), (samples, part.index.to_numpy(dtype=float))):
                color = OKABE_ITO[COLORS[setting]]
                axis.plot(part.index, part["median"] * factor, "o-", ms=3, color=color, label=setting)
                axis.fill_between(part.index, part["min"] * factor, part["max"] * factor, color=color, alpha=0.15)
        for axis, what in ((steps, "steps to the goal"), (samples, "samples to the goal")):
            axis.set(xscale="log", yscale="log", xlabel="batch size B", ylabel=what)
        samples.legend()
        _draw_fits(forms, fits(runs))
        note = (
            f"Linear teacher {table['size'].iloc[0]}², noise .5; goal: mean nuclear norm of the gradient at {SHARE} of "
            f"its start; {runs['seed'].nunique()} seeds (median, range).\nLearning rate and momentum tuned for every "
            f"point on {TUNING_SEEDS} other seeds. Right: one dot a setting."
        )
        small_print(drawing, note)
    return drawing


def _draw_fits(axis: Axes, found: pd.DataFrame) -> None:
    for place, form in enumerate(FORMS):
        part = found[found["form"] == form]
        colors = [OKABE_ITO[COLORS[setting]] for setting in part["setting"]]
        axis.scatter(np.full(len(part), place), part["residual"], c=colors, s=14)
    words = [FORMS[form][0].replace("X/T + ", "") for form in FORMS]
    axis.set_xticks(range(len(FORMS)), words, rotation=30, ha="right")
    axis.set(yscale="log", ylabel="rms residual of log T", title="which form fits")
