"""Norms of the entries: the largest one (sign descent) and their sum (coordinate descent)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from muon_theory.norms.norm import Norm
from muon_theory.norms.projections import project_capped


@dataclass(frozen=True)
class MaxEntry(Norm):
    """Largest absolute entry, the operator norm from l1 to l-infinity; its dual is the sum of absolute entries.

    lmo(G) = -sign(G) (sign descent), sign(0) = 0. Not unitarily invariant.

    Source: elementary.

    Example:
        >>> MaxEntry().lmo(torch.tensor([[2.0, -1e-9, 0.0]]))
        tensor([[-1.,  1.,  0.]])
    """

    @override
    def _gauge(self, Y: Tensor) -> Tensor:
        return Y.abs().amax(dim=(-2, -1))

    @override
    def _support(self, Y: Tensor) -> Tensor:
        return Y.abs().sum(dim=(-2, -1))

    @override
    def _maximizer(self, Y: Tensor, tolerance: float) -> Tensor:
        return Y.sign()

    @override
    def _projection(self, Y: Tensor, radius: Tensor) -> Tensor:
        return Y.maximum(-radius[..., None, None]).minimum(radius[..., None, None])


@dataclass(frozen=True)
class SumEntries(Norm):
    """Sum of absolute entries; its dual is the largest one; lmo(G) is minus the sign at the largest absolute entry.

    Largest entries that tie share the unit equally. Not unitarily invariant.

    Source: elementary.

    Example:
        >>> SumEntries().lmo(torch.tensor([[2.0, -3.0, 0.0]]))
        tensor([[0., 1., 0.]])
    """

    @override
    def _gauge(self, Y: Tensor) -> Tensor:
        return Y.abs().sum(dim=(-2, -1))

    @override
    def _support(self, Y: Tensor) -> Tensor:
        return Y.abs().amax(dim=(-2, -1))

    @override
    def _maximizer(self, Y: Tensor, tolerance: float) -> Tensor:
        largest = Y.abs() == Y.abs().amax(dim=(-2, -1), keepdim=True)
        return Y.sign() * largest / largest.sum(dim=(-2, -1), keepdim=True)

    @override
    def _projection(self, Y: Tensor, radius: Tensor) -> Tensor:
        sizes = project_capped(Y.abs().flatten(-2), torch.full_like(radius, math.inf), radius)
        return sizes.unflatten(-1, Y.shape[-2:]) * Y.sign()
