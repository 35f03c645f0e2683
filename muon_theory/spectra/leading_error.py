"""How wrong P_k = u_1 v_1^T + ... + u_k v_k^T is, judged from residuals and gaps while it is being computed."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

# The difference of two successive P_k is found with an error of about sqrt(eps) = 1e-8; below, only the bound counts.
_DIFFERENCE_FLOOR = 1e-6
_ASYMPTOTIC = 0.1  # the bound from which on successive differences are believed to shrink geometrically
_SAFETY = 2.0
_MARGIN = 1.25
_SETTLED = 0.3
# Measured on Gaussian matrices in float32: rounding leaves an error of P_k of 0.3 to 1.6 eps sigma_1 / gap.
_ROUNDING = 2.0


def leading_error(sigma: Tensor, residual: Tensor, below: Tensor) -> float:
    r"""First-order bound on the relative Frobenius error of P_k from the residuals of its k triples.

    `sqrt(sum_i rho_i^2 (sigma_i^2 + s^2) / (sigma_i^2 - s^2)^2 / k)`, s the next singular value: a residual
    `rho_i = ||X^T u_i - sigma_i v_i||` (with X v_i = sigma_i u_i) wholly along v_(k+1) turns u_i v_i^T by that much.
    Mixing among the first k directions does not change P_k and does not count.

    Args:
        sigma: the k leading singular values, shape (k,), float64, descending.
        residual: their residuals, shape (k,), in the unit of sigma.
        below: the next singular value, scalar tensor; inf where it is not known.

    Returns:
        The bound; inf where sigma_k does not exceed `below` (no gap), 0 for k = 0.

    Source: derived here (first-order perturbation; Wedin 1972 for the form residual / gap), checked in
        tests/spectra/test_top_k.py.

    Accuracy: to first order in residual / gap; in Lanczos runs the error is 10 to 30 times smaller, for residuals point
        to directions far below the gap.

    Example:
        >>> import torch
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> round(leading_error(2 * one, 0.03 * one, one[0]), 6)
        0.022361
    """
    if len(sigma) == 0:
        return 0.0
    if not bool(sigma[-1] > below):
        return math.inf
    squares = sigma.square()
    parts = residual.square() * (squares + below**2) / (squares - below**2).square()
    return float(parts.mean().sqrt())


class LeadingErrorEstimate:
    """The estimated error of P_k along an iteration: the bound above, or less where successive P_k tell so.

    The distance of two successive P_k is, nearly, the error of the first. The second's is that distance times the ratio
    q of the two bounds, over 1 - q. It is doubled to be safe, taken as a fiftieth of the bound at least, and believed
    once the bounds are below 0.3 and 0.1. In Lanczos runs, where it is of use, the error is up to 30 times below the
    bound.

    Args:
        k: how many directions.
        accuracy: the relative error of P_k that is wanted.
        zero_tolerance: singular values up to this times sigma_1 count as zero and have no direction.
        epsilon: machine epsilon of the arithmetic of the iteration.
        krylov: whether the approximations come from Lanczos. Then successive P_k are compared, and the next singular
            value must be known to lie below, rho_(k+1) < 0.3 (sigma_k - sigma_(k+1)), for a direction that was seen
            late may still be on its way up; else the bound counts, times 1.25, for sigma_(k+1) is approximated from
            below.

    Source: derived here, checked in tests/spectra/test_top_k.py.
    """

    def __init__(self, k: int, accuracy: float, zero_tolerance: float, epsilon: float, *, krylov: bool) -> None:
        self.k, self.accuracy, self.zero_tolerance, self.epsilon = k, accuracy, zero_tolerance, epsilon
        self.error = math.inf
        self.least = 0.0
        self.exhausted = False
        self.rank = 0
        self._bound = math.inf
        self._before: tuple[Tensor, Tensor] | None = None
        self._krylov = krylov

    @property
    def reached(self) -> bool:
        """Whether the estimate is within the accuracy wanted."""
        return self.error <= self.accuracy

    def update(self, sigma: Tensor, residual: Tensor, left: Tensor, right: Tensor) -> None:
        """Take in the next approximation; sets `error`, `rank` and `exhausted` (rounding forbids any better).

        Args:
            sigma: at least k + 1 approximate singular values, float64, descending.
            residual: their residuals.
            left: k left vectors as rows, or their coefficients in an orthonormal basis, shape (k, any).
            right: k right vectors as rows, likewise.

        Source: derived here.
        """
        largest = sigma[0]
        rank = int((sigma[: self.k] > self.zero_tolerance * largest).sum())
        leading, rest, below = sigma[:rank], residual[:rank], sigma[rank]
        bound = leading_error(leading, rest, below)
        self.error = bound if self._krylov else _MARGIN * bound
        settling = rank == self.rank and bound < min(self._bound, _ASYMPTOTIC) and self._bound < 3 * _ASYMPTOTIC
        if self._krylov and rank and bool(residual[rank] > _SETTLED * (leading[-1] - below)):
            self.error = math.inf
        elif self._krylov and self.accuracy >= _DIFFERENCE_FLOOR and settling and self._before is not None:
            ratio = bound / self._bound
            change = _distance(self._before, (left[:rank], right[:rank]))
            self.error = min(bound, max(bound / 50, _SAFETY * change * ratio / (1 - ratio)))
        noise = _ROUNDING * self.epsilon * largest
        attainable = leading_error(leading, noise.expand(rank), below)
        beyond = self.epsilon > 1e-10 and attainable > self.accuracy  # float64 may go on
        settled = beyond and (bound <= _ASYMPTOTIC or bool((rest <= 50 * noise).all()))
        self.exhausted = settled or bool((rest <= 4 * noise).all())
        if self.exhausted:
            self.error = max(self.error, attainable)
        self.error = max(self.error, self.least)
        self.rank, self._bound = rank, bound
        self.carry(left, right)

    def carry(self, left: Tensor, right: Tensor) -> None:
        """Remember the latest P_k by these vectors, or coefficients in a new basis.

        Args:
            left: as in `update`.
            right: as in `update`.

        Source: elementary.
        """
        self._before = left[: self.rank], right[: self.rank]


def _distance(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> float:
    """||P - P'||_F / sqrt k of two sums of k products; a basis that has grown pads the earlier coefficients."""
    overlap: Any = 1.0
    for old, new in zip(before, after, strict=True):
        width = min(old.shape[-1], new.shape[-1])
        parts = [part[:, :width].double() for part in (old, new)]
        if parts[0].device.type == "cpu":  # numpy, for Lanczos is, and torch would wait for its threads
            overlap = overlap * (parts[0].numpy() @ parts[1].numpy().T)
        else:
            overlap = overlap * (parts[0] @ parts[1].mT)
    return math.sqrt(max(0.0, 2 - 2 * float(overlap.sum()) / max(len(after[0]), 1)))
