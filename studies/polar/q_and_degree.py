"""Question: how close to 1 do q steps bring a singular value, by polynomial degree and by published coefficient set?

Claim: at equal matrix products the degree of a Taylor step matters little. Five designed steps (Jordan, You, Polar
Express, CANS) are worth ten or more Taylor steps of their degree where sigma goes down to 1e-3, and lose to five where
sigma >= .1. Jordan's quintic never gets below a worst error of .318, and aligns less well than five Taylor steps.

Source: coefficient sets as published, see `muon_theory.polar.COEFFICIENTS`; the scalar map sigma -> s_q(sigma), which
is the whole iteration in exact arithmetic. Products a step: degree 3 two, 5 three, 7 and 9 four, 11 five.

Cost: quick and full 1 s on one core. Scale: exact scalar maps, no data; worst errors certified by ball arithmetic; the
deficit on a log-uniform spectrum of 128 values, condition number 1e3.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.polar import (
    COEFFICIENTS,
    certified_worst_error,
    matmuls_per_step,
    method_steps,
    scalar_map,
    spectral_inexactness,
)
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, color_of, small_print
from muon_theory.spectra import log_uniform_spectrum

TAYLOR = tuple(f"taylor_{degree}" for degree in (3, 5, 7, 9, 11))
DEPLOYED = ("jordan_2024", "you_2024", "amsel_2025", "grishina_2025")
OTHERS = tuple(name for name in COEFFICIENTS if name not in DEPLOYED)
LOWER_ENDS = (1e-1, 1e-2, 1e-3, 1e-4)
BUDGET = 15
SCALE = (
    "Exact scalar maps, no data; worst errors certified. Steps beyond the published rows as each source extends them;"
    " Boissin: σ after the AOL preconditioner.\nDeficit: log-uniform spectrum, 128 values, condition number 10³,"
    " normalised by the Frobenius norm; negative where singular values above 1 prevail."
)


def cell(method: str, steps: int) -> list[dict]:
    spectrum = log_uniform_spectrum(128, 1e3)
    spectrum = spectrum / np.linalg.norm(spectrum)
    grid = np.geomspace(1e-6, 1, 181)
    products = [sum(matmuls_per_step(2 * len(row) - 1) for row in method_steps(method, q)) for q in range(steps + 2)]
    rows = []
    for q in range(steps + 1):
        mapped = scalar_map(method, q)
        common = {"method": method, "steps": q, "products": products[q]}
        for lower in LOWER_ENDS:
            worst = certified_worst_error(method, q, lower)
            rows.append({**common, "quantity": "worst error", "at": lower, "value": worst})
        deficit = float(spectral_inexactness(spectrum, mapped(spectrum)).alignment_deficit)
        rows.append({**common, "quantity": "alignment deficit", "at": 1e-3, "value": deficit})
        if q == 5 or products[q] <= BUDGET < products[q + 1]:
            errors = np.abs(mapped(grid) - 1)
            rows += [
                {**common, "quantity": "error", "at": float(x), "value": float(y)}
                for x, y in zip(grid, errors, strict=True)
            ]
    return rows


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    del seed, quick  # nothing here is random, and the full profile is quick
    return map_cells(cell, [{"method": m, "steps": 10} for m in (*TAYLOR, *COEFFICIENTS)])


def figure(table: pd.DataFrame) -> Figure:
    drawing, axes = plt.subplots(3, 3, figsize=(DOUBLE_COLUMN, 7.2))
    groups = (
        (TAYLOR, "a  Taylor steps"),
        (DEPLOYED, "b  published, ≤ 15 products"),
        (OTHERS, "c  others, ≤ 15 products"),
    )
    for axis, (methods, title) in zip(axes[0], groups, strict=True):
        _against_sigma(axis, table.query("quantity == 'error'"), methods)
        axis.set(xscale="log", yscale="log", ylim=(1e-4, 2), title=title, xlabel="singular value σ before")
    axes[0, 0].plot([], [], color="black", label="5 steps")
    axes[0, 0].plot([], [], color="black", linestyle=":", label="≤ 15 products")
    axes[0, 0].legend(loc="lower left")
    axes[0, 1].annotate("thin: at σ\nthick: worst above σ", (0.03, 0.05), xycoords="axes fraction", fontsize=7)
    axes[1, 2].annotate("You: cycle\nrestarts", (6.2, 0.86), (7, 0.72), fontsize=7)
    axes[0, 0].set_ylabel("|s$_q$(σ) − 1|")
    for row, (x, label) in enumerate((("steps", "steps q"), ("products", "matrix products")), start=1):
        for column, (quantity, at, name) in enumerate((
            ("worst error", 1e-1, "σ in [0.1, 1]"),
            ("worst error", 1e-3, "σ in [0.001, 1]"),
            ("alignment deficit", 1e-3, "log-uniform, κ = 10³"),
        )):  # fmt: skip
            axis = axes[row, column]
            _curves(axis, table.query(f"quantity == {quantity!r} and at == {at}"), x)
            axis.set(title=f"{'defghi'[3 * row - 3 + column]}  {name}", xlabel=label)
            if column < 2:
                axis.set(yscale="log", ylim=(1e-8, 2), ylabel="worst |s$_q$(σ) − 1|" if column == 0 else "")
            else:
                axis.set(ylim=(-0.25, 1), ylabel="alignment deficit")
    drawing.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    small_print(drawing, SCALE)
    return drawing


def _against_sigma(axis, errors: pd.DataFrame, methods: tuple[str, ...]) -> None:
    for method in methods:
        runs = errors.query("method == @method")
        for q, run in runs.groupby("steps"):
            if method in TAYLOR:
                axis.plot(run["at"], run["value"], color=color_of(method), linestyle="-" if q == 5 else ":")
            elif run["products"].iloc[0] <= BUDGET and q == runs["steps"].max():
                worst_above = np.maximum.accumulate(run["value"].to_numpy()[::-1])[::-1]
                axis.plot(run["at"], run["value"], color=color_of(method), linewidth=0.4, alpha=0.6)
                axis.plot(run["at"], worst_above, color=color_of(method))


def _curves(axis, table: pd.DataFrame, x: str) -> None:
    for name, rows in table.groupby("method", sort=False):
        method = str(name)
        style: dict = {"color": color_of(method), "zorder": 2}
        if method not in TAYLOR:  # a marker of its own, so that no reader depends on colour
            style |= {"marker": "osD^v<>PX*"[list(COEFFICIENTS).index(method) % 10], "markersize": 3, "linewidth": 0.9}
        axis.plot(rows[x], rows["value"].clip(lower=-1), **style, label=method.replace("_", " ").capitalize())
    axis.set(
        xlim=(-0.2, 10.2) if x == "steps" else (-0.6, 30.6), xticks=range(0, 11, 2) if x == "steps" else range(0, 31, 6)
    )
