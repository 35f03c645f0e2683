"""Studies of hyperparameter transfer: powers of the gaps, learning rates across widths, leading directions."""
