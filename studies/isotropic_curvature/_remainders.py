"""What both curvature studies measure around a weight: remainders of the loss and their exponents, by direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from muon_theory.polar import polar_factor
from muon_theory.rooms.isotropic_curvature.growth import LossAround

WIDTH, RADII = 64, np.geomspace(2e-3, 8, 25)
FITS = {"p_small": (0.002, 0.02), "p_middle": (0.1, 1.0)}


def remainders(around: LossAround, *, draws: int, seed: int, **fixed: Any) -> list[dict[str, Any]]:
    """Mean remainder along random orthogonal D and along the polar update, and over its left rotations.

    Args:
        around: the loss and a 64 x 64 weight.
        draws: number of rotations.
        seed: of the rotations.
        **fixed: columns to repeat.

    Returns:
        A row for each kind of direction and radius.

    Source: rotation test: a public research log of 2026; the fits are elementary.
    """
    generator = torch.Generator().manual_seed(seed)
    Q, R = torch.linalg.qr(torch.randn(draws, WIDTH, WIDTH, generator=generator, dtype=torch.float64))
    rotations, rows = Q * R.diagonal(dim1=1, dim2=2).sign()[:, None], []
    sizes, radii = RADII * float(around.weight.norm()) / WIDTH**0.5, np.log(RADII)
    for kind, D in {"random": torch.eye(WIDTH, dtype=torch.float64), "polar": polar_factor(around.gradient)}.items():
        pairs = [(around.remainder(O @ D, sizes) + around.remainder(-O @ D, sizes)) / 2 for O in rotations]
        even = np.mean(pairs, axis=0)
        along = even if kind == "random" else around.remainder(D, sizes)
        curvature = even[0] if kind == "random" else (along[0] + around.remainder(-D, sizes[:1])[0]) / 2
        logs = np.log(np.where(along > 0, along, np.nan))
        local = pd.Series((logs[2:] - logs[:-2]) / (radii[2:] - radii[:-2]))
        fits = {name: np.polyfit(radii[inside], logs[inside], 1)[0] if np.isfinite(logs[inside]).all() else np.nan
                for name, (low, high) in FITS.items() for inside in [(low <= RADII) & (high >= RADII)]}  # fmt: skip
        fits |= {"loss": around.value, "rotation_ratio": curvature / even[0], "p_peak": local.max()}
        every = {**fixed, "seed": seed, "draws": draws, "kind": kind, **fits}
        rows += [every | {"radius": r, "remainder": v, "exponent": e}
                 for r, v, e in zip(RADII, along, [np.nan, *local, np.nan], strict=True)]  # fmt: skip
    return rows
