"""Train a perceptron of any width so that learning rates tuned at a base width can carry over (muP), or not."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from muon_theory.optimizers.learning_rates import initialize, width_factor
from muon_theory.optimizers.parameter_groups import hybrid
from muon_theory.optimizers.routing import route_parameters
from muon_theory.problems import Images, mlp
from muon_theory.training.run import evaluate, minibatches

Arm = Literal["Adam, muP", "Adam, standard", "Muon, muP"]


def width_optimizer(arm: Arm, model: nn.Module, base: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Optimizer whose learning rates are those of the base model times `width_factor` (muP), or plain Adam.

    Args:
        arm: "Adam, muP"; "Adam, standard": one rate for everything; "Muon, muP": Muon with the shape factor
            sqrt(rows/columns) and the cheapest orthogonalizer (method "auto") on hidden matrices, Adam at .004 times
            the width factor on the rest.
        model: the model.
        base: the same layers at the base width.
        lr: learning rate at the base width, > 0.

    Returns:
        The optimizer; no weight decay.

    Raises:
        ValueError: an unknown arm.

    Source: Yang, Simon, Bernstein 2023, arXiv 2310.17813; Ghosh, Wu, Bietti 2025, arXiv 2512.22768 (Adam at .004).

    >>> optimizer = width_optimizer("Adam, muP", mlp(8, (32,), 2, seed=0), mlp(8, (16,), 2, seed=0), 0.1)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1, 0.1, 0.05, 0.1]
    """
    if arm == "Muon, muP":
        return hybrid(
            model, lr=lr, adamw_lr=0.004, base_model=base, momentum=0.95, adjust_lr_fn="spectral", method="auto"
        )
    if arm == "Adam, standard":
        return torch.optim.Adam(model.parameters(), lr=lr)
    if arm != "Adam, muP":
        raise ValueError(f"arm is {arm!r}; choose 'Adam, muP', 'Adam, standard' or 'Muon, muP'")
    roles = {route.name: route.role for route in route_parameters(model).routes}
    groups = []
    for (name, own), old in zip(model.named_parameters(), base.parameters(), strict=True):
        fans, base_fans = ((weight.shape[0], weight.shape[-1]) for weight in (own, old))
        scale = width_factor(roles[name], fans, base_fans, "adamw") if own.ndim == 2 else 1.0  # pyright: ignore
        groups.append({"params": [own], "lr": lr * scale})
    return torch.optim.Adam(groups, lr=lr)


def width_run(
    images: Images, arm: Arm, *, width: int, lr: float, steps: int, seed: int, base_width: int = 64, batch: int = 64
) -> float:
    """Loss on the whole training set after training a features-width-width-classes perceptron; linear decay to zero.

    Under muP the matrices are drawn by `initialize`, the head at zero; else torch's initialisation is kept. Order of
    the minibatches depends on `seed` only.

    Args:
        images: the data.
        arm: as in `width_optimizer`.
        width: of both hidden layers, >= 1.
        lr: learning rate at the base width, > 0.
        steps: number of steps, >= 1.
        seed: seed of initialisation and order.
        base_width: the width at which `lr` is the rate.
        batch: images a step.

    Returns:
        Cross-entropy in nats; 20 where it is larger or the run diverged.

    Raises:
        ValueError: a learning rate or a number of steps that is not positive.

    Source: elementary.

    >>> from muon_theory.problems import load_images
    >>> width_run(load_images("digits"), "Adam, muP", width=16, lr=0.02, steps=40, seed=0) < 1.5
    True
    """
    if not (lr > 0 and steps >= 1):
        raise ValueError(f"lr = {lr}, steps = {steps}: give a positive rate and at least one step")
    model, base = (mlp(images.features, (n, n), images.classes, seed=seed) for n in (width, base_width))
    if arm != "Adam, standard":
        initialize(model, seed=seed)
    optimizer = width_optimizer(arm, model, base, lr)
    initial = [float(group["lr"]) for group in optimizer.param_groups]
    batches = minibatches(len(images.train_labels), batch, seed=seed)
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, initial, strict=True):
            group["lr"] = rate * (1 - step / steps)
        index = next(batches)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images.train_images[index]), images.train_labels[index])
        loss.backward()
        if not math.isfinite(loss.item()):
            return 20.0
        optimizer.step()
    final, _ = evaluate(model, images.train_images, images.train_labels)
    return min(final, 20.0) if math.isfinite(final) else 20.0
