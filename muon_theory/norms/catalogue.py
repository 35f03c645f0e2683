"""Every norm by name, with small parameters: what the tests run through and studies choose from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from muon_theory.norms.combined import Combined, f_fanion, s_fanion
from muon_theory.norms.entrywise import MaxEntry, SumEntries
from muon_theory.norms.ky_fan import DualKyFan, KyFan
from muon_theory.norms.norm import Norm
from muon_theory.norms.operator import RMSToRMS
from muon_theory.norms.rows_and_columns import ColumnNorm, RowNorm, SumOfColumnNorms, SumOfRowNorms
from muon_theory.norms.schatten import Frobenius, Nuclear, Schatten, Spectral

ALL_NORMS: Mapping[str, Norm] = MappingProxyType({
    "frobenius": Frobenius(),
    "spectral": Spectral(),
    "nuclear": Nuclear(),
    "schatten_4": Schatten(4.0),
    "schatten_4_3": Schatten(4 / 3),
    "rms_to_rms": RMSToRMS(),
    "ky_fan_2": KyFan(2),
    "ky_fan_2.5": KyFan(2.5),
    "dual_ky_fan_2": DualKyFan(2),
    "dual_ky_fan_2.5": DualKyFan(2.5),
    "max_entry": MaxEntry(),
    "sum_entries": SumEntries(),
    "column_norm": ColumnNorm(),
    "row_norm": RowNorm(),
    "sum_of_column_norms": SumOfColumnNorms(),
    "sum_of_row_norms": SumOfRowNorms(),
    "f_neon": f_fanion(1, 0.3),
    "f_fanion_2": f_fanion(2, 0.5),
    "f_muon": f_fanion(None, 0.5),
    "s_neon": s_fanion(1, 0.5, 0.5),
    "s_fanion_2": s_fanion(2, 0.3, 0.5),
    "s_muon": s_fanion(None, 0.9, 0.05),
    "ky_fan_2_and_column": Combined((0.4, 0.2, 0.7), (KyFan(2), ColumnNorm(), RMSToRMS())),
})  # fmt: skip
"""Name to norm; those with a k need matrices with at least 3 rows and 3 columns."""
