"""Curves, gaps and fits of the slow example: the widest network is held out, the others are fitted."""

from __future__ import annotations

from typing import Any

import numpy as np

from muon_theory.rooms.hyperparameter_transfer.gaps import grid_minimum
from muon_theory.rooms.hyperparameter_transfer.speed import PowerFit, Speed, gap_powers, transfer_speed


def curves_of(table: Any) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Widths, ln of the rates that all of them were run at with every seed, and losses (seeds, widths, rates)."""
    wide = table.pivot_table(index=["seed", "width"], columns="log2_rate", values="loss").dropna(axis=1)
    widths = sorted(set(table["width"]))
    return (
        widths,
        wide.columns.to_numpy(dtype=float) * np.log(2),
        wide.to_numpy().reshape(-1, len(widths), wide.shape[1]),
    )


def parts_of(table: Any) -> tuple[Any, Any]:
    """The widths that are fitted, and the widest, which is held out."""
    held_out = table["width"] == table["width"].max()
    return table[~held_out], table[held_out]


def verdicts(table: Any, draws: int = 400) -> tuple[Speed, Speed]:
    """Powers of the gaps to the widest that is fitted, and powers with both asymptotes fitted."""
    widths, grid, curves = curves_of(parts_of(table)[0])
    straight = gap_powers(widths[:-1], grid, curves[:, :-1], curves[:, -1:], resamples=draws)[1]
    return straight, transfer_speed(widths, grid, curves, resamples=draws)


def with_the_widest(table: Any, draws: int = 400) -> Speed:
    """Powers with both asymptotes fitted over all widths, from the seeds that were run at the widest."""
    seeds = set(parts_of(table)[1]["seed"])
    widths, grid, curves = curves_of(table[table["seed"].isin(seeds)])
    return transfer_speed(widths, grid, curves, resamples=draws)


def fits(table: Any) -> tuple[np.ndarray, np.ndarray, PowerFit]:
    """Widths (k,), held out the last; (2, k) least loss and ln of the best rate; the fits of the k - 1 others."""
    found = []
    for part in parts_of(table):
        widths, grid, curves = curves_of(part)
        found.append(np.vstack([widths, grid_minimum(grid, curves.mean(0))[::-1]]))
    n, values = np.hstack(found)[0], np.hstack(found)[1:]
    fitted = verdicts(table, 100)[1]
    powers = np.array([fitted.alpha[0], fitted.beta[0]])
    designs = [np.stack([np.ones(len(n) - 1), n[:-1] ** -power], 1) for power in powers]
    solved = [np.linalg.lstsq(design, row[:-1])[0] for design, row in zip(designs, values, strict=True)]
    limit, amplitude = np.array(solved).T
    return n, values, PowerFit(limit, amplitude, powers)
