"""The change of the loss along a run, to first order, by the number of leading directions that carry it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from muon_theory.optimizers.learning_rates import initialize
from muon_theory.problems import Images, mlp
from muon_theory.rooms.hyperparameter_transfer.decomposition import top_k_changes
from muon_theory.training.run import minibatches
from muon_theory.training.width_run import Arm, width_optimizer

EVERY, DECAY = 6, 0.97


def top_curve(images: Images, arm: Arm, width: int, lr: float, steps: int, seed: int) -> np.ndarray:
    """Sum over a run of <G, dW> along averaged weights, of both hidden matrices the k leading directions only.

    Args:
        images: the data; the gradient is taken on all of them.
        arm: optimizer and parametrization.
        width: n of both hidden layers.
        lr: rate at width 64.
        steps: number of steps.
        seed: of initialisation and batches.

    Returns:
        For k = 1 .. n, shape (n,), nats; for k = n the whole change.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768 (of the first matrix the rows' version, so that k goes to n).
    """
    model, base = (mlp(images.features, (n, n), images.classes, seed=seed) for n in (width, 64))
    initialize(model, seed=seed)
    rule, batches = width_optimizer(arm, model, base, lr), minibatches(len(images.train_labels), 64, seed=seed)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    average, top = {name: weight.clone() for name, weight in before.items()}, np.zeros(width)
    for step in range(1, steps + 1):
        index = next(batches)
        rule.zero_grad()
        nn.functional.cross_entropy(model(images.train_images[index]), images.train_labels[index]).backward()
        rule.step()
        for name, weight in model.named_parameters():
            average[name].lerp_(weight.detach(), 1 - DECAY)
        if step % EVERY == 0:
            start = {name: weight.clone().requires_grad_() for name, weight in before.items()}
            loss = nn.functional.cross_entropy(functional_call(model, start, images.train_images), images.train_labels)
            gradients = torch.autograd.grad(loss, list(start.values()))
            for count, (name, G) in enumerate(zip(start, gradients, strict=True)):
                dW = average[name] - before[name]
                if count in (0, 2):  # the two hidden matrices; weights and biases alternate
                    top += top_k_changes(*((G.T, dW.T) if count == 0 else (G, dW)))
                else:
                    top += float((G * dW).sum())
            before = {name: weight.clone() for name, weight in average.items()}
    return top
