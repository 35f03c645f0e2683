"""Matrices seen through their singular values."""

from muon_theory.spectra.noise_floor import noise_floor
from muon_theory.spectra.prescribed import log_uniform_spectrum, prescribed_matrix
from muon_theory.spectra.recorded import recorded_matrix, recorded_spectra
from muon_theory.spectra.singular_values import singular_values
from muon_theory.spectra.summaries import (
    effective_rank,
    nuclear_rank,
    spectral_entropy,
    spectrum_quantiles,
    stable_rank,
)
from muon_theory.spectra.top_k import TopK, top_k

__all__ = [
    "TopK",
    "effective_rank",
    "log_uniform_spectrum",
    "noise_floor",
    "nuclear_rank",
    "prescribed_matrix",
    "recorded_matrix",
    "recorded_spectra",
    "singular_values",
    "spectral_entropy",
    "spectrum_quantiles",
    "stable_rank",
    "top_k",
]
