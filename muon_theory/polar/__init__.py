"""The polar factor and the ways to reach it."""

from muon_theory.polar.certified import certified_image, certified_range, certified_worst_error
from muon_theory.polar.coefficients import (
    COEFFICIENTS,
    CoefficientSet,
    coefficient_set,
    matmuls_per_step,
    method_steps,
    taylor_coefficients,
)
from muon_theory.polar.exact import nuclear_norm_and_polar, polar_factor
from muon_theory.polar.inexactness import Inexactness, inexactness, spectral_inexactness
from muon_theory.polar.minimax import minimax_polynomial, mixed_degree_schedule, polar_express
from muon_theory.polar.newton_schulz import orthogonalize
from muon_theory.polar.planner import Plan, PlanOption, plan
from muon_theory.polar.scalar_map import exact_scalar_map, scalar_map

__all__ = [
    "COEFFICIENTS",
    "CoefficientSet",
    "Inexactness",
    "Plan",
    "PlanOption",
    "certified_image",
    "certified_range",
    "certified_worst_error",
    "coefficient_set",
    "exact_scalar_map",
    "inexactness",
    "matmuls_per_step",
    "method_steps",
    "minimax_polynomial",
    "mixed_degree_schedule",
    "nuclear_norm_and_polar",
    "orthogonalize",
    "plan",
    "polar_express",
    "polar_factor",
    "scalar_map",
    "spectral_inexactness",
    "taylor_coefficients",
]
