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
_WIDE = torch.float32
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
    Y, frobenius = _scaled(X.mT if tall else X, dtype)
    if Y.shape[-2] == 1:
        Y = Y / frobenius.to(dtype)
    else:
        A = Y @ Y.mT
        square = A @ A
        norm = torch.linalg.vector_norm(square, dim=(-2, -1), keepdim=True, dtype=torch.promote_types(dtype, _WIDE))
        norm = _SAFETY * torch.where(norm > 0, norm, 1.0) ** 0.25
        rungs = _rungs(norm / frobenius)
        if len(set(rungs)) == 1:
            Y = _iterate(Y, A, square, norm, _rows(rungs[0]))
        else:
            for rung in sorted(set(rungs)):
                chosen = [index for index, own in enumerate(rungs) if own == rung]
                Y[chosen] = _iterate(Y[chosen], A[chosen], square[chosen], norm[chosen], _rows(rung))
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


def _scaled(X: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Each matrix divided by a power of two, rounded once to dtype, and its Frobenius norm, then in [1/2, 1]."""
    wide = torch.promote_types(torch.promote_types(X.dtype, dtype), _WIDE)
    norm = torch.linalg.vector_norm(X, dim=(-2, -1), keepdim=True, dtype=wide)
    if X.device.type != "cpu" or not all(_SMALL_NORM < size < _LARGE_NORM for size in norm.flatten().tolist()):
        X = _divided_by_power_of_two(X.to(wide), X.abs().amax(dim=(-2, -1), keepdim=True).to(wide))[0]
        norm = torch.linalg.vector_norm(X, dim=(-2, -1), keepdim=True)
    Y, frobenius = _divided_by_power_of_two(X.to(wide) if dtype == torch.float16 else X.to(dtype), norm)
    return Y.to(dtype), torch.where(frobenius > 0, frobenius, 1.0)


def _divided_by_power_of_two(X: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """X and its size divided by the power of two next above the size; unchanged where that is zero."""
    mantissa, _ = torch.frexp(size)
    power = torch.where(size > 0, size / mantissa, 1.0)
    return X / power.to(X.dtype), torch.where(size > 0, mantissa, 0.0)


def _rungs(relative: Tensor) -> list[int]:
    """Which rung of the ladder each matrix takes, from 1.01 ||X||_S8 / ||X||_F."""
    if relative.device.type != "cpu":
        return [len(_LADDER) - 1] * relative.shape[0]
    slopes = _slopes()
    return [
        next((rung for rung, slope in enumerate(slopes) if slope >= _JORDAN_SLOPE * value), len(slopes) - 1)
        for value in relative.flatten().tolist()
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


def _iterate(Y: Tensor, A: Tensor, square: Tensor, norm: Tensor, rows: tuple[Row, ...]) -> Tensor:
    """The steps on wide matrices Y, given their Gram matrices, used up here, and the squares of these."""
    n, m = Y.shape[-2:]
    c1, c3, c5 = rows[0]
    # in float32: the terms cancel where a singular value passes the first polynomial's minimum
    rest = (A * (c3 / norm**2)).addcmul_(square, c5 / norm**4).to(Y.dtype)
    if Y.shape[0] == 1:
        Y, rest, norm = Y[0], rest[0], norm[0]
    # dense, because the large cancelling coefficients of the first step need the Gram matrix formed anew after it
    Y = multiply_add(Y, rest, Y, beta=c1).div_(norm.to(Y.dtype))
    restart = gram_restart(Y.dtype)
    if gram_cost(n, m, rows[1:], restart) < dense_cost(n, m, rows[1:]):
        Y = gram_steps(Y, rows[1:], restart_after=restart)
    else:
        for row in rows[1:]:
            Y = polynomial_of_gram(Y @ Y.mT, row, Y)
    return Y if Y.ndim == 3 else Y[None]
