"""Question: how much slower are five Newton-Schulz steps than dividing every row by its length, and an SVD than they?

Claim: at d = 4096 the paper's figures are 1958.66 ms (SVD), 14.41 ms (Newton-Schulz) and .17 ms (columns): ratios 136
and 85. The second is large everywhere; the first is one of the machine, not of the methods.

Source: Glentis et al. 2025, arXiv 2506.16659 (the table relayed; its GPU was not named in what was read).

Cost: quick 1 s, full 30 s on one core. Scale: Gaussian n x n matrices, float32, one CPU thread; contestants take turns
in every round, ratios are formed within a round, their median and range over rounds are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.optimizers.scale import normalized_outputs
from muon_theory.polar import orthogonalize
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import OKABE_ITO, SINGLE_COLUMN, small_print

RATIOS = {
    "Newton-Schulz / columns": ("newton_schulz_s", "columns_s", "blue", "o"),
    "Newton-Schulz in bfloat16 / columns": ("newton_schulz_bfloat16_s", "columns_s", "sky", "s"),
    "SVD / Newton-Schulz": ("svd_s", "newton_schulz_s", "vermillion", "^"),
    "no steps / columns": ("no_steps_s", "columns_s", "grey", "v"),
}
PAPER = {"Newton-Schulz / columns": 14.41 / 0.17, "SVD / Newton-Schulz": 1958.66 / 14.41}


def _contestants(G: torch.Tensor) -> dict[str, Callable[[], torch.Tensor]]:
    return {
        "columns_s": lambda: normalized_outputs(G),
        "newton_schulz_s": lambda: orthogonalize(G, "jordan_2024", 5),
        "newton_schulz_bfloat16_s": lambda: orthogonalize(G, "jordan_2024", 5, compute_dtype=torch.bfloat16),
        "no_steps_s": lambda: orthogonalize(G, "jordan_2024", 0),
        "svd_s": lambda: torch.linalg.svd(G, full_matrices=False)[0],
    }


def cell(n: int, rounds: int, seed: int) -> list[dict]:
    """Seconds of each way on one n x n matrix, all ways once in every round, after a round to warm up."""
    G = torch.randn(n, n, generator=torch.Generator().manual_seed(seed))
    contestants, rows = _contestants(G), []
    for number in range(-1, rounds):
        row: dict = {"n": n, "round": number, "seed": seed}
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            row[name] = time.perf_counter() - start
        rows.append(row)
    return rows[1:]


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per size and round: seconds of each way."""
    sizes, rounds = ((32, 64, 128), 5) if quick else ((256, 512, 1024), 11)
    return map_cells(cell, [{"n": n, "rounds": rounds, "seed": seed} for n in sizes])


def ratios(table: Any, name: str) -> Any:
    """Median, smallest and largest ratio within a round, by size."""
    above, below, *_ = RATIOS[name]
    found = table.assign(ratio=table[above] / table[below]).groupby("n")["ratio"]
    return found.agg(["median", "min", "max"])


def figure(table: Any) -> Figure:
    """Ratios against the size of the matrix."""
    drawing, axis = plt.subplots(figsize=(SINGLE_COLUMN, 2.9))
    for name, (*_, color, marker) in RATIOS.items():
        found = ratios(table, name)
        errors = np.stack([found["median"] - found["min"], found["max"] - found["median"]])
        axis.errorbar(
            found.index, found["median"], errors, marker=marker, capsize=2, color=OKABE_ITO[color], label=name
        )
    axis.axhline(1, color="black", linewidth=0.6)
    axis.set(xscale="log", yscale="log", xlabel="n of an n x n matrix", ylabel="ratio of times within a round")
    axis.set_xticks(sorted(set(table["n"])), [str(n) for n in sorted(set(table["n"]))])
    axis.minorticks_off()
    axis.set_ylim(top=3 * axis.get_ylim()[1] ** 1.15)
    axis.legend(fontsize=6, loc="upper left")
    rounds = table.groupby("n").size().iloc[0]
    note = f"float32, one CPU thread, {rounds} interleaved rounds: median and range.\nPaper, GPU, n = 4096: "
    small_print(drawing, note + ", ".join(f"{name} {value:.0f}" for name, value in PAPER.items()) + ".")
    return drawing


def claims(table: Any) -> list[Claim]:
    """SC-17 and what becomes of the paper's ratio of SVD to Newton-Schulz."""
    largest = int(table["n"].max())
    if largest != 1024:
        return []  # stated for the full profile
    steps, _, svd, none = (float(ratios(table, name)["median"].loc[largest]) for name in RATIOS)
    return [
        Claim(
            id="SC-17",
            statement="five Newton-Schulz steps take at least 10 times as long as column normalisation (1024 x 1024)",
            source="Glentis et al. 2025, arXiv 2506.16659: 85 at d = 4096 on a GPU; one CPU thread here",
            relation=">=",
            method="simulation",
            evaluate=_ratio,
            parameters={"predicted": 10.0, "measured": steps},
            mutations=(Mutation("Newton-Schulz with 0 steps", {"measured": none}),),
            expected="holds",
            attribution="relayed",
            tier="run",
            printed=PAPER["Newton-Schulz / columns"],
        ),
        Claim(
            id="SC-17-SVD",
            statement="an SVD takes at least 100 times as long as five Newton-Schulz steps (1024 x 1024)",
            source="Glentis et al. 2025, arXiv 2506.16659: 136 at d = 4096 on a GPU; one CPU thread here",
            relation=">=",
            method="simulation",
            evaluate=_ratio,
            parameters={"predicted": 100.0, "measured": svd},
            mutations=(Mutation("against column normalisation", {"measured": svd * steps}),),
            expected="refuted",
            attribution="relayed",
            tier="run",
            printed=PAPER["SVD / Newton-Schulz"],
        ),
    ]


def _ratio(*, predicted: float, measured: float) -> Finding:
    return Finding(predicted, measured)
