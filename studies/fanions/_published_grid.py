"""The published recipes on the 500 x 500 problem, and the grid they were the best points of.

Source: Kravatskiy et al. 2025, arXiv 2512.09678, its table, public code and log.
"""

from __future__ import annotations

PUBLISHED = {"muon": (0.007, 0.5, 1060), "f_muon": (0.015, 0.7, 910), "s_muon": (0.011, 0.9, 890),
             "nsgd": (0.08, 0.95, 1020), "sign_sgd": (0.016, 0.95, 2650)}  # lr, momentum, iterations  # fmt: skip
HITS = {"muon": 5, "f_muon": 8, "s_muon": 16}  # points of the grid that reached 1e-3, in its published log


def grid_of(method: str) -> list[tuple[float, list[float]]]:
    """The published grid, learning rates with their momenta: 160 points, of normalised descent 190."""
    momenta = [round(0.1 * i, 1) for i in range(1, 10)] + [0.95]
    if method == "nsgd":
        return [(round(0.005 * i, 3), momenta) for i in range(2, 21)]
    return [(round(0.001 * i, 3), momenta) for i in range(5, 21)]
