"""Optimizers built from momentum and an orthogonalized step."""
