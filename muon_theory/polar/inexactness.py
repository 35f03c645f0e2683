"""How far an orthogonalizer's output is from the polar factor, in the three numbers that the theory uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from muon_theory.polar.exact import default_rank_tolerance, nuclear_norm_and_polar
from muon_theory.spectra.matrix_input import require_matrix, to_float64
from muon_theory.spectra.singular_values import singular_values


@dataclass(frozen=True)
class Inexactness:
    """Three distances between an update direction O and the polar factor P(G).

    Args:
        operator_error: `||O - P(G)||_op`, >= 0, pure number.
        alignment_deficit: `1 - <G, O> / ||G||_*`, the share of the linear decrease that is lost; 0 for O = P(G), 2 for
            O = -P(G), never negative unless ||O||_op > 1.
        overshoot: `max(0, ||O||_op - 1)`, how far O leaves the unit ball of the spectral norm.

    Each is a float, or for a batch a float64 tensor (array, where it came from arrays) of the batch's shape.

    Source: derived here; the operator error is the epsilon of inexact-orthogonalization analyses.

    Example:
        >>> Inexactness(0.1, 0.02, 0.0).overshoot
        0.0
    """

    operator_error: Any
    alignment_deficit: Any
    overshoot: Any


def inexactness(G: Tensor, O: Tensor, *, rank_tolerance: float | None = None) -> Inexactness:
    r"""Distance of O from the exact polar factor of G: operator error, alignment deficit and overshoot.

    Where G counts as zero any O loses nothing, so the deficit of a zero matrix is 0, its operator error ||O||_op. Where
    O holds NaN or inf all three are inf: an orthogonalizer that overflowed is infinitely wrong, not inadmissible. O
    that is no dense real floating-point tensor is refused with a TypeError, O of another shape with a ValueError, and G
    as by
    `polar_factor`.

    Args:
        G: matrices of shape (*batch, rows, columns), any real floating-point dtype, finite entries; not modified.
        O: what the orthogonalizer made of it, same shape, any real floating-point dtype.
        rank_tolerance: relative size up to which a direction of G counts as zero; None for the default of
            `polar_factor` in the dtype of G.

    Returns:
        `Inexactness`, floats for one matrix, float64 tensors of shape (*batch,) for a batch.

    Source: elementary.

    Accuracy: operator error and overshoot to a few eps * max(1, ||O||_op) beyond the error of the exact factor, deficit
        to a few eps * r; float64.

    Cost: one SVD and a Gram spectrum, in float64.

    Example:
        >>> inexactness(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.5, 0.0], [0.0, 0.5]]))
        Inexactness(operator_error=0.5, alignment_deficit=-0.16..., overshoot=0.5)
    """
    X = require_matrix(G, "G")
    output = _output(O, X.shape)
    if rank_tolerance is None:
        rank_tolerance = default_rank_tolerance(X.shape[-2], X.shape[-1], X.dtype)
    Y, _ = to_float64(X)
    nuclear_norm, factor = nuclear_norm_and_polar(Y, rank_tolerance=rank_tolerance)
    output = output.to(device=factor.device, dtype=torch.float64)
    finite = torch.isfinite(output).all(dim=-1).all(dim=-1)
    output = torch.where(finite[..., None, None], output, 0)
    alignment = (Y * output).sum(dim=(-2, -1)) / torch.where(nuclear_norm == 0, 1, nuclear_norm)
    found = (
        _largest_singular_value(output - factor),
        torch.where(nuclear_norm == 0, 0, 1 - alignment),
        (_largest_singular_value(output) - 1).clamp_min(0),
    )
    return Inexactness(*(_plain(torch.where(finite, value, torch.inf)) for value in found))


def spectral_inexactness(sigma: ArrayLike, mapped: ArrayLike, *, rank_tolerance: float = 0.0) -> Inexactness:
    r"""The three distances from singular values alone, for O = U diag(mapped) V^T with the singular vectors of G.

    operator_error is `max |mapped_i - 1|` over the nonzero directions; a zero direction has 0 as its target instead of
    1 and so adds nothing under an odd map. alignment_deficit is `1 - sum sigma_i mapped_i / sum sigma_i`, 0 for a zero
    spectrum; overshoot is `max(0, max |mapped_i| - 1)`.

    Args:
        sigma: singular values of G, array or tensor of shape (*batch, r), r >= 1, finite, >= 0, any order.
        mapped: their images, same shape and order; may be negative, and NaN or inf make all three numbers inf.
        rank_tolerance: directions with sigma_i <= rank_tolerance * max sigma are zero directions, in [0, 1).

    Returns:
        `Inexactness`, floats for one spectrum, float64 arrays of shape (*batch,) for a batch.

    Raises:
        ValueError: shapes differ or are empty; sigma negative or not finite; rank_tolerance outside [0, 1).

    Source: elementary, by orthogonal invariance of the three numbers.

    Accuracy: a few eps.

    Example:
        >>> spectral_inexactness([2.0, 1.0, 0.0], [1.5, 0.5, 0.0])
        Inexactness(operator_error=0.5, alignment_deficit=-0.16..., overshoot=0.5)
    """
    values: NDArray[np.float64] = _array(sigma)
    images: NDArray[np.float64] = _array(mapped)
    if values.shape != images.shape or values.ndim < 1 or values.shape[-1] < 1:
        raise ValueError(f"sigma has shape {values.shape} and mapped {images.shape}; they must agree and hold a value")
    if not bool(np.all(np.isfinite(values))) or bool(np.any(values < 0)):
        raise ValueError(f"sigma holds {values.min()} to {values.max()}; singular values are finite and >= 0")
    if not 0 <= rank_tolerance < 1:
        raise ValueError(f"rank_tolerance is {rank_tolerance!r}; it is relative to sigma_1 and must lie in [0, 1)")
    finite = np.asarray(np.isfinite(images).all(axis=-1))
    images = np.where(finite[..., None], images, 0.0)
    largest = values.max(axis=-1, keepdims=True)
    relative = values / np.where(largest == 0, 1, largest)
    target = np.where(relative > rank_tolerance, 1.0, 0.0)
    total = relative.sum(axis=-1)
    lost = (relative * (1 - images)).sum(axis=-1) / np.where(total == 0, 1, total)
    found = (
        np.abs(images - target).max(axis=-1),
        np.where(total == 0, 0.0, lost),
        np.maximum(np.abs(images).max(axis=-1) - 1, 0.0),
    )
    return Inexactness(*(_plain(np.where(finite, value, np.inf)) for value in found))


def _output(O: Any, shape: torch.Size) -> Tensor:
    """The orthogonalizer's output, checked for kind and shape; non-finite entries are allowed here."""
    if not isinstance(O, Tensor) or not O.is_floating_point() or O.layout != torch.strided:
        kind = f"tensor of dtype {O.dtype}" if isinstance(O, Tensor) else type(O).__name__
        raise TypeError(f"O is a {kind}; pass a dense real floating-point tensor of shape {tuple(shape)}")
    if O.shape != shape:
        raise ValueError(
            f"O has shape {tuple(O.shape)} and G has {tuple(shape)}; they must agree, transpose one of them"
        )
    return O.detach()


def _largest_singular_value(X: Tensor) -> Tensor:
    """The spectral norm; the Gram route is accurate for the largest singular value."""
    return singular_values(X, method="gram")[..., 0]


def _array(values: Any) -> NDArray[np.float64]:
    """A float64 array of an array-like or a tensor."""
    return (
        values.detach().cpu().double().numpy() if isinstance(values, Tensor) else np.asarray(values, dtype=np.float64)
    )


def _plain(values: Any) -> Any:
    """A Python float for a single value, else the tensor or array."""
    return float(values) if values.ndim == 0 else values
