"""The Ky Fan k-norm and its dual: the family between the spectral and the nuclear norm that makes the Fanions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from muon_theory.norms.norm import Norm
from muon_theory.norms.projections import ky_fan, project_capped, project_ky_fan
from muon_theory.norms.schatten import Nuclear, SingularValueNorm, Spectral, leading


@dataclass(frozen=True)
class KyFan(SingularValueNorm):
    """Ky Fan k-norm, the sum of the k largest singular values; its dual is max(sigma_1, ||.||_* / k).

    lmo(G) = -u_1 v_1^T where sigma_1 > ||G||_* / k, else -U V^T / k: rank one or full rank, nothing in between. Of a
    real k the value takes the last singular value with the fraction. At sigma_1 = ||G||_* / k, where both are optimal,
    it is the second, which is unique for full rank.

    Attributes:
        k: real, 1 <= k <= min(rows, columns); 1 is the spectral norm, min(rows, columns) the nuclear norm.

    Raises:
        ValueError: k < 1 or NaN; when used, k > min(rows, columns).

    Source: Fan 1951; Bhatia 1997, Matrix Analysis, p. 96, for the dual; Kravatskiy et al. 2025 (arXiv 2512.09678) for
        the LMO. Real k: derived here, checked in tests/norms/test_against_cvxpy.py.

    Example:
        >>> G = torch.diag(torch.tensor([4.0, 2.0, 1.0]))
        >>> KyFan(2).value(G), KyFan(2).dual(G), KyFan(1.5).value(G)
        (tensor(6.), tensor(4.), tensor(5.))
    """

    k: float

    def __post_init__(self) -> None:
        _check_k(self.k)

    @override
    def _check_shape(self, rows: int, columns: int) -> None:
        _check_rank(self.k, rows, columns)

    @override
    def _parts(self, rows: int, columns: int) -> tuple[tuple[float, Norm], ...]:
        return ((1.0, Spectral() if self.k == 1 else Nuclear() if self.k == min(rows, columns) else self),)

    @override
    def _gauge_of(self, sigma: Tensor) -> Tensor:
        return ky_fan(sigma, self.k)

    @override
    def _support_of(self, sigma: Tensor) -> Tensor:
        return torch.maximum(sigma.amax(dim=-1), sigma.sum(dim=-1) / self.k)

    @override
    def _maximizer_of(self, sigma: Tensor, kept: Tensor) -> Tensor:
        rank = kept.sum(dim=-1, keepdim=True, dtype=sigma.dtype).clamp_min(
            1
        )  # below k only where nearly zero directions were dropped
        flat = kept / rank.clamp_max(self.k)
        peaked = sigma[..., 0] * self.k > sigma.sum(dim=-1)
        return torch.where(peaked[..., None], leading(sigma, 1.0) * kept, flat)

    @override
    def _projection_of(self, sigma: Tensor, radius: Tensor) -> Tensor:
        return project_ky_fan(sigma, self.k, radius)


@dataclass(frozen=True)
class DualKyFan(SingularValueNorm):
    """Dual of the Ky Fan k-norm, max(sigma_1, ||.||_* / k); its dual is the Ky Fan k-norm; its LMO makes Fanion-k.

    lmo(G) = -P_k(G) = -(u_1 v_1^T + ... + u_k v_k^T), of a real k the last term with the fraction; below rank k the
    sum ends at the rank. Where sigma_k = sigma_(k+1), the directions that tie share what the sum has left for them, so
    that lmo(O G W) = O lmo(G) W for orthogonal O and W there too.

    Attributes:
        k: real, 1 <= k <= min(rows, columns); 1 is the nuclear norm (Neon), min(rows, columns) the spectral one (Muon).

    Raises:
        ValueError: k < 1 or NaN; when used, k > min(rows, columns).

    Source: Kravatskiy et al. 2025 (arXiv 2512.09678), lemma on the dual Ky Fan ball; real k and ties derived here,
        checked in tests/norms/test_against_cvxpy.py.

    Example:
        >>> G = torch.diag(torch.tensor([4.0, 2.0, 1.0]))
        >>> DualKyFan(2).dual(G), DualKyFan(2).lmo(G).diag()
        (tensor(6.), tensor([-1., -1.,  0.]))
    """

    k: float

    def __post_init__(self) -> None:
        _check_k(self.k)

    @override
    def _check_shape(self, rows: int, columns: int) -> None:
        _check_rank(self.k, rows, columns)

    @override
    def _parts(self, rows: int, columns: int) -> tuple[tuple[float, Norm], ...]:
        return ((1.0, Nuclear() if self.k == 1 else Spectral() if self.k == min(rows, columns) else self),)

    @override
    def _gauge_of(self, sigma: Tensor) -> Tensor:
        return torch.maximum(sigma.amax(dim=-1), sigma.sum(dim=-1) / self.k)

    @override
    def _support_of(self, sigma: Tensor) -> Tensor:
        return ky_fan(sigma, self.k)

    @override
    def _maximizer_of(self, sigma: Tensor, kept: Tensor) -> Tensor:
        return leading(sigma, self.k) * kept

    @override
    def _projection_of(self, sigma: Tensor, radius: Tensor) -> Tensor:
        return project_capped(sigma, radius, self.k * radius)


def _check_k(k: float) -> None:
    """Refuse k < 1 and NaN."""
    if not k >= 1:
        raise ValueError(f"k is {k!r}; a Ky Fan norm needs k >= 1")


def _check_rank(k: float, rows: int, columns: int) -> None:
    """Refuse k > min(rows, columns)."""
    if k > min(rows, columns):
        raise ValueError(
            f"k is {k!r}, but a {rows} x {columns} matrix has only {min(rows, columns)} singular values; "
            f"choose k <= {min(rows, columns)}"
        )
