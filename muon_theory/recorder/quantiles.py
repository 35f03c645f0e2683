"""What is kept of the spectrum of a very large matrix: 65 quantiles and the sums that quantiles cannot tell.

8,192 singular values are 64 kB a spectrum; 65 quantiles are 520 bytes. The sums are those of the whole spectrum, so
norms, ranks and entropy of the recording stay exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from muon_theory.spectra import spectral_entropy

QUANTILES = 65
"""How many quantiles are kept: levels 1, 63/64, ..., 1/64, 0."""


class CondensedSpectrum(NamedTuple):
    """A spectrum in 65 quantiles, with the sums over all of it.

    Source: elementary.
    """

    quantiles: np.ndarray
    """Shape (65,), float64, descending, from sigma_1 to sigma_r, in the unit of sigma."""
    frobenius_norm: float
    """sqrt(sum sigma^2), in the unit of sigma."""
    nuclear_norm: float
    """sum sigma, in the unit of sigma."""
    entropy: float
    """Of the normalised sigma, nats; -inf for a zero matrix."""


def condensed_spectrum(sigma: np.ndarray) -> CondensedSpectrum:
    """The quantiles and the sums of a spectrum.

    With sigma_1 >= ... >= sigma_r, quantile j of 0, ..., 64 is the value at place 1 + j (r - 1) / 64, interpolated
    linearly between two places.

    Args:
        sigma: singular values, shape (r,), r >= 1, float64, descending; NaN throughout for a matrix with NaN.

    Returns:
        the condensed spectrum, NaN throughout for a spectrum of NaN.

    Source: elementary (quantiles of type 7 of Hyndman and Fan 1996, numpy's "linear").

    >>> condensed = condensed_spectrum(np.linspace(2.0, 1.0, 129))
    >>> condensed.quantiles[[0, 32, 64]], round(condensed.nuclear_norm, 6)
    (array([2. , 1.5, 1. ]), 193.5)
    """
    if np.isnan(sigma).any():
        return CondensedSpectrum(np.full(QUANTILES, math.nan), math.nan, math.nan, math.nan)
    places = np.linspace(0, len(sigma) - 1, QUANTILES)
    largest = float(sigma[0]) or 1.0  # the squares of very small values must not vanish
    return CondensedSpectrum(
        np.interp(places, np.arange(len(sigma)), sigma),
        largest * float(np.linalg.norm(sigma / largest)),
        float(sigma.sum()),
        float(spectral_entropy(sigma)),
    )
