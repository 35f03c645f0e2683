"""How far leading singular subspaces have turned: principal angles."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Side = Literal["left", "right"]


def principal_angles(A: ArrayLike, B: ArrayLike) -> NDArray[np.float64]:
    """The principal angles between the spaces that the columns of two matrices span.

    cos theta_i are the singular values of Q_A^T Q_B, Q_A and Q_B orthonormal bases of the two spaces.

    Args:
        A: shape (d, k), array or CPU tensor, finite, columns linearly independent; they need not be orthonormal.
        B: shape (d, l), likewise.

    Returns:
        Angles in radians, ascending, in [0, pi/2]; float64, shape (min(k, l),).

    Raises:
        ValueError: not two matrices with the same number of rows, no columns, or NaN or inf.

    Source: Knyazev and Argentati 2002, SIAM J. Sci. Comput. 23, algorithm 3.1, as in scipy.linalg.subspace_angles
        (small angles from sines, so they are accurate, too).

    >>> import math
    >>> turned = [[1.0, 0.0], [0.0, math.cos(0.1)], [0.0, math.sin(0.1)]]
    >>> principal_angles(np.eye(3)[:, :2], turned).round(6)
    array([0. , 0.1])
    """
    from scipy.linalg import subspace_angles

    first, second = _matrix(A, "A"), _matrix(B, "B")
    if first.shape[0] != second.shape[0]:
        raise ValueError(f"A has {first.shape[0]} rows and B {second.shape[0]}: they must lie in one space")
    return subspace_angles(first, second)[::-1].copy()


def leading_subspace(X: Tensor, k: int, side: Side = "left") -> NDArray[np.float64]:
    """An orthonormal basis of the k leading singular directions of a matrix.

    Args:
        X: shape (m, n), real floating point, finite.
        k: number of directions, 1 <= k <= min(m, n).
        side: "left" for directions among the rows' space (columns of U), "right" for columns of V.

    Returns:
        float64, shape (m, k) or (n, k).

    Raises:
        ValueError: X is no finite matrix, k out of range, an unknown side.

    Source: elementary.

    >>> abs(leading_subspace(torch.diag(torch.tensor([1.0, 3.0])), 1)).ravel().tolist()
    [0.0, 1.0]
    """
    if X.ndim != 2 or not bool(torch.isfinite(X).all()):
        raise ValueError(f"X must be one finite matrix, got shape {tuple(X.shape)} or NaN or inf in it")
    if not 1 <= k <= min(X.shape):
        raise ValueError(f"k is {k}; a {X.shape[0]} x {X.shape[1]} matrix has 1 to {min(X.shape)} directions")
    if side not in {"left", "right"}:
        raise ValueError(f"side is {side!r}; it must be 'left' or 'right'")
    U, _, Vh = torch.linalg.svd(X.detach().cpu().double(), full_matrices=False)
    return (U[:, :k] if side == "left" else Vh[:k].mT).numpy()


def subspace_overlap(A: ArrayLike, B: ArrayLike) -> float:
    """The mean squared cosine of the principal angles: 1 for equal spaces, 0 for orthogonal ones.

    For random k-dimensional spaces in d dimensions it is k / d on average.

    Args:
        A: shape (d, k), as in `principal_angles`.
        B: shape (d, l), likewise.

    Returns:
        A number in [0, 1].

    Source: elementary; ||Q_A^T Q_B||_F^2 / min(k, l).

    >>> subspace_overlap(np.eye(4)[:, :2], np.eye(4)[:, 1:3])
    0.5
    """
    return float(np.mean(np.cos(principal_angles(A, B)) ** 2).round(15))


def _matrix(values: Any, name: str) -> NDArray[np.float64]:
    """A finite float64 matrix with columns."""
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a finite matrix with at least one column, got shape {matrix.shape}")
    return matrix
