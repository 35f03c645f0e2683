"""The k leading singular directions of a batch of matrices by the cheaper of two routes: a full SVD, or Lanczos."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from muon_theory.norms import DualKyFan, Spectral
from muon_theory.spectra.leading_error import leading_error
from muon_theory.spectra.top_k import lanczos_pays, top_k

DEFAULT_ACCURACY = 1e-4


def leading_directions(X: Tensor, k: float | None, accuracy: float = DEFAULT_ACCURACY) -> Tensor:
    """P_k(X) = u_1 v_1^T + ... + u_k v_k^T of every matrix, of a real k the last term with the fraction.

    Block Lanczos where min(m, n) > 400 and k <= min(m, n) / 16, and the oracle of the dual Ky Fan norm (a float64 SVD)
    otherwise, and for matrices on which Lanczos does not reach the accuracy: singular values that tie at the k-th place
    share, as they do there.

    Args:
        X: shape (*batch, m, n), finite.
        k: real, 1 <= k <= min(m, n); None: all.
        accuracy: relative Frobenius error of P_k that Lanczos may leave, in (0, 1).

    Returns:
        P_k, of X's shape and dtype.

    Source: Kravatskiy et al. 2025 (arXiv 2512.09678): P_k, and Lanczos for it.

    Accuracy: as `top_k`.

    Cost: as `top_k`.

    >>> leading_directions(torch.diag(torch.tensor([3.0, 2.0, 1.0])), 1.5).diagonal().round(decimals=4) + 0.0
    tensor([1.0000, 0.5000, 0.0000])
    """
    m, n = X.shape[-2:]
    if k is None or k == min(m, n):
        return -Spectral().lmo(X).to(X.dtype)
    count = math.ceil(k)
    if not lanczos_pays(m, n, count):
        return -DualKyFan(k).lmo(X).to(X.dtype)
    found = top_k(X, count, accuracy=accuracy)
    weights = torch.ones(count, dtype=found.U.dtype, device=X.device)
    weights[-1] = k - (count - 1)
    D = ((found.U * weights) @ found.V.mT).to(X.dtype)
    error = found.error
    if k != count and count > 1:
        error = torch.maximum(error, _error_below(found.sigma, found.residual, count - 1).to(error))
    missed = error > accuracy
    if bool(missed.any()):
        D[missed] = -DualKyFan(k).lmo(X[missed]).to(X.dtype)
    return D


def _error_below(sigma: Tensor, residual: Tensor, k: int) -> Tensor:
    """Bound on the error of P_k for a batch from more than k triples."""
    sigma, residual = sigma.double(), residual.double()
    pairs = zip(sigma.reshape(-1, sigma.shape[-1]), residual.reshape(-1, sigma.shape[-1]), strict=True)
    bounds = [leading_error(s[:k], rho[:k], s[k]) for s, rho in pairs]
    return torch.tensor(bounds, dtype=torch.float64).reshape(sigma.shape[:-1])
