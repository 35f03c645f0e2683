"""Golub-Kahan bidiagonalisation by blocks, with full reorthogonalisation and thick restarts.

Two orthonormal bases, `right` of the Krylov space of X^T X and `left` of that of X X^T, are kept as rows, so that X is
only met as `rows @ X^T` and `rows @ X`; what X is between them is `projected`. Nothing is squared.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from muon_theory.spectra.leading_error import LeadingErrorEstimate

_CHECK_STEPS = 4  # further block steps that look for a copy of a singular value that was missed
_MOST_STEPS_BETWEEN_CHECKS = 8


class Triples(NamedTuple):
    """k singular triples of a matrix as an iteration leaves them; vectors are rows.

    Source: elementary.
    """

    left: Tensor
    sigma: Tensor
    right: Tensor
    residual: Tensor
    rank: int
    error: float
    exhausted: bool
    matvecs: int


def lanczos(
    X: Tensor,
    k: int,
    *,
    block: int,
    start: Tensor,
    estimate: LeadingErrorEstimate,
    generator: torch.Generator,
    budget: int,
) -> Triples:
    """The k leading singular triples of one matrix by thick-restart block Lanczos bidiagonalisation.

    A block narrower than k misses copies of a singular value that occurs more often than the block has columns; so it
    is followed, once it has converged, by a few steps from a random block orthogonal to what was found, and by more
    steps where these find something larger.

    Args:
        X: shape (m, n), float32 or float64, entries of moderate size, not zero.
        k: how many, with `lanczos_capacity(k, block) + block <= min(m, n)`.
        block: vectors in a block.
        start: right vectors to start from, as rows, shape (block, n).
        estimate: says when to stop; with krylov=True.
        generator: for vectors that replace a block at a breakdown; on the CPU.
        budget: products with a vector after which to stop at any rate.

    Returns:
        The triples, `error` above the accuracy wanted where rounding or the budget ended the iteration.

    Source: Golub and Kahan 1965; Baglama and Reichel 2005 (thick restart); the stopping rule derived here.

    Accuracy: as `LeadingErrorEstimate`.

    Cost: 2 m n multiply-adds for two products with each vector, and 8 (m + n) d for its orthogonalisation against the d
        vectors of the basis, d <= lanczos_capacity.

    Example:
        >>> X, generator = torch.diag(torch.arange(100.0, 0.0, -1.0)), torch.Generator().manual_seed(0)
        >>> estimate = LeadingErrorEstimate(1, 1e-4, 1e-6, torch.finfo(X.dtype).eps, krylov=True)
        >>> start = torch.randn(2, 100, generator=generator)
        >>> lanczos(X, 1, block=2, start=start, estimate=estimate, generator=generator, budget=999).sigma[0].round()
        tensor(100., dtype=torch.float64)
    """
    space = _Bidiagonalisation(X, lanczos_capacity(k, block), start, generator)
    copies_sought = block >= k
    since = 0
    while True:
        space.expand()
        since += 1
        if space.size < k + 2 or (since < space.steps_between_checks() and not space.full):
            continue
        since = 0
        sigma, residual, left, right = space.ritz(k + 1)
        estimate.update(sigma, residual, left[:k], right[:k])
        over = space.matvecs >= budget
        if estimate.reached or estimate.exhausted or over:
            if copies_sought or over:
                break
            estimate.least = estimate.error  # what was left of the residuals is dropped with the block
            space.restart(k + 1, fresh=True)
            for _ in range(_CHECK_STEPS):
                space.expand()
            kept = torch.eye(k, space.size).to(left)
            rank = estimate.rank
            gain = float((space.ritz(k)[0] - sigma[:k])[:rank].sum() / sigma[rank - 1])
            noise = 10 * estimate.epsilon * float(sigma[0] / sigma[rank - 1])
            copies_sought = gain <= max(1e-2 * estimate.accuracy, noise)
            if copies_sought:
                left = right = kept
                break
            estimate.carry(kept, kept)
        if space.full:
            keep = k + (space.capacity - k) // 5
            space.restart(keep)
            kept = torch.eye(k, keep).to(left)
            estimate.carry(kept, kept)
    rows = space.vectors(left[:k], right[:k])
    return Triples(
        rows[0], sigma, rows[1], residual[:k], estimate.rank, estimate.error, estimate.exhausted, space.matvecs
    )


def lanczos_capacity(k: int, block: int) -> int:
    """Vectors kept of each side before a restart.

    Args:
        k: how many triples are wanted.
        block: vectors in a block.

    Returns:
        4 (k + block) + 8 block.

    Source: chosen here by trials on Gaussian matrices; twice as many save a tenth of the products.

    Example:
        >>> lanczos_capacity(5, 1)
        32
    """
    return 4 * (k + block) + 8 * block


def orthonormal_rows(
    rows: Tensor, basis: Tensor | None, generator: torch.Generator, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Orthonormal rows Q, orthogonal to a basis, with `rows = C basis + R^T Q`.

    Rows that depend on others are moved by a random vector of the size of rounding errors, and so become random.

    Args:
        rows: shape (b, n).
        basis: orthonormal rows, shape (d, n), d + b <= n; None for none.
        generator: for the random ones, on the CPU.
        scale: what is below 10 eps of this is rounding error.

    Returns:
        Q (b, n), R (b, b) and C (b, d).

    Source: elementary (block Gram-Schmidt twice; more often after a breakdown).

    Accuracy: orthonormal to a few eps.

    Example:
        >>> Q, R, C = orthonormal_rows(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]), torch.Generator(), 1.0)
        >>> Q.abs(), R.abs(), C
        (tensor([[0., 1.]]), tensor([[4.]]), tensor([[3.]]))
    """
    b, n = rows.shape
    basis = rows.new_zeros(0, n) if basis is None else basis
    C = rows @ basis.mT
    residue = (rows - C @ basis).mT
    Q, R = torch.linalg.qr(residue)
    noise = 10 * torch.finfo(rows.dtype).eps * scale
    weak = R.diagonal().abs() <= noise
    broken = bool(weak.any())
    if broken:
        fresh = torch.randn(b, n, generator=generator, dtype=torch.float64).to(rows)
        Q, R = torch.linalg.qr(residue + weak * fresh.mT * (2 * noise / n**0.5 + torch.finfo(rows.dtype).tiny))
        R = R - torch.diag(R.diagonal() * weak)
    for _ in range(3 if broken else 1):
        again = Q.mT @ basis.mT
        C = C + R.mT @ again
        Q, factor = torch.linalg.qr((Q.mT - again @ basis).mT)
        R = factor @ R
    return Q.mT.contiguous(), R, C


