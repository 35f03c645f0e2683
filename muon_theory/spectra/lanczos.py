"""Golub-Kahan bidiagonalisation by blocks, with full reorthogonalisation and thick restarts.

Two orthonormal bases, `right` of the Krylov space of X^T X and `left` of that of X X^T, are kept as rows, so that X is
only met as `rows @ X^T` and `rows @ X`; what X is between them is `projected`. Nothing is squared.

On the CPU it is numpy's, but for products with a large float32 matrix (`thin_products`): its BLAS multiplies a few rows
by a matrix up to twice as fast as torch's, if it is not interrupted by torch, whose threads and its own keep each other
waiting. Other devices compute in torch.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from muon_theory.spectra.blas_threads import blas_threads
from muon_theory.spectra.leading_error import LeadingErrorEstimate
from muon_theory.spectra.thin_products import has_onednn_linear, thin_products

_CHECK_STEPS = 4  # further block steps that look for a copy of a singular value that was missed
_MOST_STEPS_BETWEEN_CHECKS = 8
_LEAST_STEPS = 3  # after fewer, a copy that the first block hardly sees may look like part of a flat rest
_MODEST = 2**22  # entries up to which one thread is as fast as two

Rows = TypeVar("Rows", Tensor, np.ndarray)


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
        start: the first block, right vectors as rows, shape (block, n).
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
        >>> lanczos(X, 1, start=start, estimate=estimate, generator=generator, budget=999).sigma[0].round()
        tensor(100., dtype=torch.float64)
    """
    if 1 not in X.stride():
        X = X.contiguous()  # once, not in every product
    if X.device.type != "cpu":
        return _iterated(X, k, start, estimate, generator, budget)
    elsewhere = _by_onednn(X.dtype == torch.float32, X.numel(), len(start))  # then the rest is modest
    with blas_threads(modest=elsewhere or X.numel() <= _MODEST):
        return _iterated(X.detach().numpy(), k, start.detach().numpy(), estimate, generator, budget)


def _iterated(
    X: Any, k: int, start: Any, estimate: LeadingErrorEstimate, generator: torch.Generator, budget: int
) -> Triples:
    """The iteration, on arrays of either library."""
    space = _Bidiagonalisation(X, lanczos_capacity(k, len(start)), start, generator)
    copies_sought = len(start) >= k
    since = taken = 0
    while True:
        space.expand()
        since, taken = since + 1, taken + 1
        if space.size < k + 2 or taken < _LEAST_STEPS or (since < space.steps_between_checks() and not space.full):
            continue
        since = 0
        sigma, residual, left, right = space.ritz(k + 1)
        estimate.update(*map(torch.from_numpy, (sigma, residual, left[:k], right[:k])))
        over = space.matvecs >= budget
        if estimate.reached or estimate.exhausted or over:
            if copies_sought or over:
                break
            estimate.least = estimate.error  # what was left of the residuals is dropped with the block
            space.restart(k + 1, fresh=True)
            for _ in range(_CHECK_STEPS):
                space.expand()
            kept = np.eye(k, space.size)
            rank = estimate.rank
            gain = float((space.ritz(k)[0] - sigma[:k])[:rank].sum() / sigma[rank - 1])
            noise = 10 * estimate.epsilon * float(sigma[0] / sigma[rank - 1])
            copies_sought = gain <= max(1e-2 * estimate.accuracy, noise)
            if copies_sought:
                left = right = kept
                break
            estimate.carry(*[torch.from_numpy(kept)] * 2)
        if space.full:
            keep = k + (space.capacity - k) // 5
            space.restart(keep)
            estimate.carry(*[torch.eye(k, keep, dtype=torch.float64)] * 2)
    rows = [torch.as_tensor(part) for part in space.vectors(left[:k], right[:k])]
    values = [torch.from_numpy(part).to(rows[0].device) for part in (sigma, residual[:k])]
    return Triples(
        rows[0], values[0], rows[1], values[1], estimate.rank, estimate.error, estimate.exhausted, space.matvecs
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
    rows: Rows, basis: Rows | None, generator: torch.Generator, scale: float
) -> tuple[Rows, Rows, Rows]:
    """Orthonormal rows Q, orthogonal to a basis, with `rows = C basis + R^T Q`.

    Rows that depend on others are moved by a random vector of the size of rounding errors, and so become random.

    Args:
        rows: shape (b, n), of torch or numpy.
        basis: orthonormal rows, shape (d, n), d + b <= n; None for none.
        generator: for the random ones, on the CPU.
        scale: what is below 10 eps of this is rounding error.

    Returns:
        Q (b, n), R (b, b) and C (b, d), of torch or numpy as the rows are.

    Source: elementary (block Gram-Schmidt twice; more often after a breakdown).

    Accuracy: orthonormal to a few eps.

    Example:
        >>> Q, R, C = orthonormal_rows(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]), torch.Generator(), 1.0)
        >>> Q.abs(), R.abs(), C
        (tensor([[0., 1.]]), tensor([[4.]]), tensor([[3.]]))
    """
    xp, n = _library(rows), rows.shape[1]
    basis = rows[:0] if basis is None else basis
    C = rows @ basis.mT
    residue = (rows - C @ basis).mT
    Q, R = xp.linalg.qr(residue)
    epsilon = float(xp.finfo(rows.dtype).eps)
    noise = 10 * epsilon * scale
    weak = abs(R.diagonal()) <= noise
    broken = bool(weak.any())
    if broken:
        moved = 2 * noise / n**0.5 + float(xp.finfo(rows.dtype).tiny)
        Q, R = xp.linalg.qr(residue + weak * _random_rows(rows, generator).mT * moved)
        R = R - xp.diag(R.diagonal() * weak)
    for _ in range(3 if broken else 1):
        again = Q.mT @ basis.mT
        C = C + R.mT @ again
        Q, factor = xp.linalg.qr((Q.mT - again @ basis).mT)
        R = factor @ R
    found: tuple[Any, Any, Any] = (
        np.ascontiguousarray(Q.mT) if isinstance(Q, np.ndarray) else Q.mT.contiguous(),
        R,
        C,
    )
    return found


