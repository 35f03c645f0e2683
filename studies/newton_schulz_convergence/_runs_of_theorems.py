"""The runs that theorems speak of, and the theorems on the oracle alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from muon_theory.polar import scalar_map
from muon_theory.polar.minimax import polar_express
from muon_theory.rooms.newton_schulz_convergence.error_bounds import (
    greedy_cubic_error,
    minimax_cubic,
    theorem_two_bound,
    universal_alignment,
)
from muon_theory.rooms.newton_schulz_convergence.steps import schatten_exponent

BATCH = 16
B9: dict[str, Any] = {"momentum": 0.9}
LOOK: dict[str, Any] = {"momentum": 0.9, "nesterov": True}
NOISE: dict[str, Any] = {"batch": BATCH}
QUINTIC: dict[str, Any] = {"oracle": "jordan_2024", "oracle_steps": 5}
TAYLOR: dict[str, Any] = {"oracle": "taylor_5", "oracle_steps": 2}
DESCENT: dict[str, Any] = {"momentum": 0.5, "oracle": "none"}

#: Run: (A of its step size sqrt(D/(T L A)), T, weight decay for L = 1 and D = 1/2, options of `measured_run`); for
#: descent A is the step size of the averaged gradient times L_F.
RUNS: dict[str, tuple[float, int, float, dict[str, Any]]] = {
    "exact": (1.0, 50, 0.0, {}),
    "printed": (10.0, 50, 0.0, B9),
    "taylor": (1.0, 50, 0.0, TAYLOR),
    "plain": (18.5, 50, 0.0, B9),
    "look": (16.7, 50, 0.0, LOOK),
    "noisy": (0.5, 50, 0.0, NOISE),
    "quintic": (1.2024**2 / 2, 50, 0.0, QUINTIC),
    "decay": (2.0, 50, 0.5, {}),
    "decay_look": (34.4, 50, 0.5, LOOK),
    "recipe": (2.0, 64, 0.0, {}),
    "additive": (1.3**2 / 2, 50, 0.0, {"additive_error": 0.3}),
    "descent": (0.5, 5, 0.0, DESCENT),
    "descent_appendix": (0.5 / 8**0.5, 5, 0.0, DESCENT),
    "noisy_plain": (18.5, 50, 0.0, B9 | NOISE),
    "noisy_look": (16.7, 50, 0.0, LOOK | NOISE),
    "noisy_taylor": (18.5, 50, 0.0, B9 | TAYLOR | NOISE),
    "noisy_quintic": (16.7, 50, 0.0, LOOK | QUINTIC | NOISE),
    "noisy_decay": (38.0, 50, 0.5, B9 | NOISE),
    "noisy_decay_look": (34.4, 50, 0.5, LOOK | NOISE),
    "noisy_descent": (0.5, 50, 0.0, DESCENT | NOISE),
}


class Use(NamedTuple):
    """What a run made of a theorem: measured left side, the bound as named terms, the former in the row's unit."""

    id: str
    label: str
    measured: float
    terms: dict[str, float]
    observed: float


def oracle_uses(x: np.ndarray, rank: int) -> list[Use]:
    """Theorems on the oracle, on the singular values x of every normalised momentum (T, r) of a run; worst over t."""
    found = []

    def add(id: str, label: str, measured: Any, bound: Any) -> None:
        worst = int(np.argmax(np.asarray(measured) / bound))
        left, right = float(np.ravel(measured)[worst]), float(np.broadcast_to(bound, np.shape(measured)).ravel()[worst])
        found.append(Use(id, label, left, {"": right}, float(np.max(measured))))

    three = scalar_map("taylor_5", 3)(x)
    at = x >= 0.03
    add("BEST-15", "Kim–Oh Theorem 2, 3 Taylor steps, ε", 1 - three[at], np.asarray(theorem_two_bound(2, x[at], 3)))
    gain = np.sum(x * three, -1) / x.sum(-1)
    rho = np.minimum(x.sum(-1) ** 2, rank)
    add("BEST-16", "universal bound, 3 Taylor steps, 1/(1 − ê)", 1 / gain,
        1 / np.asarray(universal_alignment(2, 3, rank=rank, nuclear_rank=rho)))  # fmt: skip
    cubic = scalar_map("taylor_3", 3)(x)
    least = x[:, -1]
    p = np.asarray(schatten_exponent(least, 1 - (1 - least) ** 1.5**3))
    add("BEST-17", "FedMuon, 3 cubic steps", x.sum(-1) / np.sum(x * cubic, -1),
        x.sum(-1) / np.sum(x ** p[:, None], -1) ** (1 / p))  # fmt: skip
    at = x >= 0.1
    if at.any():
        express = scalar_map(polar_express(0.1, 2, degree=5, safety=1.0), 2)(x[at])
        add("BEST-18", "Polar Express Theorem 4.3, 2 steps on [.1, 1]", np.abs(1 - express), 0.99**9)
        c1, c3 = minimax_cubic(0.1, 1.0)
        add(
            "BEST-19",
            "CANS, best cubic on [.1, 1]",
            np.abs(1 - c1 * x[at] - c3 * x[at] ** 3),
            greedy_cubic_error(0.1, 1),
        )
    return found
