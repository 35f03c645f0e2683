"""What a recording says at a glance: a few numbers for each spectrum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from muon_theory.spectra import nuclear_rank, spectral_entropy, stable_rank

_IDENTITY = ["run", "step", "layer", "kind", "rows", "columns"]


def summarize_spectra(table: pd.DataFrame) -> pd.DataFrame:
    """Norms, ranks and entropy of each recorded spectrum, and how much of it stands above the noise floor.

    Args:
        table: rows of `read_spectra`, with columns sigma and noise_floor and those that say which spectrum it is.

    Returns:
        DataFrame with one row a spectrum, in the same order: run, step, layer, kind, rows, columns; spectral_norm
        (sigma_1), frobenius_norm and nuclear_norm in the unit of sigma; stable_rank, nuclear_rank (both from 1 to
        min(rows, columns), 0 for a zero matrix); entropy (of the normalised sigma, nats; -inf for a zero matrix);
        share_above_floor (share of the directions with sigma > noise_floor, 0 to 1). A spectrum of NaN gives NaN. Of
        condensed spectra (column condensed) all numbers are those of the whole spectrum but share_above_floor, which
        the quantiles tell up to 1/64.

    Raises:
        ValueError: a column is missing.

    Source: definitions in `muon_theory.spectra`.

    >>> sigma = np.array([2.0, 2.0, 1e-9])
    >>> names = {"run": "a", "step": 0, "layer": "weight", "kind": "gradient", "rows": 3, "columns": 4}
    >>> row = summarize_spectra(pd.DataFrame([names | {"noise_floor": 1e-7, "sigma": sigma}])).iloc[0]
    >>> round(row.stable_rank, 6), round(row.nuclear_rank, 6), round(row.share_above_floor, 3)
    (np.float64(2.0), np.float64(2.0), np.float64(0.667))
    """
    missing = [name for name in (*_IDENTITY, "noise_floor", "sigma") if name not in table.columns]
    if missing:
        raise ValueError(f"table has no column {missing}: pass the DataFrame of read_spectra")
    condensed = table["condensed"] if "condensed" in table.columns else [False] * len(table)
    rows = zip(table.to_dict("records"), condensed, strict=True)
    numbers = pd.DataFrame(
        [
            _condensed_summary(row) if few else _summary(np.asarray(row["sigma"]), float(row["noise_floor"]))
            for row, few in rows
        ],
        columns=list(_COLUMNS),
    )
    return pd.concat([table[_IDENTITY].reset_index(drop=True), numbers], axis=1)


_COLUMNS = (
    "spectral_norm",
    "frobenius_norm",
    "nuclear_norm",
    "stable_rank",
    "nuclear_rank",
    "entropy",
    "share_above_floor",
)


def _summary(sigma: np.ndarray, floor: float) -> tuple[float, ...]:
    if np.isnan(sigma).any():
        return (math.nan,) * len(_COLUMNS)
    return (
        float(sigma[0]),
        float(np.linalg.norm(sigma)),
        float(sigma.sum()),
        stable_rank(sigma),
        nuclear_rank(sigma),
        spectral_entropy(sigma),
        float(np.mean(sigma > floor)),
    )


def _condensed_summary(row: dict[str, Any]) -> tuple[float, ...]:
    """The numbers of a spectrum in quantiles: from its norms and entropy, which are those of the whole spectrum."""
    quantiles = np.asarray(row["sigma"])
    if np.isnan(quantiles).any():
        return (math.nan,) * len(_COLUMNS)
    largest, frobenius, nuclear = float(quantiles[0]), float(row["frobenius_norm"]), float(row["nuclear_norm"])
    above = np.interp(-row["noise_floor"], -quantiles, np.linspace(0, 1, len(quantiles)), left=0.0, right=1.0)
    return (
        largest,
        frobenius,
        nuclear,
        (frobenius / largest) ** 2 if largest else 0.0,
        (nuclear / frobenius) ** 2 if frobenius else 0.0,
        float(row["entropy"]),
        float(above),
    )
