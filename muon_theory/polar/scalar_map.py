"""The iteration on one singular value: numerically in float64, and exactly in fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muon_theory.polar.coefficients import CoefficientSet, coefficient_set


def scalar_map(method: str | CoefficientSet, steps: int) -> Callable[[ArrayLike], NDArray[np.float64]]:
    """What `orthogonalize` does to one singular value of the normalised matrix.

    sigma -> p_steps(... p_1(sigma / norm_safety)): the orthogonalised matrix is U diag(scalar_map(sigma)) V^T when the
    normalised input is U diag(sigma) V^T (for a preconditioned method: when the preconditioned input is). With zero
    steps it is the identity.

    Args:
        method: a key of `COEFFICIENTS`, "taylor_<degree>", or a `CoefficientSet`.
        steps: number of steps, an integer >= 0.

    Returns:
        A function from an array of singular values (any shape; normally in [0, 1]) to their images, float64.

    Source: elementary (Horner's rule in sigma^2).

    Accuracy: float64; a few units of the last place a step.

    >>> float(scalar_map("taylor_3", 1)(0.5))
    0.6875
    """
    chosen = coefficient_set(method)
    rows = chosen.coefficients(steps)
    safety = float(chosen.norm_safety)

    def mapped(sigma: ArrayLike) -> NDArray[np.float64]:
        x = np.asarray(sigma, dtype=np.float64)
        if rows:
            x = x / safety
        for row in rows:
            square = x * x
            value = np.full_like(x, row[-1])
            for c in row[-2::-1]:
                value = value * square + c
            x = value * x
        return x

    return mapped


def exact_scalar_map(method: str | CoefficientSet, steps: int) -> Callable[[Fraction | int], Fraction]:
    """The iteration on one singular value in exact rational arithmetic.

    The coefficients are the printed decimals as fractions, so the result is the mathematical value, free of rounding.

    Args:
        method: a key of `COEFFICIENTS`, "taylor_<degree>", or a `CoefficientSet`.
        steps: number of steps, an integer >= 0.

    Returns:
        A function from a Fraction (or int) to a Fraction.

    Source: elementary.

    Cost: numerators grow by the factor `degree` a step; five quintic steps of a three-digit fraction have about 10^5
    digits.

    >>> str(exact_scalar_map("jordan_2024", 1)(1))
    '701/1000'
    """
    chosen = coefficient_set(method)
    rows = chosen.exact_coefficients(steps)

    def mapped(sigma: Fraction | int) -> Fraction:
        if isinstance(sigma, bool) or not isinstance(sigma, (Fraction, int)):
            raise TypeError(f"sigma must be a Fraction or an int for the exact map, got {type(sigma).__name__}")
        x = Fraction(sigma)
        if rows:
            x = x / chosen.norm_safety
        for row in rows:
            square = x * x
            value = row[-1]
            for c in row[-2::-1]:
                value = value * square + c
            x = value * x
        return x

    return mapped
