"""The optimizers that recipes publish, each built for a model from its learning rate, momentum and weight decay."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from muon_theory.optimizers.joint_optimizer import Hybrid
from muon_theory.optimizers.muon import Muon
from muon_theory.training.tutorial_muon import TutorialMuon


def sgd(model: nn.Module, *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Heavy-ball SGD on every parameter, weight decay added to the gradient.

    Args:
        model: the model.
        lr: learning rate.
        momentum: momentum, 0 for none.
        weight_decay: weight decay.

    Returns:
        torch.optim.SGD.

    Source: Wei 2025, "Understanding the Muon Optimizer" (the baseline).
    """
    return torch.optim.SGD(trained(model), lr=lr, momentum=momentum, weight_decay=weight_decay)


def adamw(model: nn.Module, *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW on every parameter, beta_2 = .999.

    Args:
        model: the model.
        lr: learning rate.
        momentum: beta_1.
        weight_decay: decoupled weight decay.

    Returns:
        torch.optim.AdamW.

    Source: Wei 2025, "Understanding the Muon Optimizer" (the baseline).
    """
    return torch.optim.AdamW(trained(model), lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)


def tutorial_muon(model: nn.Module, *, lr: float, momentum: float, weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """The tutorial's Muon on every parameter: head, first layer and biases included.

    Args:
        model: the model.
        lr: learning rate.
        momentum: momentum.
        weight_decay: decoupled, of tensors of two or more dimensions; published is 0.

    Returns:
        `TutorialMuon`.

    Source: Wei 2025, "Understanding the Muon Optimizer" (both experiments).
    """
    return TutorialMuon(trained(model), lr=lr, momentum=momentum, weight_decay=weight_decay)


class RescaledMuon(Muon):
    """Muon that first rescales every weight to the Frobenius norm sqrt(rows): steps of a fixed relative size.

    Args: as of `Muon`.

    Source: Jordan, airbench94_muon.
    """

    def step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Rescale and step the matrices of a group.

        Args:
            group: the group.
            parameters: those of its parameters that have a gradient.

        Source: Jordan, airbench94_muon.
        """
        for parameter in parameters:
            norm = torch.linalg.vector_norm(parameter)
            parameter.mul_(torch.where(norm > 0, math.sqrt(len(parameter)) / norm, 1.0))
        super().step_group(group, parameters)


def airbench_muon(model: nn.Module, *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Airbench's optimizers: rescaled Muon with three steps on the kernels, Nesterov SGD of .85 on all else.

    The learning rate of biases is .053 and that of the head .67 where Muon's is .24, and scales with it; the weight
    decay of a group is divided by its learning rate. The bias of a layer called `whiten` decays to 0 over three eighths
    of the run.

    Args:
        model: the model.
        lr: Muon's learning rate.
        momentum: Muon's momentum.
        weight_decay: an image's share of it, 2e-6; times the batch of 2000.

    Returns:
        A hybrid of `RescaledMuon` and torch.optim.SGD.

    Source: Jordan, airbench94_muon (facts, not code, carried over).
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    kernels = [parameter for _, parameter in named if parameter.ndim > 2]
    whitening = [parameter for name, parameter in named if name.startswith("whiten.") and parameter.ndim < 2]
    biases = [p for name, p in named if p.ndim < 2 and not name.startswith("whiten.")]
    heads = [parameter for _, parameter in named if parameter.ndim == 2]
    scale = lr / 0.24
    decay = 2000 * weight_decay
    rest = []
    for found, rate, share in ((whitening, 0.053, 3 / 8), (biases, 0.053, 1.0), (heads, 0.67, 1.0)):
        if found and rate * scale > 0:
            rest.append({"params": found, "lr": rate * scale, "weight_decay": decay / (rate * scale),
                         "decay_share": share})  # fmt: skip
    optimizers: list[torch.optim.Optimizer] = []
    if kernels:
        optimizers.append(
            RescaledMuon(
                kernels,
                lr=lr,
                momentum=momentum,
                weight_decay=0.0,
                ns_steps=3,
                adjust_lr_fn="none",
                compute_dtype=torch.bfloat16,
                check_finite=False,
            )
        )
    if rest:
        optimizers.append(torch.optim.SGD(rest, lr=lr, momentum=0.85, nesterov=True))
    return Hybrid(optimizers)


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of a model that are trained.

    Args:
        model: the model.

    Returns:
        Those with requires_grad, in the model's order.

    Source: elementary.
    """
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
