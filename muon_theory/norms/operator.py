"""The operator norm between root-mean-square norms: the spectral norm in the units of a layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from muon_theory.norms.norm import Norm
from muon_theory.norms.schatten import SingularValueNorm, Spectral
from muon_theory.polar.exact import polar_factor


@dataclass(frozen=True)
class RMSToRMS(Norm):
    """Operator norm from RMS to RMS, sqrt(n/m) sigma_1 of an m x n matrix; its dual is sqrt(m/n) ||.||_*.

    A layer W (m = fan out, n = fan in) of this norm 1 maps inputs of root mean square 1 to outputs of root mean square
    at most 1. lmo(G) = -sqrt(m/n) U V^T, m the rows.

    Source: Bernstein and Newhouse 2024 (arXiv 2409.20325); Large et al. 2024 (arXiv 2405.14813).

    Example:
        >>> import torch
        >>> RMSToRMS().lmo(torch.ones(4, 1))
        tensor([[-1.],
                [-1.],
                [-1.],
                [-1.]])
    """

    @property
    @override
    def unitarily_invariant(self) -> bool:
        return True

    @override
    def lmo(self, G: Tensor) -> Tensor:
        D = polar_factor(G)
        return (D * -math.sqrt(G.shape[-2] / G.shape[-1])).add_(0.0)

    @override
    def _parts(self, rows: int, columns: int) -> tuple[tuple[float, Norm], ...]:
        return ((math.sqrt(rows / columns), Spectral()),)

    @override
    def _gauge(self, Y: Tensor) -> Tensor:
        return _spectral._gauge(Y) / math.sqrt(Y.shape[-2] / Y.shape[-1])

    @override
    def _support(self, Y: Tensor) -> Tensor:
        return _spectral._support(Y) * math.sqrt(Y.shape[-2] / Y.shape[-1])

    @override
    def _maximizer(self, Y: Tensor, tolerance: float) -> Tensor:
        return _spectral._maximizer(Y, tolerance) * math.sqrt(Y.shape[-2] / Y.shape[-1])

    @override
    def _projection(self, Y: Tensor, radius: Tensor) -> Tensor:
        return _spectral._projection(Y, radius * math.sqrt(Y.shape[-2] / Y.shape[-1]))


_spectral: SingularValueNorm = Spectral()
