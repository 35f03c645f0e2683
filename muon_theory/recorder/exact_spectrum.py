"""The spectrum of one large matrix on a CPU: half a Gram product, its eigenvalues, and a check that they suffice.

The Gram matrix is symmetric, and numpy forms the product of a matrix with its own transpose by the BLAS routine that
computes one half only (SYRK). For eigenvalues alone numpy's LAPACK took 0.75 of the time of torch's at 512 rows. Rows
and columns of zeros are left out: in the gradient of a layer between ReLUs every unit that no sample of the batch has
activated leaves one, about a quarter of the rows early in the tutorial's training on CIFAR-10. What was measured
already in the same event is not measured again: `LayerSpectra` knows equal matrices and multiples.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from muon_theory.spectra import noise_floor, singular_values
from muon_theory.spectra.blas_threads import blas_threads
from muon_theory.spectra.singular_values import EPSILON, gram_error

_ACCURACY = 1e-4
_FLOOR = 3e-6
_WORTH_LEAVING_OUT = 0.95  # share of the entries
_MODEST = 4 * 10**9  # multiply-adds, about .1 s on one core
_FEW_ROWS, _MOST_REMAINDER = 8, 0.01
_ROUNDING_FLOORS = (
    1.0  # rounding errors of Frobenius norm 0.2 to 0.5 floors * sqrt(r) were seen, r = min(rows, columns)
)


def exact_spectrum(X: Tensor) -> np.ndarray:
    """Singular values of one matrix on the CPU, as `singular_values` gives them, faster for many rows.

    `sigma_i = sqrt(lambda_i(X X^T))` in float64. Where the error that the spectrum itself implies exceeds what is asked
    for (see `muon_theory.spectra.singular_values.gram_error`), QR and SVD take the place of the eigenvalues.

    Args:
        X: matrix of shape (rows, columns), float32 or shorter, on the CPU; not modified.

    Returns:
        array of shape (min(rows, columns),), float64, descending; all NaN where X holds NaN or inf.

    Source: elementary; error as in `muon_theory.spectra.singular_values`. Checked in
        tests/recorder/test_exact_spectrum.py.

    Accuracy: relative 1e-4 for every sigma >= 3e-6 sigma_1; nothing below 1e-7 sigma_1.

    Cost: rows * columns * r / 2 multiply-adds, r = min(rows, columns), and r^3 * 2/3 for the eigenvalues, of the matrix
        without its rows and columns of zeros.

    >>> exact_spectrum(torch.tensor([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]]))
    array([4., 3.])
    """
    sigma = np.zeros(min(X.shape))
    Y = _without_zeros(X.detach()).to(torch.float64).contiguous().numpy()
    if Y.size == 0:
        return sigma
    if Y.shape[0] > Y.shape[1]:
        Y = Y.T
    with blas_threads(modest=Y.shape[0] * Y.size <= _MODEST):
        C = Y @ Y.T
        if not math.isfinite(C.trace()):  # the sum of squares; those of finite float32 entries cannot overflow
            return np.full_like(sigma, math.nan)
        found = np.sqrt(np.linalg.eigvalsh(C).clip(min=0))[::-1].copy()
    if not _suffices(found):
        method = "qr" if 2 * Y.shape[1] >= 3 * Y.shape[0] else "svd"
        found = singular_values(torch.from_numpy(Y), accuracy=_ACCURACY, floor=_FLOOR, method=method).numpy()
    sigma[: len(found)] = found
    return sigma


class LayerSpectra:
    """The large matrices of one layer in one event, and their spectra, so that none is computed twice.

    A matrix whose entries equal those of an earlier one (the LMO input of Muon without Nesterov is its momentum) has
    its spectrum. An update that is a multiple f X of an earlier matrix X of its layer, up to a remainder no larger than
    the rounding of the weights it is the difference of, has |f| times its spectrum: by Weyl's inequality the two differ
    by the remainder's spectral norm at most, which is what the noise floor of an update estimates.

    Source: Weyl's inequality for singular values; the size of the remainder is derived here, checked in
        tests/recorder/test_exact_spectrum.py.
    """

    def __init__(self) -> None:
        self._layer = ""
        self._known: list[tuple[Tensor, np.ndarray]] = []

    def spectrum(self, layer: str, X: Tensor, rounded: Tensor | None = None) -> np.ndarray:
        """Singular values of a matrix, computed where no earlier matrix of the layer tells them.

        Args:
            layer: name of the layer; the matrices of another layer are forgotten.
            X: matrix of shape (rows, columns), float32 or shorter, on the CPU, unchanged until the next layer.
            rounded: for an update the weight after the step, whose rounding X contains.

        Returns:
            array of shape (min(rows, columns),), float64, descending; all NaN where X holds NaN or inf.

        Source: see the class.

        >>> spectra, X = LayerSpectra(), torch.diag(torch.tensor([3.0, 4.0]))
        >>> spectra.spectrum("weight", X) is spectra.spectrum("weight", X.clone())
        True
        """
        if layer != self._layer:
            self._layer, self._known = layer, []
        for other, sigma in self._known:
            if other.shape != X.shape or other.dtype != X.dtype:
                continue
            if torch.equal(other[0], X[0]) and torch.equal(other, X):
                return sigma
            factor = None if rounded is None else _factor(X, other, rounded)
            if factor is not None:
                return factor * sigma
        sigma = exact_spectrum(X)
        self._known.append((X, sigma))
        return sigma


def _without_zeros(X: Tensor) -> Tensor:
    """The matrix without its rows and columns of zeros, where leaving them out saves more than it costs."""
    entries = X.abs()
    rows, columns = (entries.amax(dim).nonzero()[:, 0] for dim in (1, 0))  # NaN is not zero
    if len(rows) * len(columns) > _WORTH_LEAVING_OUT * X.numel():
        return X
    return X.index_select(0, rows).index_select(1, columns)


def _suffices(sigma: np.ndarray) -> bool:
    """Whether the Gram route is right to what is asked for."""
    asked = sigma[sigma >= (1 - 4 * _ACCURACY) * _FLOOR * sigma[0]]  # some room, for these too are only computed
    if len(asked) == 0 or sigma[0] == 0:
        return True
    most = EPSILON * (2 + math.sqrt(len(sigma))) * (sigma[0] / asked[-1]) ** 2  # what gram_error is at most
    return most <= _ACCURACY or not bool((gram_error(torch.from_numpy(sigma))[: len(asked)] > _ACCURACY).any())


def _factor(X: Tensor, other: Tensor, rounded: Tensor) -> float | None:
    """|f| where X = f * other up to the rounding of weights, else None."""
    few = slice(None, None, max(1, len(X) // _FEW_ROWS))
    if _remainder(X[few], other[few])[1] > _MOST_REMAINDER * float(torch.linalg.vector_norm(X[few])):
        return None  # most matrices that are no multiples are told here
    square = float(torch.dot(other.flatten(), other.flatten()))
    if not (math.isfinite(square) and square > 0):
        return None
    f, remainder = _remainder(X, other)
    weights = float(torch.linalg.vector_norm(rounded, dtype=torch.float64))
    if not (math.isfinite(remainder) and math.isfinite(weights)):
        return None
    # the weight is rounded, and so are the step that was added to it and the difference of the two weights
    floor = noise_floor(rounded.dtype, tuple(X.shape), weights + 2 * abs(f) * math.sqrt(square))
    return abs(f) if remainder <= _ROUNDING_FLOORS * math.sqrt(min(X.shape)) * floor else None


def _remainder(X: Tensor, other: Tensor) -> tuple[float, float]:
    """The multiple f of the other matrix that is nearest to X, and ||X - f other||_F; 0 and ||X|| for a zero one."""
    square = float(torch.dot(other.flatten(), other.flatten()))
    f = float(torch.dot(X.flatten(), other.flatten())) / square if square > 0 else 0.0
    return f, float(torch.linalg.vector_norm(torch.sub(X, other, alpha=f), dtype=torch.float64))
