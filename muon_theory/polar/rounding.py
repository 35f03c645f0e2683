"""What the rounding of a dtype does to the images of the singular values: a model, fitted to the iteration itself."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from muon_theory.polar.coefficients import CoefficientSet, Row, coefficient_set

DTYPES = ("float64", "float32", "bfloat16", "float16")
HALF_PRECISION = ("bfloat16", "float16")
_OUTPUT_SHARE, _STEP_SHARE = 0.3, 0.5  # fitted, see the accuracy of `deficits_by_step`


def unit_roundoff(dtype: str) -> float:
    """Half of the machine epsilon of a dtype.

    Args:
        dtype: "float64", "float32", "bfloat16" or "float16".

    Returns:
        The unit roundoff, e.g. 2^-8 for bfloat16.

    Raises:
        ValueError: another name.

    Source: elementary.

    >>> unit_roundoff("bfloat16")
    0.00390625
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; the iteration runs in {', '.join(DTYPES)}")
    return torch.finfo(getattr(torch, dtype)).eps / 2


class DeficitsByStep:
    """Alignment deficit, overshoot and rounding floor of stacked spectra under one set, step after step.

    With x_0 = sigma / (norm_safety ||sigma||) and weights w = sigma / sum sigma: x_t = p_t(x_{t-1}), the deficit is
    1 - sum w x_t. Beside x runs the size e_t of the error of one rounding error of relative size one per stored
    product, e_t^2 = (p_t'(x) e_{t-1})^2 + (x^2 g'(x^2) x)^2 + ((g - c1) x)^2 + (g x)^2 with p_t(x) = x g(x^2), for
    degrees above five also the square of the terms that A^2 enters.

    Args:
        sigma: shape (count, r), >= 0, finite, no row zero, any unit.
        method: as `coefficient_set` takes it; without a preconditioner.

    Source: derived here: a running error analysis with independent errors.

    >>> losses = DeficitsByStep([[3.0, 4.0]], "taylor_3")
    >>> losses.step()
    >>> losses.deficits.round(6), losses.overshoot
    (array([0.121143]), array([0.]))
    """

    def __init__(self, sigma: ArrayLike, method: str | CoefficientSet) -> None:
        self._set = coefficient_set(method)
        values = np.asarray(sigma, dtype=np.float64)
        values = values / values.max(axis=-1, keepdims=True)
        self._weights = values / values.sum(axis=-1, keepdims=True)
        self._images = values / (np.linalg.norm(values, axis=-1, keepdims=True) * float(self._set.norm_safety))
        self._errors = self._images.copy()
        self.steps = 0

    def step(self) -> None:
        """Apply the next step.

        Source: elementary.
        """
        self.steps += 1
        row = self._set.coefficients(self.steps)[-1]
        with np.errstate(over="ignore", invalid="ignore"):
            self._images, self._errors = _step(self._images, self._errors, row)

    @property
    def images(self) -> NDArray[np.float64]:
        """The images, shape (count, r)."""
        return self._images

    @property
    def deficits(self) -> NDArray[np.float64]:
        """1 - sum sigma_i f_i / sum sigma_i of each spectrum in exact arithmetic; inf where an image overflowed."""
        return _finite_or_inf(1 - np.einsum("ij,ij->i", self._weights, self._images))

    @property
    def overshoot(self) -> NDArray[np.float64]:
        """max(0, max |f_i| - 1) of each spectrum; inf where an image overflowed."""
        with np.errstate(invalid="ignore"):
            return np.maximum(_finite_or_inf(np.abs(self._images).max(axis=-1) - 1), 0.0)

    def rounding_floor(self, dtype: str) -> NDArray[np.float64]:
        """How much the deficit of each spectrum may change when the dense form runs in a dtype.

        u (0.3 + sum w_i e_i / (2 sqrt r)), u the unit roundoff: the errors of r directions are taken as independent,
        and 0.3 u as what the rounding of the output does to all alike.

        Args:
            dtype: one of `DTYPES`.

        Returns:
            Shape (count,), >= 0; inf where an image overflowed.

        Source: derived here; the two constants are fitted to `orthogonalize`.

        Accuracy: a scale, not a bound. Of the changes measured in bfloat16 and float16 on log-uniform, power-law and
            rank-one spectra of 10 to 128 values at nine sets and numbers of steps, 95 % were within it, the others
            but those of `grishina_2025` (unstable in bfloat16) within twice. Exactly flat spectra, whose directions
            err alike, change up to ten times as much.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.einsum("ij,ij->i", self._weights, self._errors) / np.sqrt(self._weights.shape[-1])
            return _finite_or_inf(unit_roundoff(dtype) * (_OUTPUT_SHARE + _STEP_SHARE * spread))


def _step(x: NDArray[np.float64], e: NDArray[np.float64], row: Row) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One step of the images and of the sizes of their errors."""
    square = x * x
    value, slope = np.full_like(x, row[-1]), np.zeros_like(x)  # g and g' at x^2, by Horner's rule
    for c in row[-2::-1]:
        slope = slope * square + value
        value = value * square + c
    slope *= square
    local = slope**2 + (value - row[0]) ** 2 + value**2
    if len(row) > 3:
        local += _absolute(square, row) ** 2
    return x * value, np.sqrt(((value + 2 * slope) * e) ** 2 + square * local)


def _absolute(square: NDArray[np.float64], row: Row) -> NDArray[np.float64]:
    """Sum over j >= 2 of |c_j| x^(2j)."""
    total = np.zeros_like(square)
    for c in row[:1:-1]:
        total = total * square + abs(c)
    return total * square**2


def _finite_or_inf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.inf)
