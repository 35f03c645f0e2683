"""One training run in, one tidy table out."""
