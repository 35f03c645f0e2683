"""The figure of a comparison: as published, epoch by epoch; the tuning; the tuned runs against Muon's."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from muon_theory.reporting.style import DOUBLE_COLUMN, color_of, small_print
from studies.tutorial._comparison import OPTIMIZERS

NAMES = {"muon": "Muon", "sgd": "SGD", "adamw": "AdamW"}


def comparison_figure(table: Any, column: str, label: str, curves: dict[str, list[float]], print_: str) -> Figure:
    """Three panels from the table alone; `curves` are the published values epoch by epoch."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7))
    _as_published(axes[0], table.query("phase == 'published'"), column, label, curves)
    _tuning(axes[1], table.query("phase == 'tuning' and epoch == epochs"))
    _tuned(axes[2], table.query("phase == 'tuned' and epoch == epochs"), column, label)
    small_print(drawing, print_)
    return drawing


def _as_published(axis: Axes, runs: Any, column: str, label: str, curves: dict[str, list[float]]) -> None:
    """Median and range over seeds, and the published run as crosses."""
    for name in OPTIMIZERS:
        own = runs[runs["optimizer"] == name].groupby("epoch")[column].agg(["median", "min", "max"])
        axis.fill_between(own.index, own["min"], own["max"], color=color_of(name), alpha=0.2, linewidth=0)
        axis.plot(own.index, own["median"], "-", color=color_of(name), label=NAMES[name])
        if len(curves[name]) == len(own):
            axis.plot(own.index, curves[name], "x", color=color_of(name), markersize=5)
    axis.plot([], [], "kx", markersize=5, label="published")
    axis.set(xlabel="epoch", ylabel=label, title=f"a  as published ({runs['seed'].nunique()} seeds)")
    axis.set_xticks(sorted(set(runs["epoch"])))
    if column == "train_loss":
        axis.set_yscale("log")
    axis.legend()


def _tuning(axis: Axes, trials: Any) -> None:
    """Validation loss against the learning rate, the best marked."""
    for name in OPTIMIZERS:
        own = trials[trials["optimizer"] == name].sort_values("lr")
        axis.plot(own["lr"], own["test_loss"], "o-", color=color_of(name))
        best = own.loc[own["test_loss"].idxmin()]
        axis.plot([best["lr"]], [best["test_loss"]], "o", color="none", markeredgecolor="black", markersize=7)
    axis.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="validation loss / nats", title="b  tuning")


def _tuned(axis: Axes, runs: Any, column: str, label: str) -> None:
    """Every tuned run, and the mean."""
    shown = "test_loss" if column == "train_loss" else column
    for place, name in enumerate(OPTIMIZERS):
        own = runs[runs["optimizer"] == name][shown]
        axis.plot([place] * len(own), own, "o", color=color_of(name), alpha=0.6)
        axis.plot([place - 0.2, place + 0.2], [own.mean()] * 2, color=color_of(name))
    axis.set_xticks(range(len(OPTIMIZERS)), [NAMES[name] for name in OPTIMIZERS])
    axis.set(ylabel="test loss / nats" if shown == "test_loss" else label, xlim=(-0.6, 2.6))
    axis.set_title(f"c  tuned ({runs['seed'].nunique()} paired seeds)")
    axis.grid(visible=False, axis="x")
