"""Recorded gradients: does the worst-case constant chi_q describe Newton-Schulz on the matrices that training makes?

Question: On every gradient and momentum matrix recorded along trajectories of SGD, AdamW and Muon, how far is the
worst-case constant chi_q = 1/(1 - eps_q) of Kim and Oh from the constant that matters, 1/(1 - alignment deficit); and
which number of steps q and which polynomial does each layer really need?

Claim: Theorem 1 of Kim and Oh multiplies the rate of exact Muon by chi_q; Theorem A (derived here) shows that the
alignment deficit ehat_q = 1 - <M, O>/nuc(M) <= eps_q may stand in its place, times 1 + omega where a set overshoots.

Source: Kim and Oh 2026, arXiv 2601.19156, Theorems 1 and 2; the coefficient sets' own sources. The constants are
computed from recorded singular values, which determine both exactly.

Cost: quick 10 s (digits, 120 steps), full 2 min on 2 cores (MNIST, one epoch of 937 steps, two seeds).
"""

from __future__ import annotations

import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from muon_theory.polar import scalar_map, spectral_inexactness
from muon_theory.problems import load_images
from muon_theory.recorder import read_spectra
from muon_theory.recorder.schedule import at
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, apply_style, color_of, small_print
from muon_theory.spectra import nuclear_rank
from muon_theory.training import train

METHODS = ("taylor_3", "taylor_5", "taylor_7", "taylor_9", "jordan_2024", "you_2024", "amsel_2025")
OPTIMIZERS = {"sgd": 0.02, "adamw": 1e-3, "muon": 0.02}  # learning rates: untuned, each trains well
LABELS = {"sgd": "SGD", "adamw": "AdamW", "muon": "Muon"}
TOLERANCE = 0.05  # excess of the constant (1 + overshoot) / (1 - deficit) that one would pay


def constants(sigma: np.ndarray, rank_tolerance: float) -> list[dict]:
    """Worst-case and attained inexactness of every method and q on one spectrum (sigma descending, any scale)."""
    sigma = np.where(sigma > rank_tolerance * sigma[0], sigma, 0.0)
    rows = []
    for method in METHODS:
        for q in range(11):
            found = spectral_inexactness(sigma, scalar_map(method, q)(sigma / np.linalg.norm(sigma)))
            chi = 1 / (1 - found.operator_error) if found.operator_error < 1 else np.inf
            numbers = {"chi": chi, "deficit": found.alignment_deficit, "overshoot": found.overshoot}
            rows.append({"method": method, "q": q} | {name: float(f"{x:.4g}") for name, x in numbers.items()})
    return rows


