"""Norms of the lengths of rows or columns: the largest one, and their sum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from muon_theory.norms.norm import Norm
from muon_theory.norms.projections import nonzero, project_capped

_TIE = 16 * torch.finfo(torch.float64).eps


class _LargestLength(Norm):
    """Largest Euclidean length along an axis; the dual is the sum of the lengths."""

    axis: int  # the axis that is summed over: -2 for columns, -1 for rows

    @override
    def _gauge(self, Y: Tensor) -> Tensor:
        return _lengths(Y, self.axis).amax(dim=(-2, -1))

    @override
    def _support(self, Y: Tensor) -> Tensor:
        return _lengths(Y, self.axis).sum(dim=(-2, -1))

    @override
    def _maximizer(self, Y: Tensor, tolerance: float) -> Tensor:
        return _directions(Y, self.axis)

    @override
    def _projection(self, Y: Tensor, radius: Tensor) -> Tensor:
        return _directions(Y, self.axis) * _lengths(Y, self.axis).minimum(radius[..., None, None])


class _SumOfLengths(Norm):
    """Sum of the Euclidean lengths along an axis; the dual is the largest length."""

    axis: int

    @override
    def _gauge(self, Y: Tensor) -> Tensor:
        return _lengths(Y, self.axis).sum(dim=(-2, -1))

    @override
    def _support(self, Y: Tensor) -> Tensor:
        return _lengths(Y, self.axis).amax(dim=(-2, -1))

    @override
    def _maximizer(self, Y: Tensor, tolerance: float) -> Tensor:
        lengths = _lengths(Y, self.axis)
        longest = lengths >= lengths.amax(dim=(-2, -1), keepdim=True) * (1 - _TIE)
        return _directions(Y, self.axis) * longest / longest.sum(dim=(-2, -1), keepdim=True)

    @override
    def _projection(self, Y: Tensor, radius: Tensor) -> Tensor:
        lengths = _lengths(Y, self.axis)
        kept = project_capped(lengths.flatten(-2), torch.full_like(radius, math.inf), radius)
        return _directions(Y, self.axis) * kept.unflatten(-1, lengths.shape[-2:])


@dataclass(frozen=True)
class ColumnNorm(_LargestLength):
    """Largest Euclidean length of a column, the operator norm from l1 to l2; its dual is the sum of column lengths.

    lmo(G) = -G with every column divided by its length; zero columns stay zero. Not unitarily invariant (orthogonal
    factors from the left do not matter, those from the right do).

    Source: elementary; Pethick et al. 2025 (arXiv 2502.07529) for the use as an LMO.

    Example:
        >>> ColumnNorm().lmo(torch.tensor([[3.0, 0.0], [4.0, 0.0]]))
        tensor([[-0.6000,  0.0000],
                [-0.8000,  0.0000]])
    """

    axis = -2


@dataclass(frozen=True)
class RowNorm(_LargestLength):
    """Largest Euclidean length of a row, the operator norm from l2 to l-infinity; its dual is the sum of row lengths.

    lmo(G) = -G with every row divided by its length; zero rows stay zero. Not unitarily invariant.

    Source: elementary; Pethick et al. 2025 (arXiv 2502.07529) for the use as an LMO.

    Example:
        >>> RowNorm().dual(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor(6.)
    """

    axis = -1


@dataclass(frozen=True)
class SumOfColumnNorms(_SumOfLengths):
    """Sum of the Euclidean lengths of the columns; its dual is the largest; lmo(G) keeps the longest column only.

    Columns that tie share the unit equally. Not unitarily invariant.

    Source: elementary.

    Example:
        >>> SumOfColumnNorms().lmo(torch.tensor([[3.0, 0.0], [4.0, 2.0]]))
        tensor([[-0.6000,  0.0000],
                [-0.8000,  0.0000]])
    """

    axis = -2


@dataclass(frozen=True)
class SumOfRowNorms(_SumOfLengths):
    """Sum of the Euclidean lengths of the rows; its dual is the largest; lmo(G) keeps the longest row only.

    Rows that tie share the unit equally. Not unitarily invariant.

    Source: elementary.

    Example:
        >>> SumOfRowNorms().value(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor(6.)
    """

    axis = -1


def _lengths(Y: Tensor, axis: int) -> Tensor:
    """Euclidean lengths along the axis, which is kept; safe against underflow of squares."""
    largest = Y.abs().amax(dim=axis, keepdim=True)
    scaled = Y / nonzero(largest)
    return torch.linalg.vector_norm(scaled, dim=axis, keepdim=True) * largest


def _directions(Y: Tensor, axis: int) -> Tensor:
    """Rows or columns of length one; zero ones stay zero."""
    largest = Y.abs().amax(dim=axis, keepdim=True)
    scaled = Y / nonzero(largest)
    return scaled / torch.linalg.vector_norm(scaled, dim=axis, keepdim=True).clamp_min(1)
