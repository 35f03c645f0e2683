"""The tutorial's update written out: the iteration, its cost, how many directions it acts in, how large it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def newton_schulz(G: Tensor, steps: int = 5, *, transpose: bool = True, normalized: bool = True) -> Tensor:
    """The tutorial's iteration, X <- a X + (b A + c A A) X with A = X X^T, in the dtype of G.

    Args:
        G: shape (m, n), floating point.
        steps: number of steps, >= 0.
        transpose: whether a tall G is transposed first and back at the end.
        normalized: whether G is divided by its Frobenius norm first; else it must have spectral norm at most about 1.

    Returns:
        Shape of G.

    Source: Wei 2025; coefficients Jordan 2024.

    >>> import torch
    >>> newton_schulz(torch.eye(1)).round(decimals=3)
    tensor([[0.6960]])
    """
    tall = transpose and G.shape[0] > G.shape[1]
    X = G.mT if tall else G
    if normalized:
        X = X / (X.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X.mT if tall else X


def iteration_flops(rows: int, columns: int, *, steps: int = 5, transpose: bool = True) -> int:
    """Flops of the products of the iteration, steps (4 n^2 m + 2 n^3) with n the side of X X^T.

    Args:
        rows: of G, >= 1.
        columns: of G, >= 1.
        steps: number of steps.
        transpose: whether a tall G is transposed, so that n is the smaller side.

    Returns:
        Multiplications and additions.

    Source: elementary.

    >>> iteration_flops(4, 2, steps=1), iteration_flops(4, 2, steps=1, transpose=False)
    (80, 256)
    """
    n, m = sorted((rows, columns)) if transpose else (rows, columns)
    return steps * (4 * n * n * m + 2 * n**3)


def directions_holding(sigma: ArrayLike, share: float) -> int:
    """The number of leading singular directions that hold a share of the energy sum sigma^2.

    Args:
        sigma: singular values, shape (r,), any order, finite, >= 0, not all zero.
        share: in (0, 1].

    Returns:
        The least k with sum_{i <= k} sigma_i^2 >= share * sum_i sigma_i^2, from 1 to r.

    Raises:
        ValueError: if the share is out of range or the spectrum is zero.

    Source: elementary; the tutorial's "effectively uses" names no measure.

    >>> directions_holding([3.0, 1.0, 1.0], 0.9), directions_holding([3.0, 1.0, 1.0], 0.8)
    (2, 1)
    """
    energy = np.sort(np.asarray(sigma, dtype=np.float64) ** 2)[::-1]
    if not 0 < share <= 1:
        raise ValueError(f"share is {share!r}; it must be in (0, 1]")
    if not energy.sum() > 0:
        raise ValueError("sigma is zero throughout; a zero matrix has no directions")
    held = np.cumsum(energy) / energy.sum()
    return min(int(np.searchsorted(held, share * (1 - 1e-12))) + 1, len(energy))


def update_rms(rows: int, columns: int, factor: float) -> float:
    """Root mean square of the entries of a full-rank orthogonalised update times a factor, 1/sqrt(max(m, n)) times it.

    Args:
        rows: m >= 1.
        columns: n >= 1.
        factor: what the update is multiplied by.

    Returns:
        A positive float.

    Source: elementary; Liu et al. 2025, arXiv 2502.16982, lemma 1.

    >>> update_rms(4, 16, 2.0)
    0.5
    """
    return factor / math.sqrt(max(rows, columns))


def shape_scale(shape: tuple[int, ...], *, flattened: bool = False) -> float:
    """The tutorial's shape factor sqrt(max(1, rows / columns)) of a parameter.

    Args:
        shape: of the parameter, two or more dimensions.
        flattened: take rows and columns from (out, -1); else from the last two sizes of the unflattened gradient, as
            the tutorial's code does, which for a 3x3 kernel is always 1.

    Returns:
        The factor, >= 1.

    Source: Wei 2025.

    >>> shape_scale((32, 3, 3, 3)), round(shape_scale((32, 3, 3, 3), flattened=True), 4)
    (1.0, 1.0887)
    """
    rows, columns = (shape[0], math.prod(shape[1:])) if flattened else shape[-2:]
    return math.sqrt(max(1.0, rows / columns))
