"""Question: how fast does the average of n random signs approach zero?

Copy this file: one file answers one question.

Claim: its root mean square is 1/sqrt(n).

Source: elementary (variance of a sum of independent signs).

Cost: quick 1 s, full 1 s on one core. Scale: 200 (quick) or 2000 averages per n, one seed, simulated.
"""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import SINGLE_COLUMN, color_of, small_print


def cell(n: int, averages: int, seed: int) -> dict:
    """One point of the grid: a pure function of JSON values, at module level, so that any engine can run it."""
    signs = np.random.default_rng([seed, n]).choice([-1.0, 1.0], size=(averages, n))
    return {"n": n, "averages": averages, "seed": seed, "root_mean_square": float(np.sqrt((signs.mean(1) ** 2).mean()))}


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially, largest: int = 256) -> pd.DataFrame:
    """The table, one row one observation; `largest` is an option: `muon-theory run _template --set largest=64`."""
    sizes = [2**k for k in range(int(math.log2(largest)) + 1)]
    return map_cells(cell, [{"n": n, "averages": 200 if quick else 2000, "seed": seed} for n in sizes])


def figure(table: pd.DataFrame) -> Figure:
    """The figure, drawn from the table alone."""
    drawing, axis = plt.subplots(figsize=(SINGLE_COLUMN, 2.4))
    axis.loglog(table["n"], table["root_mean_square"], "o", color=color_of("muon"), label="simulated")
    axis.loglog(table["n"], table["n"] ** -0.5, color=color_of("exact"), linewidth=0.8, label="1/√n")
    axis.set(xlabel="number of signs n", ylabel="rms of the average")
    axis.legend()
    small_print(drawing, f"{table['averages'].iloc[0]} averages per n, 1 seed, simulated")
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """What the table shows; each claim has a mutation that must flip its verdict. A study without claims lacks this."""
    last = table.iloc[-1].to_dict()
    return [
        Claim(
            id="TEMPLATE-1",
            statement=f"the root mean square of the average of n = {int(last['n'])} signs is 1/sqrt(n)",
            source="elementary",
            relation="==",
            method="simulation",
            evaluate=_scaled,
            parameters={"n": int(last["n"]), "averages": int(last["averages"]), "value": last["root_mean_square"]},
            mutations=(Mutation("1/n instead of 1/sqrt(n)", {"power": -1.0}),),
            expected="holds",
            attribution="ours",
            tier="run",
        )
    ]


def _scaled(*, n: int, averages: int, value: float, power: float = -0.5) -> Finding:
    error = 5 * value / math.sqrt(2 * averages)
    return Finding(predicted=n**power, measured=Estimate(value, value - error, value + error))
