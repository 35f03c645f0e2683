"""Maps of the spectrum that a study names, and the exponents of the curvature that two of them are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from muon_theory.optimizers import Power, RandomSpectrum
from muon_theory.rooms.isotropic_curvature.exact_solver import power_spectrum
from muon_theory.training.one_layer_steps import curvatures, decreases, layer_gradient

RADIUS = 0.08


@dataclass(frozen=True)
class Blend:
    """F-Muon's map: alpha + (1 - alpha) sigma / ||sigma||."""

    alpha: float

    def __call__(self, sigma: Tensor) -> Tensor:
        """Both parts."""
        return self.alpha + (1 - self.alpha) * sigma / sigma.norm()


@dataclass(frozen=True)
class Radial:
    """The best map if a step D of n columns costs E ||D zeta||^e; e = 2 is the gradient."""

    e: float
    n: int

    def __call__(self, sigma: Tensor) -> Tensor:
        """The optimal spectrum."""
        kept = np.where(sigma.numpy() > 1e-6, sigma.numpy(), 0.0)
        return torch.from_numpy(power_spectrum(kept, self.e, self.n).s)


def function(name: str, p: float, columns: int) -> Any:
    """The map of a name; p is its parameter: a power, F-Muon's alpha, or the exponent e of a radial cost."""
    if name == "radial":
        return Radial(p, columns)
    return RandomSpectrum() if name == "random" else Blend(p) if name == "F-Muon" else Power(p)


def exponents(model: nn.Module, layer: str, inputs: Tensor, labels: Tensor, seed: int) -> dict[str, Any]:
    """Slope a of log curvature on log sigma over the gradient's singular pairs, and e along random isometries."""
    U, sigma, Vt = torch.linalg.svd(layer_gradient(model, layer, inputs, labels), full_matrices=False)
    kept = int((sigma > 1e-3 * sigma[0]).sum())
    pairs = U.T[:kept, :, None] * Vt[:kept, None, :]
    along, x = curvatures(model, layer, pairs, inputs, labels), (sigma[:kept] / sigma[0]).numpy()
    positive = along > 0
    generator, total = torch.Generator().manual_seed(seed), np.zeros(2)
    for _ in range(8):
        Q = torch.linalg.qr(torch.randn(U.shape[0], Vt.shape[1], generator=generator, dtype=torch.float64).T)[0].T
        both = [decreases(model, layer, sign * Q, [RADIUS / 2, RADIUS * 2], inputs, labels) for sign in (1, -1)]
        total -= both[0] + both[1]
    a = np.polyfit(np.log(x[positive]), np.log(along[positive]), 1)[0]
    return {"layer": layer, "a": float(a), "e": float(np.log(total[1] / total[0]) / np.log(4)), "pairs": kept}
