"""Nearest points of the balls that the gauge of a mixture is built from, for vectors of absolute or singular values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_BISECTIONS = 100


def project_capped(s: Tensor, cap: Tensor, total: Tensor) -> Tensor:
    r"""Nearest point of {z : 0 <= z_i <= cap, sum z_i <= total} to a nonnegative vector.

    `clip(s - lam, 0, cap)` with lam = 0 where the sum allows it, and else the root of sum clip(s - lam, 0, cap) =
    total: piecewise linear in lam with its kinks at s_i and s_i - cap, between which it is interpolated. With total
    = k cap this is the ball of the dual Ky Fan k-norm.

    Args:
        s: nonnegative vectors of shape (*batch, r), any order.
        cap: bound of each entry, >= 0, shape (*batch,); inf for none.
        total: bound of the sum, >= 0, shape (*batch,); inf for none.

    Returns:
        Tensor of shape (*batch, r).

    Source: Duchi, Shalev-Shwartz, Singer and Chandra 2008 for cap = inf; with a cap derived here, checked in
        tests/norms/test_projections.py.

    Accuracy: exact up to rounding.

    Cost: r^2 for each vector.

    Example:
        >>> one = torch.tensor(1.0)
        >>> project_capped(torch.tensor([3.0, 1.0, 0.5]), one, 2 * one)
        tensor([1.0000, 0.7500, 0.2500])
    """
    cap, total = cap[..., None], total[..., None]
    z = torch.minimum(s, cap)
    kinks = torch.cat([s, (s - cap).clamp_min(0), torch.zeros_like(s[..., :1])], dim=-1).sort(dim=-1).values
    sums = (s[..., None, :] - kinks[..., :, None]).clamp_min(0).minimum(cap[..., None]).sum(dim=-1)
    last = (sums >= total).sum(dim=-1, keepdim=True).clamp(1, kinks.shape[-1] - 1)  # sums descend
    left, right = kinks.gather(-1, last - 1), kinks.gather(-1, last)
    high, low = sums.gather(-1, last - 1), sums.gather(-1, last)
    lam = left + (right - left) * torch.where(high > low, (high - total) / (high - low), 0)
    return torch.where(z.sum(dim=-1, keepdim=True) <= total, z, (s - lam).clamp_min(0).minimum(cap))


def project_ky_fan(s: Tensor, k: float, radius: Tensor) -> Tensor:
    """Nearest point of {z : the k largest entries sum to at most radius} to a nonnegative vector.

    By Moreau's decomposition it is s minus the projection onto lam times the ball of the dual norm, lam such that the
    bound is attained.

    Args:
        s: nonnegative vectors of shape (*batch, r), any order.
        k: real, in [1, r].
        radius: >= 0, shape (*batch,).

    Returns:
        Tensor of shape (*batch, r).

    Source: Moreau 1962; elementary.

    Accuracy: lam by bisection to float64 resolution.

    Cost: 100 capped projections.

    Example:
        >>> project_ky_fan(torch.tensor([3.0, 1.0, 0.5]), 2.0, torch.tensor(2.0))
        tensor([1.8333, 0.1667, 0.1667])
    """

    def remainder(lam: Tensor) -> Tensor:
        return s - project_capped(s, lam, k * lam)

    outside = ky_fan(s, k) > radius
    lam = _bisect(lambda lam: ky_fan(remainder(lam), k) - radius, s.amax(dim=-1))
    return torch.where(outside[..., None], remainder(lam), s)


def project_power(s: Tensor, p: float, radius: Tensor) -> Tensor:
    """Nearest point of {z : (sum z_i^p)^(1/p) <= radius} to a nonnegative vector, 1 < p < inf.

    z_i + lam z_i^(p - 1) = s_i with lam such that the bound is attained; both by bisection.

    Args:
        s: nonnegative vectors of shape (*batch, r), any order.
        p: exponent in (1, inf).
        radius: > 0, shape (*batch,).

    Returns:
        Tensor of shape (*batch, r).

    Source: elementary (stationarity of the Lagrangian).

    Accuracy: 1e-14 relative to the largest entry.

    Cost: 10^4 passes over the vector.

    Example:
        >>> project_power(torch.tensor([3.0, 4.0]), 2.0, torch.tensor(1.0))
        tensor([0.6000, 0.8000])
    """

    def shrunk(weight: Tensor) -> Tensor:
        lam = (weight / (1 - weight))[..., None]  # weight in [0, 1) runs through all multipliers
        return _bisect(lambda z: s - z - lam * z.pow(p - 1), s)

    size = s.amax(dim=-1)
    size = torch.where(size > 0, size, 1)

    def length(z: Tensor) -> Tensor:
        return size * (z / size[..., None]).pow(p).sum(dim=-1).pow(1 / p)

    weight = _bisect(lambda weight: length(shrunk(weight)) - radius, torch.ones_like(size))
    weight = weight.clamp_max(1 - 1e-16)
    return torch.where((length(s) > radius)[..., None], shrunk(weight), s)


def ky_fan(s: Tensor, k: float) -> Tensor:
    """Sum of the k largest entries; of a real k the last one enters with the fraction.

    Args:
        s: vectors of shape (*batch, r), any order.
        k: real, in [1, r].

    Returns:
        Tensor of shape (*batch,).

    Source: Fan 1951 for integer k; for real k the support function of {|d_i| <= 1, sum |d_i| <= k}.

    Example:
        >>> ky_fan(torch.tensor([1.0, 4.0, 2.0]), 1.5)
        tensor(5.)
    """
    rank = torch.arange(s.shape[-1], dtype=s.dtype, device=s.device)
    return (s.sort(dim=-1, descending=True).values * (k - rank).clamp(0, 1)).sum(dim=-1)


def _bisect(decreasing: Callable[[Tensor], Tensor], upper: Tensor) -> Tensor:
    """Root in [0, upper] of a decreasing function, elementwise."""
    low, high = torch.zeros_like(upper), upper
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = decreasing(middle) > 0
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (low + high) / 2
