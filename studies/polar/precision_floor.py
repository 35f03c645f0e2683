"""Question: which error of Newton-Schulz can more steps cure, and which is the floor of the dtype?

Claim: the singular values of the result reach the rounding of the dtype, its singular vectors do not. In bfloat16 wrong
DIRECTIONS, not the polynomial, are the larger error beyond a condition number of about 2e4 with q = 5 steps and at
every one with q = 10; from 1e3 on more than half of it is the rounding of G alone. It costs next to no alignment.

Source: measured here. Polynomials: Amsel et al. 2025 (arXiv 2505.16932) with a Taylor tail; exact routes: float64
eigendecomposition of the Gram matrix, QDWH (Nakatsukasa, Bai and Gygi 2010). X = approximate factor of G = U S V^T.

Cost: quick 2 s, full 40 s on one core. Scale: 128 x 128, log-uniform spectra, 2 (full: 7) seeds, CPU arithmetic.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.polar import orthogonalize, polar_factor, scalar_map
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix

RED, ORANGE, BLUE, SKY = (OKABE_ITO[name] for name in ("vermillion", "orange", "blue", "sky"))
DTYPES = {"float64": "black", "float32": BLUE, "float16": ORANGE, "bfloat16": RED}
DEFICIT = "c  |alignment deficit|"
SCALE = (
    "{size} x {size} matrices, log-spaced σ, {seeds} seeds (median and range), CPU. Polar Express (for σ ≥ 10⁻³), then"
    " Taylor steps.\nd: directions at q = 10; “cast first”: the same when G is rounded before it is normalised, as by"
    " torch.optim.Muon, not after."
)
METHOD, KAPPA = "amsel_2025", "condition_number"


def cell(dtype: str, condition_number: float, seed: int, steps: list[int], size: int) -> list[dict]:
    import torch

    kind, half = getattr(torch, dtype), dtype in ("float16", "bfloat16")
    sigma = log_uniform_spectrum(size, condition_number)
    exact = prescribed_matrix(np.ones(size), size, size, seed=seed)  # same seed, same U and V: U V^T without rounding
    matrix = prescribed_matrix(sigma, size, size, seed=seed).to(torch.float32 if half else kind)

    def rms(difference) -> float:
        return float(difference.norm()) / size**0.5

    def polar(X):
        left, _, right = torch.linalg.svd(X.double())
        return left @ right

    input_error = rms(polar(matrix.to(kind)) - exact)
    routes: list[Any] = [(METHOD, q) for q in steps] + (
        [("cast first", steps[-1])] if half else [("gram", None), ("qdwh", None)]
    )
    rows = []
    for route, q in routes:
        if q is None:
            result = polar_factor(matrix, method=route, rank_tolerance=0.0).double()
        else:  # the iteration in `kind` on a wide matrix, normalised before it is rounded, or after (as torch does)
            start = matrix.to(kind) if route == "cast first" else matrix
            result = orthogonalize(start, METHOD, q, compute_dtype=kind).double()
        images = np.ones(size) if q is None else scalar_map(METHOD, q)(sigma / np.linalg.norm(sigma))
        row = {"dtype": dtype, "condition_number": condition_number, "seed": seed, "size": size}
        row |= {"route": route, "steps": q, "polar_error": rms(result - exact)}
        row["value_error"] = rms(torch.linalg.svdvals(result) - 1)
        row["direction_error"] = rms(polar(result) - exact)
        row["input_error"] = input_error
        row["polynomial_error"] = float(np.sqrt(np.mean((images - 1) ** 2)))
        row["alignment_deficit"] = 1 - float((matrix.double() * result).sum()) / float(sigma.sum())
        rows.append(row)
    return rows


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially, size: int = 128) -> pd.DataFrame:
    exponents = (1, 3, 5) if quick else [0.5 * i for i in range(1, 13)]
    common = {"steps": [0, 1, 3, 5, 7, 10] if quick else list(range(11)), "size": size}
    cells = [{"dtype": dtype, "condition_number": 10.0**e, "seed": seed + s, **common}
             for dtype in DTYPES for e in exponents for s in range(2 if quick else 7)]  # fmt: skip
    return map_cells(cell, cells)


def figure(table: pd.DataFrame) -> Figure:
    steps = table.query("route == @METHOD")
    drawing, axes = plt.subplots(2, 3, figsize=(DOUBLE_COLUMN, 5.2))
    panels = {"polar_error": "a  error against U Vᵀ", "value_error": "b  singular values", "alignment_deficit": DEFICIT}
    for axis, (column, title) in zip(axes[0], panels.items(), strict=True):
        for dtype, color in DTYPES.items():
            last = steps.query("dtype == @dtype and steps == 10")
            _median(axis, last, KAPPA, column, color, marker="o", label=dtype)
        for route, name, shape in (("gram", "Gram eigh", "s"), ("qdwh", "QDWH", "x")):
            rows = table.query(f"route == {route!r} and dtype == 'float32'")
            _median(axis, rows, KAPPA, column, SKY, marker=shape, fillstyle="none", label=f"{name}, float32")
        axis.set(xscale="log", yscale="log", ylim=(1e-17, 3), title=title, xlabel="condition number κ")
    axes[0, 0].set_ylabel("rms error, q = 10")
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    half, axis = table.query("dtype == 'bfloat16'"), axes[1, 0]
    for route, column, color, line, q, label in (
        ("cast first", "direction_error", RED, ":", 10, "cast first"),
        (METHOD, "direction_error", RED, "-", 10, "directions"),
        (METHOD, "input_error", ORANGE, "-", 10, "rounding of G"),
        (METHOD, "polynomial_error", "black", "-", 5, "poly., q = 5"),
        (METHOD, "polynomial_error", "black", "--", 10, "poly., q = 10"),
    ):
        rows = half.query(f"route == {route!r} and steps == {q}")
        _median(axis, rows, KAPPA, column, color, linestyle=line, label=label)
    axis.set(xscale="log", yscale="log", ylim=(1e-6, 3), title="d  parts, bfloat16", xlabel="condition number κ")
    axis.set_ylabel("rms error")
    for axis, column, title in ((axes[1, 1], "polar_error", "e  error against U Vᵀ"),
                                (axes[1, 2], "alignment_deficit", DEFICIT.replace("c", "f", 1))):  # fmt: skip
        for exponent, color in ((1, SKY), (3, BLUE), (5, "black")):
            for dtype, line in (("bfloat16", "-"), ("float32", ":")):
                rows = steps.query("condition_number == 10.0**@exponent and dtype == @dtype")
                _median(axis, rows, "steps", column, color, linestyle=line, label=f"κ = 10$^{exponent}$, {dtype}")
        axis.set(yscale="log", ylim=(1e-7, 3), title=title, xlabel="steps q", xticks=range(0, 11, 2))
    for axis in axes[1, :2]:
        axis.legend(loc="lower left", fontsize=6, handlelength=1.5)
    small_print(drawing, SCALE.format(size=table["size"].iloc[0], seeds=len(set(table["seed"]))))
    return drawing


def _median(axis, table: pd.DataFrame, x: str, column: str, color: str, **style) -> None:
    """Median line and range band of a column's absolute value over the seeds."""
    spread = table[column].abs().clip(lower=1e-18).groupby(table[x]).agg(["min", "median", "max"])
    axis.plot(spread.index, spread["median"], color=color, **style)
    axis.fill_between(spread.index, spread["min"], spread["max"], color=color, alpha=0.2, linewidth=0)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Which part of the error is the larger one in bfloat16, how much the input's rounding is of it, what it costs."""
    rows = table.query("dtype == 'bfloat16' and route == @METHOD and condition_number >= 1e3")
    medians = {q: group.groupby(KAPPA).median(numeric_only=True) for q, group in rows.groupby("steps")}
    late, early = ((medians[q]["direction_error"] / medians[q]["polynomial_error"]).tolist() for q in (10, 5))
    share = medians[10]["input_error"] / medians[10]["direction_error"]
    larger = "bfloat16: directions are a larger error than the polynomial at every condition number from 1e3 on"
    facts: tuple[tuple[Any, ...], ...] = (
        ("PPF-10", f"{larger}, q = 10", ">=", 1.0, late, {"measured": early}, "holds"),
        ("PPF-5", f"{larger}, q = 5", ">=", 1.0, early, {"measured": late}, "refuted"),
        ("PPF-INPUT", "half of the direction error or more is the rounding of G, from 1e3 on", ">=", 0.5, [*share],
         {"predicted": 1.0}, "holds"),
        ("PPF-ALIGN", "the alignment deficit of bfloat16 is at most 2e-3, from 1e3 on, q = 10", "<=", 2e-3,
         [*np.abs(medians[10]["alignment_deficit"])], {"predicted": 1e-6}, "holds"),
    )  # fmt: skip
    return [Claim(id=name, statement=words, source="measured here", relation=relation, method="simulation", tier="run",
                  evaluate=Finding, parameters={"predicted": predicted, "measured": measured}, attribution="ours",
                  mutations=(Mutation(f"{list(change)[0]} changed", change),), expected=expected)
            for name, words, relation, predicted, measured, change, expected in facts]  # fmt: skip
