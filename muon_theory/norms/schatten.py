"""Norms of the singular values: Frobenius, spectral, nuclear, Schatten p, and what unitarily invariant norms share."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from muon_theory.norms.norm import Norm
from muon_theory.norms.projections import nonzero, project_capped, project_power
from muon_theory.polar.exact import polar_factor

# Two computed singular values closer than this, relative to sigma_1, tie: each carries up to 32 eps of rounding.
_TIE = 64 * torch.finfo(torch.float64).eps


class SingularValueNorm(Norm):
    r"""A unitarily invariant norm: a symmetric gauge function of the singular values.

    Value, dual and projection act on sigma alone, and lmo(G) = -U diag(d) V^T with the singular vectors of
    G = U diag(sigma) V^T.

    Source: von Neumann 1937 (trace inequality); Bhatia 1997, Matrix Analysis, chapter IV.

    Cost: one SVD in float64 a matrix.
    """

    @property
    @override
    def unitarily_invariant(self) -> bool:
        return True

    @override
    def _gauge(self, Y: Tensor) -> Tensor:
        return self._gauge_of(torch.linalg.svdvals(Y))

    @override
    def _support(self, Y: Tensor) -> Tensor:
        return self._support_of(torch.linalg.svdvals(Y))

    @override
    def _maximizer(self, Y: Tensor, tolerance: float) -> Tensor:
        U, sigma, Vt = torch.linalg.svd(Y, full_matrices=False)
        kept = sigma > tolerance * sigma[..., :1]
        return (U * self._maximizer_of(sigma, kept)[..., None, :]) @ Vt

    @override
    def _projection(self, Y: Tensor, radius: Tensor) -> Tensor:
        U, sigma, Vt = torch.linalg.svd(Y, full_matrices=False)
        return (U * self._projection_of(sigma, radius)[..., None, :]) @ Vt

    @abstractmethod
    def _gauge_of(self, sigma: Tensor) -> Tensor:
        """The norm from descending singular values (*batch, r)."""

    @abstractmethod
    def _support_of(self, sigma: Tensor) -> Tensor:
        """The dual norm from descending singular values (*batch, r)."""

    @abstractmethod
    def _maximizer_of(self, sigma: Tensor, kept: Tensor) -> Tensor:
        """Singular values of the maximizer; `kept` marks those that do not count as zero."""

    @abstractmethod
    def _projection_of(self, sigma: Tensor, radius: Tensor) -> Tensor:
        """Nearest point of the ball to a nonnegative vector, which need not be sorted."""


@dataclass(frozen=True)
class Frobenius(SingularValueNorm):
    """Frobenius norm sqrt(sum sigma_i^2), its own dual; lmo(G) = -G / ||G||_F (normalised gradient descent).

    Source: elementary.

    Example:
        >>> Frobenius().dual(torch.tensor([[3.0, -4.0]]))
        tensor(5.)
    """

    @override
    def _gauge(self, Y: Tensor) -> Tensor:
        return torch.linalg.matrix_norm(Y)

    @override
    def _support(self, Y: Tensor) -> Tensor:
        return torch.linalg.matrix_norm(Y)

    @override
    def _maximizer(self, Y: Tensor, tolerance: float) -> Tensor:
        return Y / nonzero(torch.linalg.matrix_norm(Y))[..., None, None]

    @override
    def _gauge_of(self, sigma: Tensor) -> Tensor:
        return torch.linalg.vector_norm(sigma, dim=-1)

    @override
    def _support_of(self, sigma: Tensor) -> Tensor:
        return self._gauge_of(sigma)

    @override
    def _maximizer_of(self, sigma: Tensor, kept: Tensor) -> Tensor:
        return sigma / nonzero(self._gauge_of(sigma))[..., None]

    @override
    def _projection(self, Y: Tensor, radius: Tensor) -> Tensor:
        return Y * (radius / nonzero(torch.linalg.matrix_norm(Y))).clamp_max(1)[..., None, None]

    @override
    def _projection_of(self, sigma: Tensor, radius: Tensor) -> Tensor:
        return sigma * (radius / nonzero(self._gauge_of(sigma))).clamp_max(1)[..., None]


@dataclass(frozen=True)
class Spectral(SingularValueNorm):
    """Spectral norm sigma_1, the operator norm from l2 to l2; its dual is the nuclear norm; lmo(G) = -U V^T (Muon).

    Source: elementary; Bernstein and Newhouse 2024 (arXiv 2409.20325).

    Accuracy: the LMO is that of `polar_factor`, zero directions staying zero.

    Example:
        >>> Spectral().lmo(torch.tensor([[3.0, 0.0], [0.0, -1e-3]]))
        tensor([[-1.,  0.],
                [ 0.,  1.]])
    """

    @override
    def lmo(self, G: Tensor) -> Tensor:
        return polar_factor(G).neg_().add_(0.0)

    @override
    def _gauge_of(self, sigma: Tensor) -> Tensor:
        return sigma.amax(dim=-1)

    @override
    def _support_of(self, sigma: Tensor) -> Tensor:
        return sigma.sum(dim=-1)

    @override
    def _maximizer_of(self, sigma: Tensor, kept: Tensor) -> Tensor:
        return kept.to(sigma.dtype)

    @override
    def _projection_of(self, sigma: Tensor, radius: Tensor) -> Tensor:
        return torch.minimum(sigma, radius[..., None])


@dataclass(frozen=True)
class Nuclear(SingularValueNorm):
    """Nuclear norm sum sigma_i; its dual is the spectral norm; lmo(G) = -u_1 v_1^T (Neon).

    Where sigma_1 = ... = sigma_j the LMO is -(u_1 v_1^T + ... + u_j v_j^T) / j.

    Source: elementary; Kravatskiy et al. 2025 (arXiv 2512.09678) for the name Neon.

    Example:
        >>> Nuclear().lmo(torch.tensor([[3.0, 0.0], [0.0, -1.0]]))
        tensor([[-1., 0.],
                [ 0., 0.]])
    """

    @override
    def _gauge_of(self, sigma: Tensor) -> Tensor:
        return sigma.sum(dim=-1)

    @override
    def _support_of(self, sigma: Tensor) -> Tensor:
        return sigma.amax(dim=-1)

    @override
    def _maximizer_of(self, sigma: Tensor, kept: Tensor) -> Tensor:
        return leading(sigma, 1.0) * kept

    @override
    def _projection_of(self, sigma: Tensor, radius: Tensor) -> Tensor:
        return project_capped(sigma, torch.full_like(radius, math.inf), radius)


@dataclass(frozen=True)
class Schatten(SingularValueNorm):
    """Schatten norm (sum sigma_i^p)^(1/p), p in [1, inf]; its dual is the Schatten norm of q, 1/p + 1/q = 1.

    lmo(G) = -U diag(sigma^(q - 1)) V^T / (sum sigma^q)^((q - 1)/q): Neon at p = 1, normalised gradient descent at
    p = 2, Muon at p = inf.

    Attributes:
        p: exponent in [1, inf].

    Raises:
        ValueError: p < 1 or NaN.

    Source: elementary (Hoelder); Kravatskiy et al. 2025 (arXiv 2512.09678).

    Example:
        >>> Schatten(4.0).value(torch.eye(16))
        tensor(2.)
    """

    p: float

    def __post_init__(self) -> None:
        if not self.p >= 1:
            raise ValueError(f"p is {self.p!r}; a Schatten norm needs p in [1, inf]")

    @override
    def _parts(self, rows: int, columns: int) -> tuple[tuple[float, Norm], ...]:
        return ((1.0, {1.0: Nuclear(), 2.0: Frobenius(), math.inf: Spectral()}.get(float(self.p), self)),)

    @override
    def _gauge_of(self, sigma: Tensor) -> Tensor:
        return _power_norm(sigma, self.p)

    @override
    def _support_of(self, sigma: Tensor) -> Tensor:
        return _power_norm(sigma, self._conjugate)

    @override
    def _maximizer_of(self, sigma: Tensor, kept: Tensor) -> Tensor:
        if self.p == 1:
            return leading(sigma, 1.0) * kept
        relative = sigma * kept / nonzero(sigma[..., :1])
        powers = relative.pow(self._conjugate - 1) * kept
        return powers / nonzero(_power_norm(powers, self.p))[..., None]

    @override
    def _projection_of(self, sigma: Tensor, radius: Tensor) -> Tensor:
        return project_power(sigma, self.p, radius)

    @property
    def _conjugate(self) -> float:
        """The exponent q of the dual norm."""
        return 1.0 if math.isinf(self.p) else math.inf if self.p == 1 else self.p / (self.p - 1)


def leading(sigma: Tensor, k: float) -> Tensor:
    """Weights in [0, 1] of the k leading singular values, of total k; those which tie at the end share what is left.

    `1` above the tie, `(k - j) / t` on the t tied ones after the j above, `0` below; a tie is a gap of at most 64 eps
    sigma_1 (float64).

    Args:
        sigma: descending singular values, shape (*batch, r), float64.
        k: real, in [1, r].

    Returns:
        Tensor of shape (*batch, r), in [0, 1], of sum k.

    Source: elementary; the point of least Frobenius norm among the maximizers of sum d_i sigma_i.

    Example:
        >>> leading(torch.tensor([3.0, 1.0, 1.0, 1.0], dtype=torch.float64), 2)
        tensor([1.0000, 0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """
    gaps = sigma[..., :-1] - sigma[..., 1:] > _TIE * sigma[..., :1]
    group = torch.cat([torch.zeros_like(gaps[..., :1]), gaps], dim=-1) if sigma.shape[-1] > 1 else sigma > math.inf
    group = group.cumsum(dim=-1)
    above = torch.searchsorted(group, group)
    tied = torch.searchsorted(group, group, right=True) - above
    return (k - above.to(sigma.dtype)).clamp_min(0).minimum(tied) / tied


def _power_norm(s: Tensor, p: float) -> Tensor:
    """(sum s_i^p)^(1/p) of nonnegative vectors, without overflow."""
    largest = s.amax(dim=-1)
    if math.isinf(p):
        return largest
    return largest * (s / nonzero(largest)[..., None]).pow(p).sum(dim=-1).pow(1 / p)
