"""Train a language model on batches of tokens with any optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor, nn

from muon_theory.training.optimizer_choice import schedule_factor


def train_on_tokens(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    steps: int,
    schedule_lr: str = "linear",
) -> pd.DataFrame:
    """Table of one run: cross-entropy of each batch, one row a step; the model is trained in place.

    Args:
        model: from int64 tokens to logits (..., V), one prediction for each target.
        optimizer: of the model's parameters; the learning rates of its groups are the initial ones, and are restored
            afterwards.
        batches: (inputs, targets) of int64 tokens, at least `steps` of them.
        steps: number of steps, >= 1.
        schedule_lr: "constant", "cosine" or "linear".

    Returns:
        DataFrame with columns step (from 0), loss (nats a token, before the step) and diverged. A run whose loss or
        gradient is no longer finite ends there: its last row has diverged=True, and no step was taken in it.

    Raises:
        ValueError: if `steps` is no positive integer, the schedule is unknown, or the batches end too early.

    Source: elementary.

    >>> from muon_theory.problems import context_model, uniform_law
    >>> model, tokens = context_model(5, 4, seed=0), uniform_law(5).sample(20, 3, seed=0)
    >>> batches = [(tokens[:, :2], tokens[:, 2])] * 4
    >>> len(train_on_tokens(model, torch.optim.SGD(model.parameters(), lr=0.1), batches, steps=4))
    4
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps is {steps!r}; it must be a positive integer")
    schedule_factor(schedule_lr, 0, steps)
    initial = [float(group["lr"]) for group in optimizer.param_groups]
    stream, rows = iter(batches), []
    try:
        for step in range(steps):
            batch = next(stream, None)
            if batch is None:
                raise ValueError(f"batches ended after {step} of {steps} steps; give more")
            _set_rates(optimizer, initial, schedule_factor(schedule_lr, step, steps))
            rows.append({"step": step} | _step(model, optimizer, *batch))
            if rows[-1]["diverged"]:
                break
    finally:
        _set_rates(optimizer, initial, 1.0)
    return pd.DataFrame(rows)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor) -> dict[str, object]:
    """One step, unless the loss or a gradient is not finite."""
    logits = model(inputs)
    loss = nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    finite = math.isfinite(loss.item()) and bool(torch.stack(torch._foreach_norm(gradients)).isfinite().all())  # pyright: ignore[reportPrivateImportUsage]
    if finite:
        optimizer.step()
    return {"loss": loss.item(), "diverged": not finite}


def _set_rates(optimizer: torch.optim.Optimizer, initial: list[float], factor: float) -> None:
    """Learning rates of all groups: the initial ones times a factor."""
    for group, lr in zip(optimizer.param_groups, initial, strict=True):
        group["lr"] = lr * factor
