"""Subspace iteration (block power, randomized SVD) and LOBPCG for the leading singular triples of one matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from muon_theory.spectra.lanczos import Triples, orthonormal_rows
from muon_theory.spectra.leading_error import LeadingErrorEstimate

_REFRESH = 20  # rounds of LOBPCG after which rounding errors in what is only combined are swept out


def subspace_iteration(
    X: Tensor, k: int, *, start: Tensor, estimate: LeadingErrorEstimate, generator: torch.Generator, budget: int
) -> Triples:
    """The k leading triples by `V <- orth(X^T orth(X V))`, read off by the SVD of X V in every round.

    With a random start this is the randomized SVD of Halko, Martinsson and Tropp with as many power iterations as the
    accuracy takes.

    Args:
        X: shape (m, n), float32 or float64, entries of moderate size, not zero.
        k: how many, below min(m, n).
        start: right vectors to start from, as rows, shape (w, n), k < w <= min(m, n).
        estimate: says when to stop.
        generator: for vectors that replace dependent ones, on the CPU.
        budget: products with a vector after which to stop at any rate.

    Returns:
        The triples.

    Source: Halko, Martinsson and Tropp 2011, algorithm 4.4.

    Accuracy: as `LeadingErrorEstimate`; the error shrinks by (sigma_(w+1) / sigma_k)^2 a round.

    Cost: 2 w products with a vector a round.

    Example:
        >>> X, generator = torch.diag(torch.tensor([4.0, 2.0, 1.0, 0.5])), torch.Generator().manual_seed(0)
        >>> estimate = LeadingErrorEstimate(1, 1e-3, 1e-6, torch.finfo(X.dtype).eps, krylov=False)
        >>> start = torch.randn(2, 4, generator=generator)
        >>> subspace_iteration(X, 1, start=start, estimate=estimate, generator=generator, budget=99).sigma.round()
        tensor([4., 2.], dtype=torch.float64)
    """
    V = orthonormal_rows(start, None, generator, float(torch.linalg.vector_norm(start)))[0]
    matvecs = 0
    while True:
        left, sigma, right = _ritz(V, V @ X.mT)
        image = left @ X
        matvecs += 2 * len(V)
        residual = torch.linalg.vector_norm(image - sigma[:, None].to(image) * right, dim=1).double()
        estimate.update(sigma, residual, left[:k], right[:k])
        if estimate.reached or estimate.exhausted or matvecs >= budget:
            break
        V = orthonormal_rows(image, None, generator, float(sigma[0]))[0]
    return Triples(
        left[:k], sigma[: k + 1], right[:k], residual[:k], estimate.rank, estimate.error, estimate.exhausted, matvecs
    )


def lobpcg(
    X: Tensor, k: int, *, start: Tensor, estimate: LeadingErrorEstimate, generator: torch.Generator, budget: int
) -> Triples:
    """The k leading triples by locally optimal block conjugate gradients: the best of the span of three blocks.

    These are the current vectors, their residuals and the last moves; unlike in the textbook, X stands in place of
    X^T X in the small problem, so nothing is squared.

    Args:
        X: shape (m, n), float32 or float64, entries of moderate size, not zero.
        k: how many.
        start: right vectors to start from, as rows, shape (w, n), k < w and 3 w <= min(m, n).
        estimate: says when to stop.
        generator: for vectors that replace dependent ones, on the CPU.
        budget: products with a vector after which to stop at any rate.

    Returns:
        The triples.

    Source: Knyazev 2001.

    Accuracy: as `LeadingErrorEstimate`.

    Cost: 2 w products with a vector a round, and the SVD of a 3 w x m matrix.

    Example:
        >>> X, generator = torch.diag(torch.arange(9.0, 0.0, -1.0)), torch.Generator().manual_seed(0)
        >>> estimate = LeadingErrorEstimate(1, 1e-3, 1e-6, torch.finfo(X.dtype).eps, krylov=False)
        >>> start = torch.randn(2, 9, generator=generator)
        >>> lobpcg(X, 1, start=start, estimate=estimate, generator=generator, budget=99).sigma.round()
        tensor([9., 8.], dtype=torch.float64)
    """
    w, rounds = len(start), 0
    basis = orthonormal_rows(start, None, generator, float(torch.linalg.vector_norm(start)))[0]
    images = basis @ X.mT
    matvecs = w
    while True:
        P, values, Vt = torch.linalg.svd(images, full_matrices=False)
        coefficients, sigma, left = P.mT[:w], values[:w].double(), Vt[:w]
        right = coefficients @ basis
        residuals = left @ X - values[:w, None] * right
        matvecs += w
        residual = torch.linalg.vector_norm(residuals, dim=1).double()
        estimate.update(sigma, residual, left[:k], right[:k])
        if estimate.reached or estimate.exhausted or matvecs >= budget:
            break
        moves = coefficients.clone()
        moves[:, :w] = 0
        if len(basis) > w:
            both = torch.cat([coefficients, orthonormal_rows(moves, coefficients, generator, 1.0)[0]])
        else:
            both = coefficients
        basis, images = both @ basis, both @ images
        rounds += 1
        if rounds % _REFRESH == 0:
            basis = orthonormal_rows(basis, None, generator, 1.0)[0]
            images = basis @ X.mT
            matvecs += len(basis)
        fresh = orthonormal_rows(residuals, basis, generator, float(sigma[0]))[0]
        basis, images = torch.cat([basis, fresh]), torch.cat([images, fresh @ X.mT])
        matvecs += w
    return Triples(
        left[:k], sigma[: k + 1], right[:k], residual[:k], estimate.rank, estimate.error, estimate.exhausted, matvecs
    )


def _ritz(V: Tensor, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Left Ritz vectors (rows), values (float64) and right ones of the space of the rows of V, given their images."""
    P, sigma, left = torch.linalg.svd(images, full_matrices=False)
    return left, sigma.double(), P.mT @ V
