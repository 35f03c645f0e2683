"""Question: are the numbers of the notes behind this room reproduced: schedules, inexact steps, two factors?

Claim: Every step count that its instance and grid determine is reproduced within 5 %, and so is each tuned count of
Muon that our grid misses, in another setting that was found (columns `setting`, `found`). Stuck losses vary with the
seed (ours are given with their range); entries that were wrong are kept beside what replaces them (column `note`). The
other methods and in-context regression: `published_method_tables`.

Source: derivation notes on arXiv 2601.13474, of which only the abstract was read: sections 1.3 (geometric schedule),
1.4 (inexact steps) and 1.6 (two factors). Nothing here is the paper's table.

Cost: quick 1 s (section 1.3), full 20 s on one core. Scale: problems 16 x 16 to 25 x 25, 3 seeds, float64.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim
from muon_theory.polar import certified_range, scalar_map
from muon_theory.problems.matrix_factorization import AsymmetricFactorization, haar
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.preconditioning.directions import Settings, settings_grid
from muon_theory.rooms.preconditioning.iteration_counts import factorization_instances, iteration_counts
from muon_theory.rooms.preconditioning.scalar_modes import limiting_error
from muon_theory.rooms.preconditioning.schedules import spiked_steps
from muon_theory.rooms.preconditioning.two_factors import run_factors, with_determinant_sign
from studies.preconditioning._found_settings import FOUND
from studies.preconditioning._table_claims import CHANCE, FIXED, GRID, WRONG, table_claims

SEEDS = (0, 1, 2)
SCALES, RATIOS = (1, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3), (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
DEPTHS = {"exact": (15, 18, 21, 25), "q = 5": (21, 23, 31, 56), "q = 6": (20, 22, 29, 32), "q = 8": (21, 24, 28, 33),
          "q = 10": (21, 24, 29, 33), "q = 15": (20, 24, 28, 32)}  # fmt: skip


def best_counts(kappa: float, settings: Settings, *, axis_aligned: bool = False, cap: int = 12_000) -> list[float]:
    """Best-tuned steps to 1e-3 lam_min on the symmetric factorization, one for each seed."""
    measure, start = factorization_instances([kappa], SEEDS, axis_aligned=axis_aligned)
    return iteration_counts(measure, start, settings, 1e-3 / kappa, cap, first_only=True).min(1).tolist()


def _schedule() -> list[tuple]:
    kappas, ratios = [10.0**k for k in range(1, 6)], (0.5, 0.6, 0.7, 0.8, 0.9)
    measure, start = factorization_instances(kappas, SEEDS, dimension=20, size=1e-6, norm="spectral")
    counts = iteration_counts(measure, start, settings_grid("polar", [1.0], ratios, relative=True), 1e-8, 250)
    return [(f"to 1e-8, rho = {rho:g}", old, counts[:, i].tolist(), FIXED)
            for i, (rho, old) in enumerate(zip(ratios, (28, 36, 50, 77.5, 153), strict=True))] + [
            (f"worst final error, rho = {rho}", old, [limiting_error(rho)], WRONG)
            for rho, old in ((0.3, 0.15), (0.4, 0.064), (0.45, 0.038), (0.49, 1.7e-4))]  # fmt: skip


def _inexact() -> list[tuple]:
    rows: list[tuple] = [("largest phi_5 on [.003, 1]", 1.134, [certified_range("jordan_2024", 5, 0.003)[1]], WRONG)]
    for q, slope in ((5, 485), (6, 1670), (10, 2.35e5)):
        rows.append((f"slope of phi_{q} at 0", slope, [float(scalar_map("jordan_2024", q)(1e-12)) / 1e-12], FIXED))
    for name, printed in DEPTHS.items():
        q = 0 if name == "exact" else int(name[4:])
        grid = settings_grid("newton_schulz" if q else "polar", SCALES, RATIOS, relative=True, steps=q or 5)
        rows += [(f"{name}, kappa = {kappa:g}", old, best_counts(kappa, grid, cap=200), FIXED)
                 for kappa, old in zip((10.0, 100.0, 1e3, 1e4), printed, strict=True)]  # fmt: skip
    ratios = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96)
    for mu, old, note in ((0.0, 24, WRONG), (0.5, 32, FIXED), (0.9, 103, FIXED), (0.95, 105, FIXED)):
        grid = settings_grid("polar", (0.3, 0.5, 1, 1.1, 1.3, 1.5, 2, 3), ratios, relative=True, momentum=[(mu, 0.0)])
        rows.append((f"momentum {mu}, kappa = 100", old, best_counts(100.0, grid, cap=200), note))
    return rows


def _two_factors() -> list[tuple]:
    problem, seeds = AsymmetricFactorization(np.diag(4 / (4 + np.arange(25.0)))), np.arange(30)
    P, Q, rows = haar(25, 25, 2 * seeds), haar(25, 25, 2 * seeds + 1), []
    for sign, old in ((1, 30), (-1, 0)):
        losses = run_factors(problem, 1e-4 * with_determinant_sign(P, Q, sign), 1e-4 * Q, spiked_steps(1e-4, 1, 60))[2]
        rows.append((f"spiked: seeds of 30, sign {sign:+d}", old, [float((losses[-1] < 1e-10).sum())], FIXED))
    return [*rows, ("spiked: stuck loss", 0.019, losses[-1].tolist(), CHANCE)]


PARTS = {"1.3": _schedule, "1.4": _inexact, "1.6": _two_factors}


def tidy(section: str, entries: list[tuple]) -> list[dict]:
    """Rows of a section: the number of the notes, ours (median and range over seeds), their difference."""
    rows = []
    for entry, old, ours, note in entries:
        setting, counts = FOUND.get(entry, ("", lambda: [np.nan]))
        median, found = float(np.median(ours)), counts()
        rows.append({"section": section, "entry": entry, "published": float(old), "ours": median, "lowest": min(ours),
                     "highest": max(ours), "relative_difference": median / old - 1 if old else median,
                     "note": GRID if setting and note == FIXED else note, "setting": setting,
                     "found": float(np.median(found)), "found_lowest": min(found),
                     "found_highest": max(found)})  # fmt: skip
    return rows


def cell(section: str) -> list[dict]:
    """The entries of one section."""
    return tidy(section, PARTS[section]())


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:  # noqa: ARG001
    """One row per number of the notes."""
    return map_cells(cell, [{"section": section} for section in (("1.3",) if quick else PARTS)])


def figure(table: pd.DataFrame) -> Figure:
    """Ratio of ours to the notes', every entry a point, by section; ranges over seeds; colour says why they differ."""
    drawing, axis = plt.subplots(figsize=(DOUBLE_COLUMN, 2.8))
    shown = table.query("published > 0").reset_index(drop=True)
    colors = {FIXED: "blue", CHANCE: "orange", GRID: "green", WRONG: "vermillion"}
    axis.axhspan(0.95, 1.05, color="#EEEEEE", label="within 5 %")
    for note, color in colors.items():
        rows = shown.query(f"note == '{note}'")
        if rows.empty:
            continue
        ratio, low, high = (rows[c].to_numpy() / rows["published"].to_numpy() for c in ("ours", "lowest", "highest"))
        axis.errorbar(rows.index, ratio, [ratio - low, high - ratio], fmt="o", ms=3, color=OKABE_ITO[color], lw=0.8,
                      label=f"{note} ({len(rows)})")  # fmt: skip
        axis.plot(rows.index + 0.25, rows["found"] / rows["published"], "D", ms=3, mfc="none", color=OKABE_ITO[color])
    for section, rows in shown.groupby("section"):
        axis.text(rows.index.to_numpy().mean(), 1.01, f"§ {section}", ha="center", transform=axis.get_xaxis_transform())
        axis.axvline(rows.index.to_numpy().max() + 0.5, color="#BBBBBB", linewidth=0.6)
    axis.set(
        yscale="log", ylim=(0.4, 4), xlabel="entry of the notes, by section", ylabel="ours / notes", xlim=(-1, None)
    )
    axis.set_yticks([0.5, 1, 2, 4], labels=["0.5", "1", "2", "4"])
    axis.set_yticks([], minor=True)
    axis.legend(ncols=3, loc="upper right")
    scale = f"{len(table)} numbers of the derivation notes, {len(SEEDS)} seeds (median, range), float64;"
    small_print(
        drawing,
        f"{scale} entries of 0 and beyond the axis are in the table only.\n"
        "Open: in the setting that the table names (what varies with the seed: median of 20).",
    )
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """Entries that are determined, or found on another grid, are within 5 %; for the full profile."""
    return table_claims(table, "MF-TABLES") if set(table["section"].astype(str)) == set(PARTS) else []
