"""The published example of slow transfer: a two-layer ReLU classifier of a ball under muP and Adam."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

_BETAS, _EPS = (0.9, 0.999), 1e-8


def ball_indicator_losses(
    width: int, log2_rate: ArrayLike, *, seed: int, steps: int, dimension: int = 64, batch: int = 256,
    base_width: int = 64, tests: int = 4096,
) -> NDArray[np.float64]:  # fmt: skip
    """Test loss after training f(x) = <v, relu(W x + c)> + b to tell ||x||^2 > median from below, all rates at once.

    x ~ N(0, I_d), fresh samples every step, the same for every rate and width of a seed; binary cross-entropy; Adam
    with a constant rate. muP: W_ij ~ N(0, 1/d) and the rates of W, c and b are those given; v_i ~ N(0, base/n^2) and
    the rate of v is multiplied by base/n.

    Args:
        width: n, number of hidden units, >= 1.
        log2_rate: log2 of the learning rates at the base width, (g,).
        seed: seed of initialisation and samples.
        steps: number of steps, >= 1.
        dimension: d.
        batch: samples a step.
        base_width: the width at which one rate serves all.
        tests: number of test points.

    Returns:
        Cross-entropy, nats, (g,); at most 5, which stands for divergence.

    Raises:
        ValueError: a size below one.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, section on slow transfer (d = 64, n to 2^14, 2^14 steps, batch
    256); scale of v and base width are ours.

    >>> losses = ball_indicator_losses(64, [-14.0, -6.0], seed=0, steps=150, dimension=4)
    >>> bool(losses[1] < losses[0] < 0.8)
    True
    """
    if min(width, steps, dimension, batch, base_width, tests) < 1:
        raise ValueError(f"width = {width}, steps = {steps}, dimension = {dimension}, batch = {batch}: all >= 1")
    rates = torch.from_numpy(2.0 ** np.asarray(log2_rate, dtype=np.float32))
    count = len(rates)
    start = torch.Generator().manual_seed(seed)
    W = torch.randn(width, dimension, generator=start) / math.sqrt(dimension)
    v = torch.randn(width, generator=start) * math.sqrt(base_width) / width
    weights = [W.expand(count, -1, -1).clone(), torch.zeros(count, 1, width), v.expand(count, -1)[:, :, None].clone(),
               torch.zeros(count, 1, 1)]  # fmt: skip
    scales = [1.0, 1.0, base_width / width, 1.0]
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    samples = torch.Generator().manual_seed(seed + 1_000_003)
    threshold = _chi_square_median(dimension)
    for step in range(1, steps + 1):
        X = torch.randn(batch, dimension, generator=samples)
        y = (X.square().sum(1) > threshold).float()[:, None]
        for weight, gradient, m1, m2, scale in zip(
            weights, _gradients(weights, X, y), first, second, scales, strict=True
        ):
            m1.lerp_(gradient, 1 - _BETAS[0])
            m2.lerp_(gradient.square_(), 1 - _BETAS[1])
            size = (m2 / (1 - _BETAS[1] ** step)).sqrt_().add_(_EPS)
            weight.sub_(m1 / size * (rates * (scale / (1 - _BETAS[0] ** step)))[:, None, None])
    X = torch.randn(tests, dimension, generator=torch.Generator().manual_seed(seed + 2_000_003))
    y = (X.square().sum(1) > threshold).float()[:, None].expand(count, -1, 1)
    W, c, v, b = weights
    logits = torch.relu(X @ W.mT + c) @ v + b
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none").mean((1, 2))
    return torch.nan_to_num(losses, nan=5.0, posinf=5.0).clamp(max=5.0).double().numpy()


def _gradients(weights: Sequence[torch.Tensor], X: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of the mean cross-entropy, in the order of the weights."""
    W, c, v, b = weights
    hidden = torch.relu_(X @ W.mT + c)
    error = (torch.sigmoid(hidden @ v + b) - y) / len(y)  # (g, B, 1)
    back = error * v.mT * (hidden > 0)
    return [back.mT @ X, back.sum(1, keepdim=True), hidden.mT @ error, error.sum(1, keepdim=True)]


def _chi_square_median(dimension: int) -> float:
    from scipy.stats import chi2

    return float(chi2.median(dimension))
