"""The quadratics behind the F-Muon norm, with all their admissible roots: that there is one is a claim."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def f_muon_gauge_roots(sigma: ArrayLike, alpha: float, *, frobenius_sign: int = -1) -> list[float]:
    """The admissible roots t of the F-Muon norm: fro((sigma - alpha t)_+) = (1 - alpha) t.

    With j singular values above alpha t, S1 and S2 the sums of the j largest and of their squares, t solves
    (j alpha^2 - (1 - alpha)^2) t^2 - 2 alpha S1 t + S2 = 0 and must satisfy sigma_j >= alpha t >= sigma_{j+1}.

    Args:
        sigma: singular values, (r,), descending, sigma_1 > 0.
        alpha: strictly between 0 and 1.
        frobenius_sign: sign of (1 - alpha)^2; -1 is right.

    Returns:
        The admissible roots, equal ones of neighbouring j counted once; exactly one for the right sign.

    Source: derived here, checked in claim FF-02.

    >>> f_muon_gauge_roots([1.0, 0.0], 0.5)
    [1.0]
    """
    s = np.asarray(sigma, dtype=float)
    following = np.append(s[1:], 0.0)
    roots: list[float] = []
    for j, (s1, s2) in enumerate(zip(np.cumsum(s), np.cumsum(s * s), strict=True), start=1):
        lead = j * alpha**2 + frobenius_sign * (1 - alpha) ** 2
        discriminant = (alpha * s1) ** 2 - lead * s2
        if discriminant < 0:
            continue
        # The form 2c / (b +- sqrt) stays finite where the quadratic degenerates to a line.
        for denominator in (alpha * s1 + discriminant**0.5, alpha * s1 - discriminant**0.5):
            t = s2 / denominator if denominator else np.inf
            slack = 1e-12 * s[0]
            fits = t > 0 and s[j - 1] + slack >= alpha * t >= following[j - 1] - slack
            if fits and not any(abs(t - root) <= 1e-9 * t for root in roots):
                roots.append(float(t))
    return roots