def _library(rows: Tensor | np.ndarray) -> ModuleType | Any:
    """The library of an array; torch and numpy agree on all names used here."""
    return np if isinstance(rows, np.ndarray) else torch


def _random_rows(rows: Rows, generator: torch.Generator) -> Rows:
    """Standard normal rows like the given ones, the same in both libraries."""
    drawn = torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    return drawn.numpy().astype(rows.dtype) if isinstance(rows, np.ndarray) else drawn.to(rows)


def _as_float64(part: Tensor | np.ndarray) -> np.ndarray:
    """A small array of either library as numpy's, for the projection."""
    return part.astype(np.float64) if isinstance(part, np.ndarray) else part.double().cpu().numpy()


class _Bidiagonalisation:
    """left X right^T = projected, X right^T = left^T projected, and what X^T left^T leaves over is the next block."""

    def __init__(self, X: Any, capacity: int, start: Any, generator: torch.Generator) -> None:
        (m, n), self.block = X.shape, len(start)
        self.matrix, self.capacity, self.generator = X, capacity, generator
        where = {} if isinstance(X, np.ndarray) else {"device": X.device}
        self.left, self.right = (_library(X).zeros((capacity, size), dtype=X.dtype, **where) for size in (m, n))
        self.projected = np.zeros((capacity, capacity))
        self.size = self.matvecs = 0
        self.next, coupling, _ = orthonormal_rows(start, None, generator, _largest_norm(start) * len(start) ** 0.5)
        self.coupling, self.scale = _as_float64(coupling), 0.0
        self._forth, self._back = (lambda rows: rows @ X.mT), (lambda rows: rows @ X)
        if isinstance(X, np.ndarray) and _by_onednn(X.dtype == np.float32, X.size, self.block):
            self._forth, self._back = thin_products(X)

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
        image = self._forth(self.right[old:new])
        self.scale = max(self.scale, _largest_norm(image))
        self.left[old:new], R, C = orthonormal_rows(image, self.left[:old], self.generator, self.scale)
        self.projected[:old, old:new] = _as_float64(C).T
        self.projected[old:new, old:new] = _as_float64(R)
        self.size = new
        image = self._back(self.left[old:new])
        self.next, coupling, _ = orthonormal_rows(image, self.right[:new], self.generator, self.scale)
        self.coupling = _as_float64(coupling)
        self.matvecs += 2 * self.block

    def steps_between_checks(self) -> int:
        """So many that the small SVD costs less than the products (its flops run a few times slower)."""
        m, n = self.matrix.shape
        return max(1, min(_MOST_STEPS_BETWEEN_CHECKS, round(10 * self.size**3 / (m * n * self.block))))

    def ritz(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The k leading Ritz values, their residuals, and coefficients (k, size) of their left and right vectors."""
        P, sigma, Q = np.linalg.svd(self.projected[: self.size, : self.size])
        left, right = P.T[:k], Q[:k]
        residual = np.linalg.norm(left[:, self.size - self.block :] @ self.coupling.T, axis=1)
        return sigma[:k], residual, left, right

    def vectors(self, left: np.ndarray, right: np.ndarray) -> list[Any]:
        """Rows of coefficients as rows of vectors."""
        found = []
        for rows, basis in ((left, self.left), (right, self.right)):
            own = rows.astype(basis.dtype) if isinstance(basis, np.ndarray) else torch.from_numpy(rows).to(basis)
            found.append(own @ basis[: self.size])
        return found

    def restart(self, keep: int, *, fresh: bool = False) -> None:
        """Keep the leading Ritz vectors; with `fresh` go on from a random block instead of the residuals."""
        sigma, _, left, right = self.ritz(keep)
        self.left[:keep], self.right[:keep] = self.vectors(left, right)
        self.projected[:] = 0
        self.projected[:keep, :keep] = np.diag(sigma)
        self.size = keep
        if fresh:
            rows = _random_rows(self.next, self.generator)
            self.next, _, _ = orthonormal_rows(rows, self.right[:keep], self.generator, 1.0)


def _by_onednn(single: bool, entries: int, rows: int) -> bool:
    """Whether oneDNN's products are the faster ones; a single row is read at full speed by any library."""
    return single and entries > _MODEST and rows > 1 and has_onednn_linear()


def _largest_norm(rows: Any) -> float:
    """The largest Euclidean norm of a row."""
    return float(_library(rows).linalg.norm(rows, axis=1).max())
