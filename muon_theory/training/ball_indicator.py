"""The published example of slow transfer: a two-layer ReLU classifier of a ball under muP and Adam."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

_BETAS, _EPS = (0.9, 0.999), 1e-8
_CHUNK = 1024  # hidden units at a time


def ball_indicator_losses(
    width: int, log2_rate: ArrayLike, *, seed: int, steps: int, dimension: int = 64, batch: int = 256,
    base_width: int = 64, tests: int = 4096, looks: int = 1,
) -> NDArray[np.float64]:  # fmt: skip
    """Test loss after training f(x) = <v, relu(W x + c)> + b to tell ||x||^2 > median from below.

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
        looks: the loss is the mean of this many, evenly spaced over the last sixteenth of the steps; 1: after the last.
            A constant rate makes a single one jitter by as much as seeds differ.

    Returns:
        Cross-entropy, nats, (g,); at most 5, which stands for divergence.

    Raises:
        ValueError: a size below one, or more looks than there are steps in the last sixteenth.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, section on slow transfer (d = 64, n to 2^14, 2^14 steps, batch
    256); scale of v and base width are ours.

    >>> losses = ball_indicator_losses(64, [-14.0, -6.0], seed=0, steps=150, dimension=4)
    >>> bool(losses[1] < losses[0] < 0.8)
    True
    """
    if min(width, steps, dimension, batch, base_width, tests) < 1:
        raise ValueError(f"width = {width}, steps = {steps}, dimension = {dimension}, batch = {batch}: all >= 1")
    if not 1 <= looks <= max(1, steps // 16):
        raise ValueError(f"looks = {looks}: from 1 to {max(1, steps // 16)}, a sixteenth of the steps")
    looked = {steps - steps // 16 * i // looks for i in range(looks)}
    X = torch.ones(tests, dimension + 1)
    X[:, :dimension] = torch.randn(tests, dimension, generator=torch.Generator().manual_seed(seed + 2_000_003))
    y, losses = _outside(X), []
    for rate in 2.0 ** np.asarray(log2_rate, dtype=float):  # one by one: hidden units of all would not fit the cache
        classifier = _BallClassifier(width, dimension, batch, seed, base_width)
        samples = torch.Generator().manual_seed(seed + 1_000_003)
        Z = torch.ones(batch, dimension + 1)
        found = 0.0
        for step in range(1, steps + 1):
            Z[:, :dimension] = torch.randn(batch, dimension, generator=samples)
            classifier.adam_step(classifier.gradients(Z, _outside(Z)), float(rate), step)
            if step in looked:
                logits = torch.cat([classifier.logits(part) for part in X.split(batch)])
                found += float(torch.nn.functional.binary_cross_entropy_with_logits(logits, y)) / looks
        losses.append(found)
    return np.nan_to_num(losses, nan=5.0, posinf=5.0).clip(max=5.0)


class _BallClassifier:
    """The network with c as the last column of W, for inputs whose last entry is 1; by chunks that fit a cache."""

    def __init__(self, width: int, dimension: int, batch: int, seed: int, base_width: int) -> None:
        start = torch.Generator().manual_seed(seed)
        self.W = torch.zeros(width, dimension + 1)
        self.W[:, :dimension] = torch.randn(width, dimension, generator=start) / math.sqrt(dimension)
        self.v = torch.randn(width, generator=start) * math.sqrt(base_width) / width
        self.b = torch.zeros(1)
        self.head_scale = base_width / width
        self.moments = [(torch.zeros_like(part), torch.zeros_like(part)) for part in (self.W, self.v, self.b)]
        self.hidden = [torch.empty(batch, min(_CHUNK, width - i)) for i in range(0, width, _CHUNK)]

    def logits(self, X: Tensor) -> Tensor:
        """Logits, (B,); leaves the hidden units behind."""
        found = self.b.repeat(len(X))
        for W, v, H in zip(self.W.split(_CHUNK), self.v.split(_CHUNK), self.hidden, strict=True):
            found.addmv_(torch.mm(X, W.mT, out=H[: len(X)]).relu_(), v)
        return found

    def gradients(self, X: Tensor, y: Tensor) -> list[Tensor]:
        """Gradients of the mean cross-entropy to W, v and b."""
        error = (torch.sigmoid(self.logits(X)) - y) / len(y)
        weighted = error[:, None] * X
        head = torch.cat([H.mT @ error for H in self.hidden])
        inner = torch.cat([H.sign_().mT @ weighted for H in self.hidden])
        return [inner.mul_(self.v[:, None]), head, error.sum()[None]]

    def adam_step(self, gradients: list[Tensor], rate: float, step: int) -> None:
        """One step of Adam; spoils the gradients."""
        weights, scales = (self.W, self.v, self.b), (1.0, self.head_scale, 1.0)
        for weight, gradient, (m1, m2), scale in zip(weights, gradients, self.moments, scales, strict=True):
            m1.lerp_(gradient, 1 - _BETAS[0])
            m2.lerp_(gradient.square_(), 1 - _BETAS[1])
            size = torch.div(m2, 1 - _BETAS[1] ** step, out=gradient).sqrt_().add_(_EPS)
            weight.addcdiv_(m1, size, value=-rate * scale / (1 - _BETAS[0] ** step))


def _outside(X: Tensor) -> Tensor:
    """1 where ||x||^2 is above its median; the last column is not part of x."""
    x = X[:, :-1]
    return (x.square().sum(1) > _chi_square_median(x.shape[1])).float()


@cache
def _chi_square_median(dimension: int) -> float:
    from scipy.stats import chi2

    return float(chi2.median(dimension))
