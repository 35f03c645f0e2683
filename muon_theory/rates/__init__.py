"""What a convergence constant is worth: the best one provable, the largest attained, and problems to measure it on."""

from muon_theory.rates.attained import Attained, Instance, attained_averages, largest_attained
from muon_theory.rates.certificate import Certificate, Inequality, best_constant, root_above
from muon_theory.rates.momentum_run import Trajectory, momentum_run, spectral_oracle
from muon_theory.rates.quadratic import QuadraticProblem, quadratic_problem, scalar_problem
from muon_theory.rates.stationarity_program import (
    Analysis,
    as_rational,
    closed_average,
    provable_average,
    stationarity_inequalities,
)

__all__ = [
    "Analysis",
    "Attained",
    "Certificate",
    "Inequality",
    "Instance",
    "QuadraticProblem",
    "Trajectory",
    "as_rational",
    "attained_averages",
    "best_constant",
    "closed_average",
    "largest_attained",
    "momentum_run",
    "provable_average",
    "quadratic_problem",
    "root_above",
    "scalar_problem",
    "spectral_oracle",
    "stationarity_inequalities",
]
