"""Question: what do the unit balls of the Ky Fan norms, their duals and their blends look like, and what do they allow?

Claim: among the matrices diag(d1, d2) the dual Ky Fan ball (Fanion-k) shrinks from the square of Muon to the diamond of
Neon as k falls from 2 to 1, its corners cut off by |d1| + |d2| <= k; the Ky Fan balls are their polars. A corner is a
step that a whole cone of gradients shares: (1, k - 1) and (k - 1, 1). Blending in a Frobenius ball (F-) rounds every
corner off, so that the step turns with the gradient again; blending in the ball of the largest entry (S-) does not.

Source: Kravatskiy et al. 2025 (arXiv 2512.09678); the balls of real k and of the blends derived here.

Cost: quick and full 2 s on one core. Scale: exact formulas, no samples; for S- a convex program to 1e-8.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print

FAMILIES = {
    "Ky Fan": (1.0, 1.25, 1.5, 1.75, 2.0),
    "dual Ky Fan": (1.0, 1.25, 1.5, 1.75, 2.0),
    "F-Fanion": (1.0, 1.5, 2.0),
    "S-Fanion": (1.0, 1.5, 2.0),
}
TITLES = {
    "Ky Fan": "a  Ky Fan $k$",
    "dual Ky Fan": "b  dual Ky Fan $k$: Fanion-$k$",
    "F-Fanion": "c  F-Fanion-$k$",
    "S-Fanion": "d  S-Fanion-$k$",
}
COLOR_OF = dict(zip((1.0, 1.25, 1.5, 1.75, 2.0), ("vermillion", "orange", "green", "sky", "blue"), strict=True))
GRADIENT = 28.0  # degrees: G = diag(cos, sin), an arrow in every panel


def norm_of(family: str, k: float):
    from muon_theory.norms import DualKyFan, KyFan, f_fanion, s_fanion

    return {"Ky Fan": KyFan, "dual Ky Fan": DualKyFan, "F-Fanion": lambda k: f_fanion(k, 0.5),
            "S-Fanion": lambda k: s_fanion(k, 0.5, 0.5)}[family](k)  # fmt: skip


def cell(family: str, k: float, angles: list[float]) -> list[dict]:
    """The boundary by the gauge (where the ray of an angle leaves the ball) and the step -lmo of a gradient there."""
    import torch

    norm = norm_of(family, k)
    directions = torch.deg2rad(torch.tensor(angles, dtype=torch.float64))
    matrices = torch.diag_embed(torch.stack([directions.cos(), directions.sin()], dim=-1))
    values, duals = norm.value(matrices).tolist(), norm.dual(matrices).tolist()
    steps = (-norm.lmo(matrices)).diagonal(dim1=-2, dim2=-1).tolist()
    return [
        {"family": family, "k": k, "angle_degrees": angle, "value": value, "dual": dual, "step_1": x, "step_2": y,
         "d1": np.cos(np.deg2rad(angle)) / value, "d2": np.sin(np.deg2rad(angle)) / value}
        for angle, value, dual, (x, y) in zip(angles, values, duals, steps, strict=True)
    ]  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially, spacing: float = 5.0) -> pd.DataFrame:  # noqa: ARG001
    """Table over families, k and directions of one quadrant; nothing is drawn at random and quick is full."""
    angles = sorted({*np.arange(0, 90 + spacing / 2, spacing).tolist(), GRADIENT})
    cells = [{"family": family, "k": k, "angles": angles} for family, ks in FAMILIES.items() for k in ks]
    return map_cells(cell, cells)


def figure(table: pd.DataFrame) -> Figure:
    drawing, axes = plt.subplots(1, 4, figsize=(DOUBLE_COLUMN, 2.35), sharex=True, sharey=True)
    arrow = {"arrowstyle": "-|>", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    for axis, (family, title) in zip(axes, TITLES.items(), strict=True):
        for k in FAMILIES[family]:
            rows, color = table.query(f"family == {family!r} and k == {k}"), OKABE_ITO[COLOR_OF[k]]
            axis.plot(*_boundary(rows).T, color=color, label=f"$k$ = {k:g}")
            step = rows.query("angle_degrees == @GRADIENT")[["step_1", "step_2"]].to_numpy()[0]
            axis.plot(*step, "o", color=color, markersize=4, markeredgecolor="white", markeredgewidth=0.5, zorder=3)
        direction = np.deg2rad(GRADIENT)
        axis.annotate("", (0.55 * np.cos(direction), 0.55 * np.sin(direction)), (0, 0),
                      arrowprops=arrow | {"color": OKABE_ITO["black"]})  # fmt: skip
        axis.annotate("$G$", (0.56 * np.cos(direction), 0.56 * np.sin(direction)), fontsize=7, va="center",
                      xytext=(1.5, 0), textcoords="offset points")  # fmt: skip
        axis.set(title=title, xlabel="$d_1$", aspect="equal", xlim=(-1.12, 1.12), ylim=(-1.12, 1.12))
        axis.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes[0].set_ylabel("$d_2$")
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, handlelength=1.4)
    text = "Unit balls among the matrices diag(d₁, d₂). Dots: the step −lmo(G) for the arrow G ∝ (cos 28°, sin 28°)."
    text += " In b, k = 1 is Neon,\nk = 2 Muon; likewise in c and d, α = η = ½. Exact formulas; d by a convex program."
    small_print(drawing, text)
    return drawing


def _boundary(rows: pd.DataFrame) -> np.ndarray:
    """The closed curve through the ends of the rays and the steps, corners stay sharp; mirrored to all sides."""
    points = np.concatenate([rows[["d1", "d2"]].to_numpy(), rows[["step_1", "step_2"]].to_numpy()])
    points = points[np.argsort(np.arctan2(points[:, 1], points[:, 0]), kind="stable")]
    upper = np.concatenate([points, points[::-1] * [-1, 1]])
    return np.concatenate([upper, upper[::-1] * [1, -1]])


def claims(table: pd.DataFrame) -> list[Claim]:
    """That the two first families are polars, and that only the Frobenius blend has no corner."""
    inner = table.query("0 < angle_degrees < 90 and angle_degrees != 45")
    steps_of = {family: [_distinct_steps(inner.query(f"family == {family!r} and k == {k}")) for k in ks]
                for family, ks in FAMILIES.items()}  # fmt: skip
    directions = float(len(set(inner["angle_degrees"])))
    duals, values = table.query("family == 'Ky Fan'")["dual"], table.query("family == 'dual Ky Fan'")["value"]
    polar = (duals.to_numpy() / values.to_numpy()).tolist()
    facts: tuple[tuple[Any, ...], ...] = (
        ("UB-POLAR", "the dual of the Ky Fan norm is the norm of the dual Ky Fan ball, in every direction, for every k",
         "==", 1.0, [min(polar), max(polar)], {"predicted": 1.001}),
        ("UB-CORNERS", "without a Frobenius part all gradients between the axes share at most two steps, d1 = d2 apart",
         "<=", 2.0, steps_of["dual Ky Fan"] + steps_of["S-Fanion"], {"predicted": 1.0}),
        ("UB-ROUND", "with a Frobenius part no two gradients share a step",
         "==", directions, steps_of["F-Fanion"], {"measured": steps_of["S-Fanion"]}),
    )  # fmt: skip
    return [Claim(id=name, statement=words, source="derived here", relation=relation, method="float64 evaluation",
                  evaluate=Finding, parameters={"predicted": predicted, "measured": measured}, attribution="ours",
                  mutations=(Mutation(f"{list(change)[0]} changed", change),), expected="holds", tier="run",
                  relative_tolerance=1e-12, tolerance_reason="rounding of float64")
            for name, words, relation, predicted, measured, change in facts]  # fmt: skip


def _distinct_steps(rows: pd.DataFrame) -> float:
    """How many different steps the gradients of these rows take."""
    return float(len(np.unique(rows[["step_1", "step_2"]].to_numpy().round(9), axis=0)))
