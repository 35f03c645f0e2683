"""The theory of Muon and spectral optimizers, run rather than quoted."""

__version__ = "0.1.0"
