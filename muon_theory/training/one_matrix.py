"""Training with the rule under study on one matrix and AdamW on the rest, while the norms of its gradient are kept.

What differs between two such runs is the rule of that matrix and nothing else, so their gradients can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from muon_theory.optimizers import Hybrid, Muon
from muon_theory.problems import Images
from muon_theory.spectra import singular_values
from muon_theory.training.optimizer_choice import LARGEST_RATE, schedule_factor
from muon_theory.training.run import minibatches

RULES = ("sgd", "muon", "muon_exact")
COLUMNS = (
    "step", "loss", "nuclear", "frobenius", "large_nuclear", "large_frobenius", "noise_nuclear", "noise_frobenius",
    "diverged",
)  # fmt: skip


def train_one_matrix(
    images: Images,
    model: nn.Module,
    name: str,
    rule: str,
    *,
    lr: float,
    momentum: float,
    rest_lr: float,
    steps: int,
    batch: int = 64,
    seed: int = 0,
    method: str = "taylor_5",
    ns_steps: int = 3,
    schedule_lr: str = "cosine",
    norms_every: int | None = 1,
    probed: int | None = None,
    probe_every: int = 1,
) -> pd.DataFrame:
    """Table of a run in which one matrix takes the rule under study and every other parameter AdamW, without decay.

    With minibatch gradients G_i of B images each at the same weights, i = 1..n, and their mean G (a gradient of the
    n B probed images), a probe finds the norms of G and the means over i of the norms of the noise G_i - G.

    Args:
        images: the data.
        model: the network, trained in place.
        name: name of the matrix among the model's parameters; a kernel is flattened to (out, -1).
        rule: "sgd" (with momentum), "muon" (Newton-Schulz) or "muon_exact" (polar factor); neither is Nesterov's.
        lr: initial learning rate of the matrix, >= 0.
        momentum: momentum of the matrix, in [0, 1).
        rest_lr: initial learning rate of the other parameters, >= 0.
        steps: number of steps, >= 1.
        batch: number of images a step, 1 to the number of training images.
        seed: seed of the order of the images and, independently, of the probed ones.
        method: Muon's orthogonalizer.
        ns_steps: Muon's number of Newton-Schulz steps.
        schedule_lr: "constant", "cosine" or "linear", for both learning rates.
        norms_every: take the norms of the step's gradient every so many steps; None: never.
        probed: number of images of a probe, a multiple of `batch`; None: no probes.
        probe_every: probe every so many steps, first at half as many.

    Returns:
        DataFrame, one row a step: step (from 0); loss (nats, before the step); nuclear and frobenius (of the step's
        gradient); large_nuclear, large_frobenius, noise_nuclear, noise_frobenius (of a probe at the same weights); NaN
        where not taken; diverged. A run whose loss or gradient is not finite ends there, with diverged=True and no
        step taken in its last row.

    Raises:
        ValueError: if the rule is unknown, no parameter has the name, or a number is out of range.

    Source: elementary; the design follows Kim, Oh 2026, arXiv 2601.19156, section 5 (Muon on the filters only).

    Cost: a probe costs probed / batch steps.

    >>> from muon_theory.problems import load_images
    >>> from muon_theory.problems.networks import mlp
    >>> images = load_images("digits")
    >>> model = mlp(images.features, (32,), seed=0)
    >>> settings = {"lr": 0.1, "momentum": 0.9, "rest_lr": 0.01, "steps": 20}
    >>> run = train_one_matrix(images, model, "layer1.weight", "muon", **settings, probed=256, probe_every=10)
    >>> bool(run.loss.iloc[-1] < run.loss.iloc[0]), run.large_nuclear.notna().sum()
    (True, np.int64(2))
    """  # noqa: DOC502  (raised by the checks below)
    count = len(images.train_labels)
    _check(steps=steps, batch=batch, probed=probed, count=count, norms_every=norms_every, probe_every=probe_every)
    matrix, optimizer = _optimizer(model, name, rule, lr, momentum, rest_lr, method, ns_steps)
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    probe = next(minibatches(count, probed, seed=seed + 10_000)).split(batch) if probed else ()
    rows: list[dict[str, Any]] = []
    for step, index in zip(range(steps), minibatches(count, batch, seed=seed), strict=False):
        factor = schedule_factor(schedule_lr, step, steps)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        parts = probe if step % probe_every == probe_every // 2 else ()
        gradients = [_backward(model, optimizer, matrix, images, part)[1] for part in parts]
        loss, gradient = _backward(model, optimizer, matrix, images, index)
        finite = math.isfinite(loss) and all(bool(g.isfinite().all()) for g in (*gradients, gradient))
        row: dict[str, Any] = {"step": step, "loss": loss}
        if finite and norms_every and step % norms_every == 0:
            row |= _norms(gradient)
        if finite and gradients:
            row |= _separated(gradients)
        rows.append(row | {"diverged": not finite})
        if not finite:
            break
        optimizer.step()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _backward(
    model: nn.Module, optimizer: torch.optim.Optimizer, matrix: Tensor, images: Images, index: Tensor
) -> tuple[float, Tensor]:
    """Loss of a minibatch and the matrix's gradient, which all parameters keep in `grad` until the next call."""
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(model(images.train_images[index]), images.train_labels[index])
    loss.backward()
    gradient = torch.zeros_like(matrix) if matrix.grad is None else matrix.grad
    return loss.item(), gradient.flatten(1)


