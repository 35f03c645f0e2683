"""The small matrices on which norms, duals and oracles are checked: three shapes, one generic and one spiked each."""

import numpy as np
from numpy.typing import NDArray

SHAPES = ((4, 6), (5, 5), (7, 3))


def matrix_family() -> tuple[NDArray[np.float64], ...]:
    """For each shape (4, 6), (5, 5), (7, 3) a Gaussian matrix A and its spike A + 10 a b^T / sqrt(m n), seed 0.

    Returns:
        One array of shape (2, m, n) for each shape: A, then the spiked matrix.

    Source: derived here (a test set; the spike makes sigma_1 stand out, so both branches of the Ky Fan oracle occur).

    >>> [matrices.shape for matrices in matrix_family()]
    [(2, 4, 6), (2, 5, 5), (2, 7, 3)]
    """
    family = []
    for m, n in SHAPES:
        generator = np.random.default_rng(0)
        A = generator.standard_normal((m, n))
        a, b = generator.standard_normal(m), generator.standard_normal(n)
        family.append(np.stack([A, A + 10 * np.outer(a, b) / (m * n) ** 0.5]))
    return tuple(family)
