"""What a convergence constant is worth: the best one provable, the largest attained, and problems to measure it on."""

from muon_theory.rates.momentum_run import Trajectory, momentum_run, spectral_oracle
from muon_theory.rates.quadratic import QuadraticProblem, quadratic_problem, scalar_problem

__all__ = [
    "QuadraticProblem",
    "Trajectory",
    "momentum_run",
    "quadratic_problem",
    "scalar_problem",
    "spectral_oracle",
]
