"""Optimizers built from momentum and the linear minimization oracle of a norm, Muon's orthogonalized step first."""

from muon_theory.optimizers.dion import Dion
from muon_theory.optimizers.fanion import Fanion, FFanion, Neon, SFanion
from muon_theory.optimizers.joint_optimizer import Hybrid
from muon_theory.optimizers.lmo_descent import LmoDescent, normalized_sgd, sign_descent
from muon_theory.optimizers.matrix_descent import MatrixDescent
from muon_theory.optimizers.muon import Muon, shape_factor
from muon_theory.optimizers.muon_all import MuonAll
from muon_theory.optimizers.parameter_groups import ParameterRoles, hybrid, muon_with_adamw, parameter_roles
from muon_theory.optimizers.routing import Routing, route_parameters
from muon_theory.optimizers.scale import Scale, scale_groups
from muon_theory.optimizers.sharded import Sharded
from muon_theory.optimizers.spectral_map import Power, RandomSpectrum, SoftThreshold, SpectralMap
from muon_theory.optimizers.step_metrics import UpdateRecord, get_post_step_metrics

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
    "Routing",
    "SFanion",
    "Scale",
    "Sharded",
    "SoftThreshold",
    "SpectralMap",
    "UpdateRecord",
    "get_post_step_metrics",
    "hybrid",
    "muon_with_adamw",
    "normalized_sgd",
    "parameter_roles",
    "route_parameters",
    "scale_groups",
    "shape_factor",
    "sign_descent",
]
