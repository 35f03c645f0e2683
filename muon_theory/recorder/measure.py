"""From matrices to rows of a recording: exact spectra, noise floors, and what a matrix with NaN gives."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from muon_theory.recorder.exact_spectrum import LayerSpectra
from muon_theory.recorder.layout import Spectrum
from muon_theory.recorder.matrices import MatrixKey
from muon_theory.spectra import noise_floor, singular_values

_BATCHED_UP_TO = 64  # min(rows, columns); beyond it one call for several matrices gains nothing on a CPU
# What `singular_values` is asked for, and the share of sigma_1 below which it then tells nothing: the Gram matrix in
# float64 has eigenvalues right to a few eps of the largest, enough for all that float32 can hold; float64 matrices get
# the singular value decomposition, right to a few eps of sigma_1.
_SINGLE = (3e-6, 1e-7)
_DOUBLE = (1e-9, 32 * torch.finfo(torch.float64).eps)


class KnownSpectrum(NamedTuple):
    """Singular values that somebody computed already, so that they are not computed again.

    Source: elementary.
    """

    sigma: Tensor
    """Shape (min(rows, columns),), float64, descending, any device."""
    resolution: float | None = None
    """The share of sigma_1 below which they tell nothing; None: that of what is computed here, for the dtype."""


class RecordedMatrix(NamedTuple):
    """A matrix of an event, not yet measured.

    Source: elementary.
    """

    key: MatrixKey
    """Step, layer and kind."""
    matrix: Tensor
    """Shape (rows, columns), any floating-point dtype and device."""
    rounded: Tensor | None = None
    """The stored matrix whose rounding sets the noise floor, where that is not `matrix`: the weight, for an update."""
    known: KnownSpectrum | None = None
    """The singular values, where they are known; of `matrix` only shape and dtype matter then (it may be meta)."""


@torch.no_grad()
def measure(matrices: Iterable[RecordedMatrix]) -> list[Spectrum]:
    """The rows of an event: the singular values and the noise floor of each matrix.

    Small matrices of one shape, dtype and device are measured together, others one by one as they come, and those whose
    singular values are known not at all. Autocast is switched off. The noise floor is that of the stored dtype (see
    `muon_theory.spectra.noise_floor`) or that of the computation, whichever is larger. A matrix with NaN or inf gives a
    spectrum of NaN and a noise floor of NaN.

    Args:
        matrices: the matrices; drawn one after the other, so a generator keeps only the small ones in memory, and the
            large ones of one layer, which tell one another's spectra (see `muon_theory.recorder.exact_spectrum`).

    Returns:
        a row for each, in their order.

    Source: elementary.

    Accuracy: relative 1e-4 down to 3e-6 sigma_1, nothing below 1e-7 sigma_1; for float64 matrices absolute error at
        most 7e-15 sigma_1.

    >>> key = MatrixKey(0, "weight", "gradient")
    >>> measure([RecordedMatrix(key, torch.diag(torch.tensor([3.0, 4.0])))])[0].sigma
    array([4., 3.])
    """
    rows: dict[int, Spectrum] = {}
    small: defaultdict[tuple[object, ...], list[tuple[int, RecordedMatrix]]] = defaultdict(list)
    large = LayerSpectra()
    for position, each in enumerate(matrices):
        X = each.matrix
        if each.known is not None:
            rows[position] = row(each, each.known.sigma.cpu().numpy())
        elif min(X.shape) <= _BATCHED_UP_TO:
            small[X.shape, X.dtype, X.device].append((position, each))
        elif X.device.type == "cpu" and X.dtype.itemsize <= 4:
            rows[position] = row(each, large.spectrum(each.key.layer, X, each.rounded))
        else:
            rows[position] = row(each, _spectra([X])[0].cpu().numpy())
    for members in small.values():
        spectra = _spectra([each.matrix for _, each in members]).cpu().numpy()
        for (position, each), sigma in zip(members, spectra, strict=True):
            rows[position] = row(each, sigma)
    return [rows[position] for position in sorted(rows)]


def _spectra(matrices: list[Tensor]) -> Tensor:
    """Singular values of matrices of one shape, dtype and device, left there; NaN for those that are not finite."""
    with _no_autocast(matrices[0].device.type):
        stack = torch.stack(matrices) if len(matrices) > 1 else matrices[0][None]
        finite = stack.abs().amax(dim=(1, 2)).isfinite()
        whole = torch.where(finite[:, None, None], stack, 0)
        sigma = singular_values(whole, floor=_resolution(stack.dtype)[0])
        return torch.where(finite[:, None].to(sigma.device), sigma, math.nan)


def _no_autocast(device: str) -> contextlib.AbstractContextManager[object]:
    """A context in which products keep their dtype."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()


def _resolution(dtype: torch.dtype) -> tuple[float, float]:
    return _DOUBLE if dtype == torch.float64 else _SINGLE


def device_spectra(matrices: Sequence[RecordedMatrix]) -> list[Tensor]:
    """The singular values of matrices of one device, left there, for `row`.

    Args:
        matrices: the matrices; small ones of one shape and dtype are measured together.

    Returns:
        for each a Tensor of shape (min(rows, columns),), float64, descending; NaN where the matrix is not finite.

    Source: elementary.

    Accuracy: as `measure`.

    >>> device_spectra([RecordedMatrix(MatrixKey(0, "weight", "update"), torch.diag(torch.tensor([3.0, 4.0])))])
    [tensor([4., 3.], dtype=torch.float64)]
    """
    found: dict[int, Tensor] = {}
    alike: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for position, each in enumerate(matrices):
        X = each.matrix
        if each.known is not None:
            found[position] = each.known.sigma
        else:
            alike[X.shape, X.dtype, position if min(X.shape) > _BATCHED_UP_TO else None].append(position)
    for places in alike.values():
        sigma = _spectra([matrices[place].matrix for place in places])
        found |= zip(places, sigma.unbind(), strict=True)
    return [found[position] for position in range(len(matrices))]


def row(each: RecordedMatrix, sigma: np.ndarray, rounded_norm: float | None = None) -> Spectrum:
    """The row of a matrix whose singular values are found: with its noise floor.

    Args:
        each: the matrix.
        sigma: its singular values, shape (min(rows, columns),), float64, descending.
        rounded_norm: Frobenius norm of the stored matrix whose rounding sets the noise floor, where it is not `each`'s
            `rounded` or matrix that is asked.

    Returns:
        the row.

    Source: elementary.
    """
    dtype, shape = each.matrix.dtype, (each.matrix.shape[0], each.matrix.shape[1])
    largest = float(sigma[0])
    if rounded_norm is not None:
        scale, norm = 1.0, rounded_norm
    elif each.rounded is None:
        scale = largest or 1.0
        norm = float(np.linalg.norm(sigma / scale))
    else:
        rounded = each.rounded.cpu() if each.rounded.device.type == "mps" else each.rounded  # MPS has no float64
        scale, norm = 1.0, float(torch.linalg.vector_norm(rounded, dtype=torch.float64))
    floor = math.nan
    if math.isfinite(norm):
        told = None if each.known is None else each.known.resolution
        resolution = _resolution(dtype)[1] if told is None else told
        floor = max(scale * noise_floor(dtype, shape, norm), resolution * largest)
    return Spectrum(*each.key, *shape, str(dtype).removeprefix("torch."), floor, sigma)
