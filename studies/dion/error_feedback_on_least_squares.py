"""Question: does error feedback lower the final loss on a convex quadratic, at which rank, and with which factors?

Claim: language models needed it at low rank (Ahn et al. 2025). Here it depends: with exact singular vectors it hurts at
r = n/16 and helps at r = n/4; with one warm power step it is no worse; blended with a Frobenius step it hurts.

Source: Ahn et al. 2025, arXiv 2504.05295 (the claim on language models); arXiv 2512.09678 (outlook on blends); the
problem F(X) = <X, A X B>/2 with eigenvalues of A and B uniform on (0, 1) is that of arXiv 2512.09678.

Cost: quick 2 s, full 2 min on 2 cores. Scale: 64 x 64, 5 seeds (quick: 24 x 24, 2 seeds), 600 steps, deterministic
gradients, mu = .9, linear decay; the learning rate is tuned for every variant and seed on a grid of factor 2.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.optimizers.low_rank import low_rank_direction, low_rank_factors
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print

EXACT, POWER, BLEND = "exact SVD", "one power step", "one power step, half Frobenius"
RATES = {EXACT: (0.01, 1.28), POWER: (0.005, 0.16), BLEND: (0.01, 1.28)}  # ends of the grid of learning rates
MOMENTUM = 0.9


def problem(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A, B and the start X of the quadratic <X, A X B>/2."""
    generator = np.random.default_rng(seed)
    factors = []
    for _ in range(2):
        basis = np.linalg.qr(generator.standard_normal((n, n)))[0]
        factors.append(torch.from_numpy((basis * generator.uniform(size=n)) @ basis.T))
    return factors[0], factors[1], torch.from_numpy(0.1 * generator.standard_normal((n, n)))


