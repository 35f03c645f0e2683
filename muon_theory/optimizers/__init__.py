"""Optimizers built from momentum and an orthogonalized step."""

from muon_theory.optimizers.hybrid import Hybrid
from muon_theory.optimizers.muon import Muon, shape_factor
from muon_theory.optimizers.parameter_groups import ParameterRoles, muon_with_adamw, parameter_roles

__all__ = ["Hybrid", "Muon", "ParameterRoles", "muon_with_adamw", "parameter_roles", "shape_factor"]
