"""Question: how fast do the loss gap and the hyperparameter gap close with width, and is transfer fast or slow?

Claim: fast (beta > alpha/2) for the penalty of random-feature ridge, where a and b ~ 1/n are proved, and for the
learning rate of gradient descent on sketched regression at a fixed horizon; slow (b ~ a^(1/2)) for the learning rate of
Adam under muP on the indicator of a ball, undecided here (it would take 500 seeds: `seeds_to_decide`; `slow_example`).

Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768; the abstract of its follow-up (sketched regression). Verdict with free
asymptotes: derived here, calibrated in HT-CAL-FAST and HT-CAL-SLOW; where the infinite width is exact, gaps to it too.

Cost: quick 4 s, full 1 min on one core. Scale: ridge d = 20, 80 samples, 120 draws; sketched regression d = 400,
eigenvalues i^-1.2 or i^-2, T = 50 or growing as n, 100 sketches, gaps of each sketch; two-layer ReLU classifier of a
ball in d = 16 (published: 64), widths 16 to 256 (2^14), 2000 steps (2^14) of batch 128, 5 seeds; a slow system
made up: a_n = (n/10)^-.7, b_n = a_n^(1/2), nu*(n) jittered by .02.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.hyperparameter_transfer.finite_ridge import ridge_curves, sketched_descent_curves
from muon_theory.rooms.hyperparameter_transfer.gaps import grid_minimum
from muon_theory.rooms.hyperparameter_transfer.speed import gap_powers, transfer_speed
from muon_theory.training.ball_indicator import ball_indicator_losses

SKETCHES = {"sketch, i^-1.2": (0.6, False), "sketch, i^-2": (1.0, False), "sketch, i^-2, T ~ n": (1.0, True)}
SYSTEMS = {"ridge": "blue", "ball, Adam": "vermillion", "made slow": "black", "sketch, i^-1.2": "green",
           "sketch, i^-2": "sky", "sketch, i^-2, T ~ n": "orange"}  # fmt: skip


def curves_of(system: str, quick: bool, seed: int) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray | None]:
    """Widths, grid, curves (seeds, widths, grid), and those of infinite width where they are exact."""
    if system == "ridge":
        widths, grid = [160 * 2**k for k in range(4 if quick else 6)], np.linspace(-6, 6, 121)
        found = ridge_curves(widths, grid, seeds=range(seed, seed + (8 if quick else 120)), tests=150)
        return widths, grid, found[:, :-1], np.repeat(found[:, -1:], len(widths), axis=1)
    if system == "ball, Adam":
        widths, grid = (
            [16 * 2**k for k in range(4 if quick else 5)],
            np.linspace(-7, 0, 8) if quick else np.linspace(-9, -3, 13),
        )
        size = {"steps": 100, "batch": 32, "tests": 500} if quick else {"steps": 2000, "batch": 128}
        found = [[ball_indicator_losses(n, grid, seed=seed + i, dimension=16, **size) for n in widths]
                 for i in range(3 if quick else 5)]  # fmt: skip
        return widths, grid * np.log(2), np.array(found), None
    if system == "made slow":
        widths, grid = [40 * 2**k for k in range(7)], np.linspace(-4, 4, 81)
        n, generator = np.array(widths)[:, None] / 10, np.random.default_rng(seed)
        found = n**-0.7 + 0.1 * (grid - n**-0.35 - 0.02 * generator.standard_normal((20, len(n), 1))) ** 2
        return widths, grid, found, np.broadcast_to(0.1 * grid**2, (1, len(widths), len(grid)))
    capacity, growing = SKETCHES[system]
    widths, grid = [20 * 2**k for k in range(4 if quick else 5)], np.linspace(-2, 2, 401 if quick else 801)
    dimension, seeds = (100, range(seed, seed + 4)) if quick else (400, range(seed, seed + 100))
    steps = [50 * n // widths[0] if growing else 50 for n in widths]
    found = sketched_descent_curves(widths, grid, steps=[*steps, 50], seeds=seeds, dimension=dimension,
                                    capacity=capacity)[:, :-1]  # fmt: skip
    limits = [sketched_descent_curves([1], grid, steps=[1, T], seeds=[0], dimension=dimension, capacity=capacity)[0, -1]
              for T in steps]  # fmt: skip
    return widths, grid, np.minimum(found, 2.0), np.minimum(limits, 2.0)[None]


def cell(system: str, quick: bool, seed: int) -> pd.DataFrame:
    """Minima by width; powers with free asymptotes, 95 % intervals and the word; gaps to the exact infinite width."""
    widths, grid, curves, limits = curves_of(system, quick, seed)
    speed = transfer_speed(widths, grid, curves, resamples=50 if quick else 400)
    location, loss = grid_minimum(grid, curves.mean(0))
    table: dict[str, Any] = {"system": system, "width": widths, "seeds": len(curves), "best": location, "loss": loss,
                             "spread": curves.min(-1).std(0), "word": speed.word}  # fmt: skip
    reference = curves[:, -1:] if limits is None else limits
    gaps, exact = gap_powers(widths, grid, curves, reference, each=system in SKETCHES)
    table |= dict(zip("abc", gaps, strict=True))
    found = {"": speed} if limits is None else {"": speed, "exact ": exact}
    for kind, power in found.items():
        for name in ("alpha", "beta", "margin"):
            ends = getattr(power, name)
            table |= {f"{kind}{name}{end}": ends[i] for i, end in enumerate(("", " lower", " upper"))}
    return pd.DataFrame(table)


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per system and width."""
    return map_cells(cell, [{"system": system, "quick": quick, "seed": seed} for system in SYSTEMS])


