"""Question: how large do Muon's iterates get, and how well do they do, as a function of decay times rate?

Claim: up to eta lambda = 1 the iterates stay in the ball op(W) <= 1/lambda whatever the gradients; between 1 and 2 they
may reach 1/(2/eta - lambda), beyond 2 nothing holds them; with decay the gradient need not vanish, the Frank-Wolfe gap
does.

Source: arXiv 2507.01598 (eta <= 1/lambda, its sweep at lambda = .0625); Theorem C and claims THC-B1, THC-B4, THC-PHI3.

Cost: quick 1 s, full 1 min on 1 core. Scale: linear teacher of 12 x 12 weights (W* of operator norm about 1.9), batch
64, exact polar factor, momentum 0 and .9, 300 steps (the last third is measured), 5 seeds, rates in steps of 2^(1/2).
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.problems.gradient_noise import streaming_teacher
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, apply_style, small_print
from muon_theory.rooms.critical_batch.decay import limiting_radius
from muon_theory.training.teacher_runs import direction

COLORS = {0.0625: "blue", 0.25: "vermillion", 1.0: "green"}


def cell(
    decay: float, momentum: float, products: list[float], steps: int, size: int, seeds: int, seed: int
) -> list[dict]:
    """All products eta lambda of a decay at once: largest op(W), mean nuc(g) and mean Frank-Wolfe gap at the end."""
    teacher = streaming_teacher(size, size, decay=1.0, noise=0.5, seed=seed)
    eta = np.array(products)[:, None, None, None] / decay
    generators = [np.random.default_rng([seed, s]) for s in range(seeds)]
    W, state = np.zeros((len(products), seeds, size, size)), {}
    last: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for step in range(1, steps + 1):
        moments = [teacher.batch_moments(64, generator) for generator in generators]
        S, E = (np.stack(each) for each in zip(*moments, strict=True))
        W = (1 - eta * decay) * W - eta * direction("muon", (W - teacher.weights) @ S - E, state, momentum, step)
        if step > 2 * steps // 3:
            g = teacher.gradient(W)
            norm = np.linalg.svd(g, compute_uv=False).sum(-1)
            last.append((np.linalg.norm(W, 2, axis=(-2, -1)), norm, norm + decay * np.sum(W * g, axis=(-2, -1))))
    size_of, norm, gap = (np.stack(each) for each in zip(*last, strict=True))
    start = float(np.linalg.norm(teacher.gradient(0 * W[0, 0]), "nuc"))
    return [
        {"decay": decay, "momentum": momentum, "product": product, "seed": j, "size": size,
         "radius": float(size_of[:, i, j].max() * decay), "gradient": float(norm[:, i, j].mean() / start),
         "gap": float(gap[:, i, j].mean() / start)}
        for i, product in enumerate(products) for j in range(seeds)
    ]  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per decay, momentum, product eta lambda and seed."""
    size, steps, seeds = (4, 60, 2) if quick else (12, 300, 5)
    products = (2.0 ** np.arange(-8, 0.01, 2 if quick else 0.5)).tolist()
    return map_cells(cell, [
        {"decay": decay, "momentum": b, "products": [*products, 1.2, 1.7, 1.9, 2.1], "steps": steps, "size": size,
         "seeds": seeds, "seed": seed}
        for decay in COLORS for b in (0.0, 0.9)
    ])  # fmt: skip


def figure(table: pd.DataFrame) -> Figure:
    """Left: largest lambda op(W) against eta lambda. Middle: the gradient left. Right: the Frank-Wolfe gap left."""
    with apply_style():
        drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7))
        for decay, color in COLORS.items():
            for momentum, line in ((0.0, "--"), (0.9, "-")):
                part = table.query("decay == @decay and momentum == @momentum").groupby("product")
                for axis, name in zip(axes, ("radius", "gradient", "gap"), strict=True):
                    median = part[name].median()
                    label = f"λ = {decay:g}" if momentum else None
                    axis.plot(median.index, median, line, color=OKABE_ITO[color], label=label, linewidth=1)
        product = np.geomspace(table["product"].min(), 1.99, 400)
        bound = [limiting_radius(float(p), 1.0) for p in product]
        axes[0].plot(product, bound, color=OKABE_ITO["black"], linewidth=0.8, label="bound")
        words = ("λ · largest op(W), late", "nuc(gradient) / first", "Frank–Wolfe gap · λ / first")
        for axis, what in zip(axes, words, strict=True):
            axis.axvline(1, color=OKABE_ITO["grey"], linewidth=0.6)
            axis.set(xscale="log", yscale="log", xlabel="rate times decay, ηλ", ylabel=what)
        axes[0].set_ylim(top=100)
        for axis in axes[1:]:
            axis.set_ylim(0.02, 100)
        axes[0].legend()
        note = (
            f"Linear teacher {table['size'].iloc[0]}², batch 64, exact polar factor, {table['seed'].nunique()} seeds "
            "(medians, late third of the run). Black: what no gradients can exceed.\nSolid: momentum .9, dashed: none. "
            "Beyond ηλ = 2 nothing stays finite (out of the frame)."
        )
        small_print(drawing, note)
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """The ball, and what happens beyond eta lambda = 1; in the full profile the gradient left outside the ball."""
    rows: Any = table
    inside = float(rows[rows["product"] <= 1]["radius"].max())
    beyond = rows[(rows["product"] > 1) & (rows["product"] < 2)]
    share = (beyond["radius"] / [limiting_radius(p, 1.0) for p in beyond["product"]]).max()
    small = rows[(rows["product"] < 0.01) & (rows["momentum"] == 0.9)].groupby("decay")[["gradient", "gap"]].median()
    left = small["gradient"] / small["gap"]
    facts = [
        ("DTR-BALL", "up to eta lambda = 1 every iterate of every run stays in op(W) <= 1/lambda", inside,
         Mutation("the iterates beyond eta lambda = 1", {"measured": float(beyond["radius"].max())})),
        ("DTR-BEYOND", "between 1 and 2 no iterate exceeds 1/(2/eta - lambda)", float(share),
         Mutation("the radius 1/lambda there", {"measured": float(beyond["radius"].max())})),
        ("DTR-GRADIENT", "at lambda = 1 and small rates the gradient left is at most twice the Frank-Wolfe gap left "
         "(W* lies outside the ball)", float(left[1.0]) / 2,
         Mutation("lambda = .0625: W* lies inside", {"measured": float(left[0.0625]) / 2})),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=statement, source="arXiv 2507.01598 (eta <= 1/lambda), run here", relation="<=",
              method="simulation", evaluate=Finding, parameters={"predicted": 1.0, "measured": measured},
              mutations=(mutation,), expected="refuted" if name == "DTR-GRADIENT" else "holds", attribution="implied",
              tier="run", tolerance=1e-9, tolerance_reason="rounding of norms")
        for name, statement, measured, mutation in facts[: 3 if rows["size"].iloc[0] == 12 else 2]
    ]  # fmt: skip
