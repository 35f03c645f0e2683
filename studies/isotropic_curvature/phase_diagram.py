"""Phase diagram: where does a kink in the curvature make the orthogonalised gradient optimal?

Question: for two singular values and H with slopes A below and B above its kink, which gradients, by
T = sigma_1 + sigma_2 and sigma_1 - sigma_2, have c U V^T as their
best update; and how strong must the kink be for n singular values?

Claim: exactly those with A <= T <= B and sigma_1 - sigma_2 <= ((B - A)/pi) sin(pi (T - A)/(B - A)). For n of them the
smallest jump is a convex program with exact integrals, bounded below by quantiles of Beta laws.

Source: derived here; Su 2025, arXiv 2511.00674, Theorem 4 (relayed) says that some kink is strong enough.

Cost: quick 2 s, full 15 s on one core: a linear program in the weights of 4000 equispaced directions at each point;
deterministic, no seeds.
"""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.isotropic_curvature.kink import (
    beta_lower_bound,
    planar_boundary,
    sampled_criterion,
    smallest_jump,
)
from muon_theory.rooms.isotropic_curvature.sampled_solver import circle_squares

LOW = (0.0, 0.3)  # A, in units of B
FACTORS = (0.3, 0.7, 0.9, 0.97, 0.99, 1.01, 1.03, 1.1, 1.3, 1.7, 2.5)
SIZES = (2, 4, 8, 16, 32)


def cell_point(low: float, share: float, directions: int) -> list[dict]:
    """All points at one T: distance of the linear program, and the boundary's difference."""
    total = low + share * (1 - low)
    boundary = float(planar_boundary(total, low, 1.0))
    rows = []
    for factor in FACTORS:
        sigma = np.array([total + factor * boundary, total - factor * boundary]) / 2
        if sigma[1] >= 0:
            distance = sampled_criterion(sigma, low, 1.0, circle_squares(directions // 4)).distance
            rows.append({"part": "plane", "low": low, "total": total, "factor": factor, "boundary": boundary,
                         "difference": factor * boundary, "directions": directions,
                         "optimal": distance < 1e-9})  # fmt: skip
    return rows


def cell_strength(n: int, condition: float) -> dict:
    """Smallest B/T of a geometric spectrum at A = 0, and its lower bound."""
    sigma = np.geomspace(condition, 1.0, n)
    bound = smallest_jump(sigma / sigma.sum())
    return {"part": "strength", "n": n, "condition": condition, "jump": bound.jump, "residual": bound.residual,
            "lower": beta_lower_bound(sigma / sigma.sum())}  # fmt: skip


def compute(*, quick: bool = False, seed: int = 0, map_cells=serially) -> pd.DataFrame:  # noqa: ARG001
    """One row per point of the plane, and one per size and condition number."""
    shares = np.linspace(0.04, 0.96, 6 if quick else 24).round(4).tolist()
    directions = 800 if quick else 4000
    plane = map_cells(cell_point, [
        {"low": low, "share": share, "directions": directions} for low in LOW for share in shares
    ])  # fmt: skip
    conditions = np.geomspace(1.2, 100, 6 if quick else 25).round(4).tolist()
    strength = map_cells(cell_strength, [{"n": n, "condition": k} for n in SIZES for k in conditions])
    return pd.concat([plane, strength], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """The plane for both A, program against formula; the smallest jump against the condition number."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7), width_ratios=(1, 1, 1.1))
    for axis, low in zip(axes, LOW, strict=False):
        part = table.query(f"part == 'plane' and low == {low}")
        total = np.linspace(low, 1, 300)
        region = np.minimum(planar_boundary(total, low, 1.0), total)
        shade = OKABE_ITO["sky"]
        axis.fill_between(total, 0, region, color=shade, alpha=0.3, linewidth=0, label="formula: orthogonal")
        axis.plot([0, 1], [0, 1], color=OKABE_ITO["grey"], linewidth=0.8, linestyle=":", label="σ₂ = 0")
        for value, marker, name, text in ((True, "o", "blue", "program: orthogonal"),
                                          (False, "x", "vermillion", "program: not")):  # fmt: skip
            points = part.query(f"optimal == {value}")
            axis.plot(points["total"], points["difference"], marker, ms=2.5, color=OKABE_ITO[name], label=text)
        axis.set(
            xlabel="(σ₁ + σ₂) / B", title=f"n = 2, A = {low:g} B" if low else "n = 2, A = 0", xlim=(0, 1), ylim=(0, 1)
        )
    axes[0].set_ylabel("(σ₁ − σ₂) / B")
    axes[0].legend(loc="upper left", handletextpad=0.4)
    names = ("black", "blue", "green", "orange", "vermillion")
    for n, name in zip(SIZES, names, strict=True):
        part = table.query(f"part == 'strength' and n == {n}")
        axes[2].loglog(part["condition"], part["jump"], color=OKABE_ITO[name], label=f"n = {n}")
        axes[2].loglog(part["condition"], part["lower"], color=OKABE_ITO[name], linestyle="--", linewidth=0.8)
    axes[2].set(xlabel="condition number of G", ylabel="smallest B / Σσ (A = 0)", title="strength of kink needed")
    axes[2].legend(loc="upper left")
    plane = table.query("part == 'plane'")
    note = f"{len(plane)} points by linear programs over {int(plane['directions'].iloc[0])} directions; no sampling."
    small_print(drawing, f"{note} Right: geometric spectra, exact integrals; dashed: lower bound from Beta quantiles.")
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """Mismatches of formula and linear program; the bound below the smallest jump."""
    plane, strength = table.query("part == 'plane'"), table.query("part == 'strength'")

    def mismatches(scale: float = 1.0) -> Finding:
        return Finding(
            0, int(np.sum(plane["optimal"].to_numpy(bool) != (plane["factor"].to_numpy(float) * scale <= 1)))
        )

    def ratio(power: float = 1.0) -> Finding:
        return Finding(1.0, (strength["lower"] ** power / strength["jump"]).tolist())

    return [
        Claim(id="IC-38", statement=f"n = 2: formula and linear program agree on all of {len(plane)} points",
              source="derived here", relation="==", method="linear program", evaluate=mismatches,
              mutations=(Mutation("1/2 in place of 1/pi", {"scale": 2 / math.pi}),), expected="holds",
              attribution="ours", tier="run"),
        Claim(id="IC-39", statement="geometric spectra, n = 2 to 32: the Beta bound is at most the smallest jump",
              source="derived here", relation="<=", method="float64 evaluation", evaluate=ratio, tolerance=1e-8,
              tolerance_reason="at n = 2 both are the same number, found to 1e-10",
              mutations=(Mutation("its 1.5th power", {"power": 1.5}),), expected="holds", attribution="ours",
              tier="run"),
    ]  # fmt: skip
