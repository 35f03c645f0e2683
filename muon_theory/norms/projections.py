"""Nearest points of the balls that the gauge of a mixture is built from, for vectors of absolute or singular values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_ITERATIONS = 120


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

    By Moreau's decomposition it is `s - clip(s - mu, 0, lam)`: entries above mu + lam lose lam, those down to mu become
    mu, the others stay. How many these are is found by solving for (lam, mu) under every hypothesis.

    Args:
        s: nonnegative vectors of shape (*batch, r), any order.
        k: real, in [1, r].
        radius: >= 0, shape (*batch,).

    Returns:
        Tensor of shape (*batch, r).

    Source: derived here from Moreau 1962, checked in tests/norms/test_projections.py.

    Accuracy: exact up to rounding.

    Cost: r^2 for each vector.

    Example:
        >>> project_ky_fan(torch.tensor([3.0, 1.0, 0.5]), 2.0, torch.tensor(2.0))
        tensor([1.8333, 0.1667, 0.1667])
    """
    flat = project_capped(s, torch.full_like(radius, torch.inf), radius)  # right where it takes at most k lam away
    lam, mu = _ky_fan_levels(s.sort(dim=-1, descending=True).values, k, radius)
    z = s - (s - mu).clamp_min(0).minimum(lam)
    taken = s - flat
    few = taken.sum(dim=-1, keepdim=True) <= k * taken.amax(dim=-1, keepdim=True)
    z = torch.where(few, flat, z)
    return torch.where((ky_fan(s, k) > radius)[..., None], z, s)


def _ky_fan_levels(s: Tensor, k: float, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Of descending s: lam and mu with a entries above mu + lam, b above mu, from the (a, b) that contradicts least."""
    r = s.shape[-1]
    count = torch.arange(r + 1, dtype=s.dtype, device=s.device)
    a, b = count[:, None], count[None, :]
    sums = torch.cat([torch.zeros_like(s[..., :1]), s.cumsum(dim=-1)], dim=-1)
    upper = torch.cat([torch.full_like(s[..., :1], torch.inf), s], dim=-1)
    lower = torch.cat([s, torch.zeros_like(s[..., :1])], dim=-1)
    missing, between = radius[..., None, None] - sums[..., :, None], sums[..., None, :] - sums[..., :, None]
    # sum_(i <= a) (s_i - lam) + (k - a) mu = radius and a lam + sum_(a < i <= b) (s_i - mu) = k lam
    allowed = (a <= k) & (b >= k) & (b > a)
    minor = torch.where(allowed, a * (b - a) + (k - a).square(), 1)
    lam = ((k - a) * between - (b - a) * missing) / minor
    mu = (a * between + (k - a) * missing) / minor
    top = mu + lam
    doubt = torch.stack([top - upper[..., :, None], lower[..., :, None] - top, mu - upper[..., None, :],
                         lower[..., None, :] - mu, -mu, -lam]).amax(dim=0)  # fmt: skip
    choice = torch.where(allowed, doubt, torch.inf).flatten(-2).argmin(dim=-1, keepdim=True)
    return lam.flatten(-2).gather(-1, choice).clamp_min(0), mu.flatten(-2).gather(-1, choice)


def project_power(s: Tensor, p: float, radius: Tensor) -> Tensor:
    """Nearest point of {z : (sum z_i^p)^(1/p) <= radius} to a nonnegative vector, 1 < p < inf.

    z_i + lam z_i^(p - 1) = s_i with lam such that the bound is attained; both by root-finding.

    Args:
        s: nonnegative vectors of shape (*batch, r), any order, float64.
        p: exponent in (1, inf); up to about 100.
        radius: > 0, shape (*batch,).

    Returns:
        Tensor of shape (*batch, r).

    Source: elementary (stationarity of the Lagrangian).

    Accuracy: 1e-14 relative to the largest entry.

    Cost: some 200 passes over the vector.

    Example:
        >>> project_power(torch.tensor([3.0, 4.0]).double(), 2.0, torch.tensor(1.0).double())
        tensor([0.6000, 0.8000], dtype=torch.float64)
    """
    size = nonzero(s.amax(dim=-1))
    s, bound = s / size[..., None], radius / size

    largest_lam = (s.shape[-1] ** (1 / p) / bound).pow(p - 1)  # for max z >= bound r^(-1/p) and s <= 1

    def shrunk(weight: Tensor) -> Tensor:
        return _shrink(s, p, (weight * largest_lam)[..., None])

    def excess(weight: Tensor) -> Tensor:
        return shrunk(weight).pow(p).sum(dim=-1).pow(1 / p) - bound

    outside = excess(torch.zeros_like(size)) > 0
    weight = _root(excess, torch.ones_like(size))
    return size[..., None] * torch.where(outside[..., None], shrunk(weight), s)


def _shrink(s: Tensor, p: float, lam: Tensor) -> Tensor:
    """Root z of z + lam z^(p - 1) = s >= 0, elementwise: Newton's method from the right of a convex function."""
    power = max(p - 1, 1 / (p - 1))  # for p < 2 the unknown is z^(p - 1)
    linear, factor = (torch.ones_like(lam), lam) if p >= 2 else (lam, torch.ones_like(lam))
    y = torch.minimum(s / linear.clamp_min(1e-300), (s / factor.clamp_min(1e-300)).pow(1 / power))
    for _ in range(_ITERATIONS):
        slope = linear + factor * power * y.pow(power - 1)
        step = (linear * y + factor * y.pow(power) - s) / slope.clamp_min(1e-300)
        y = (y - step).clamp_min(0)
        if not bool((step > 1e-16).any()):
            break
    return y if p >= 2 else y.pow(power)


def nonzero(size: Tensor) -> Tensor:
    """The divisor that a size gives: 1 where it is zero.

    Args:
        size: tensor of any shape.

    Returns:
        Tensor of the same shape, nonzero.

    Source: elementary.

    Example:
        >>> nonzero(torch.tensor([0.0, 2.0]))
        tensor([1., 2.])
    """
    return torch.where(size == 0, 1, size)


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


def _root(decreasing: Callable[[Tensor], Tensor], upper: Tensor) -> Tensor:
    """Root in [0, upper] of a decreasing function, elementwise: false position, every third step a bisection."""
    low, high = torch.zeros_like(upper), upper
    at_low, at_high = decreasing(low), decreasing(high)
    enough = 1e-16 * (at_low - at_high).abs()
    best, least = low, torch.full_like(low, torch.inf)
    for iteration in range(_ITERATIONS):
        middle = (low + high) / 2
        if iteration % 3 < 2:
            drop = at_low - at_high
            guess = low + (high - low) * (at_low / torch.where(drop > 0, drop, 1))
            middle = torch.where((guess > low) & (guess < high), guess, middle)
        value = decreasing(middle)
        above, better = value > 0, value.abs() < least
        best, least = torch.where(better, middle, best), torch.where(better, value.abs(), least)
        # Illinois: the value at the end that stays is halved, so that both ends move
        at_low, at_high = torch.where(above, value, at_low / 2), torch.where(above, at_high / 2, value)
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        if not bool(((least > enough) & (high - low > 1e-16 * upper)).any()):
            break
    return best
