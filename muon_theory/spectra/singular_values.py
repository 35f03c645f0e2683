"""All singular values of a matrix, by the cheapest route that is accurate enough.

Three routes to the same numbers: eigenvalues of the float64 Gram matrix (cheapest; squares the condition number, so it
resolves sigma / sigma_1 only down to about 1e-7 and to relative 1e-4 only down to 3e-6), QR first and then the SVD of
the triangular factor (any accuracy, cheap for long shapes), and the plain SVD. The Gram route estimates its own error
from the spectrum it found, so that it can be tried first and replaced where it does not suffice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from muon_theory.spectra.matrix_input import require_matrix, shift_exponent, to_float64

SpectrumMethod = Literal["auto", "gram", "qr", "svd"]

EPSILON = torch.finfo(torch.float64).eps
# Measured: |error of sigma| <= 32 eps sigma_1 for QR and SVD (13 seen); for the Gram route see gram_error.
_SVD_ERROR = 32 * EPSILON
_GRAM_LEAST_ERROR = 2 * EPSILON
_BATCHED_UP_TO = 128  # on a CPU one product after the other is faster beyond this many rows
_BLOCKS = 4


def singular_values(
    X: Tensor, *, accuracy: float = 1e-4, floor: float = 3e-6, method: SpectrumMethod = "auto"
) -> Tensor:
    r"""Singular values sigma_1 >= ... >= sigma_r of a matrix, r = min(rows, columns).

    `sigma_i = sqrt(lambda_i(X X^T))` by the method "gram", those of the triangular factor of X^T by "qr", of X itself
    by "svd"; all in float64 whatever the dtype of X. "auto" takes "gram" where it is accurate enough for the spectrum
    found and otherwise "qr" for shapes 3:2 and longer, else "svd".

    Anything but a dense real floating-point tensor is refused with a TypeError; fewer than two dimensions, no entries,
    NaN or inf, accuracy or floor out of range or out of reach of float64, and an unknown method with a ValueError.

    Args:
        X: matrices of shape (*batch, rows, columns), any real floating-point dtype, finite entries; not modified.
        accuracy: relative accuracy asked for, in (0, 1]; steers "auto" only.
        floor: smallest sigma / sigma_1 for which it is asked, in (0, 1]; steers "auto" only.
        method: "auto", "gram", "qr" or "svd".

    Returns:
        Tensor of shape (*batch, r), float64, descending, >= 0, on X's device (the CPU for MPS, which has no float64).

    Source: elementary; the form eps sigma_1^2 / sigma_i of the Gram route's error is Weyl's inequality for X X^T, its
        constant is measured (checked in tests/spectra/test_singular_values.py).

    Accuracy: "auto": relative error at most `accuracy` for every sigma >= floor * sigma_1. "gram": c eps (sigma_1 /
        sigma)^2 with c below 4 for most spectra, so 1e-4 at sigma = 3e-6 sigma_1; 7, so 1.7e-4, is the worst found (512
        rows, half of the spectrum at sigma_1, half at 3e-6 sigma_1); nothing below 1e-7 sigma_1. "qr" and "svd":
        absolute error at most 32 eps sigma_1. All scale exactly with powers of two.

    Cost: "gram" and mostly "auto": rows * columns * r multiply-adds (5/8 of them from r = 256 on, by symmetry) and r^3
        * 2/3 for the eigenvalues; "qr": twice the first term, and an SVD of an r x r matrix.

    Example:
        >>> singular_values(torch.tensor([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]]))
        tensor([4., 3.], dtype=torch.float64)
    """
    _check_request(accuracy, floor, method)
    Y, exponent = to_float64(require_matrix(X, "X"))
    if Y.shape[-2] > Y.shape[-1]:
        Y = Y.mT
    route = {"gram": _by_gram, "qr": _by_qr, "svd": torch.linalg.svdvals}.get(
        method, partial(_by_cheapest, accuracy=accuracy, floor=floor)
    )
    sigma = for_each_matrix(route, Y, Y.shape[-2] <= _BATCHED_UP_TO)
    return shift_exponent(sigma, None if exponent is None else exponent[..., None])


def gram_matrix(Y: Tensor) -> Tensor:
    """The lower triangle of Y Y^T; what stands above the diagonal is partly left out.

    Args:
        Y: matrices of shape (*batch, r, n).

    Returns:
        Tensor of shape (*batch, r, r); only its lower triangle (with the diagonal) is meant to be read.

    Source: elementary.

    Cost: r^2 n multiply-adds, from 256 rows on 5/8 of that.

    Example:
        >>> torch.tril(gram_matrix(torch.tensor([[1.0, 2.0], [0.0, 1.0]])))
        tensor([[5., 0.],
                [2., 1.]])
    """
    rows = Y.shape[-2]
    if rows < 256:
        return Y @ Y.mT
    C = Y.new_zeros(*Y.shape[:-2], rows, rows)
    ends = [rows * i // _BLOCKS for i in range(_BLOCKS + 1)]
    for start, end in zip(ends[:-1], ends[1:], strict=True):
        C[..., start:end, :end] = Y[..., start:end, :] @ Y[..., :end, :].mT
    return C


def for_each_matrix(function: Callable[[Tensor], Tensor], Y: Tensor, batched: bool) -> Tensor:
    """Apply a function to every matrix of a batch, at once or one after the other, and stack what it returns.

    Args:
        function: maps (*batch, r, n) to a tensor whose leading dimensions are the same batch.
        Y: matrices of shape (*batch, r, n).
        batched: hand the whole batch to the function; forced where there is nothing to loop over, or on a GPU.

    Returns:
        What the function returns for the whole batch.

    Source: elementary.

    Example:
        >>> for_each_matrix(lambda A: A.sum(dim=(-2, -1)), torch.ones(2, 3, 3, 4), batched=False)
        tensor([[12., 12., 12.],
                [12., 12., 12.]])
    """
    batch = Y.shape[:-2]
    if batched or batch.numel() <= 1 or Y.device.type != "cpu":
        return function(Y)
    results = torch.stack([function(A) for A in Y.reshape(-1, *Y.shape[-2:])])
    return results.reshape(*batch, *results.shape[1:])


def gram_error(sigma: Tensor) -> Tensor:
    r"""Estimated relative error of each singular value that the Gram route found, `c eps (sigma_1 / sigma)^2`.

    `c_i = 2 + sqrt(k_i / r) * ||X X^T||_F / sigma_1^2`, k_i the number of singular values within 10 percent of sigma_i:
    the rounding errors of the Gram matrix and its eigenproblem act like a random symmetric matrix of Frobenius norm
    eps ||X X^T||_F sqrt(r), of which k_i nearly equal singular values see a k_i x k_i block.

    Args:
        sigma: the spectrum that the Gram route found, shape (*batch, r), float64, descending.

    Returns:
        Tensor of shape (*batch, r); inf for zeros in a nonzero spectrum, 0 for a zero spectrum.

    Source: derived here (Wigner's semicircle for the norm of the block), the constants measured; checked in
        tests/spectra/test_singular_values.py.

    Accuracy: an estimate, 1.2 to 8 times the largest error seen where k_i is large, more where it is small; spectra of
        one and two levels and log-uniform ones, r <= 1024.

    Example:
        >>> gram_error(torch.tensor([1.0, 0.5], dtype=torch.float64)) / EPSILON
        tensor([ 2.7289, 10.9155], dtype=torch.float64)
    """
    largest = sigma[..., :1]
    relative = sigma / torch.where(largest == 0, 1, largest)
    ascending = relative.flip(-1).contiguous()
    below = torch.searchsorted(ascending, 0.9 * ascending)
    close = (torch.searchsorted(ascending, 1.1 * ascending, right=True) - below).flip(-1)
    fourth_powers = relative.pow(4).sum(dim=-1, keepdim=True)
    error = _GRAM_LEAST_ERROR + EPSILON * (fourth_powers * close / sigma.shape[-1]).sqrt()
    return torch.where(largest == 0, 0, error / relative.square())


def _check_request(accuracy: float, floor: float, method: str) -> None:
    """Refuse what no route can do."""
    for name, value in (("accuracy", accuracy), ("floor", floor)):
        if not 0 < value <= 1:
            raise ValueError(f"{name} is {value!r}; it must lie in (0, 1]")
    if method not in ("auto", "gram", "qr", "svd"):
        raise ValueError(f"method is {method!r}; choose one of 'auto', 'gram', 'qr', 'svd'")
    if method == "auto" and accuracy * floor < _SVD_ERROR:
        raise ValueError(
            f"accuracy {accuracy:g} at floor {floor:g} is beyond float64, which gives {_SVD_ERROR / floor:.1g} there; "
            f"ask for accuracy >= {_SVD_ERROR / floor:.1g} or raise the floor"
        )


def _by_cheapest(Y: Tensor, accuracy: float, floor: float) -> Tensor:
    """Gram where it can be and is accurate enough, else QR first for shapes 3:2 and longer, else SVD."""
    backup = _by_qr if 2 * Y.shape[-1] >= 3 * Y.shape[-2] else torch.linalg.svdvals
    if accuracy * floor**2 < _GRAM_LEAST_ERROR or accuracy < _SVD_ERROR:
        return backup(Y)
    sigma = _by_gram(Y)
    largest = sigma[..., :1]
    asked = sigma >= max(0.5, 1 - 4 * accuracy) * floor * largest  # some room, for these too are only computed
    doubtful = (asked & (gram_error(sigma) > accuracy)).any(dim=-1)
    if bool(doubtful.any()):
        sigma[doubtful] = backup(Y[doubtful])
    return sigma


def _by_gram(Y: Tensor) -> Tensor:
    """Square roots of the eigenvalues of Y Y^T, descending."""
    return torch.linalg.eigvalsh(gram_matrix(Y)).clamp_min(0).sqrt().flip(-1)


def _by_qr(Y: Tensor) -> Tensor:
    """Singular values of the triangular factor of Y^T."""
    return torch.linalg.svdvals(torch.linalg.qr(Y.mT, mode="r")[1])
