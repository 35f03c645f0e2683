"""Train any network with any optimizer: a run in, one tidy table out, and an eye on the network after each window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import torch
from torch import nn

from muon_theory.problems import Images
from muon_theory.training.optimizer_choice import schedule_factor
from muon_theory.training.run import evaluate, minibatches

Observe = Callable[[nn.Module], Mapping[str, float]]


def train_network(
    images: Images,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    seed: int,
    batch: int = 64,
    schedule_lr: str = "linear",
    windows: int = 1,
    observe: Observe | None = None,
) -> pd.DataFrame:
    """Table of a run: mean training loss of each window of steps, test loss and accuracy at its end.

    The order of the minibatches depends on `seed` only, so runs with one seed are paired.

    Args:
        images: the data.
        model: from (batch, features) to (batch, classes); trained in place.
        optimizer: of the model's parameters; its learning rates are the initial ones.
        steps: number of steps, >= 1.
        seed: seed of the order.
        batch: number of images a step, 1 to the number of training images.
        schedule_lr: "constant", "cosine" or "linear".
        windows: into how many windows of steps the table sums the run, 1 to `steps`.
        observe: called with the model after each window; what it returns joins the row. It may overwrite gradients.

    Returns:
        DataFrame, one row a window: step (its last, from 0), train_loss (mean over its minibatches, nats), test_loss
        (nats) and test_accuracy (0 to 1) at its end, diverged, and what `observe` returned. A run whose loss is no
        longer finite ends there, its last row with test_loss inf, test_accuracy 0 and diverged True.

    Raises:
        ValueError: if windows is not from 1 to `steps`, or the schedule is unknown.

    Source: elementary.

    >>> from muon_theory.problems import load_images, mlp
    >>> images, model = load_images("digits"), mlp(64, (16,), seed=0)
    >>> run = train_network(images, model, torch.optim.SGD(model.parameters(), lr=0.5), steps=60, seed=0, windows=2)
    >>> run.step.tolist(), bool(run.train_loss.iloc[1] < run.train_loss.iloc[0])
    ([29, 59], True)
    """  # noqa: DOC502  (the schedule's is raised by schedule_factor)
    if not 1 <= windows <= steps:
        raise ValueError(f"windows is {windows!r}; it must be an integer from 1 to steps = {steps}")
    initial = [float(group["lr"]) for group in optimizer.param_groups]
    batches = minibatches(len(images.train_labels), batch, seed=seed)
    ends = {steps * (window + 1) // windows - 1 for window in range(windows)}
    losses: list[float] = []
    rows: list[dict[str, Any]] = []
    for step in range(steps):
        for group, lr in zip(optimizer.param_groups, initial, strict=True):
            group["lr"] = lr * schedule_factor(schedule_lr, step, steps)
        index = next(batches)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images.train_images[index]), images.train_labels[index])
        losses.append(loss.item())
        finite = math.isfinite(losses[-1])
        if finite:
            loss.backward()
            finite = all(bool(g.isfinite().all()) for p in model.parameters() if (g := p.grad) is not None)
        if not finite:
            row = {"step": step, "train_loss": losses[-1], "test_loss": math.inf, "test_accuracy": 0.0}
            rows.append({**row, "diverged": True})
            break
        optimizer.step()
        if step in ends:
            tested = evaluate(model, images.test_images, images.test_labels)
            row = {"step": step, "train_loss": sum(losses) / len(losses), "test_loss": tested[0]}
            seen = observe(model) if observe is not None else {}
            rows.append({**row, "test_accuracy": tested[1], "diverged": False, **seen})
            losses = []
    return pd.DataFrame(rows)
