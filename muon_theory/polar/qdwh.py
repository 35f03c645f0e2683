"""QDWH: the polar factor by dynamically weighted Halley iterations, each a QR or a Cholesky factorization.

Six iterations, backward stable, no SVD: X <- X (a + b X^T X)(1 + c X^T X)^(-1), with weights a, b, c that send the
interval [l, 1] of possible singular values as close to 1 as a rational function of type (3, 2) can. Only the lower end
l has to be known, and only roughly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EPSILON = torch.finfo(torch.float64).eps
_MOST_ITERATIONS = 12  # l = 1e-308 needs 8
_CHOLESKY_UP_TO = 100.0  # beyond this weight c the Cholesky variant loses digits (Nakatsukasa and Higham 2013)


def inverse_condition_bound(R: Tensor) -> float:
    """Guaranteed lower bound of sigma_min / sigma_max of a triangular matrix, `1 / (||R^-1||_F ||R||_F)`.

    Args:
        R: upper triangular float64 matrix of shape (r, r), finite.

    Returns:
        A number in [0, 1]; 0 for a singular matrix. At most r times smaller than the truth.

    Source: elementary, since the Frobenius norm bounds the spectral norm.

    Cost: one triangular solve, r^3 / 2 multiply-adds.

    Example:
        >>> round(inverse_condition_bound(torch.diag(torch.tensor([2.0, 1.0], dtype=torch.float64))), 4)
        0.36
    """
    identity = torch.eye(R.shape[-1], dtype=R.dtype, device=R.device)
    size = float(torch.linalg.vector_norm(R))
    inverse_size = float(torch.linalg.vector_norm(torch.linalg.solve_triangular(R, identity, upper=True)))
    if size == 0 or not math.isfinite(inverse_size):
        return 0.0
    return min(1.0, 0.9 / (size * inverse_size))  # 0.9 covers the rounding of the solve


def qdwh(R: Tensor, lower: float) -> Tensor:
    r"""Polar factor of a square matrix of full rank by dynamically weighted Halley iterations.

    Args:
        R: float64 matrix of shape (r, r), finite, nonzero, entries of moderate size.
        lower: bound l with 0 < l <= sigma_min / ||R||_F.

    Returns:
        The orthogonal factor, shape (r, r), float64.

    Raises:
        ValueError: lower outside (0, 1].

    Source: Nakatsukasa, Bai and Gygi (2010), SIAM J. Matrix Anal. Appl. 31(5) (weights and QR form of the iteration);
        Nakatsukasa and Higham (2013), SIAM J. Sci. Comput. 35(3) (Cholesky form, and the switch at c = 100).

    Accuracy: a few eps * sigma_max / sigma_min, and orthogonal to a few eps * sqrt(r).

    Cost: at most 6 iterations for l >= 1e-16: a QR of a 2r x r matrix and a product while c > 100 (2 or 3 of them),
        else a Cholesky factorization and two triangular solves.

    Example:
        >>> qdwh(torch.tensor([[2.0, 0.0], [0.0, -1e-6]], dtype=torch.float64), 4e-7)
        tensor([[ 1.,  0.],
                [ 0., -1.]], dtype=torch.float64)
    """
    if not 0 < lower <= 1:
        raise ValueError(f"lower is {lower}; the bound on sigma_min / ||R||_F must lie in (0, 1]")
    X = R / torch.linalg.vector_norm(R)
    for _ in range(_MOST_ITERATIONS):
        if 1 - lower <= 4 * _EPSILON:
            break
        a, b, c = _weights(lower)
        X = _by_qr(X, a, b, c) if c > _CHOLESKY_UP_TO else _by_cholesky(X, a, b, c)
        lower = min(1.0, lower * (a + b * lower**2) / (1 + c * lower**2))
    return X


def _weights(l: float) -> tuple[float, float, float]:
    """Weights a, b, c that maximise the smallest image of [l, 1] under x (a + b x^2) / (1 + c x^2) <= 1."""
    d = (4 * (1 - l**2)) ** (1 / 3) * l ** (-4 / 3)
    root = math.sqrt(1 + d)
    a = root + 0.5 * math.sqrt(8 - 4 * d + 8 * (2 - l**2) / (l**2 * root))
    b = (a - 1) ** 2 / 4
    return a, b, a + b - 1


def _by_qr(X: Tensor, a: float, b: float, c: float) -> Tensor:
    """One iteration without forming X^T X: QR of sqrt(c) X over the identity."""
    identity = torch.eye(X.shape[-1], dtype=X.dtype, device=X.device)
    Q = torch.linalg.qr(torch.cat([math.sqrt(c) * X, identity]))[0]
    Q1, Q2 = Q.split(X.shape[0])
    return (b / c) * X + ((a - b / c) / math.sqrt(c)) * (Q1 @ Q2.mT)


def _by_cholesky(X: Tensor, a: float, b: float, c: float) -> Tensor:
    """One iteration through the Cholesky factor of 1 + c X^T X, for moderate c."""
    identity = torch.eye(X.shape[-1], dtype=X.dtype, device=X.device)
    L = torch.linalg.cholesky(identity + c * (X.mT @ X))
    return (b / c) * X + (a - b / c) * torch.cholesky_solve(X.mT, L).mT
