"""Question: does the published example of slow transfer transfer slowly, at its own dimension, steps and batch?

Claim: to be told.

Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, section on slow transfer (b_n ~ a_n^(1/2), widths to 2^14, read off its
text; scale of the head and base width are ours).

Cost: quick 4 s, full 2 h on one core. Scale: two-layer ReLU classifier with biases of a ball in d = 64, muP, Adam, 2^14
steps of batch 256, rates 2^-12 to 2^-6, widths 2^8 to 2^13, 3 seeds; the loss is the mean of 16 looks at 16,384 test
points in the last sixteenth of the steps, since a single one jitters by as much as seeds differ.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.hyperparameter_transfer.gaps import gap_powers, grid_minimum
from muon_theory.rooms.hyperparameter_transfer.speed import transfer_speed
from muon_theory.training.ball_indicator import ball_indicator_losses


def cell(width: int, log2_rate: float, seed: int, dimension: int, steps: int, batch: int, tests: int) -> dict[str, Any]:
    """Test loss of one run."""
    size = {"dimension": dimension, "steps": steps, "batch": batch, "tests": tests}
    loss = ball_indicator_losses(width, [log2_rate], seed=seed, looks=min(16, steps // 16), **size)
    return {"width": width, "log2_rate": log2_rate, "seed": seed, "steps": steps, "loss": float(loss[0])}


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per width, rate and seed."""
    if quick:
        widths, rates = [16, 32, 64, 128], [-8, -7, -6, -5, -4, -3]
        size = {"dimension": 8, "steps": 64, "batch": 32, "tests": 500}
    else:
        widths, rates = [2**k for k in range(8, 14)], list(range(-12, -5))
        size = {"dimension": 64, "steps": 2**14, "batch": 256, "tests": 2**14}
    return map_cells(cell, [{"width": n, "log2_rate": rate, "seed": seed + i, **size}
                            for i in range(3) for n in reversed(widths) for rate in rates])  # fmt: skip
