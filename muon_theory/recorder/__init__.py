"""The spectrum recorder: exact singular values from real training."""
