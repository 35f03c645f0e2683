"""Exact norms whose unit ball is a weighted sum of a dual Ky Fan ball and the Frobenius ball: the F-Fanions.

Y has norm at most t if Y = Z + W with ||Z||_2 <= alpha t, ||Z||_* <= k alpha t and ||W||_F <= (1 - alpha) t. Only the
singular values of Y matter. The update alpha P_k + (1 - alpha) G / ||G||_F has norm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from muon_theory.norms.projections import ky_fan, nonzero, project_capped

_NEWTON_STEPS = 200


def f_muon_gauge(sigma: Tensor, alpha: float) -> Tensor:
    r"""Norm of F-Muon: the t with ||(sigma - alpha t)_+||_2 = (1 - alpha) t.

    With the j largest singular values above alpha t, and S_1, S_2 the sums of these and of their squares, t is the
    smaller positive root of `(j alpha^2 - (1 - alpha)^2) t^2 - 2 alpha S_1 t + S_2 = 0`.

    Args:
        sigma: descending singular values, shape (*batch, r), float64.
        alpha: weight of the spectral ball, in [0, 1], else a ValueError; 1 gives sigma_1, 0 the Frobenius norm.

    Returns:
        Tensor of shape (*batch,), in the unit of sigma.

    Source: derived here for Kravatskiy et al. 2025 (arXiv 2512.09678), checked in tests/norms/test_against_cvxpy.py.

    Accuracy: a few eps.

    Example:
        >>> f_muon_gauge(torch.tensor([1.0, 1.0], dtype=torch.float64), 0.5)
        tensor(1.1716, dtype=torch.float64)
    """
    check_alpha(alpha)
    largest, s = _relative(sigma)
    sums, squares = s.cumsum(dim=-1), s.square().cumsum(dim=-1)
    excess = (s[..., None, :] - s[..., :, None]).clamp_min(0)
    clipped = alpha * torch.linalg.vector_norm(excess, dim=-1) < (1 - alpha) * s
    count = clipped.sum(dim=-1, keepdim=True).clamp_min(1)
    S_1, S_2 = sums.gather(-1, count - 1)[..., 0], squares.gather(-1, count - 1)[..., 0]
    taken = torch.arange(s.shape[-1], device=s.device) < count
    spread = ((s - S_1[..., None] / count) * taken).square().sum(dim=-1)
    # the discriminant alpha^2 S_1^2 - quadratic S_2, without cancellation: j S_2 - S_1^2 = j spread
    root = ((1 - alpha) ** 2 * S_2 - alpha**2 * (count[..., 0] * spread)).clamp_min(0).sqrt()
    return largest * S_2 / nonzero(alpha * S_1 + root)


def f_neon_gauge(sigma: Tensor, alpha: float) -> Tensor:
    r"""Norm of F-Neon: t = ||min(sigma, tau)||_2 / (1 - alpha) = sum (sigma - tau)_+ / alpha.

    tau in [0, sigma_1] is where `(1 - alpha) sum (sigma - tau)_+ = alpha ||min(sigma, tau)||_2`: a quadratic once the
    number of singular values above tau is known.

    Args:
        sigma: descending singular values, shape (*batch, r), float64.
        alpha: weight of the nuclear ball, in [0, 1], else a ValueError; 1 gives the nuclear norm, 0 the Frobenius
            norm.

    Returns:
        Tensor of shape (*batch,), in the unit of sigma.

    Source: derived here for Kravatskiy et al. 2025 (arXiv 2512.09678), checked in tests/norms/test_against_cvxpy.py.

    Accuracy: a few eps.

    Example:
        >>> f_neon_gauge(torch.tensor([1.0, 1.0], dtype=torch.float64), 0.5)
        tensor(1.6569, dtype=torch.float64)
    """
    check_alpha(alpha)
    largest, s = _relative(sigma)
    above = (s[..., None, :] - s[..., :, None]).clamp_min(0).sum(dim=-1)
    below = torch.linalg.vector_norm(torch.minimum(s[..., None, :], s[..., :, None]), dim=-1)
    count = ((1 - alpha) * above < alpha * below).sum(dim=-1, keepdim=True).clamp_min(1)
    S_1 = s.cumsum(dim=-1).gather(-1, count - 1)[..., 0]
    rest = (s * (torch.arange(s.shape[-1], device=s.device) >= count)).square().sum(dim=-1)
    j, beta = count[..., 0].to(s.dtype), 1 - alpha
    linear = beta**2 * j * S_1
    constant = (beta**2 * S_1.square() - alpha**2 * rest).clamp_min(0)
    root = alpha * (j * (constant + beta**2 * j * rest)).sqrt()  # of linear^2 - quadratic constant
    tau = (constant / nonzero(linear + root))[..., None]
    if alpha > 0.5:
        return largest * (s - tau).clamp_min(0).sum(dim=-1) / alpha
    return largest * torch.linalg.vector_norm(torch.minimum(s, tau), dim=-1) / beta


def f_fanion_gauge(sigma: Tensor, k: float, alpha: float) -> Tensor:
    r"""Norm of F-Fanion-k: the t with dist(sigma, {0 <= z <= alpha t, sum z <= k alpha t}) = (1 - alpha) t.

    Newton's method on t; the distance minus (1 - alpha) t is convex and decreasing, so that the steps rise to the root.
    Each of them is the lower bound <sigma, R> / dual(R) of the norm with the residual R of the projection.

    Args:
        sigma: descending singular values, shape (*batch, r), float64.
        k: real, in [1, r].
        alpha: weight of the dual Ky Fan ball, in [0, 1]; 1 gives max(sigma_1, sum sigma / k), 0 the Frobenius norm.

    Returns:
        Tensor of shape (*batch,), in the unit of sigma.

    Raises:
        ValueError: k outside [1, r]; likewise alpha outside [0, 1].

    Source: derived here for Kravatskiy et al. 2025 (arXiv 2512.09678), checked in tests/norms/test_against_cvxpy.py.

    Accuracy: 1e-14 relative, about sqrt(eps) of 1 - alpha where alpha is within 1e-8 of 1.

    Cost: 5 to 20 capped projections.

    Example:
        >>> f_fanion_gauge(torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64), 2, 0.5)
        tensor(1.6077, dtype=torch.float64)
    """
    check_alpha(alpha)
    if not 1 <= k <= sigma.shape[-1]:
        raise ValueError(f"k is {k!r}; it must lie in [1, {sigma.shape[-1]}], the number of singular values")
    largest, s = _relative(sigma)
    capped = torch.maximum(s.amax(dim=-1), s.sum(dim=-1) / k)
    frobenius = torch.linalg.vector_norm(s, dim=-1)
    if alpha in (0, 1):
        return largest * (capped if alpha == 1 else frobenius)
    t = s.square().sum(dim=-1) / nonzero(alpha * ky_fan(s, k) + (1 - alpha) * frobenius)
    for _ in range(_NEWTON_STEPS):
        residual = s - project_capped(s, alpha * t, k * alpha * t)
        distance = torch.linalg.vector_norm(residual, dim=-1)
        slope = alpha * ky_fan(residual, k) / nonzero(distance) + (1 - alpha)
        step = (distance - (1 - alpha) * t) / slope
        t = t + step.clamp_min(0)
        if not bool((step > 4e-16 * t).any()):
            break
    return largest * t


def check_alpha(alpha: float) -> None:
    """Refuse a weight outside [0, 1].

    Args:
        alpha: the weight.

    Raises:
        ValueError: alpha < 0, alpha > 1 or NaN.

    Source: outside [0, 1] the triangle inequality fails (derived here, checked in tests/norms/test_combined.py).

    Example:
        >>> check_alpha(0.5)
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha!r}; it must lie in [0, 1], outside of which the mixture is not a norm")


def _relative(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """The largest singular value, and all of them divided by it."""
    largest = sigma[..., 0]
    return largest, sigma / nonzero(largest)[..., None]
