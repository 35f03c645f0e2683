"""Train a network with any rule for its hidden matrices and AdamW for the rest: what rules differ in is the rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import nn

from muon_theory.optimizers import Hybrid
from muon_theory.optimizers.parameter_groups import parameter_roles
from muon_theory.problems import Images, mlp
from muon_theory.training.optimizer_choice import schedule_factor
from muon_theory.training.run import evaluate, minibatches

Build = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
Observe = Callable[[nn.Module], Mapping[str, float]]


def train_hidden_matrices(
    images: Images,
    build: Build,
    *,
    steps: int,
    seed: int,
    hidden: Sequence[int] = (64, 64),
    batch: int = 64,
    adamw_lr: float = 1e-3,
    schedule_lr: str = "linear",
    windows: int = 1,
    observe: Observe | None = None,
) -> pd.DataFrame:
    """Table of a run of a perceptron whose hidden matrices one optimizer steps and AdamW all the rest.

    Initialisation and order of the minibatches depend on `seed` only, so runs with one seed are paired. AdamW has its
    default betas and no decay. Both learning rates follow the schedule.

    Args:
        images: the data.
        build: makes the optimizer from the list of the hidden matrices (not the head's); its learning rate is the
            initial one.
        steps: number of steps, >= 1.
        seed: seed of initialisation and order.
        hidden: widths of the hidden layers.
        batch: number of images a step, 1 to the number of training images.
        adamw_lr: initial learning rate of the rest, >= 0.
        schedule_lr: "constant", "cosine" or "linear".
        windows: into how many windows of steps the table sums the run, 1 to `steps`.
        observe: called with the model after each window; what it returns joins the row. It may overwrite gradients.

    Returns:
        DataFrame, one row a window: step (its last, from 0), train_loss (mean over its minibatches, nats), test_loss
        (nats) and test_accuracy (0 to 1) at its end, diverged, and what `observe` returned. A run whose loss or
        gradient is no longer finite ends there, its last row with test_loss inf and diverged True.

    Raises:
        ValueError: if windows is not from 1 to `steps`, the network has no hidden matrix, or the schedule is unknown.

    Source: elementary; Jordan 2024 (AdamW for what is no hidden matrix).

    >>> from muon_theory.optimizers.fanion import Fanion
    >>> from muon_theory.problems import load_images
    >>> images, build = load_images("digits"), lambda matrices: Fanion(matrices, 4, lr=0.1)
    >>> run = train_hidden_matrices(images, build, steps=40, seed=0, hidden=(16,), windows=2)
    >>> run.step.tolist(), bool(run.train_loss.iloc[1] < run.train_loss.iloc[0])
    ([19, 39], True)
    """  # noqa: DOC502  (the schedule's is raised by schedule_factor)
    if not 1 <= windows <= steps:
        raise ValueError(f"windows is {windows!r}; it must be an integer from 1 to steps = {steps}")
    model = mlp(images.features, hidden, images.classes, seed=seed)
    roles = parameter_roles(model)
    if not roles.matrices:
        raise ValueError(f"hidden is {hidden!r}: the network has no hidden matrix; give at least one width")
    rest = torch.optim.AdamW([parameter for _, parameter in roles.rest], lr=adamw_lr, weight_decay=0.0)
    optimizer = Hybrid([build([parameter for _, parameter in roles.matrices]), rest])
    initial = [float(group["lr"]) for group in optimizer.param_groups]
    batches = minibatches(len(images.train_labels), batch, seed=seed)
    ends = [steps * (window + 1) // windows - 1 for window in range(windows)]
    losses: list[float] = []
    rows: list[dict[str, Any]] = []
    for step in range(steps):
        for group, lr in zip(optimizer.param_groups, initial, strict=True):
            group["lr"] = lr * schedule_factor(schedule_lr, step, steps)
        index = next(batches)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images.train_images[index]), images.train_labels[index])
        loss.backward()
        losses.append(loss.item())
        diverged = not (math.isfinite(losses[-1]) and _finite_gradients(model))
        if not diverged:
            optimizer.step()
        if diverged or step in ends:
            row = {"step": step, "train_loss": sum(losses) / len(losses), "test_loss": math.inf, "test_accuracy": 0.0}
            if not diverged:
                row["test_loss"], row["test_accuracy"] = evaluate(model, images.test_images, images.test_labels)
            seen = observe(model) if observe is not None and not diverged else {}
            rows.append({**row, "diverged": diverged, **seen})
            losses = []
        if diverged:
            break
    return pd.DataFrame(rows)


def _finite_gradients(model: nn.Module) -> bool:
    """Whether every gradient is finite."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return all(bool(torch.isfinite(torch.linalg.vector_norm(gradient, math.inf))) for gradient in gradients)
