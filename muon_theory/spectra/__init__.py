"""Matrices seen through their singular values."""
