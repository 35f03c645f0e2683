"""What counts as a matrix here, and its lossless passage to float64.

Every exact routine starts the same way: refuse what has no singular values, go to float64, and move the matrix to the
middle of the exponent range by a power of two, so that nothing depends on the unit in which it was measured.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

_log = logging.getLogger(__name__)
_mps_said = False


def require_matrix(X: object, name: str = "X") -> Tensor:
    """Check that the argument is a dense real floating-point matrix, or a batch of them, with finite entries.

    Args:
        X: the argument, of any type; admissible is a tensor of shape (*batch, rows, columns), rows and columns >= 1.
        name: what the caller calls it, for the message.

    Returns:
        The same tensor, detached from the autograd graph; not copied.

    Raises:
        TypeError: not a tensor, sparse or quantized, complex, integer or boolean.
        ValueError: fewer than two dimensions, no rows or no columns, NaN or infinite entries.

    Source: elementary.

    Cost: one pass over the entries.

    Example:
        >>> require_matrix(torch.tensor([[1, 2]]), "G")
        Traceback (most recent call last):
        TypeError: G has dtype torch.int64; it must be real floating-point, so pass G.to(torch.float32)
    """
    if not isinstance(X, Tensor):
        raise TypeError(f"{name} is a {type(X).__name__}, not a torch.Tensor; pass torch.as_tensor({name})")
    if X.layout != torch.strided or X.is_quantized:
        raise TypeError(f"{name} has layout {X.layout} (or is quantized); pass a dense matrix, e.g. {name}.to_dense()")
    if X.is_complex():
        raise TypeError(f"{name} has dtype {X.dtype}; complex matrices are not supported, pass a real one")
    if not X.is_floating_point():
        raise TypeError(f"{name} has dtype {X.dtype}; it must be real floating-point, so pass {name}.to(torch.float32)")
    if X.ndim < 2:
        raise ValueError(
            f"{name} has shape {tuple(X.shape)}; a matrix needs two dimensions, so reshape it, "
            f"e.g. {name}[None, :] for one row"
        )
    if 0 in X.shape[-2:]:
        raise ValueError(f"{name} has shape {tuple(X.shape)}; a matrix without entries has no singular values")
    X = X.detach()
    if not _all_finite(X):
        bad = ~torch.isfinite(X)
        raise ValueError(
            f"{name} has {int(bad.sum())} entries that are NaN or infinite, the first at index "
            f"{tuple(int(i) for i in bad.nonzero()[0])}; remove them first, e.g. skip the step that made them"
        )
    return X


def to_float64(X: Tensor) -> tuple[Tensor, Tensor | None]:
    """The matrix in float64, with its largest entry brought near 1 by a power of two where that is needed.

    Only float64 input is scaled: entries of the shorter formats, and the squares of these, are far from the ends of the
    float64 range. A device without float64 (MPS) hands the work to the CPU, said once in the log.

    Args:
        X: finite matrices of shape (*batch, rows, columns), any floating-point dtype; not modified.

    Returns:
        Y and the exponent e of shape (*batch,), int32, with X = 2^e Y exactly; None stands for zero exponents.

    Source: elementary.

    Accuracy: exact, except that entries of float64 matrices below 1e-292 times the largest may lose digits.

    Cost: two passes.

    Example:
        >>> Y, exponent = to_float64(torch.tensor([[3e-200]], dtype=torch.float64))
        >>> (Y.item() * 2.0 ** exponent.item(), 0.5 <= Y.item() < 1)
        (3e-200, True)
    """
    if X.device.type == "mps":
        _say_mps_once()
        X = X.cpu()
    if X.dtype != torch.float64:
        return X.to(torch.float64), None
    if X.shape[:-2].numel() == 0:
        return X, None
    largest = X.abs().amax(dim=(-2, -1))
    exponent = torch.frexp(largest)[1]
    return shift_exponent(X, -exponent[..., None, None]), exponent


def shift_exponent(values: Tensor, exponent: Tensor | None) -> Tensor:
    """The product 2^exponent * values, also where 2^exponent itself would overflow.

    Args:
        values: float64 tensor.
        exponent: integers that broadcast against it; None stands for zero.

    Returns:
        A new float64 tensor, or `values` itself for None.

    Source: elementary.

    Accuracy: exact unless the result leaves the normal range of float64.

    Example:
        >>> shift_exponent(torch.tensor([1.5], dtype=torch.float64), torch.tensor([-1060])).item() == 1.5 * 2.0**-1060
        True
    """
    if exponent is None:
        return values
    half = exponent.div(2, rounding_mode="floor")
    return values * _power_of_two(half) * _power_of_two(exponent - half)


def _all_finite(X: Tensor) -> bool:
    """Whether all entries are finite; a finite sum proves it, and is several times cheaper than the full test."""
    wide = X.dtype.itemsize >= 4  # a sum that overflows only costs the full test
    if X.dtype.itemsize > 1 and bool(torch.isfinite(X.sum(dtype=None if wide else torch.float32))):
        return True
    return bool(torch.isfinite(X if X.dtype.itemsize > 1 else X.to(torch.float32)).all())


def _power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent in float64, exactly, for exponents from -1022 to 1023: written into the exponent field."""
    return ((exponent.to(torch.int64) + 1023) << 52).view(torch.float64)


def _say_mps_once() -> None:
    """Log once that float64 work runs on the CPU."""
    global _mps_said  # noqa: PLW0603
    if not _mps_said:
        _log.warning("MPS has no float64: exact spectra and polar factors are computed on the CPU")
        _mps_said = True
