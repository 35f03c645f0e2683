"""The polar factor from the eigenvectors of the Gram matrix: U V^T = (X X^T)^(-1/2) X.

The cheapest exact route for wide matrices, since an r x r eigenproblem replaces the SVD. It squares the condition
number: directions below sqrt(eps) sigma_1 are lost and the factor's error grows like eps kappa^2, so the route says by
itself for which matrices it can be trusted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from muon_theory.spectra.singular_values import gram_matrix

_EPSILON = torch.finfo(torch.float64).eps
# Measured: eigenvalues of the Gram matrix are wrong by up to 14 eps lambda_1, the factor by up to 8 eps kappa^2.
_RESOLUTION = math.sqrt(32 * _EPSILON)
_ERROR = 8 * _EPSILON


def polar_by_gram(Y: Tensor, rank_tolerance: float, accuracy: float) -> tuple[Tensor, Tensor]:
    r"""Polar factor `(Y Y^T)^(-1/2) Y` without the directions of sigma <= rank_tolerance * sigma_1, and its trust.

    Args:
        Y: float64 matrices of shape (*batch, r, n), r <= n, finite, entries of moderate size.
        rank_tolerance: relative size up to which a direction counts as zero, >= 0.
        accuracy: relative error accepted in the factor; it decides trust.

    Returns:
        The factor, shape (*batch, r, n), float64, and a boolean tensor of shape (*batch,): True where every direction
        is either kept with 8 eps (sigma_1 / sigma)^2 <= accuracy, or a zero direction that this route can tell from
        zero.

    Source: elementary; Weyl's inequality for the eigenvalues, first-order perturbation of C^(-1/2) for the factor
        (derived here, checked in tests/polar/test_exact.py).

    Accuracy: 8 eps (sigma_1 / sigma_min)^2 over the kept directions, in the spectral norm.

    Cost: 2 r^2 n + r^3 multiply-adds (about 13/8 instead of 2 from 256 rows on) and the eigenproblem, about 9 r^3.

    Example:
        >>> U, trusted = polar_by_gram(torch.tensor([[3.0, 4.0]], dtype=torch.float64), 1e-6, 1e-7)
        >>> U, trusted
        (tensor([[0.6000, 0.8000]], dtype=torch.float64), tensor(True))
    """
    eigenvalues, V = torch.linalg.eigh(gram_matrix(Y))
    sigma = eigenvalues.clamp_min(0).sqrt()
    largest = sigma[..., -1:]
    kept = sigma > rank_tolerance * largest
    accurate = _ERROR * largest**2 <= accuracy * sigma**2
    if rank_tolerance >= _RESOLUTION:
        trusted = (accurate | ~kept).all(dim=-1)
    else:
        # nothing is known about a direction below the resolution, except in a zero matrix
        trusted = (accurate & (kept | (largest == 0))).all(dim=-1)
    weight = torch.where(kept, 1 / torch.where(kept, sigma, 1), 0)
    return ((V * weight[..., None, :]) @ V.mT) @ Y, trusted
