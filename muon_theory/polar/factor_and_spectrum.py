"""The exact polar factor together with the singular values that were found on the way to it."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from muon_theory.polar.exact import _BATCHED_UP_TO, _gram_accuracy, _svd_factor, _tolerance, _wide
from muon_theory.polar.gram_eigh import _ERROR, _RESOLUTION
from muon_theory.spectra.matrix_input import require_matrix, shift_exponent, to_float64
from muon_theory.spectra.singular_values import gram_matrix


def polar_factor_and_spectrum(G: Tensor, *, rank_tolerance: float | None = None) -> tuple[Tensor, Tensor]:
    """Exact polar factor, bit for bit that of `polar_factor`, and the singular values it was made with.

    Args:
        G: matrices of shape (*batch, rows, columns), any real floating-point dtype, finite entries; not modified.
        rank_tolerance: as in `polar_factor`; it concerns the factor, not the spectrum.

    Returns:
        The factor, of G's shape, dtype and device, and the singular values, shape (*batch, min(rows, columns)),
        float64, descending, in the unit of G, on G's device (the CPU for MPS). Inadmissible matrices are refused as by
        `polar_factor`.

    Source: elementary; Higham (2008), Functions of Matrices, chapter 8.

    Accuracy: the factor as `polar_factor`; the spectrum as `singular_values` by "gram", for float64 matrices by "svd".

    Cost: that of `polar_factor`.

    >>> factor, sigma = polar_factor_and_spectrum(torch.tensor([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]]))
    >>> factor.diagonal().tolist(), sigma.tolist()
    ([1.0, -1.0], [4.0, 3.0])
    """
    X = require_matrix(G, "G")
    tolerance = _tolerance(X, rank_tolerance)
    scaled, exponent = to_float64(X)
    Y = _wide(scaled)
    route = partial(_by_gram, accuracy=_gram_accuracy(X.dtype))
    U, sigma = _for_each((_svd_factor if X.dtype == torch.float64 else route), Y, tolerance)
    factor = (U.mT if X.shape[-2] > X.shape[-1] else U).to(device=X.device, dtype=X.dtype).contiguous()
    return factor, shift_exponent(sigma, None if exponent is None else exponent[..., None])


def _for_each(route, Y: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:  # noqa: ANN001
    """The route's two results for a batch; matrices come one by one where `polar_factor` takes them so."""
    batch = Y.shape[:-2]
    if Y.shape[-2] <= _BATCHED_UP_TO or batch.numel() <= 1 or Y.device.type != "cpu":
        return route(Y, rank_tolerance=tolerance)
    found = [route(A, rank_tolerance=tolerance) for A in Y.reshape(-1, *Y.shape[-2:])]
    factors, spectra = (torch.stack([each[i] for each in found]) for i in (0, 1))
    return factors.reshape(Y.shape), spectra.reshape(*batch, -1)


def _by_gram(Y: Tensor, rank_tolerance: float, accuracy: float) -> tuple[Tensor, Tensor]:
    """`polar_by_gram` with the square roots of its eigenvalues; the SVD where that cannot be trusted."""
    eigenvalues, V = torch.linalg.eigh(gram_matrix(Y))
    sigma = eigenvalues.clamp_min(0).sqrt()
    largest = sigma[..., -1:]
    kept = sigma > rank_tolerance * largest
    accurate = _ERROR * largest**2 <= accuracy * sigma**2
    if rank_tolerance >= _RESOLUTION:
        trusted = (accurate | ~kept).all(dim=-1)
    else:
        trusted = (accurate & (kept | (largest == 0))).all(dim=-1)
    weight = torch.where(kept, 1 / torch.where(kept, sigma, 1), 0)
    U = ((V * weight[..., None, :]) @ V.mT) @ Y
    sigma = sigma.flip(-1)
    if not bool(trusted.all()):
        U[~trusted], sigma[~trusted] = _svd_factor(Y[~trusted], rank_tolerance)
    return U, sigma
