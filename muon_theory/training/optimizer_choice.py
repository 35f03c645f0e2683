"""The optimizers a run may name, built for a model with comparable options; and the learning-rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from muon_theory.optimizers import muon_with_adamw
from muon_theory.optimizers.parameter_groups import Matrices

OptimizerName = Literal["sgd", "adamw", "muon"]
LearningRateSchedule = Literal["constant", "cosine", "linear"]

LARGEST_RATE = 1e30
"""Beyond it, step sizes overflow float32 inside torch's optimizers before a loss can show the divergence."""

DEFAULT_MOMENTUM = {"sgd": 0.95, "adamw": 0.9, "muon": 0.95}


@dataclass(frozen=True)
class OptimizerOptions:
    """Options of an optimizer of a run.

    Args:
        lr: learning rate, >= 0 (Muon: of the matrices).
        momentum: momentum; AdamW's beta_1. None: .95 for SGD and Muon, .9 for AdamW.
        nesterov: whether momentum is Nesterov's; None: yes for Muon, no for SGD. AdamW has none.
        weight_decay: decoupled for Muon and AdamW, added to the gradient for SGD.
        adamw_lr: learning rate of what Muon leaves to AdamW.
        method: Muon's orthogonalizer, a key of `COEFFICIENTS` or "taylor_<degree>".
        ns_steps: number of Newton-Schulz steps.
        exact: whether Muon takes the exact polar factor.
        match_frobenius: whether Muon's updates are rescaled to the polar factor's Frobenius norm.
        matrices: what Muon steps: "hidden" or "all", see `parameter_roles`.

    Source: elementary.
    """

    lr: float
    momentum: float | None = None
    nesterov: bool | None = None
    weight_decay: float = 0.0
    adamw_lr: float = 1e-3
    method: str = "jordan_2024"
    ns_steps: int = 5
    exact: bool = False
    match_frobenius: bool = False
    matrices: Matrices = "hidden"


def build_optimizer(name: str, model: nn.Module, options: OptimizerOptions) -> torch.optim.Optimizer:
    """Optimizer of a name for a model's trainable parameters.

    Args:
        name: "sgd" (torch.optim.SGD), "adamw" (torch.optim.AdamW) or "muon" (`muon_with_adamw`).
        model: the model.
        options: its options.

    Returns:
        The optimizer.

    Raises:
        ValueError: if the name is unknown or an option is out of range.

    Source: elementary.

    >>> build_optimizer("sgd", nn.Linear(2, 2), OptimizerOptions(lr=0.1)).param_groups[0]["momentum"]
    0.95
    """
    if name not in get_args(OptimizerName):
        raise ValueError(f"optimizer_name is {name!r}; choose one of {', '.join(get_args(OptimizerName))}")
    for rate, value in (("lr", options.lr), ("adamw_lr", options.adamw_lr)):
        if not 0 <= value <= LARGEST_RATE:
            raise ValueError(f"{rate} is {value!r}; it must be in [0, {LARGEST_RATE:g}]")
    momentum = DEFAULT_MOMENTUM[name] if options.momentum is None else options.momentum
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum!r}; it must be in [0, 1)")
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = options.weight_decay
    if name == "sgd":
        nesterov = bool(options.nesterov) and momentum > 0
        return torch.optim.SGD(parameters, lr=options.lr, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=options.lr, betas=(momentum, 0.999), weight_decay=decay)
    return muon_with_adamw(
        model,
        lr=options.lr,
        adamw_lr=options.adamw_lr,
        weight_decay=decay,
        matrices=options.matrices,
        momentum=momentum,
        nesterov=options.nesterov is not False,
        method=options.method,
        ns_steps=options.ns_steps,
        exact=options.exact,
        match_frobenius=options.match_frobenius,
        check_finite=False,
    )


def schedule_factor(schedule: str, step: int, steps: int) -> float:
    """Learning-rate factor at a step: what the initial learning rate is multiplied by.

    "constant": 1. "linear": 1 - t/T. "cosine": (1 + cos(pi t/T))/2, with t the step and T the number of steps; all
    start at 1, and the last two would reach 0 one step after the last.

    Args:
        schedule: "constant", "cosine" or "linear".
        step: t, from 0 to T - 1.
        steps: T >= 1.

    Returns:
        The factor, in (0, 1].

    Raises:
        ValueError: if the schedule is unknown.

    Source: Loshchilov, Hutter 2017, arXiv 1608.03983 (cosine).

    >>> [schedule_factor("linear", t, 4) for t in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1.0 - step / steps
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * step / steps))
    raise ValueError(f"schedule_lr is {schedule!r}; choose one of {', '.join(get_args(LearningRateSchedule))}")