def figure(table: Any) -> Figure:
    """Gaps against width; beta - alpha/2 with its interval, and the word."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.8), width_ratios=(1, 1, 1.25))
    for axis, name, label in zip(axes, "ab", ("loss gap $a_n$", "hyperparameter gap $b_n$"), strict=False):
        for system, color in SYSTEMS.items():
            part = table[(table["system"] == system) & (table["a"] > 0)]
            style = {"color": OKABE_ITO[color], "label": system, "linestyle": "--" if "ball" in system else "-"}
            axis.plot(part["width"], part[name], "o", ms=3, **style)
        axis.tick_params(which="minor", labelleft=False)
        axis.set(xscale="log", yscale="log", xlabel="width n", ylabel=label, ylim=(1e-3, 2))
    axes[1].legend(fontsize=5.5, loc="lower left")
    first = table.groupby("system").first()
    for i, (system, color) in enumerate(SYSTEMS.items()):
        row = first.loc[system]
        for kind, shift, face in (("", 0.15, OKABE_ITO[color]), ("exact ", -0.15, "white")):
            axes[2].plot(row[[f"{kind}margin lower", f"{kind}margin upper"]], [i + shift] * 2, color=OKABE_ITO[color])
            axes[2].plot(row[f"{kind}margin"], i + shift, "o", ms=4, color=OKABE_ITO[color], markerfacecolor=face)
    axes[2].axvline(0, color="black", linewidth=0.8)
    axes[2].set_yticks(range(len(SYSTEMS)), [f"{system}\n({first.loc[system, 'word']})" for system in SYSTEMS])
    axes[2].set(xlabel=r"$\beta - \alpha/2$ (fast: above 0)", title="verdict", xlim=(-1.2, 1.8))
    axes[2].invert_yaxis()
    note = ("Right: filled: both asymptotes fitted, 95 % over resampled seeds, word in brackets; open: infinite"
            " width exact\n(sketches: filled: mean curve; open: each). Dashed: gap to the widest. Seeds: ")  # fmt: skip
    small_print(drawing, note + ", ".join(f"{system} {first.loc[system, 'seeds']}" for system in SYSTEMS) + ".")
    return drawing


def claims(table: Any) -> list[Claim]:
    """HT-14, the central limit behind it, and the published slow example at a reduced scale."""
    first = table.groupby("system").first()
    if first["seeds"].max() < 100:
        return []  # stated for the full profile
    ends = {name: {s: [float(row[name + end]) for end in ("", " lower", " upper")] for s, row in first.iterrows()}
            for name in ("margin", "exact margin", "exact beta")}  # fmt: skip
    length = {system: [end[2] - end[1]] * 3 for system, end in ends["margin"].items()}
    sketches = [[ends[f"exact {name}"][system] for system in list(SKETCHES)[:2]] for name in ("margin", "beta")]
    rows = [
        ("HT-14", "the learning rate of sketched regression transfers fast at a fixed horizon, by as much as ridge's "
         "penalty: beta - alpha/2 >= .2 over n = 20..320 (asked of HT-07)", ">=", 0.2, sketches[0],
         "ridge's penalty, fitted", [ends["margin"]["ridge"]], "refuted"),
        ("HT-14-CLT", "its gap b_n of a sketch falls as n^-1/2", "==", 0.5, sketches[1], "as n^-1", 1.0, "holds"),
        ("HT-BALL", "for Adam under muP on the indicator of a ball (d = 16) widths 16..256 and 5 seeds decide between "
         "fast and slow: 95 % of beta - alpha/2 within .5", "<=", 0.5, [length["ball, Adam"]], "ridge's penalty",
         [length["ridge"]], "refuted"),
    ]  # fmt: skip
    return [
        Claim(
            id=name, statement=statement, source="Ghosh, Wu, Bietti 2025, arXiv 2512.22768, and its follow-up's "
            "abstract; sizes ours", relation=relation, method="simulation",
            evaluate=_measured, parameters={"predicted": predicted, "ends": ends}, expected=expected,
            mutations=(Mutation(why, {"predicted" if isinstance(other, float) else "ends": other}),),
            attribution="relayed", tier="run",
        )
        for name, statement, relation, predicted, ends, why, other, expected in rows
    ]  # fmt: skip


def _measured(*, predicted: float, ends: list[list[float]]) -> Finding:
    return Finding([predicted] * len(ends), [Estimate(*end) for end in ends])
