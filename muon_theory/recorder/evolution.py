"""How recorded spectra change over a run: order statistics, quantile bands and the drift of leading subspaces."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muon_theory.recorder.layout import recording_files
from muon_theory.recorder.reader import read_matrices, read_spectra
from muon_theory.spectra import spectrum_quantiles
from muon_theory.spectra.subspaces import leading_subspace, principal_angles

LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Quantile levels of the bands, from the smallest to the largest singular value."""


def spectrum_bands(table: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Quantiles of each recorded spectrum.

    Args:
        table: rows of `read_spectra`.
        levels: in [0, 1]; 0 is the smallest singular value.

    Returns:
        DataFrame in the order of the table: run, step, layer, kind, noise_floor and one column a level, named by the
        level as a float, in the unit of sigma; NaN where the spectrum holds NaN or inf.

    Source: Hyndman and Fan 1996, definition 7.

    >>> names = {"run": "a", "step": 0, "layer": "w", "kind": "gradient", "noise_floor": 1e-9}
    >>> spectrum_bands(pd.DataFrame([names | {"sigma": np.array([4.0, 2.0, 0.0])}]), [0.0, 0.75])[0.75].tolist()
    [3.0]
    """
    values = np.full((len(table), len(levels)), np.nan)
    for place, sigma in enumerate(table["sigma"]):
        if len(sigma) and np.isfinite(sigma).all():
            values[place] = spectrum_quantiles(sigma, levels)
    identity = table[["run", "step", "layer", "kind", "noise_floor"]].reset_index(drop=True)
    return pd.concat([identity, pd.DataFrame(values, columns=[float(level) for level in levels])], axis=1)


def shown_places(count: int, most: int) -> NDArray[np.int64]:
    """Which of `count` ordered values to show when at most `most` can be: first and last, and denser at the front.

    Half of the places are evenly spaced, half in geometric progression, for the head of a spectrum.

    Args:
        count: number of values, >= 1.
        most: >= 2.

    Returns:
        Ascending places, at most `most` of them, all where they fit.

    Source: elementary.

    >>> shown_places(5, 8).tolist(), shown_places(1000, 8).tolist()
    ([0, 1, 2, 3, 4], [0, 9, 99, 333, 666, 999])
    """
    if count <= most:
        return np.arange(count)
    even = np.linspace(0, count - 1, most // 2)
    geometric = np.geomspace(1, count, most - most // 2) - 1
    return np.unique(np.round(np.concatenate([even, geometric])).astype(np.int64))


def subspace_drift(folder: str | os.PathLike[str], *, k: int = 8, most: int | None = None) -> pd.DataFrame:
    """How far the k leading singular directions of stored matrices turned since the recorded step before.

    Args:
        folder: folder of a recording that stored its matrices.
        k: number of directions; min(rows, columns) // 2, at least 1, where the matrix is too small for it.
        most: of more than so many steps of a layer and kind that many, evenly chosen, are compared; None: all.

    Returns:
        DataFrame ordered by run, layer, kind and step, one row a stored matrix but the first of each: run, layer, kind,
        step, since (the step before), k, left_overlap and right_overlap (mean squared cosine of the principal angles,
        1 for no drift; of random subspaces k / rows and k / columns), left_angle and right_angle (the largest principal
        angle in radians). Matrices with NaN or inf and zero ones are left out. Without stored matrices no rows.

    Raises:
        ValueError: k below 1, or most below 2.

    Source: Bjorck and Golub 1973 (principal angles); derived here as a statistic.

    Cost: an SVD of each stored matrix.
    """
    if k < 1:
        raise ValueError(f"k is {k}; give a number of directions >= 1")
    if most is not None and most < 2:
        raise ValueError(f"most is {most}; give a number of steps >= 2")
    path = Path(folder)
    if not path.is_dir() or not any(file.content == "matrices" for file in recording_files(path)):
        return pd.DataFrame(columns=list(_DRIFT))
    wanted = None if most is None else _chosen_steps(folder, most)
    bases: dict[tuple[str, str, str], dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for row, matrix in read_matrices(folder):
        if wanted is not None and row["step"] not in wanted[row["run"], row["layer"], row["kind"]]:
            continue
        size = float(matrix.double().norm())
        if not (math.isfinite(size) and size > 0):
            continue
        count = min(k, max(1, min(matrix.shape) // 2))
        both = leading_subspace(matrix, count, "left"), leading_subspace(matrix, count, "right")
        bases.setdefault((row["run"], row["layer"], row["kind"]), {})[int(row["step"])] = both
    rows = []
    for (run, layer, kind), by_step in sorted(bases.items()):
        steps = sorted(by_step)
        for since, step in zip(steps, steps[1:], strict=False):
            left, right = (principal_angles(a, b) for a, b in zip(by_step[since], by_step[step], strict=True))
            rows.append({
                "run": run, "layer": layer, "kind": kind, "step": step, "since": since, "k": len(left),
                "left_overlap": float(np.mean(np.cos(left) ** 2)), "right_overlap": float(np.mean(np.cos(right) ** 2)),
                "left_angle": float(left[-1]), "right_angle": float(right[-1]),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=list(_DRIFT))


def _chosen_steps(folder: str | os.PathLike[str], most: int) -> dict[tuple[str, str, str], set[int]]:
    """At most so many recorded steps of each run, layer and kind, the first and the last among them."""
    chosen: dict[tuple[str, str, str], set[int]] = {}
    groups: Any = read_spectra(folder).groupby(["run", "layer", "kind"])
    for (run, layer, kind), rows in groups:
        steps = sorted(rows["step"])
        places = np.unique(np.round(np.linspace(0, len(steps) - 1, min(most, len(steps)))).astype(int))
        chosen[str(run), str(layer), str(kind)] = {int(steps[place]) for place in places}
    return chosen


_DRIFT = (
    "run", "layer", "kind", "step", "since", "k", "left_overlap", "right_overlap", "left_angle", "right_angle",
)  # fmt: skip