def cell(optimizer: str, dataset: str, steps: int, recorded_steps: list[int], seed: int) -> pd.DataFrame:
    """One run with the recorder on; every method on every recorded matrix."""
    with tempfile.TemporaryDirectory() as folder:
        train(load_images(dataset), optimizer, lr=OPTIMIZERS[optimizer], steps=steps, seed=seed, record_to=folder,
              schedule=at(recorded_steps), kinds=("gradient", "momentum"))  # fmt: skip
        spectra = read_spectra(folder)
    rows = []
    for event in (row for row in spectra.to_dict("records") if row["sigma"][0] > 0):
        tolerance = max(event["rows"], event["columns"]) * np.finfo(np.float32).eps
        fixed = {"optimizer": optimizer, "dataset": dataset, "seed": seed, "layer": event["layer"],
                 "kind": event["kind"], "step": event["step"], "rows": event["rows"], "columns": event["columns"],
                 "rank": int((event["sigma"] > tolerance * event["sigma"][0]).sum()),
                 "nuclear_rank": float(nuclear_rank(event["sigma"]))}  # fmt: skip
        rows += [fixed | row for row in constants(event["sigma"], tolerance)]
    return pd.DataFrame(rows)


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per recorded matrix, method and q: chi_q, alignment deficit, overshoot."""
    dataset = dataset or ("digits" if quick else "mnist")
    steps = 120 if quick else 937
    recorded = sorted({0, 3, *np.geomspace(10, steps - 1, 4).astype(int).tolist()})
    seeds = [seed] if quick else [seed, seed + 1]
    return map_cells(
        cell,
        [
            {"optimizer": name, "dataset": dataset, "steps": steps, "recorded_steps": recorded, "seed": s}
            for name in OPTIMIZERS
            for s in seeds
        ],  # fmt: skip
    )


def figure(table: pd.DataFrame) -> Figure:
    """Top: the two constants against q. Middle: along training. Bottom: the q each layer needs."""
    momentum = table.query("kind == 'momentum'").assign(constant=lambda t: (1 + t.overshoot) / (1 - t.deficit))
    optimizers = [name for name in OPTIMIZERS if name in set(momentum.optimizer)]
    with apply_style():
        result, axes = plt.subplots(3, len(optimizers), figsize=(DOUBLE_COLUMN, 6.8), sharey="row", squeeze=False)
        for column, name in enumerate(optimizers):
            part = momentum.query("optimizer == @name")
            _constants_against_q(axes[0, column], part.query("method == 'taylor_5'"))
            axes[0, column].set_title(f"momentum of {LABELS[name]}")
            _along_training(axes[1, column], part.query("q == 5"))
            _needed_steps(axes[2, column], part)
        axes[0, 0].set_ylabel("constant in the rate,\nquintic Taylor steps")
        axes[1, 0].set_ylabel("constant after 5 steps,\n" + r"$(1+\omega)\,/\,(1-\hat e)$")
        axes[2, 0].set_ylabel("steps q needed for\na constant within 5 %")
        axes[0, 0].legend(loc="upper right")
        axes[1, 0].legend(loc="upper left", ncol=2, columnspacing=0.8, handlelength=1.2)
        matrices = len(table.groupby(["optimizer", "seed", "layer", "kind", "step"]))
        note = (
            f"{table.dataset.iloc[0]}, MLP {_widths(table)}, batch 64, {table.step.max() + 1} steps, "
            f"{table.seed.nunique()} seeds, {matrices} matrices recorded in float32, spectra in float64, CPU.\n"
            "Lines: medians over layers, steps and seeds; bands: smallest to largest. Bottom: every recorded momentum."
        )
        small_print(result, note)
    return result


def _widths(table: pd.DataFrame) -> str:
    layers = table.drop_duplicates("layer").to_dict("records")
    return "-".join(str(width) for width in [layers[0]["columns"], *(layer["rows"] for layer in layers)])


def _band(axis: Axes, values: pd.Series, by: pd.Series, shade: str, text: str) -> None:
    spread = values.groupby(by).agg(["min", "median", "max"])
    axis.fill_between(spread.index, spread["min"], spread["max"], color=shade, alpha=0.2, linewidth=0)
    axis.plot(spread.index, spread["median"], color=shade, marker="o", label=text)


def _constants_against_q(axis: Axes, part: pd.DataFrame) -> None:
    _band(axis, part.chi, part.q, color_of("sgd"), r"worst case, $\chi_q = 1/(1-\varepsilon_q)$")
    _band(axis, part.constant, part.q, color_of("taylor_7"), r"that matters, $1/(1-\hat e_q)$")
    axis.set(yscale="log", xlabel="Newton-Schulz steps q", xticks=range(0, 11, 2), ylim=(0.7, 1e6))


def _along_training(axis: Axes, part: pd.DataFrame) -> None:
    for method in ("taylor_5", "jordan_2024", "you_2024", "amsel_2025"):
        chosen = part[part.method == method]
        _band(axis, chosen.constant, chosen.step + 1, color_of(method), method)
    axis.set(xscale="log", xlabel="training step", ylim=(0.95, 1.7))


def _needed_steps(axis: Axes, part: pd.DataFrame) -> None:
    layers = list(part.layer.unique())
    worst = part.groupby(["layer", "method", "q"]).constant.max().reset_index()
    need = worst[worst.constant <= 1 + TOLERANCE].groupby(["layer", "method"]).q.min().unstack()
    need = need.reindex(index=layers, columns=METHODS).to_numpy()
    axis.imshow(np.nan_to_num(need, nan=11), cmap="cividis_r", vmin=1, vmax=11, aspect="auto")
    for (row, column), q in np.ndenumerate(need):
        shade = "white" if np.isnan(q) or q > 6 else "black"
        axis.text(column, row, "> 10" if np.isnan(q) else f"{q:.0f}", ha="center", va="center", fontsize=7, color=shade)
    axis.set_xticks(range(len(METHODS)), METHODS, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(layers)), layers)
    axis.grid(False)
