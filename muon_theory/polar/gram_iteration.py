"""The Newton-Schulz iteration carried out on the small Gram matrix instead of on the matrix itself.

Every step multiplies X by a polynomial of R = X X^T, and those polynomials commute. So one can follow R and the product
Q of the polynomials, both n x n, and multiply Q X once at the end: cheaper when X is wide. The price is that R is
updated by products instead of recomputed from X, which half precision does not survive without a restart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from muon_theory.polar.coefficients import Row, matmuls_per_step


def polynomial_of_gram(A: Tensor, row: Row, X: Tensor | None = None) -> Tensor:
    """The matrix polynomial p(A) X of one step, or p(A) when no X is given.

    p(A) = c1 I + c3 A + c5 A^2 + ..., by Horner's rule in A^2 with the identity terms fused into the products.

    Args:
        A: shape (*batch, n, n), symmetric: the Gram matrix X X^T.
        row: (c1, c3, c5, ...), at least two coefficients.
        X: shape (*batch, n, m), or None.

    Returns:
        Shape of X, or of A when X is None; their dtype.

    Source: Paterson and Stockmeyer 1973 with block size two.

    Cost: `matmuls_per_step` minus one products (the one that formed A), and one less again without X.

    >>> polynomial_of_gram(torch.eye(2), (1.5, -0.5), torch.ones(2, 1)).ravel()
    tensor([1., 1.])
    """
    rest = _without_constant(A, row)
    if X is not None:
        return multiply_add(X, rest, X, beta=row[0])
    return _plus_identity(rest, row[0])


def _without_constant(A: Tensor, row: Row) -> Tensor:
    """c3 A + c5 A^2 + ... = c3 A + A^2 (c5 I + c7 A + A^2 (...)), a new tensor."""
    if len(row) <= 2:
        return row[1] * A if len(row) == 2 else torch.zeros_like(A)
    if len(row) == 3:
        return multiply_add(A, A, A, beta=row[1], alpha=row[2])
    square, order = A @ A, len(row) - 1
    if order % 2 == 0:
        inner = torch.add(row[order - 1] * A, square, alpha=row[order])
        index = order - 2
    else:
        inner = row[order] * A
        index = order - 1
    inner = _plus_identity(inner, row[index])
    while index > 2:
        index -= 2
        inner = _plus_identity(multiply_add(A, square, inner, beta=row[index + 1]), row[index])
    return multiply_add(A, square, inner, beta=row[1])


def _plus_identity(A: Tensor, c: float) -> Tensor:
    """A + c I, in place on a tensor made here."""
    A.diagonal(dim1=-2, dim2=-1).add_(c)
    return A


def multiply_add(C: Tensor, A: Tensor, B: Tensor, *, beta: float = 1.0, alpha: float = 1.0) -> Tensor:
    """The fused product beta C + alpha A B, one matrix or a batch.

    Args:
        C: shape (*batch, n, m).
        A: shape (*batch, n, k).
        B: shape (*batch, k, m).
        beta: factor of C.
        alpha: factor of the product.

    Returns:
        Shape (*batch, n, m).

    Source: elementary (addmm and baddbmm of torch).

    >>> multiply_add(torch.eye(2), torch.eye(2), torch.eye(2), beta=2.0)
    tensor([[3., 0.],
            [0., 3.]])
    """
    if C.ndim == 2:
        return torch.addmm(C, A, B, beta=beta, alpha=alpha)
    flat = [T.reshape(-1, *T.shape[-2:]) for T in (C, A, B)]
    return torch.baddbmm(*flat, beta=beta, alpha=alpha).reshape(C.shape)


def gram_restart(dtype: torch.dtype) -> int:
    """Steps between restarts of the Gram form that keep it as accurate as the dense form.

    Without a restart the error of the followed R is never corrected. Float32 is unharmed for up to five steps; at ten
    steps its singular values are off by 1e-2 at condition number 1e3, and a set that does not converge (`you_2024`)
    blows up from 1e5 on. Half precision blows up within five steps from condition number 1e2 on.

    Args:
        dtype: dtype of the products.

    Returns:
        2 for float16 and bfloat16, 3 for float32 and float64.

    Source: derived here, checked in tests/polar.

    >>> gram_restart(torch.float32), gram_restart(torch.bfloat16)
    (3, 2)
    """
    return 2 if dtype in {torch.float16, torch.bfloat16} else 3


def gram_steps(X: Tensor, rows: tuple[Row, ...], *, restart_after: int | None = None) -> Tensor:
    """All steps of a schedule in the Gram form.

    R_0 = X X^T, Q_0 = I; P = p_t(R), Q <- P Q, R <- P R P; the result is Q X. After every `restart_after` steps Q X is
    formed and R recomputed from it.

    Args:
        X: shape (*batch, n, m), n <= m for this to be the cheap side.
        rows: coefficient rows, one a step.
        restart_after: steps between restarts, an integer >= 1; None never restarts.

    Returns:
        Shape and dtype of X.

    Source: gram-newton-schulz 2026 (the form).

    Cost: `gram_cost`.

    >>> gram_steps(torch.tensor([[0.5, 0.0]]), ((1.5, -0.5),))
    tensor([[0.6875, 0.0000]])
    """
    R, Q = X @ X.mT, None
    for t, row in enumerate(rows):
        P = polynomial_of_gram(R, row)
        Q = P if Q is None else P @ Q
        if t == len(rows) - 1:
            break
        if restart_after is not None and (t + 1) % restart_after == 0:
            X, Q = Q @ X, None
            R = X @ X.mT
        else:
            R = (P @ R) @ P
    return X if Q is None else Q @ X


def dense_cost(n: int, m: int, rows: tuple[Row, ...]) -> int:
    """Multiplications of the dense form in units of n^2.

    Args:
        n: rows, the smaller side.
        m: columns.
        rows: coefficient rows, one a step.

    Returns:
        2 m a step for X X^T and B X, and n for each product between.

    Source: elementary (counting products).

    >>> dense_cost(1, 1, ((3.4, -4.8, 2.0),) * 5)
    15
    """
    return sum(2 * m + _inner(row) * n for row in rows)


def gram_cost(n: int, m: int, rows: tuple[Row, ...], restart_after: int | None) -> int:
    """Multiplications of the Gram form in units of n^2.

    Args:
        n: rows, the smaller side.
        m: columns.
        rows: coefficient rows, one a step.
        restart_after: steps between restarts, or None.

    Returns:
        m each for the first R, the last Q X and twice for a restart; n for each product of n x n matrices.

    Source: elementary (counting products).

    >>> gram_cost(1, 4, ((3.4, -4.8, 2.0),) * 5, None), dense_cost(1, 4, ((3.4, -4.8, 2.0),) * 5)
    (25, 45)
    """
    cost, fresh = 2 * m, True
    for t, row in enumerate(rows):
        cost += (_inner(row) + (0 if fresh else 1)) * n
        if t == len(rows) - 1:
            break
        fresh = restart_after is not None and (t + 1) % restart_after == 0
        cost += 2 * m if fresh else 2 * n
    return cost


def _inner(row: Row) -> int:
    """Products of n x n matrices that form p(A) from A."""
    return matmuls_per_step(2 * len(row) - 1) - 2
