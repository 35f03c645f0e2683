"""Optimizers built from momentum and the linear minimization oracle of a norm, Muon's orthogonalized step first."""

from muon_theory.optimizers.dion import Dion
from muon_theory.optimizers.fanion import Fanion, FFanion, Neon, SFanion
from muon_theory.optimizers.hybrid import Hybrid
from muon_theory.optimizers.lmo_descent import LmoDescent, normalized_sgd, sign_descent
from muon_theory.optimizers.matrix_descent import MatrixDescent
from muon_theory.optimizers.muon import Muon, shape_factor
from muon_theory.optimizers.muon_all import MuonAll
from muon_theory.optimizers.parameter_groups import ParameterRoles, muon_with_adamw, parameter_roles
from muon_theory.optimizers.scale import Scale
from muon_theory.optimizers.spectral_map import Power, RandomSpectrum, SoftThreshold, SpectralMap

__all__ = [
    "Dion",
    "FFanion",
    "Fanion",
    "Hybrid",
    "LmoDescent",
    "MatrixDescent",
    "Muon",
    "MuonAll",
    "Neon",
    "ParameterRoles",
    "Power",
    "RandomSpectrum",
    "SFanion",
    "Scale",
    "SoftThreshold",
    "SpectralMap",
    "muon_with_adamw",
    "normalized_sgd",
    "parameter_roles",
    "shape_factor",
    "sign_descent",
]
