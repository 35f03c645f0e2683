"""Question: how far is the worst-case constant of Kim and Oh from the constant that Newton-Schulz really costs?

Claim: chi_q = 1/(1 - eps_q) follows the smallest singular value and is vacuous (1e2 to 1e5 at n = 1024, q = 5) unless
the bulk is flat, while 1/(1 - alignment deficit), which suffices in the descent lemma, is below 1.7 there for every
family from degree 5 on; the universal bound, which assumes nothing about singular values, is below 5.

Source: Kim and Oh 2026 (arXiv 2601.19156), Theorems 1 and 2; the alignment deficit in place of eps_q and the universal
bound 1 - deficit >= max_tau s_q(tau) (1 - r tau / (4 sqrt(rho))) are derived here (Taylor maps are concave).

Cost: quick 1 s, full 5 s on one core. Scale: five designed spectra, n = 64 (full: 64 to 1024), 3 (full: 7) seeds.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.polar import scalar_map, spectral_inexactness
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, color_of, small_print
from muon_theory.rooms.newton_schulz_convergence.error_bounds import theorem_two_bound, universal_alignment
from muon_theory.spectra import log_uniform_spectrum, singular_values

TAYLOR = {f"taylor_{2 * k + 1}": k for k in range(1, 6)}
METHODS = (*TAYLOR, "jordan_2024", "you_2024", "amsel_2025")
SPECTRA = ("Gaussian", "log-uniform", "low rank + noise", "spiked", "flat")
CONSTANTS = {
    "chi_theorem_2": ("χ$_q$, Theorem 2", OKABE_ITO["vermillion"], "--"),
    "chi": ("χ$_q$, exact", OKABE_ITO["vermillion"], "-"),
    "universal": ("universal bound", OKABE_ITO["orange"], "-"),
    "alignment": ("1 / (1 − deficit)", OKABE_ITO["blue"], "-"),
}


def designed_spectrum(name: str, n: int, seed: int) -> np.ndarray:
    """Singular values of one n x n matrix of the named family, descending, Frobenius norm 1."""
    import torch

    generator = np.random.default_rng([seed, n, SPECTRA.index(name)])
    if name in ("Gaussian", "low rank + noise"):
        matrix = generator.standard_normal((n, n)) / n
        if name == "low rank + noise":  # n/16 directions that carry 99 % of the energy, over white noise
            signal = generator.standard_normal((n, n // 16)) @ generator.standard_normal((n // 16, n))
            matrix = signal / np.linalg.norm(signal) + 0.1 * matrix
        sigma = singular_values(torch.from_numpy(matrix), method="svd").numpy()
    elif name == "log-uniform":
        sigma = log_uniform_spectrum(n, 1e4, seed=seed)
    elif name == "spiked":  # one direction ten times as strong as a bulk spread over a factor of two
        sigma = np.append(1.0, np.sort(generator.uniform(0.05, 0.1, n - 1))[::-1])
    else:
        sigma = np.ones(n)
    return sigma / np.linalg.norm(sigma)


def cell(spectrum: str, n: int, seed: int, steps: list[int]) -> list[dict]:
    sigma = designed_spectrum(spectrum, n, seed)
    smallest, rho = float(sigma[-1]), min(float(sigma.sum() ** 2), float(n))
    rows = []
    for method in METHODS:
        for q in steps:
            mapped = scalar_map(method, q)
            error = spectral_inexactness(sigma, mapped(sigma))
            row = {"spectrum": spectrum, "n": n, "seed": seed, "method": method, "steps": q}
            row |= {"smallest_sigma": smallest, "nuclear_rank": rho}
            row["chi"] = _reciprocal(1 - float(error.operator_error))
            row["alignment"] = _reciprocal(1 - float(error.alignment_deficit))
            row["overshoot"] = float(error.overshoot)
            row["chi_theorem_2"] = row["universal"] = np.nan
            if method in TAYLOR:
                row["chi_theorem_2"] = _reciprocal(1 - float(theorem_two_bound(TAYLOR[method], smallest, q)))
                row["universal"] = _reciprocal(float(universal_alignment(TAYLOR[method], q, rank=n, nuclear_rank=rho)))
            rows.append(row)
    return rows


def _reciprocal(x: float) -> float:
    """1/x; infinite when the bound behind it is empty (x <= 0)."""
    return 1 / x if x > 0 else float("inf")


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    sizes = (16, 64) if quick else (64, 128, 256, 512, 1024)
    cells = [
        # every q at the largest size; the smaller sizes serve the dependence on n at q = 5
        {"spectrum": spectrum, "n": n, "seed": seed + s, "steps": list(range(11)) if n == sizes[-1] else [5]}
        for spectrum in SPECTRA
        for n in sizes
        for s in range(1 if spectrum == "flat" else 3 if quick else 7)
    ]
    return map_cells(cell, cells)


def figure(table: pd.DataFrame) -> Figure:
    n = max(table["n"].tolist())
    largest = table.query("n == @n")
    drawing, axes = plt.subplots(3, 3, figsize=(DOUBLE_COLUMN, 6.6))
    for axis, letter, spectrum in zip(axes.flat, "abcde", SPECTRA, strict=False):
        here = largest.query("spectrum == @spectrum and method == 'taylor_5'")
        _constants(axis, here, "steps")
        axis.set(title=f"{letter}  {spectrum}", xlabel="steps q", xticks=range(0, 11, 2))
    gaussian = table.query("spectrum == 'Gaussian' and method == 'taylor_5' and steps == 5")
    _constants(axes[1, 2], gaussian, "n")
    sizes = sorted(table["n"].unique())
    axes[1, 2].set(title="f  Gaussian, q = 5", xlabel="n", xscale="log", xticks=sizes, xticklabels=sizes)
    axes[1, 2].minorticks_off()
    for axis, letter, spectrum in zip(axes[2], "ghi", SPECTRA, strict=False):
        here = largest.query("spectrum == @spectrum")
        for method, rows in here.assign(ratio=here["chi"] / here["alignment"]).groupby("method", sort=False):
            shape = {} if method in TAYLOR else {"marker": "osD"[METHODS.index(str(method)) - len(TAYLOR)]}
            label = str(method).replace("_", " ").capitalize()
            middle = rows.groupby("steps")["ratio"].median()
            axis.plot(middle.index, middle, color=color_of(str(method)), label=label, **shape)
        axis.set(yscale="log", ylim=(0.5, 1e6), title=f"{letter}  {spectrum}, ratio", xlabel="steps q")
        axis.set_xticks(range(0, 11, 2))
    for row in axes[:2]:
        row[0].set_ylabel("constant, Taylor degree 5")
    axes[2, 0].set_ylabel("χ$_q$ · (1 − deficit)")
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    axes[2, 1].legend(loc="upper right", ncols=2, fontsize=5.5, columnspacing=0.8, handlelength=1.4)
    seeds = len(set(largest["seed"]))
    small_print(
        drawing,
        f"Designed spectra of n x n matrices, n = {n} unless said, Frobenius norm 1; exact scalar maps. Lines:"
        f" median; bands: range over {seeds} seeds.\nLog-uniform: condition number 10⁴. Spiked: one direction 10 to"
        " 20 times a bulk. Low rank: n/16 directions with 99 % of the energy. Ratio: how vacuous χ is.",
    )
    return drawing


def _constants(axis, table: pd.DataFrame, x: str) -> None:
    """The four constants against x on a logarithmic axis: median line and range band."""
    for name, (label, color, line) in CONSTANTS.items():
        spread = table.groupby(x)[name].agg(["min", "median", "max"])
        axis.plot(spread.index, spread["median"], color=color, linestyle=line, label=label)
        axis.fill_between(spread.index, spread["min"], spread["max"], color=color, alpha=0.18, linewidth=0)
    axis.set(yscale="log", ylim=(0.7, 1e6))
