"""Unit balls of matrices: value, dual, linear minimization oracle (LMO), gauge.

Every norm answers `value(X)`, `dual(G)` and `lmo(G)`, the point of the unit ball that points downhill. The LMO of the
spectral norm is Muon's step, that of the dual Ky Fan k-norm Fanion-k, that of the largest entry sign descent; the LMO
of `Combined` is a weighted sum of LMOs.
"""

from muon_theory.norms.blend_gauge import f_fanion_gauge, f_muon_gauge, f_neon_gauge
from muon_theory.norms.catalogue import ALL_NORMS
from muon_theory.norms.combined import Combined, f_fanion, s_fanion
from muon_theory.norms.entrywise import MaxEntry, SumEntries
from muon_theory.norms.ky_fan import DualKyFan, KyFan
from muon_theory.norms.norm import Norm
from muon_theory.norms.operator import RMSToRMS
from muon_theory.norms.rows_and_columns import ColumnNorm, RowNorm, SumOfColumnNorms, SumOfRowNorms
from muon_theory.norms.schatten import Frobenius, Nuclear, Schatten, SingularValueNorm, Spectral

__all__ = [
    "ALL_NORMS",
    "ColumnNorm",
    "Combined",
    "DualKyFan",
    "Frobenius",
    "KyFan",
    "MaxEntry",
    "Norm",
    "Nuclear",
    "RMSToRMS",
    "RowNorm",
    "Schatten",
    "SingularValueNorm",
    "Spectral",
    "SumEntries",
    "SumOfColumnNorms",
    "SumOfRowNorms",
    "f_fanion",
    "f_fanion_gauge",
    "f_muon_gauge",
    "f_neon_gauge",
    "s_fanion",
]
