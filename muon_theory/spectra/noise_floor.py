"""What a storage format hides: below the noise floor a singular value is made of rounding errors."""

from __future__ import annotations

import math

import torch


def noise_floor(dtype: torch.dtype | str, shape: tuple[int, ...], frobenius_norm: float) -> float:
    r"""Singular value below which a stored matrix says nothing about the matrix that was rounded into it.

    `u / sqrt(3) * ||A||_F * (sqrt m + sqrt n) / sqrt(m n)` with unit roundoff u (half of machine epsilon): the spectral
    norm of an m x n matrix of independent rounding errors, each taken uniform within plus or minus u times its entry.

    Args:
        dtype: real floating-point dtype in which the matrix is stored, or its name such as "bfloat16".
        shape: (*batch, m, n), m and n >= 1; only the last two numbers count.
        frobenius_norm: ||A||_F in the unit of A, finite, >= 0.

    Returns:
        The floor, in the unit of A.

    Raises:
        TypeError: dtype is not a real floating-point dtype.
        ValueError: fewer than two numbers in shape or one below 1; a negative or non-finite norm.

    Source: derived here, checked in tests/spectra/test_noise_floor.py: error variances u^2/3 a_ij^2 and the Gaussian
        norm estimate sqrt m + sqrt n (Davidson and Szarek 2001, theorem II.13).

    Accuracy: an estimate of scale, not a bound. The spectral norm of the rounding error is 0.7 floors for flat spectra
        (within a binade the relative error shrinks from u to u/2), 0.8 to 0.9 for log-uniform ones, 1.3 to 2.1 for rank
        one, where rows differ in size. Errors that line up (repeated entries) can reach u ||A||_F; entries that
        underflow are not covered.

    Cost: none.

    Example:
        >>> f"{noise_floor('bfloat16', (256, 1152), 1.0):.2e}"
        '2.07e-04'
    """
    if isinstance(dtype, str):
        found = getattr(torch, dtype.removeprefix("torch."), None)
        if not isinstance(found, torch.dtype):
            raise TypeError(f"dtype is {dtype!r}, which torch does not know; use a name such as 'bfloat16'")
        dtype = found
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"dtype is {dtype!r}; rounding errors need a real floating-point dtype such as torch.bfloat16")
    if len(shape) < 2 or min(shape[-2:]) < 1:
        raise ValueError(f"shape is {tuple(shape)}; it must end in two positive numbers (rows, columns)")
    if not 0 <= frobenius_norm < math.inf:
        raise ValueError(f"frobenius_norm is {frobenius_norm}; it must be finite and >= 0")
    m, n = shape[-2:]
    roundoff = torch.finfo(dtype).eps / 2
    return roundoff / math.sqrt(3) * float(frobenius_norm) * (1 / math.sqrt(m) + 1 / math.sqrt(n))
