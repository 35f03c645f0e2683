"""The rules compared on CIFAR-10, with the learning rates and momenta published for the full recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from muon_theory.optimizers import Fanion, FFanion, Hybrid, Muon, Neon, SFanion, normalized_sgd, sign_descent


class Rule(NamedTuple):
    """A rule for convolution kernels, and the published settings of the full recipe."""

    build: Callable[..., torch.optim.Optimizer]
    lr: float
    momentum: float
    accuracy: float


RULES: Mapping[str, Rule] = {
    "Muon": Rule(partial(Muon, weight_decay=0.0, ns_steps=3, adjust_lr_fn="none"), 0.24, 0.6, 94.01),
    "F-Muon": Rule(partial(FFanion, k=None, alpha=0.5), 0.40, 0.6, 94.01),
    "S-Muon": Rule(partial(SFanion, k=None, alpha=0.5, eta=0.003), 0.42, 0.63, 94.03),
    "SignSGD": Rule(sign_descent, 0.003, 0.95, 91.54),
    "NSGD": Rule(normalized_sgd, 0.5, 0.95, 91.6),
    "Neon": Rule(Neon, 0.24, 0.6, 69.8),
    "Fanion-5": Rule(partial(Fanion, k=5), 0.24, 0.6, 80.69),
    "F-Neon": Rule(partial(FFanion, k=1, alpha=0.5), 0.40, 0.6, 87.15),
    "F-Fanion-5": Rule(partial(FFanion, k=5, alpha=0.5), 0.40, 0.6, 86.66),
}
"""Source: Kravatskiy et al. 2025, arXiv 2512.09678, table on CIFAR-10 (validation accuracy in %)."""


def on_kernels(name: str, kernels: list[nn.Parameter], lr: float, *, rescaled: bool) -> torch.optim.Optimizer:
    """The rule of a name for some kernels, which are rescaled to Frobenius norm sqrt(out) before each step if asked."""
    optimizer = RULES[name].build(kernels, lr=lr, momentum=RULES[name].momentum, nesterov=True, check_finite=False)
    if rescaled:
        optimizer.register_step_pre_hook(_rescale)
    return optimizer


@torch.no_grad()
def _rescale(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        for kernel in group["params"]:
            kernel.mul_(math.sqrt(len(kernel)) / torch.linalg.vector_norm(kernel).clamp(min=1e-30))


def small_hybrid(model: nn.Module, name: str, lr: float, *, rescaled: bool, adamw_lr: float = 3e-3) -> Hybrid:
    """The rule on the kernels of a small net, AdamW on its head and biases."""
    kernels = [parameter for parameter in model.parameters() if parameter.ndim > 2]
    rest = [parameter for parameter in model.parameters() if parameter.ndim <= 2]
    rule = on_kernels(name, kernels, lr, rescaled=rescaled)
    return Hybrid([rule, torch.optim.AdamW(rest, lr=adamw_lr, weight_decay=0.0)])


def full_recipe(model: nn.Module, name: str, lr: float, *, rescaled: bool) -> Hybrid:
    """The rule in the place of Muon in the full recipe's optimizer; everything else as there."""
    from muon_theory.training.recipe_optimizers import airbench_muon

    usual: Any = airbench_muon(model, lr=0.24, momentum=0.6, weight_decay=2e-6)
    kernels = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim > 2]
    return Hybrid([on_kernels(name, kernels, lr, rescaled=rescaled), *usual.optimizers[1:]])