class _Bidiagonalisation:
    """left X right^T = projected, X right^T = left^T projected, and what X^T left^T leaves over is the next block."""

    def __init__(self, X: Tensor, capacity: int, start: Tensor, generator: torch.Generator) -> None:
        (m, n), self.block = X.shape, len(start)
        self.matrix, self.capacity, self.generator = X, capacity, generator
        self.left, self.right = X.new_zeros(capacity, m), X.new_zeros(capacity, n)
        self.projected = torch.zeros(capacity, capacity, dtype=torch.float64, device=X.device)
        self.size = self.matvecs = 0
        self.scale = float(torch.linalg.vector_norm(start))
        self.next, self.coupling, _ = orthonormal_rows(start, None, generator, self.scale)
        self.scale = 0.0

    @property
    def full(self) -> bool:
        """Whether the next block would not fit."""
        return self.size + self.block > self.capacity

    def expand(self) -> None:
        """Add a block to both bases; restarts must make room."""
        if self.full:
            raise RuntimeError("the bases are full; restart first")
        old, new = self.size, self.size + self.block
        self.right[old:new] = self.next
        image = self.next @ self.matrix.mT
        self.scale = max(self.scale, float(torch.linalg.vector_norm(image, dim=1).amax()))
        self.left[old:new], R, C = orthonormal_rows(image, self.left[:old], self.generator, self.scale)
        self.projected[:old, old:new] = C.mT
        self.projected[old:new, old:new] = R
        self.size = new
        image = self.left[old:new] @ self.matrix
        self.next, self.coupling, _ = orthonormal_rows(image, self.right[:new], self.generator, self.scale)
        self.matvecs += 2 * self.block

    def steps_between_checks(self) -> int:
        """So many that the small SVD costs less than the products (its flops run a few times slower)."""
        m, n = self.matrix.shape
        return max(1, min(_MOST_STEPS_BETWEEN_CHECKS, round(10 * self.size**3 / (m * n * self.block))))

    def ritz(self, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The k leading Ritz values, their residuals, and coefficients (k, size) of their left and right vectors."""
        P, sigma, Q = torch.linalg.svd(self.projected[: self.size, : self.size])
        left, right = P.mT[:k], Q[:k]
        residual = torch.linalg.vector_norm(left[:, self.size - self.block :] @ self.coupling.mT.double(), dim=1)
        return sigma[:k], residual, left, right

    def vectors(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of coefficients as rows of vectors."""
        dtype = self.left.dtype
        return left.to(dtype) @ self.left[: self.size], right.to(dtype) @ self.right[: self.size]

    def restart(self, keep: int, *, fresh: bool = False) -> None:
        """Keep the leading Ritz vectors; with `fresh` go on from a random block instead of the residuals."""
        sigma, _, left, right = self.ritz(keep)
        self.left[:keep], self.right[:keep] = self.vectors(left, right)
        self.projected.zero_()
        self.projected[:keep, :keep] = torch.diag(sigma)
        self.size = keep
        if fresh:
            rows = torch.randn(self.next.shape, generator=self.generator, dtype=torch.float64).to(self.next)
            self.next, _, _ = orthonormal_rows(rows, self.right[:keep], self.generator, 1.0)
