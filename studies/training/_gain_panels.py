"""Predicted against measured advantage of a spectral step, and how well they agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import spearmanr

from muon_theory.reporting.style import OKABE_ITO

KINDS = {"line": ("a", "at their best lengths"), "scaled": ("b", "at guaranteed lengths")}


def agreement(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """For each seed: rank correlation of prediction and measurement, share of right winners, share of spectral wins."""
    rows = []
    for seed, part in table.query("phase == 'probe'").dropna(subset=[measure]).groupby("seed"):
        predicted, measured = part.predicted.to_numpy(), part[measure].to_numpy()
        rank: Any = spearmanr(predicted, measured)
        right, wins = ((predicted > 1) == (measured > 1)).mean(), (measured > 1).mean()
        rows.append({"seed": seed, "rank": float(rank[0]), "right": float(right), "wins": float(wins)})
    return pd.DataFrame(rows)


def advantage(axis: Axes, table: pd.DataFrame, measure: str, layers: Mapping[str, str]) -> None:
    """Every probe a point: circles along runs of Muon, crosses along runs of the normalised momentum."""
    probes = table.query("phase == 'probe'")
    for name, color in layers.items():
        for off, marker in (("none", "o"), ("all", "x")):
            rows = probes.query("layer == @name and off == @off")
            axis.plot(rows.predicted, rows[measure], marker, ms=3, mew=0.7, fillstyle="none", color=OKABE_ITO[color],
                      label=name.split(".")[0] if off == "none" else None)  # fmt: skip
    found, (letter, text) = agreement(table, measure).median(), KINDS[measure]
    axis.axhline(1, color=OKABE_ITO["black"], lw=0.6)
    axis.axvline(1, color=OKABE_ITO["black"], lw=0.6)
    axis.set(xscale="log", yscale="log", xlabel="nuclear rank G / stable rank inputs",
             ylabel="decrease, polar(G) over G",
             title=f"{letter}  {text}:\nrank corr. {found['rank']:.2f}, winner {found['right']:.0%}")  # fmt: skip
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_ticks([1, 2, 3, 5, 10], labels=["1", "2", "3", "5", "10"])
        scale.set_minor_formatter("")
    axis.set(xlim=(0.7, 8.5), ylim=(0.7, 12))
    axis.tick_params(which="both", labelsize=6)