def _separated(gradients: Sequence[Tensor]) -> dict[str, float]:
    """Norms of the mean of minibatch gradients, and of what each has beyond it."""
    minibatches_of_probe = torch.stack(list(gradients))
    large = minibatches_of_probe.mean(0)
    return _norms(large, "large_") | _norms(minibatches_of_probe - large, "noise_")


def _norms(matrices: Tensor, prefix: str = "") -> dict[str, float]:
    """Nuclear and Frobenius norm, each the mean over a batch of matrices."""
    sigma = singular_values(matrices)
    return {f"{prefix}nuclear": sigma.sum(-1).mean().item(), f"{prefix}frobenius": sigma.norm(dim=-1).mean().item()}


def _optimizer(
    model: nn.Module, name: str, rule: str, lr: float, momentum: float, rest_lr: float, method: str, ns_steps: int
) -> tuple[nn.Parameter, Hybrid]:
    """The matrix and the optimizer of the whole model."""
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; choose one of {', '.join(RULES)}")
    trainable = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    if name not in trainable or trainable[name].ndim < 2:
        matrices = ", ".join(key for key, parameter in trainable.items() if parameter.ndim >= 2)
        raise ValueError(f"name is {name!r}; the model's trainable matrices: {matrices}")
    for label, value in (("lr", lr), ("rest_lr", rest_lr)):
        if not 0 <= value <= LARGEST_RATE:
            raise ValueError(f"{label} is {value!r}; it must be in [0, {LARGEST_RATE:g}]")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum!r}; it must be in [0, 1)")
    matrix = trainable.pop(name)
    if rule == "sgd":
        studied: torch.optim.Optimizer = torch.optim.SGD([matrix], lr=lr, momentum=momentum)
    else:
        exact = rule == "muon_exact"
        options: dict[str, Any] = {"nesterov": False, "method": method, "ns_steps": ns_steps, "exact": exact}
        studied = Muon([matrix], lr, 0.0, momentum, check_finite=False, **options)
    rest = [torch.optim.AdamW(trainable.values(), lr=rest_lr, weight_decay=0.0)] if trainable else []
    return matrix, Hybrid([studied, *rest])


def _check(count: int, **numbers: int | None) -> None:
    """Check the integers of a run."""
    for name, value in numbers.items():
        if value is None and name in ("norms_every", "probed"):
            continue
        most = count if name in ("batch", "probed") else math.inf
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            upper = f"to {most}" if most < math.inf else "on"
            raise ValueError(f"{name} is {value!r}; it must be an integer from 1 {upper}")
    if (numbers["probed"] or 0) % (numbers["batch"] or 1):
        raise ValueError(f"probed is {numbers['probed']}; it must be a multiple of batch = {numbers['batch']}")
