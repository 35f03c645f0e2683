"""Matrices made to order: random singular vectors around a spectrum that the caller prescribes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


def prescribed_matrix(
    sigma: ArrayLike, rows: int, columns: int, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    r"""Random matrix `U diag(sigma) V^T` with the given singular values.

    U (rows x k) and V (columns x k) have orthonormal columns distributed uniformly (Haar): QR factors of Gaussian
    matrices, signs fixed by a positive diagonal of R. With k < min(rows, columns) the rank is at most k.

    Args:
        sigma: shape (k,), k from 0 to min(rows, columns), finite, >= 0; sorted descending before use.
        rows: number of rows, >= 1.
        columns: number of columns, >= 1.
        seed: seed of the random factors; the same seed gives the same matrix.
        dtype: dtype of the result; the matrix is formed in float64 and rounded once.

    Returns:
        Tensor of shape (rows, columns) on the CPU.

    Raises:
        ValueError: a shape below 1 x 1; sigma not one-dimensional, too long, negative or not finite.

    Source: Mezzadri (2007), math-ph/0609050, section 5 (Haar matrices from QR with corrected signs).

    Accuracy: singular values to a few eps * sigma_1 of float64, then to the rounding of dtype.

    Cost: two QR factorizations and one product of rows * columns * k multiply-adds.

    Example:
        >>> X = prescribed_matrix([3.0, 2.0], 4, 5)
        >>> torch.linalg.svdvals(X)
        tensor([3.0000e+00, 2.0000e+00, ...e-1..., ...e-1...], dtype=torch.float64)
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"rows is {rows} and columns is {columns}; both must be at least 1")
    spectrum = np.asarray(sigma, dtype=np.float64)
    if spectrum.ndim != 1 or spectrum.size > min(rows, columns):
        raise ValueError(
            f"sigma has shape {spectrum.shape}; a {rows} x {columns} matrix takes one dimension and at most "
            f"{min(rows, columns)} values"
        )
    if not np.all(np.isfinite(spectrum)) or np.any(spectrum < 0):
        raise ValueError(
            f"sigma holds {spectrum[~(spectrum >= 0) | np.isinf(spectrum)][0]}; it must be finite and >= 0"
        )
    spectrum = np.sort(spectrum)[::-1]
    generator = np.random.default_rng(seed)
    U = _orthonormal_columns(generator, rows, spectrum.size)
    V = _orthonormal_columns(generator, columns, spectrum.size)
    return torch.from_numpy((U * spectrum) @ V.T).to(dtype)


def log_uniform_spectrum(r: int, condition_number: float, *, seed: int | None = None) -> NDArray[np.float64]:
    """Spectrum with sigma_1 = 1, sigma_r = 1 / condition_number and logarithms spread evenly between them.

    Args:
        r: number of singular values, >= 1; a single one is 1.
        condition_number: sigma_1 / sigma_r, finite, >= 1.
        seed: None for even spacing of the logarithms; else they are drawn uniformly, with both ends kept.

    Returns:
        Array of shape (r,), float64, descending.

    Raises:
        ValueError: r below 1, condition_number below 1 or not finite.

    Source: elementary.

    Example:
        >>> log_uniform_spectrum(3, 100.0).tolist()
        [1.0, 0.1, 0.01]
    """
    if r < 1:
        raise ValueError(f"r is {r}; a spectrum has at least one singular value")
    if not 1 <= condition_number < np.inf:
        raise ValueError(f"condition_number is {condition_number}; it must be finite and at least 1")
    if r == 1:
        return np.ones(1)
    position = np.linspace(0, 1, r)
    if seed is not None:
        position[1:-1] = np.sort(np.random.default_rng(seed).random(r - 2))
    return np.concatenate([[1.0], condition_number ** -position[1:-1], [1 / condition_number]])


def _orthonormal_columns(generator: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Haar-distributed rows x columns matrix with orthonormal columns."""
    Q, R = np.linalg.qr(generator.standard_normal((rows, columns)))
    return Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)
