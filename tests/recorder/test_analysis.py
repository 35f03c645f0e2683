from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from muon_theory.recorder import summarize_spectra


def _table(*spectra: list[float], floor: float = 0.5) -> pd.DataFrame:
    rows = [
        {"run": "a", "step": i, "layer": "w", "kind": "gradient", "rows": 2, "columns": 9, "noise_floor": floor}
        | {"sigma": np.array(sigma)}
        for i, sigma in enumerate(spectra)
    ]
    return pd.DataFrame(rows)


def test_summaries_are_those_of_the_definitions():
    row = summarize_spectra(_table([4.0, 3.0])).iloc[0]
    assert (row.spectral_norm, row.frobenius_norm, row.nuclear_norm) == (4, 5, 7)
    assert math.isclose(row.stable_rank, 25 / 16)
    assert math.isclose(row.nuclear_rank, 49 / 25)
    assert math.isclose(row.entropy, -sum(p * math.log(p) for p in (4 / 7, 3 / 7)))
    assert row.share_above_floor == 1


def test_zero_and_nan_spectra_have_defined_summaries():
    table = summarize_spectra(_table([0.0, 0.0], [math.nan, math.nan], [1.0, 0.25]))
    assert table.loc[0, ["spectral_norm", "stable_rank", "nuclear_rank", "share_above_floor"]].tolist() == [0] * 4
    assert table.loc[1, "spectral_norm":].isna().all()
    assert table.loc[2, "share_above_floor"] == 0.5


def test_an_empty_table_gives_an_empty_table_and_a_strange_one_an_error():
    assert len(summarize_spectra(_table([1.0, 1.0]).iloc[:0])) == 0
    with pytest.raises(ValueError, match=r"no column \['sigma'\]"):
        summarize_spectra(_table([1.0, 1.0]).drop(columns="sigma"))
