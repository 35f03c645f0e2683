"""Curvature functions H of the model: convex, nondecreasing, H(0) = 0, smooth but for kinks; and measured ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Array = NDArray[np.float64]
Radial = Callable[[Array], Array]
PROBES = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 200)])


@dataclass(frozen=True)
class Growth:
    """H(r) = h(r) + sum_j b_j (r - c_j)_+ with h convex, nondecreasing, twice differentiable on r > 0, h(0) = 0.

    Every convex nondecreasing H is a limit of such sums, so this is the general H; of the callables nothing else is
    known to a solver. They take and return arrays (N,) of radii r >= 0.

    Args:
        smooth: h.
        slope: h'; at 0 the right derivative.
        curvature: h'', asked for at r > 0 only.
        kinks: pairs (radius c_j > 0, jump b_j > 0), any number of them.
        last_slope: limit of H'(r) as r grows, the jumps included; inf where H grows faster than linearly.

    Raises:
        ValueError: h(0) is not 0, a slope is negative or falls on 1e-6 <= r <= 1e6, or a kink is not positive.

    Source: elementary.

    >>> H = kinked_growth(0.5, 2.0, radius=1.0)
    >>> H.value(np.array([1.0, 3.0])).tolist(), H.right_slope(np.array([0.5, 1.0])).tolist()
    ([0.5, 4.5], [0.5, 2.0])
    """

    smooth: Radial
    slope: Radial
    curvature: Radial
    kinks: tuple[tuple[float, float], ...] = ()
    last_slope: float = math.inf

    def __post_init__(self) -> None:
        for radius, jump in self.kinks:
            if not (0 < radius < math.inf and 0 < jump < math.inf):
                raise ValueError(f"kinks hold ({radius}, {jump}); radius and jump must be positive and finite")
        with np.errstate(over="ignore"):
            start, slopes = float(self.smooth(PROBES[:1])[0]), self.slope(PROBES)
        if start != 0:
            raise ValueError(f"smooth(0) is {start}; H must vanish at 0: subtract the constant")
        if bool(np.any(np.isnan(slopes))) or slopes.min() < 0:
            raise ValueError(
                "slope is negative or NaN somewhere; H must be nondecreasing, or the program is not convex"
            )
        with np.errstate(invalid="ignore"):
            falls = slopes[1:] < slopes[:-1] * (1 - 1e-9)
        if bool(np.any(falls)):
            raise ValueError(f"slope falls near r = {PROBES[1:][falls][0]:.3g}; H must be convex")

    def value(self, r: Array) -> Array:
        """H at radii.

        Args:
            r: (N,), >= 0.

        Returns:
            H(r), (N,).

        Source: elementary.
        """
        return self.smooth(r) + sum((jump * np.maximum(r - radius, 0) for radius, jump in self.kinks), np.zeros_like(r))

    def right_slope(self, r: Array) -> Array:
        """Right derivative of H.

        Args:
            r: (N,), >= 0.

        Returns:
            H'(r+), (N,).

        Source: elementary.
        """
        return self.slope(r) + sum((jump * (r >= radius) for radius, jump in self.kinks), np.zeros_like(r))

    def conjugate_bound(self, y: Array, largest: float = 1e12) -> Array:
        """An upper bound of H*(y) = sup_r y r - H(r), tight to rounding: tangents of both ends of a bisected bracket.

        Args:
            y: slopes, (N,), 0 <= y <= last_slope.
            largest: radius up to which the maximiser is looked for; beyond the slope is taken to be last_slope.

        Returns:
            (N,), >= 0; inf where y exceeds every slope found.

        Source: elementary (concavity: the maximum lies below both tangents).

        >>> power_growth(2.0).conjugate_bound(np.array([3.0])).round(9).tolist()
        [2.25]
        """
        low, high = np.zeros_like(y), np.full_like(y, largest)
        edges = sorted({0.0, *(radius for radius, _ in self.kinks)})
        for edge in edges:  # kinks are exact ends, so that a slope inside a jump gets its exact conjugate
            at = np.full_like(y, edge)
            before = self.right_slope(at) <= y
            low, high = np.where(before, np.maximum(low, edge), low), np.where(before, high, np.minimum(high, edge))
        for _ in range(110):
            middle = np.where(low > 0, np.sqrt(low * high), high * 1e-3)
            below = self.right_slope(middle) <= y
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        outside = y - self.right_slope(np.full_like(y, largest)) > 0
        found = np.maximum(0.0, y * low - self.value(low) + np.maximum(y - self.right_slope(low), 0) * (high - low))
        return np.where(outside & (y > self.last_slope), np.inf, found)


def power_growth(p: float, scale: float = 1.0) -> Growth:
    """H(r) = scale r^p.

    Args:
        p: >= 1.
        scale: > 0.

    Returns:
        The growth.

    Raises:
        ValueError: p < 1, which is not convex, or a scale that is not positive.

    Source: elementary.

    >>> power_growth(4.0).slope(np.array([2.0])).tolist()
    [32.0]
    """
    if not (math.isfinite(p) and p >= 1):
        raise ValueError(f"p = {p}: r^p is convex for p >= 1 only")
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale = {scale}: it must be positive and finite")
    last = scale if p == 1 else math.inf
    return Growth(
        lambda r: scale * r**p,
        lambda r: scale * p * r ** (p - 1),
        lambda r: scale * p * (p - 1) * r ** (p - 2),
        last_slope=last,
    )


def kinked_growth(low: float, high: float, radius: float = 1.0) -> Growth:
    """H(r) = A r up to the kink radius c, A c + B (r - c) beyond.

    Args:
        low: slope A below the kink, >= 0.
        high: slope B above, > A.
        radius: c > 0.

    Returns:
        The growth.

    Raises:
        ValueError: not 0 <= A < B, or c is not positive.

    Source: Su 2025, arXiv 2511.00674, Assumption 3 (a kink with a small left and a large right derivative).

    >>> kinked_growth(0.0, 1.0).last_slope
    1.0
    """
    if not 0 <= low < high < math.inf:
        raise ValueError(f"low = {low}, high = {high}: the slopes must satisfy 0 <= low < high, both finite")
    kinks = ((radius, high - low),)
    return Growth(lambda r: low * r, lambda r: np.full_like(r, low), np.zeros_like, kinks, last_slope=high)


class LossAround:
    """A loss as a function of one matrix, around a point W: its gradient and what it costs beyond first order.

    Args:
        loss: from a matrix like `weight` to a scalar tensor, differentiable.
        weight: W, (m, n), float64 for remainders of small steps; not modified.

    Raises:
        ValueError: the loss or its gradient at W is not finite.

    Source: elementary; the remainder's protocol after Su 2025, arXiv 2511.00674, Figure 1 (relayed).

    >>> around = LossAround(lambda W: (W**2).sum(), torch.ones(2, 2, dtype=torch.float64))
    >>> around.value, around.remainder(torch.eye(2, dtype=torch.float64), [1.0, 2.0]).tolist()
    (4.0, [2.0, 8.0])
    """

    def __init__(self, loss: Callable[[Tensor], Tensor], weight: Tensor) -> None:
        self.loss, self.weight = loss, weight.detach().clone()
        variable = weight.detach().clone().requires_grad_()
        start = loss(variable)
        self.gradient = torch.autograd.grad(start, variable)[0]
        self.value = float(start.detach())
        if not (math.isfinite(self.value) and bool(torch.isfinite(self.gradient).all())):
            raise ValueError(
                f"loss is {self.value} at weight, or its gradient is not finite; give a point where both are"
            )

    @torch.no_grad()
    def remainder(self, D: Tensor, radii: ArrayLike) -> Array:
        """The remainder loss(W - r D) - loss(W) + r <G, D>: the model's E H(r ||D zeta||).

        Args:
            D: direction, (m, n).
            radii: r, (k,).

        Returns:
            (k,), in the unit of the loss.

        Source: elementary.
        """
        slope = float((self.gradient * D).sum())
        steps = [float(r) for r in np.asarray(radii, dtype=np.float64)]
        return np.array([float(self.loss(self.weight - r * D)) - self.value + r * slope for r in steps])
