"""Convergence of Muon with Newton-Schulz steps: its constants on real and on designed spectra."""
