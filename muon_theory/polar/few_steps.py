"""Orthogonalization in as few steps as the spectrum allows.

Five steps with Frobenius normalisation spend most of their work on making up for the norm: on a flat spectrum of r
singular values the largest starts at 1 / sqrt(r). The first step forms A = X X^T and A^2 anyway, so the Schatten-8 norm
||A^2||_F^(1/4), between sigma_1 and r^(1/8) sigma_1, is free, and the ratio of the two norms says how many steps can be
saved.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from muon_theory.polar.coefficients import Row
from muon_theory.polar.gram_iteration import (
    dense_cost,
    gram_cost,
    gram_restart,
    gram_steps,
    multiply_add,
    polynomial_of_gram,
)
from muon_theory.polar.minimax import polar_express

_SAFETY = 1.01  # bfloat16 errs by less than this in the norm; also the divisor of the arguments of the rows
_JORDAN_SLOPE = 3.4445**5
# (number of steps, smallest singular value aimed at). Worst errors .10, .16, .02, .06, .14 and .01, Jordan's five steps
# .32; by the slope rule they serve ||X||_F / ||X||_S8 from 9.0, 7.7, 3.3, 2.4, 2.0 and 1 on.
_LADDER = ((3, 0.02), (3, 0.015), (4, 0.01), (4, 0.006), (4, 0.004), (5, 0.003))
_FLOAT32_UP_TO = 32  # measured: below, the conversion costs more than bfloat16 products save
_SMALL_NORM, _LARGE_NORM = 1e-15, 1e15


def few_steps(X: Tensor, *, compute_dtype: torch.dtype | None = None) -> Tensor:
    """The approximate polar factor of each X in 3, 4 or 5 quintic steps, at least as good as five of Jordan's.

    X_0 = X / (1.01 ||X||_S8), ||X||_S8 = (sum sigma^8)^(1/8) = ||(X X^T)^2||_F^(1/4) >= sigma_1, then the Polar Express
    schedule of the fewest steps whose slope at zero, divided by 1.01 ||X||_S8, is at least Jordan's 3.4445^5 / ||X||_F.
    So small singular values are lifted at least as far, and the others end within .162 of one (Jordan: .318).

    Args:
        X: shape (batch, m, n), real floating point, finite; never modified. A zero matrix stays zero.
        compute_dtype: dtype of the products; None takes `cheapest_dtype`.

    Returns:
        Shape, dtype and device of X. On the CPU the schedule of a matrix does not depend on the others of the batch; on
        other devices all take five steps, so that nothing waits for the device.

    Source: derived here, checked in tests/polar; Amsel et al. 2025, arXiv 2505.16932 (the schedules); Grishina,
    Smirnov, Rakhuba 2025, arXiv 2506.10935, section 3.4 (a Schatten norm from the iteration's own products).

    Accuracy: the root mean square of sigma - 1 is at most that of five Jordan steps on Gaussian, log-uniform, power-law
    and recorded spectra (tests). This is no theorem: Jordan's map has points where it is exactly one, and a matrix with
    all its singular values near such a point is mapped better by it. As with Jordan's, bfloat16 rounds zero directions
    to noise and the steps lift it: at rank one to .55 (Jordan's to .33); float32 leaves them under 1e-3.

    Cost: for m <= n, T steps: dense T (4 m^2 n + 2 m^3) flops; from 3:2 on the Gram form after the
    first step, 8 m^2 n + 12 m^3 at T = 3.

    >>> G = torch.tensor([[[3e-20, 0.0], [0.0, 4e-20]]])
    >>> bool((few_steps(G) - torch.eye(2)).abs().max() < 0.01)
    True
    """
    dtype = cheapest_dtype(X) if compute_dtype is None else compute_dtype
    tall = X.shape[-2] > X.shape[-1]
    Y = (_normalized(X.mT if tall else X)).to(dtype)
    if Y.shape[-2] > 1:  # a single row is orthonormal once normalised
        A = Y @ Y.mT
        square = A @ A
        norm = torch.linalg.matrix_norm(square.float(), keepdim=True).sqrt().sqrt()
        norm = _SAFETY * torch.where(norm > 0, norm, 1.0)
        rungs = _rungs(norm)
        norm = norm.to(dtype)
        Y, A, square = Y / norm, A / norm**2, square / norm**4
        if len(set(rungs)) == 1:
            Y = _iterate(Y, A, square, _rows(rungs[0]))
        else:
            for rung in sorted(set(rungs)):
                chosen = [index for index, own in enumerate(rungs) if own == rung]
                Y[chosen] = _iterate(Y[chosen], A[chosen], square[chosen], _rows(rung))
    return (Y.mT if tall else Y).to(X.dtype)


def cheapest_dtype(X: Tensor) -> torch.dtype:
    """The dtype in which products of matrices like X are cheapest at bfloat16's accuracy or better.

    Args:
        X: shape (*batch, m, n).

    Returns:
        bfloat16 where the device multiplies it natively and min(m, n) > 32, else float32.

    Source: derived here, measured by benchmarks/optimizer_step.py.

    >>> cheapest_dtype(torch.ones(8, 8))
    torch.float32
    """
    native = X.device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001
    return torch.bfloat16 if native and min(X.shape[-2:]) > _FLOAT32_UP_TO else torch.float32


def _normalized(X: Tensor) -> Tensor:
    """X / ||X||_F of each matrix in float32 or better; by a power of two first where squares leave the range."""
    if X.dtype in (torch.bfloat16, torch.float16):
        X = X.float()
    norm = torch.linalg.matrix_norm(X, keepdim=True)
    if X.device.type != "cpu" or not bool(((norm > _SMALL_NORM) & (norm < _LARGE_NORM)).all()):
        largest = X.abs().amax(dim=(-2, -1), keepdim=True)
        mantissa, _ = torch.frexp(largest)
        X = X / torch.where(largest > 0, largest / (2 * mantissa), 1.0)
        norm = torch.linalg.matrix_norm(X, keepdim=True)
    return X / torch.where(norm > 0, norm, 1.0)


def _rungs(norm: Tensor) -> list[int]:
    """Which rung of the ladder each matrix of Frobenius norm 1 takes, from 1.01 times its Schatten-8 norm."""
    if norm.device.type != "cpu":
        return [len(_LADDER) - 1] * norm.shape[0]
    slopes = _slopes()
    return [
        next((rung for rung, slope in enumerate(slopes) if slope >= _JORDAN_SLOPE * value), len(slopes) - 1)
        for value in norm.flatten().tolist()
    ]


@lru_cache(maxsize=8)
def _rows(rung: int) -> tuple[Row, ...]:
    steps, lower = _LADDER[rung]
    return polar_express(lower, steps, safety=_SAFETY).steps


@lru_cache(maxsize=1)
def _slopes() -> list[float]:
    """Slope at zero of each rung's composition."""
    slopes = []
    for rung in range(len(_LADDER)):
        slope = 1.0
        for row in _rows(rung):
            slope *= row[0]
        slopes.append(slope)
    return slopes


def _iterate(Y: Tensor, A: Tensor, square: Tensor, rows: tuple[Row, ...]) -> Tensor:
    """The steps on wide matrices whose Gram matrix and its square are there already."""
    n, m = Y.shape[-2:]
    if Y.shape[0] == 1:
        Y, A, square = Y[0], A[0], square[0]
    c1, c3, c5 = rows[0]
    # dense, because the large cancelling coefficients of the first step need the Gram matrix formed anew after it
    Y = multiply_add(Y, torch.add(c3 * A, square, alpha=c5), Y, beta=c1)
    restart = gram_restart(Y.dtype)
    if gram_cost(n, m, rows[1:], restart) < dense_cost(n, m, rows[1:]):
        Y = gram_steps(Y, rows[1:], restart_after=restart)
    else:
        for row in rows[1:]:
            Y = polynomial_of_gram(Y @ Y.mT, row, Y)
    return Y if Y.ndim == 3 else Y[None]
