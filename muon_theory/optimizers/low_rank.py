"""What Dion reads off a matrix with one power iteration, and the low-rank direction made from it."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from muon_theory.polar import polar_factor
from muon_theory.polar.exact import default_rank_tolerance

RightFactor = Literal["unit_columns", "polar", "qr"]
RIGHT_FACTORS = ("unit_columns", "polar", "qr")


class LowRankFactors(NamedTuple):
    """What Dion reads off a matrix B: P (*batch, m, r) orthonormal, R = B^T P, and the next Q, unit columns.

    Source: Ahn et al. 2025, arXiv 2504.05295.
    """

    P: Tensor
    R: Tensor
    Q: Tensor


def low_rank_factors(B: Tensor, Q: Tensor, *, power_iterations: int = 1) -> LowRankFactors:
    """P, R and the next Q of Dion after some power iterations on B^T B from the columns of Q.

    Each iteration takes P = orth(B Q) by QR, R = B^T P, and Q = R with unit columns. A column of R that is numerically
    zero is zero in R; its place in Q is taken by a fixed dense column, so that a direction that vanishes from B for a
    while does not block its place for ever (R = 0 there, and with it Q, would repeat themselves). If B is zero, Q
    stays.

    Args:
        B: shape (*batch, m, n), float32 or float64, finite; not modified.
        Q: shape (*batch, n, r), r <= min(m, n), columns not zero.
        power_iterations: at least 1.

    Returns:
        P, R and Q.

    Source: Ahn et al. 2025, arXiv 2504.05295, Algorithm 1 (one iteration).

    Accuracy: P orthonormal to rounding; the distance to the leading singular subspace shrinks by
    (sigma_(r+1) / sigma_r)^2 an iteration when B stays the same.

    Cost: 4 m n r multiplications an iteration, and a QR of an m x r matrix.

    >>> B = torch.diag(torch.tensor([4.0, 2.0, 1.0]))
    >>> low_rank_factors(B, torch.eye(3, 1)).R.abs().T
    tensor([[4., 0., 0.]])
    """
    fresh = _dense_columns(Q)
    for _ in range(power_iterations):
        P = torch.linalg.qr(B @ Q).Q
        R = B.mT @ P
        length, scale = _column_lengths(R)
        tolerance = default_rank_tolerance(B.shape[-2], B.shape[-1], B.dtype)
        alive = length > tolerance * length.amax(-1, keepdim=True)
        R = torch.where(alive, R, torch.zeros_like(R))
        replaced = torch.where(alive.any(-1, keepdim=True), fresh, Q)
        Q = torch.where(alive, R / scale / torch.where(alive, length, 1.0), replaced)
    return LowRankFactors(P, R, Q)  # pyright: ignore[reportPossiblyUnboundVariable]


def low_rank_direction(P: Tensor, R: Tensor, *, right: RightFactor = "unit_columns") -> Tensor:
    """The direction D = P W^T of rank at most r that Dion steps along; numerically zero directions stay zero.

    - "unit_columns", the published rule: W is R with unit columns. ||D||_F = sqrt(r) and ||D||_* <= r, but ||D||_op may
      reach sqrt(r), since the columns of R need not be orthogonal.
    - "polar": W is the polar factor of R. D is then the maximiser of <B, D> over the D = P W^T with ||D||_op <= 1, a
      restricted linear minimization oracle of the dual Ky Fan r norm.
    - "qr": W is the orthogonal factor of R with the diagonal of the triangular one made positive. Without that the
      columns of W have arbitrary signs, and the step goes uphill along some of them.

    Args:
        P: shape (*batch, m, r), orthonormal columns.
        R: shape (*batch, n, r), B^T P.
        right: how W is made.

    Returns:
        D of shape (*batch, m, n).

    Raises:
        ValueError: if `right` is none of the above.

    Source: Ahn et al. 2025, arXiv 2504.05295 ("unit_columns"); derived here, checked in tests/optimizers ("polar", and
    the signs of "qr").

    Cost: m n r multiplications, and for "polar" the polar factor, for "qr" the QR, of an n x r matrix.

    >>> P, R = torch.eye(2), torch.tensor([[3.0, 3.0], [0.0, 4.0]])
    >>> [round(float(low_rank_direction(P, R, right=w).norm(p=2)), 4) for w in ("unit_columns", "polar", "qr")]
    [1.4142, 1.4142, 1.4142]
    """
    if right == "polar":
        return P @ polar_factor(R).mT
    if right == "qr":
        return P @ _signed_orthogonal_factor(R).mT
    if right != "unit_columns":
        raise ValueError(f"right is {right!r}; choose one of {RIGHT_FACTORS}")
    length, scale = _column_lengths(R)
    return P @ (R / scale / torch.where(length > 0, length, 1.0)).mT


def _column_lengths(R: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (*batch, 1, r) of the columns of R / scale, and that scale, a power of two against underflow."""
    largest = R.abs().amax((-2, -1), keepdim=True)
    scale = torch.where(largest > 0, largest / (2 * torch.frexp(largest)[0]), 1.0)
    return torch.linalg.vector_norm(R / scale, dim=-2, keepdim=True), scale


def _dense_columns(Q: Tensor) -> Tensor:
    """Unit columns (n, r) of no structure, the same at every call: cosines of a quadratic phase modulo a prime."""
    prime, (n, r) = 1_000_003, Q.shape[-2:]
    i = torch.arange(1, n + 1, device=Q.device)[:, None] % prime
    j = torch.arange(1, r + 1, device=Q.device)
    phase = ((i * i % prime) * 318_309 + i * (j * 141_421 % prime)) % prime
    columns = torch.cos(phase.to(Q.dtype) * (2 * math.pi / prime))
    return columns / torch.linalg.vector_norm(columns, dim=0)


def _signed_orthogonal_factor(R: Tensor) -> Tensor:
    """The Q of a QR whose triangular factor has a positive diagonal; columns without a length of their own are zero."""
    orthogonal, triangular = torch.linalg.qr(R)
    diagonal = triangular.diagonal(dim1=-2, dim2=-1)[..., None, :]
    tolerance = default_rank_tolerance(R.shape[-2], R.shape[-1], R.dtype)
    kept = diagonal.abs() > tolerance * diagonal.abs().amax(-1, keepdim=True)
    return torch.where(kept, orthogonal * diagonal.sign(), torch.zeros_like(orthogonal))
