"""Train a small network on images with SGD, AdamW or Muon, optionally recording spectra on the way."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from muon_theory.optimizers.parameter_groups import Matrices
from muon_theory.problems import Images, mlp
from muon_theory.training.optimizer_choice import OptimizerOptions, build_optimizer, schedule_factor

Progress = Callable[[int, int, float], None]


def train(
    images: Images,
    optimizer_name: str,
    *,
    lr: float,
    steps: int,
    batch: int = 64,
    seed: int = 0,
    hidden: Sequence[int] = (256, 128),
    momentum: float | None = None,
    nesterov: bool | None = None,
    weight_decay: float = 0.0,
    adamw_lr: float = 1e-3,
    method: str = "jordan_2024",
    ns_steps: int = 5,
    exact: bool = False,
    match_frobenius: bool = False,
    matrices: Matrices = "hidden",
    model: nn.Module | None = None,
    record_to: str | os.PathLike[str] | None = None,
    schedule: Callable[[int], bool] | None = None,
    kinds: Sequence[str] | None = None,
    run: str | None = None,
    store_matrices: bool = False,
    evaluate_every: int | None = None,
    progress: Progress | None = None,
    schedule_lr: str = "constant",
) -> pd.DataFrame:
    """Table of one training run: cross-entropy on minibatches, one row a step.

    The network is the tutorial's multilayer perceptron unless `model` is given; it is trained in place. Minibatches run
    through a new permutation of the training images each epoch (the last, smaller batch of an epoch is left out).
    Initialisation and order depend on `seed` only, so runs of different optimizers with one seed are paired.

    Args:
        images: the data.
        optimizer_name: "sgd", "adamw" or "muon" (with AdamW for what is no hidden matrix).
        lr: initial learning rate, >= 0.
        steps: number of steps, >= 1.
        batch: number of images a step, 1 to the number of training images.
        seed: seed of initialisation and order.
        hidden: widths of the hidden layers of the perceptron; not used with `model`.
        momentum: momentum (AdamW: beta_1); None: .95 for SGD and Muon, .9 for AdamW.
        nesterov: whether momentum is Nesterov's; None: for Muon yes, for SGD no.
        weight_decay: decoupled for Muon and AdamW, added to the gradient for SGD.
        adamw_lr: learning rate of what Muon leaves to AdamW.
        method: Muon's orthogonalizer.
        ns_steps: Muon's number of Newton-Schulz steps.
        exact: whether Muon takes the exact polar factor.
        match_frobenius: whether Muon's updates are rescaled to the polar factor's Frobenius norm.
        matrices: what Muon steps: "hidden" or "all" (the tutorial).
        model: a network from (batch, features) to (batch, classes), or None.
        record_to: folder for a `SpectrumRecorder`, or None.
        schedule: which steps are recorded, see `SpectrumRecorder`.
        kinds: which kinds are recorded, see `SpectrumRecorder`.
        run: name of the run in the recording, see `SpectrumRecorder`.
        store_matrices: whether the matrices themselves are recorded too.
        evaluate_every: test after every so many steps; None: after the last step only.
        progress: called as progress(step + 1, steps, loss) after each step.
        schedule_lr: "constant", "cosine" or "linear".

    Returns:
        DataFrame with columns step (from 0); loss (of the minibatch, nats, before the step); learning_rate; time_s (of
        the steps so far, recording included, tests not); optimizer_time_s (of optimizer.step alone, so far); test_loss
        (nats) and test_accuracy (0 to 1) after the step, NaN where not tested; diverged. A run whose loss or gradient
        is no longer finite ends there: its last row has diverged=True and no step was taken in it.

    Raises:
        ValueError: if an argument is out of range, before anything is trained.

    Source: Wei 2025, "Understanding the Muon Optimizer" (network and batch size).

    Cost: 784-256-128-10, batch 64, one CPU core: about 2 ms a step for SGD and AdamW, 10 ms for Muon.

    >>> from muon_theory.problems import load_images
    >>> table = train(load_images("digits"), "muon", lr=0.05, steps=60, hidden=(64, 32))
    >>> len(table), bool(table.loss.iloc[-1] < 0.5 * table.loss.iloc[0]), bool(table.test_accuracy.iloc[-1] > 0.5)
    (60, True, True)
    """  # noqa: DOC502  (raised by the checks below)
    _check(images, steps=steps, batch=batch, evaluate_every=evaluate_every, seed=seed)
    schedule_factor(schedule_lr, 0, steps)
    if model is None:
        model = mlp(images.features, hidden, images.classes, seed=seed)
    options = OptimizerOptions(
        lr, momentum, nesterov, weight_decay, adamw_lr, method, ns_steps, exact, match_frobenius, matrices
    )
    optimizer = build_optimizer(optimizer_name, model, options)
    recording = {"schedule": schedule, "kinds": kinds, "run": run, "store_matrices": store_matrices}
    with _recorder(optimizer, model, record_to, recording):
        return _loop(images, model, optimizer, steps, batch, seed, evaluate_every, progress, schedule_lr)


def _loop(
    images: Images,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    batch: int,
    seed: int,
    evaluate_every: int | None,
    progress: Progress | None,
    schedule_lr: str,
) -> pd.DataFrame:
    """The steps of a run."""
    initial = [float(group["lr"]) for group in optimizer.param_groups]
    batches = minibatches(len(images.train_labels), batch, seed=seed)
    rows: list[dict[str, Any]] = []
    spent = optimizing = 0.0
    for step in range(steps):
        start = time.perf_counter()
        factor = schedule_factor(schedule_lr, step, steps)
        for group, lr in zip(optimizer.param_groups, initial, strict=True):
            group["lr"] = lr * factor
        index = next(batches)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images.train_images[index]), images.train_labels[index])
        loss.backward()
        diverged = not (math.isfinite(loss.item()) and _finite_gradients(model))
        before = time.perf_counter()
        if not diverged:
            optimizer.step()
        now = time.perf_counter()
        spent, optimizing = spent + now - start, optimizing + now - before
        row = {"step": step, "loss": loss.item(), "learning_rate": initial[0] * factor}
        row |= {"time_s": spent, "optimizer_time_s": optimizing, "test_loss": math.nan, "test_accuracy": math.nan}
        last = step == steps - 1 or (evaluate_every is not None and (step + 1) % evaluate_every == 0)
        if last and not diverged:
            row["test_loss"], row["test_accuracy"] = evaluate(model, images.test_images, images.test_labels)
        rows.append(row | {"diverged": diverged})
        if progress is not None:
            progress(step + 1, steps, row["loss"])
        if diverged:
            break
    return pd.DataFrame(rows)


def minibatches(count: int, batch: int, *, seed: int) -> Iterator[Tensor]:
    """Indices of minibatches without end: a new permutation each epoch, cut into batches, the remainder left out.

    Args:
        count: number of samples.
        batch: size of a batch, 1 to `count`.
        seed: seed of the permutations.

    Yields:
        int64 indices, shape (batch,).

    Source: elementary.

    >>> [len(next(minibatches(10, 4, seed=0)))]
    [4]
    """
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - batch + 1, batch):
            yield order[start : start + batch]


@torch.no_grad()
def evaluate(model: nn.Module, inputs: Tensor, labels: Tensor, *, batch: int = 2000) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a model, in evaluation mode; its mode is restored.

    Args:
        model: network from (batch, features) to (batch, classes).
        inputs: shape (N, features).
        labels: int64, shape (N,).
        batch: how many samples at a time.

    Returns:
        (loss in nats, accuracy from 0 to 1).

    Source: elementary.
    """
    training = model.training
    model.eval()
    loss, correct = 0.0, 0
    for start in range(0, len(labels), batch):
        outputs = model(inputs[start : start + batch])
        expected = labels[start : start + batch]
        loss += float(nn.functional.cross_entropy(outputs, expected, reduction="sum"))
        correct += int((outputs.argmax(1) == expected).sum())
    model.train(training)
    return loss / len(labels), correct / len(labels)


def _finite_gradients(model: nn.Module) -> bool:
    """Whether all gradients are finite."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return all(bool(torch.isfinite(torch.linalg.vector_norm(gradient, math.inf))) for gradient in gradients)


def _recorder(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    folder: str | os.PathLike[str] | None,
    options: dict[str, Any],
) -> contextlib.AbstractContextManager[Any]:
    """The recorder of a run, or nothing."""
    if folder is None:
        return contextlib.nullcontext()
    from muon_theory.recorder import SpectrumRecorder

    return SpectrumRecorder(optimizer, model, folder, **options)


def _check(images: Images, *, steps: int, batch: int, evaluate_every: int | None, seed: int) -> None:
    """Check the numbers of a run."""
    count = len(images.train_labels)
    for name, value, most in (
        ("steps", steps, None),
        ("batch", batch, count),
        ("evaluate_every", evaluate_every, None),
    ):
        if name == "evaluate_every" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most is not None and value > most):
            raise ValueError(f"{name} is {value!r}; it must be an integer from 1 {f'to {most}' if most else 'on'}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is {seed!r}; it must be an integer >= 0")
