"""Question: where do runs at a constant learning rate stall, and what is one learning rate for every Fanion-k worth?

Claim: Muon stalls at a floor proportional to lr^2, so iterations to a fixed loss measure the floor as much as the rate.
At one shared learning rate Fanion-1 is a thousand times behind Muon; tuned with a linear decay the order in k stays.

Source: Kravatskiy et al. 2025, arXiv 2512.09678, the smooth convex problem and the logs of its public code.

Cost: quick 2 s, full 4 min on one core. Scale: 64 x 64 unknowns, deterministic, 5 seeds, float64; 1600 steps (floor,
median of the last 101 losses), 1000 (lr .002, momentum .5), 600 (linear decay, momentum .9, lr tuned by factors of 2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.fanions.least_squares import METHODS, Route, blended_direction, descend, least_squares

FLOORS: dict[str, tuple[str, Route, int, str]] = {  # name: method, route, factor on the learning rates, colour
    "Muon, exact": ("muon", "exact", 1, "blue"), "Muon, 3 steps": ("muon", "ns3", 1, "sky"),
    "Muon, 5 steps": ("muon", "ns5", 1, "purple"), "F-Muon, exact": ("f_muon", "exact", 2, "vermillion"),
    "S-Muon, exact": ("s_muon", "exact", 2, "green"), "normalised GD": ("nsgd", "exact", 8, "grey"),
}  # fmt: skip


def history(n: int, seed: int, lr: float, direction: Callable, *, beta: float, steps: int, decay: bool) -> np.ndarray:
    """F/F_0 after 0, 1, ..., steps steps, at a constant or a linearly decayed learning rate."""
    left = iter([1 - t / steps if decay else 1.0 for t in range(steps)])
    values = descend(least_squares(n, seed), lambda M: -next(left) * direction(torch.from_numpy(M)).numpy(), lr=lr,
                     beta=beta, steps=steps)[1]  # fmt: skip
    return values / values[0]


def leading_part(M: torch.Tensor, k: int, frobenius: bool) -> torch.Tensor:
    """P_k(M), or the mean of P_k(M) and M/fro(M)."""
    unit = M / torch.linalg.matrix_norm(M, keepdim=True)
    left, _, right = torch.linalg.svd(unit, full_matrices=False)
    part = left[..., :k] @ right[..., :k, :]
    return (part + unit) / 2 if frobenius else part


def floor_cell(name: str, lr: float, n: int, seed: int, steps: int) -> dict:
    """Median of the last losses at a constant learning rate, given for Muon."""
    method, route, factor, _ = FLOORS[name]
    step = partial(blended_direction, weights=METHODS[method], route=route)
    late = history(n, seed, factor * lr, step, beta=0.5, steps=steps, decay=False)[-(steps // 16 + 1) :]
    return {"part": "floor", "name": name, "k": n, "n": n, "seed": seed, "lr": factor * lr, "loss": np.median(late)}


def rank_cell(k: int, frobenius: bool, tuned: bool, n: int, seed: int, steps: int) -> dict:
    """Final loss of Fanion-k at lr .002, or at the best of thirteen learning rates, .00125 to 5.12."""
    rates, beta = ([0.00125 * 2.0**i for i in range(13)], 0.9) if tuned else ([0.002], 0.5)
    step = partial(leading_part, k=k, frobenius=frobenius)
    losses = [history(n, seed, lr, step, beta=beta, steps=steps, decay=tuned)[-1] for lr in rates]
    best = int(np.argmin(losses))
    if tuned and best in (0, len(rates) - 1):
        raise ValueError(f"k = {k}, seed {seed}: the best learning rate {rates[best]} is at the edge of the grid")
    return {"part": "tuned" if tuned else "shared", "name": "F-Fanion" if frobenius else "Fanion", "k": k, "n": n,
            "seed": seed, "lr": rates[best], "loss": float(losses[best])}  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per variant, seed and learning rate: loss over the first loss."""
    n, seeds = (12, [seed, seed + 1]) if quick else (64, [seed + i for i in range(5)])
    floors = map_cells(floor_cell, [
        {"name": name, "lr": lr, "n": n, "seed": one, "steps": 80 if quick else 1600}
        for name in FLOORS for lr in (0.002, 0.004, 0.008, 0.016) for one in seeds
    ])  # fmt: skip
    ranks = map_cells(rank_cell, [
        {"k": k, "frobenius": frobenius, "tuned": tuned, "n": n, "seed": one,
         "steps": 40 if quick else 600 if tuned else 1000}
        for one in seeds for tuned in (False, True) for k in (1, 4, n // 4, n) for frobenius in (False, True)
    ])  # fmt: skip
    return pd.concat([floors, ranks], ignore_index=True)


def losses_of(table: Any, part: str, name: str, k: int) -> np.ndarray:
    """Losses by seed."""
    return table.query(f"part == {part!r} and name == {name!r} and k == {k}").sort_values("seed")["loss"].to_numpy()


def exponents(table: Any, name: str) -> list[float]:
    """Slope of log floor against log lr, for each seed."""
    rows = table.query(f"part == 'floor' and name == {name!r}").groupby("seed")
    return [float(np.polyfit(np.log(of["lr"]), np.log(of["loss"]), 1)[0]) for _, of in rows]


def figure(table: pd.DataFrame) -> Figure:
    """The floor against the learning rate; the final loss against k, at one learning rate and tuned."""
    drawing, axes = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 2.9))
    curves: list[tuple] = [(0, "floor", name, "lr", "o-", FLOORS[name][3], name) for name in FLOORS]
    for part, style, words in (("shared", "o--", "constant lr .002"), ("tuned", "o-", "tuned, linear decay")):
        for name, color in (("Fanion", "blue"), ("F-Fanion", "vermillion")):
            curves.append((1, part, name, "k", style, color, f"{name}-k, {words}"))
    for panel, part, name, across, style, color, label in curves:
        rows = table.query(f"part == {part!r} and name == {name!r}").pivot_table("loss", across, "seed")
        axes[panel].fill_between(rows.index, rows.min(axis=1), rows.max(axis=1), color=OKABE_ITO[color], alpha=0.2)
        slope = f": lr^{np.median(exponents(table, name)):.2f}" if part == "floor" else ""
        axes[panel].loglog(rows.index, rows.median(axis=1), style, color=OKABE_ITO[color], label=label + slope)
    axes[0].set(xlabel="constant lr", ylabel="floor / first loss", title="where it stalls", ylim=(1e-6, 0.05))
    axes[1].set(xlabel="k", ylabel="final loss / first loss", title="what one lr hides", ylim=(1e-16, 4))
    axes[1].set_xticks(ks := sorted(set(table.query("part == 'tuned'")["k"])), labels=[str(k) for k in ks])
    axes[0].legend(loc="upper left")
    axes[1].legend(loc="lower left")
    small_print(drawing, f"{table['n'].iloc[0]}² unknowns, {table['seed'].nunique()} seeds: median and range.")
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """The rows LS-15 to LS-18."""
    if (n := int(table["n"].iloc[0])) != 64:
        return []  # stated for the full profile

    def ratio(part: str, first: tuple[str, int], second: tuple[str, int]) -> list[float]:
        return (losses_of(table, part, *first) / losses_of(table, part, *second)).tolist()

    gains = {k: ratio("tuned", ("Fanion", k), ("F-Fanion", k)) for k in (1, 4, 16)}
    medians = np.array([np.median(losses_of(table, "tuned", "Fanion", k)) for k in (1, 4, 16, 64)])
    steps = [*(medians[:-1] / medians[1:]).tolist(), *(min(gains[k]) / 5 for k in gains)]
    facts: list[tuple] = [
        ("LS-15", "the floor of Muon (exact polar factor, momentum .5) at a constant lr grows like lr^2: exponent over "
         "lr .002 to .016", "==", 2, exponents(table, "Muon, exact"), "exponent 1", {"predicted": 1}, "holds"),
        ("LS-16", "at lr .002, momentum .5, the loss of Fanion-1 after 1000 steps is at least 1000 times Muon's", ">=",
         1000, ratio("shared", ("Fanion", 1), ("Fanion", n)), "k = r",
         {"measured": ratio("shared", ("Fanion", n), ("Fanion", n))}, "holds"),
        ("LS-17", "with lr tuned and linear decay over 600 steps the median loss falls with k = 1, 4, 16, 64, and a "
         "Frobenius part gains 5 times at k < n on every seed (ratios, smallest gains / 5)", ">=", 1, steps,
         "k in reverse", {"measured": (medians[1:] / medians[:-1]).tolist()}, "holds"),
        ("LS-18", "at lr .002, momentum .5, a Frobenius part lowers the loss of Fanion-1 after 1000 steps 10 times",
         ">=", 10, ratio("shared", ("Fanion", 1), ("F-Fanion", 1)), "lr tuned", {"measured": gains[1]}, "refuted"),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=f"{statement} (64 x 64, 5 seeds)", source="arXiv 2512.09678 and its logs; run here",
              relation=relation, method="simulation", evaluate=Finding, expected=expected, tier="run",
              parameters={"predicted": predicted, "measured": measured}, mutations=(Mutation(words, changed),),
              attribution="implied" if name in ("LS-16", "LS-18") else "ours", tolerance=0.1 * (name == "LS-15"),
              tolerance_reason="the row's own: four learning rates" if name == "LS-15" else "")
        for name, statement, relation, predicted, measured, words, changed, expected in facts
    ]  # fmt: skip
