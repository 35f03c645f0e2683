"""The polar factor and the ways to reach it."""

from muon_theory.polar.coefficients import (
    COEFFICIENTS,
    CoefficientSet,
    coefficient_set,
    matmuls_per_step,
    method_steps,
    taylor_coefficients,
)
from muon_theory.polar.newton_schulz import orthogonalize
from muon_theory.polar.scalar_map import exact_scalar_map, scalar_map

__all__ = [
    "COEFFICIENTS",
    "CoefficientSet",
    "coefficient_set",
    "exact_scalar_map",
    "matmuls_per_step",
    "method_steps",
    "orthogonalize",
    "scalar_map",
    "taylor_coefficients",
]
