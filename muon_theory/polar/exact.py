"""The exact polar factor: every nonzero singular value becomes 1, every zero direction stays zero.

Three routes with one meaning: the SVD, the float64 eigenproblem of the Gram matrix, and QDWH. The routes that cannot
answer for a matrix (Gram: too ill-conditioned; QDWH: not certified of full rank) hand it to the SVD.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from muon_theory.polar.gram_eigh import polar_by_gram
from muon_theory.polar.qdwh import inverse_condition_bound, qdwh
from muon_theory.spectra.matrix_input import require_matrix, shift_exponent, to_float64
from muon_theory.spectra.singular_values import for_each_matrix

PolarMethod = Literal["auto", "svd", "gram", "qdwh"]

_EPSILON = torch.finfo(torch.float64).eps
_BATCHED_UP_TO = 128


def default_rank_tolerance(rows: int, columns: int, dtype: torch.dtype) -> float:
    """Relative size up to which a singular value counts as zero in a matrix stored in dtype.

    `max(rows, columns) * eps(dtype)` for float32 and float64, as numpy's matrix_rank; `eps(dtype)` for bfloat16,
    float16 and shorter formats, where the former exceeds 1 for ordinary layers and would declare every direction zero.
    Rounding a matrix of rank one moves its singular values by at most eps / 2 * sigma_1.

    Args:
        rows: number of rows, >= 1.
        columns: number of columns, >= 1.
        dtype: real floating-point dtype of the matrix.

    Returns:
        The tolerance, relative to sigma_1; at most 0.5.

    Source: numpy.linalg.matrix_rank for the first; derived here, checked in tests/polar/test_exact.py, for the second.

    Example:
        >>> default_rank_tolerance(512, 2048, torch.bfloat16), default_rank_tolerance(1, 2048, torch.float32)
        (0.0078125, 0.000244140625)
    """
    epsilon = torch.finfo(dtype).eps
    return min(max(rows, columns) * epsilon, 0.5) if dtype in (torch.float32, torch.float64) else epsilon


def polar_factor(G: Tensor, *, rank_tolerance: float | None = None, method: PolarMethod = "auto") -> Tensor:
    r"""Exact polar factor U V^T of G = U diag(sigma) V^T, the sum running over the nonzero singular values.

    Directions with `sigma <= rank_tolerance * sigma_1` are zero directions: the factor vanishes on them, so it is a
    partial isometry of the numerical rank of G, and the zero matrix has the zero matrix as its factor. The factor does
    not depend on the scale of G. It is computed in float64, rounded once, and carries no autograd graph.

    Args:
        G: matrices of shape (*batch, rows, columns), any real floating-point dtype, finite entries; not modified.
        rank_tolerance: in [0, 1); None for `max(rows, columns) * eps(dtype)`, in bfloat16 and float16 `eps(dtype)`.
            With 0 only exact zeros count, as far as float64 rounding lets one tell.
        method: "svd"; "gram" (eigenvectors of the float64 Gram matrix; matrices beyond its resolution go to the SVD);
            "qdwh" (matrices not certified of full rank go to the SVD); "auto" takes "svd" for float64 and else "gram".

    Returns:
        Tensor of G's shape, dtype and device.

    Raises:
        ValueError: rank_tolerance outside [0, 1); an unknown method. Matrices with fewer than two dimensions, without
            entries or with NaN or inf are refused likewise, and other than dense real ones with a TypeError.

    Source: elementary; Higham (2008), Functions of Matrices, chapter 8 (canonical polar decomposition).

    Accuracy: in float64 within 20 eps * max(sigma_1 / sigma_min, sqrt r) of the truth in the spectral norm, sigma_min
        the smallest one kept, and orthogonal to 1e-13 * sqrt(r) in the Frobenius norm; in shorter formats within
        4 eps(dtype) plus one rounding. Checked in tests/polar/test_exact.py.

    Cost: "gram" 2 r^2 n multiply-adds and an eigenproblem of about 9 r^3, r <= n the two sizes; "svd" 3 to 4 times
        that; both in float64.

    Example:
        >>> polar_factor(torch.tensor([[3.0, 0.0], [0.0, -1e-3], [0.0, 0.0]]))
        tensor([[ 1.,  0.],
                [ 0., -1.],
                [ 0.,  0.]])
    """
    if method not in ("auto", "svd", "gram", "qdwh"):
        raise ValueError(f"method is {method!r}; choose one of 'auto', 'svd', 'gram', 'qdwh'")
    X = require_matrix(G, "G")
    tolerance = _tolerance(X, rank_tolerance)
    if method == "auto":
        method = "svd" if X.dtype == torch.float64 else "gram"
    Y = _wide(to_float64(X)[0])
    route = {
        "svd": partial(_by_svd, rank_tolerance=tolerance),
        "gram": partial(_by_gram, rank_tolerance=tolerance, accuracy=_gram_accuracy(X.dtype)),
        "qdwh": partial(_by_qdwh, rank_tolerance=tolerance),
    }[method]
    U = for_each_matrix(route, Y, batched=Y.shape[-2] <= _BATCHED_UP_TO)
    # rounded before it is turned back, in one pass; contiguous like any fresh result
    return (U.mT if X.shape[-2] > X.shape[-1] else U).to(device=X.device, dtype=X.dtype).contiguous()


def nuclear_norm_and_polar(G: Tensor, *, rank_tolerance: float | None = None) -> tuple[Tensor, Tensor]:
    r"""Nuclear norm ||G||_* = sum sigma_i, over all singular values, and the exact polar factor, both in float64.

    Args:
        G: matrices of shape (*batch, rows, columns), any real floating-point dtype, finite entries; not modified.
        rank_tolerance: as in `polar_factor`; it concerns the factor, not the norm.

    Returns:
        The nuclear norm, shape (*batch,), in the unit of G, and the factor, shape of G; float64, on G's device (the CPU
        for MPS). Inadmissible matrices are refused as by `polar_factor`.

    Source: elementary.

    Accuracy: norm to 16 eps relative times r, factor as `polar_factor`.

    Cost: one SVD.

    Example:
        >>> norm, factor = nuclear_norm_and_polar(torch.tensor([[3.0, 0.0], [0.0, -1.0]]))
        >>> norm.item(), factor.tolist()
        (4.0, [[1.0, 0.0], [0.0, -1.0]])
    """
    X = require_matrix(G, "G")
    tolerance = _tolerance(X, rank_tolerance)
    Y, exponent = to_float64(X)
    U, sigma = _svd_factor(_wide(Y), tolerance)
    return shift_exponent(sigma.sum(dim=-1), exponent), U.mT if X.shape[-2] > X.shape[-1] else U


def _tolerance(X: Tensor, rank_tolerance: float | None) -> float:
    """The relative size up to which a direction of X counts as zero."""
    if rank_tolerance is None:
        return default_rank_tolerance(X.shape[-2], X.shape[-1], X.dtype)
    if not 0 <= rank_tolerance < 1:
        raise ValueError(f"rank_tolerance is {rank_tolerance!r}; it is relative to sigma_1 and must lie in [0, 1)")
    return float(rank_tolerance)


def _gram_accuracy(dtype: torch.dtype) -> float:
    """Error of the factor up to which the Gram route is used: a few roundings of dtype."""
    return 64 * _EPSILON if dtype == torch.float64 else 4 * torch.finfo(dtype).eps


def _wide(Y: Tensor) -> Tensor:
    """Y or its transpose, whichever has no more rows than columns."""
    return Y.mT if Y.shape[-2] > Y.shape[-1] else Y


def _svd_factor(Y: Tensor, rank_tolerance: float) -> tuple[Tensor, Tensor]:
    """Polar factor and singular values of wide matrices; QR first for shapes 3:2 and longer."""
    Q = None
    if 2 * Y.shape[-1] >= 3 * Y.shape[-2]:
        Q, R = torch.linalg.qr(Y.mT)
        Y = R.mT
    U, sigma, Vt = torch.linalg.svd(Y, full_matrices=False)
    kept = sigma > rank_tolerance * sigma[..., :1]
    factor = (U * kept[..., None, :]) @ Vt
    return (factor if Q is None else factor @ Q.mT), sigma


def _by_svd(Y: Tensor, rank_tolerance: float) -> Tensor:
    """Polar factor of wide matrices by the SVD."""
    return _svd_factor(Y, rank_tolerance)[0]


def _by_gram(Y: Tensor, rank_tolerance: float, accuracy: float) -> Tensor:
    """Polar factor of wide matrices by the Gram route, and by the SVD where that cannot be trusted."""
    U, trusted = polar_by_gram(Y, rank_tolerance, accuracy)
    if not bool(trusted.all()):
        U[~trusted] = _by_svd(Y[~trusted], rank_tolerance)
    return U


def _by_qdwh(Y: Tensor, rank_tolerance: float) -> Tensor:
    """Polar factor of wide matrices by QDWH on the triangular factor, and by the SVD where the rank is in doubt."""
    if Y.ndim > 2:
        results = [_by_qdwh(A, rank_tolerance) for A in Y.reshape(-1, *Y.shape[-2:])]
        return torch.stack(results).reshape(Y.shape) if results else Y.clone()
    Q, R = torch.linalg.qr(Y.mT)
    lower = inverse_condition_bound(R)
    if lower <= max(rank_tolerance, math.sqrt(Y.shape[-2]) * _EPSILON):
        return _by_svd(Y, rank_tolerance)
    return (Q @ qdwh(R, lower)).mT
