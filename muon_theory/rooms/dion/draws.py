"""The matrices on which the geometry of a Dion step is measured: two kinds of spectra, a cold Q."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cold_draws(seeds: int, *, rows: int = 60, columns: int = 40, rank: int = 8) -> tuple[Array, Array]:
    """Matrices B with spectrum .8^i, then Gaussian ones, and a Gaussian Q with unit columns for each.

    Args:
        seeds: number of matrices of each kind.
        rows: m.
        columns: n <= m.
        rank: number of columns of Q.

    Returns:
        B of shape (2, seeds, m, n): B[0] has singular values .8^i, i = 0, ..., n - 1, B[1] Gaussian entries; and Q of
        shape (2, seeds, n, rank).

    Source: elementary.

    >>> B, Q = cold_draws(2)
    >>> B.shape, Q.shape, float(np.linalg.svd(B[0, 1])[1][3].round(12))
    ((2, 2, 60, 40), (2, 2, 40, 8), 0.512)
    """
    generators = [np.random.default_rng([seed, rows, columns]) for seed in range(seeds)]
    gaussian = np.stack([generator.standard_normal((rows, columns)) for generator in generators])
    U, _, V = np.linalg.svd(
        np.stack([generator.standard_normal((rows, columns)) for generator in generators]), full_matrices=False
    )
    decaying = (U * 0.8 ** np.arange(columns)) @ V
    Q = np.array([[generator.standard_normal((columns, rank)) for generator in generators] for _ in range(2)])
    Q /= np.sqrt(np.sum(Q**2, axis=-2, keepdims=True))
    return np.stack([decaying, gaussian]).astype(np.float64), Q
