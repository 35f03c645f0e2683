"""Train until a target is reached, and measure the gradient noise there: what critical batch sizes are about."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from muon_theory.problems import Images, mlp
from muon_theory.training.optimizer_choice import OptimizerOptions, build_optimizer
from muon_theory.training.run import minibatches


class TargetRun(NamedTuple):
    """How a run to a target ended.

    Args:
        steps: steps taken when the target was reached; inf where it was not within the cap or the run diverged.
        gradient_norm: nuc of the full gradient there, summed over the matrices; NaN unless the noise was measured.
        noise_norm: sqrt(B) E nuc(batch gradient - full gradient) there, summed over the matrices: an estimate of
            tr Sigma from below; NaN unless measured.
        noise_frobenius: sqrt of B E fro(batch gradient - full gradient)^2, over all matrices: sigma.

    Source: elementary (a record).
    """

    steps: float
    gradient_norm: float = math.nan
    noise_norm: float = math.nan
    noise_frobenius: float = math.nan


def train_to_target(
    images: Images,
    optimizer_name: str,
    options: OptimizerOptions,
    *,
    batch: int,
    target: float,
    largest: int,
    seed: int = 0,
    hidden: Sequence[int] = (64, 32),
    window: int = 2048,
    noise_batches: int = 0,
) -> TargetRun:
    """Train a perceptron until the mean loss over the last samples is at a target, learning rate constant.

    Args:
        images: the data.
        optimizer_name: "sgd", "adamw" or "muon", see `build_optimizer`.
        options: learning rate and the like.
        batch: images a step, 1 to the number of training images.
        target: mean training loss to reach, nats, > 0.
        largest: cap on the number of steps, >= 1.
        seed: seed of initialisation and order.
        hidden: widths of the hidden layers.
        window: the loss is averaged over the last `window` samples, or the last batch where that is larger.
        noise_batches: into how many batches the training set is cut at the target to measure the noise; 0: not at all.

    Returns:
        The steps, and the noise where asked for.

    Raises:
        ValueError: a target or cap out of range, or a single noise batch.

    Source: elementary.

    >>> from muon_theory.problems import load_images
    >>> run = train_to_target(load_images("digits"), "adamw", OptimizerOptions(lr=0.01), batch=128, target=0.5,
    ...                       largest=300, window=512)
    >>> 1 < run.steps < 300
    True
    """
    if not target > 0 or largest < 1 or noise_batches == 1 or noise_batches < 0:
        raise ValueError(
            f"target = {target}, largest = {largest}, noise_batches = {noise_batches}: give a target > 0, a cap >= 1 "
            "and no or at least two noise batches"
        )
    model = mlp(images.features, hidden, images.classes, seed=seed)
    optimizer = build_optimizer(optimizer_name, model, options)
    batches = minibatches(len(images.train_labels), batch, seed=seed)
    recent: deque[float] = deque(maxlen=max(1, window // batch))
    for step in range(1, largest + 1):
        loss = _backward(model, images, next(batches))
        if not math.isfinite(loss) or loss > 1e4:
            return TargetRun(math.inf)
        recent.append(loss)
        if len(recent) == recent.maxlen and sum(recent) <= target * len(recent):
            return TargetRun(step, *_noise(model, images, noise_batches)) if noise_batches else TargetRun(step)
        optimizer.step()
    return TargetRun(math.inf)


def _backward(model: nn.Module, images: Images, index: Tensor) -> float:
    model.zero_grad()
    loss = nn.functional.cross_entropy(model(images.train_images[index]), images.train_labels[index])
    loss.backward()
    return loss.item()


def _noise(model: nn.Module, images: Images, parts: int) -> tuple[float, float, float]:
    """The nuc of the mean gradient; sqrt(B) times the mean nuc and the root mean square fro of a batch's noise."""
    weights = [p for p in model.parameters() if p.ndim == 2]
    size = len(images.train_labels) // parts
    gradients: list[list[Tensor]] = [[] for _ in weights]
    for part in range(parts):
        _backward(model, images, torch.arange(part * size, (part + 1) * size))
        for kept, weight in zip(gradients, weights, strict=True):
            kept.append(weight.grad.double().clone())  # pyright: ignore[reportOptionalMemberAccess]
    norm = noise = square = 0.0
    for kept in gradients:
        stack = torch.stack(kept)
        mean = stack.mean(0)
        # deviations from the mean of `parts` batches have 1 - 1/parts of the variance of those from the full gradient
        scale = math.sqrt(size * parts / (parts - 1))
        norm += float(torch.linalg.matrix_norm(mean, "nuc"))
        noise += scale * float(torch.linalg.matrix_norm(stack - mean, "nuc").mean())
        square += scale**2 * float(torch.linalg.matrix_norm(stack - mean).square().mean())
    return norm, noise, math.sqrt(square)