def cell(n: int, route: str, rank: int, feedback: bool, steps: int, seed: int) -> list[dict]:
    """One variant on one problem: all learning rates of the grid at once, as a batch."""
    A, B, start = problem(n, seed)
    lowest, highest = RATES[route]
    rates = lowest * 2.0 ** np.arange(round(np.log2(highest / lowest)) + 1)
    lr = torch.from_numpy(rates)[:, None, None]
    X = start.expand(len(rates), n, n).clone()
    M = torch.zeros_like(X)
    generator = torch.Generator().manual_seed(seed)
    Q = torch.randn(n, rank, generator=generator, dtype=X.dtype).expand(len(rates), n, rank)
    for step in range(steps):
        buffer = M + A @ X @ B
        if route == EXACT:
            P = torch.linalg.eigh(buffer @ buffer.mT).eigenvectors[..., -rank:]  # leading left singular vectors
            R = buffer.mT @ P
        else:
            P, R, Q = low_rank_factors(buffer, Q)
        D = low_rank_direction(P, R)
        if route == BLEND:
            D = D / 2 + buffer / (2 * torch.linalg.matrix_norm(buffer, keepdim=True))
        M = buffer - (1 - MOMENTUM) * P @ R.mT if feedback else MOMENTUM * buffer
        X = X - lr * (1 - step / steps) * D
    loss = (X * (A @ X @ B)).sum((1, 2)) / (start * (A @ start @ B)).sum()
    fixed = {"n": n, "route": route, "rank": rank, "feedback": feedback, "seed": seed, "steps": steps}
    return [fixed | {"lr": float(x), "loss": float(f)} for x, f in zip(rates, loss, strict=True)]


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per variant, rank, seed and learning rate: final loss over the first."""
    n, steps, seeds = (24, 100, 2) if quick else (64, 600, 5)
    variants = [(route, rank) for route in (EXACT, POWER, BLEND) for rank in (n // 16, n // 4)]
    return map_cells(cell, [
        {"n": n, "route": route, "rank": max(rank, 2), "feedback": feedback, "steps": steps, "seed": seed + i}
        for route, rank in variants for feedback in (True, False) for i in range(seeds)
    ])  # fmt: skip


def best(table: Any) -> Any:
    """Loss at the best learning rate, indexed by route, rank and feedback, one column a seed."""
    return table.groupby(["route", "rank", "feedback", "seed"])["loss"].min().unstack("seed")


def figure(table: pd.DataFrame) -> Figure:
    """Final loss at the best learning rate, every seed a point, with and without error feedback."""
    losses, ranks = best(table), sorted(set(table["rank"]))
    drawing, axes = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 2.6), sharey=True)
    for axis, rank in zip(axes, ranks, strict=True):
        for i, route in enumerate((EXACT, POWER, BLEND)):
            for feedback, color, shift in ((True, "blue", -0.1), (False, "vermillion", 0.1)):
                values = losses.loc[(route, rank, feedback)].to_numpy()
                label = ("with" if feedback else "without") + " error feedback" if i == 0 else None
                place = np.full(len(values), i + shift)
                axis.semilogy(place, values, "o", ms=4, fillstyle="none", color=OKABE_ITO[color], label=label)
        axis.set_xticks(range(3), labels=("exact SVD", "one power step", "half Frobenius"))
        axis.set(title=f"r = {rank} of {table['n'].iloc[0]}", xlabel="how the factors are found", xlim=(-0.5, 2.5))
    axes[0].set_ylabel("final loss / first loss")
    axes[0].legend()
    scale = (
        f"Quadratic of {table['n'].iloc[0]}² unknowns, {table['seed'].nunique()} seeds, {table['steps'].iloc[0]} steps,"
    )
    small_print(drawing, f"{scale} μ = .9, linear decay, learning rate tuned for each point.")
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """The rows DN-18 to DN-21 and DN-23: worst ratio over seeds, or ratio of medians, against 1, 1.1 or 1.2."""
    losses = best(table)
    low, high = sorted(set(table["rank"]))
    if table["n"].iloc[0] != 64:
        return []  # stated for the full profile

    def ratios(route: str, rank: int) -> list[float]:
        return (losses.loc[(route, rank, True)] / losses.loc[(route, rank, False)]).tolist()

    def medians(route: str, rank: int) -> float:
        return float(losses.loc[(route, rank, True)].median() / losses.loc[(route, rank, False)].median())

    power = [
        float(losses.loc[(POWER, low, ef)].median() / losses.loc[(EXACT, low, ef)].median()) for ef in (True, False)
    ]
    exact_low, exact_high, setting = ratios(EXACT, low), ratios(EXACT, high), f"(quadratic, n = {table['n'].iloc[0]})"
    facts: list[tuple[str, str, Any, float, str, str, Any]] = [
        ("DN-18", f"error feedback lowers the final loss of exact-SVD Dion at r = {low} {setting}", exact_low, 1.0,
         "refuted", f"r = {high}", {"measured": exact_high}),
        ("DN-23", f"error feedback lowers the final loss of exact-SVD Dion at r = {high} {setting}", exact_high, 1.0,
         "holds", f"r = {low}", {"measured": exact_low}),
        ("DN-19", f"with one warm power step error feedback is no worse than none, median, factor 1.2 {setting}",
         [medians(POWER, low), medians(POWER, high)], 1.2, "holds", "exact SVD", {"measured": [medians(EXACT, low)]}),
        ("DN-20", f"one power step loses nothing against a full SVD: ratio of medians at r = {low} {setting}",
         power, 1.1, "refuted", "a factor of 1e4 allowed", {"predicted": 1e4}),
        ("DN-21", f"error feedback helps Dion blended with half a Frobenius step, r = {low} {setting}",
         ratios(BLEND, low), 1.0, "refuted", "without the Frobenius part, factor 1.2",
         {"measured": [medians(POWER, low)], "predicted": 1.2}),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=statement, source="arXiv 2504.05295 or 2512.09678 (language models), run here",
              relation="<=", method="simulation", evaluate=Finding,
              parameters={"predicted": predicted, "measured": measured}, mutations=(Mutation(words, changed),),
              expected=expected, attribution="implied", tier="run")  # pyright: ignore[reportArgumentType]
        for name, statement, measured, predicted, expected, words, changed in facts
    ]  # fmt: skip
