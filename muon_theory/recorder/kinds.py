"""What is recorded of a parameter, and where each optimizer keeps it.

- `gradient`: what the optimizer was given, so accumulated, unscaled and clipped as the training loop left it.
- `momentum`: the buffer after the step (`momentum_buffer` or `exp_avg` of the optimizer's state).
- `lmo_input`: the matrix whose direction was taken: what Muon orthogonalised, Nesterov included. For SGD, whose LMO is
  that of the Frobenius norm, what is multiplied by the learning rate, so weight decay, dampening and Nesterov included.
- `update`: weight after minus weight before the step, so learning rate, shape factor and weight decay included. Where
  the weights are bfloat16 or float16, whose differences are mostly rounding, it is what the optimizer meant to add, in
  the weights' dtype, from optimizers that tell (`muon_theory.optimizers.Muon`), and not recorded from others.
- `weight`: the parameter after the step.
- `activation`: what the layer was called with in the forward passes of the step, those of accumulation together, as a
  matrix whose rows are the vectors that W (out, -1) was applied to: tokens or samples of a linear layer, patches of a
  convolution. Linear and convolution layers, in training mode and with gradients enabled. Never stored as a matrix.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from muon_theory.spectra.singular_values import gram_error

_ASKED_ACCURACY, _ASKED_DOWN_TO = 1e-4, 3e-6  # what a recording promises, see `muon_theory.recorder.measure`

STEP_KINDS = ("gradient", "momentum", "lmo_input", "update", "weight")
"""What can be taken from an optimizer's step alone; recorded unless other kinds are asked for."""

KINDS = (*STEP_KINDS, "activation")
"""Everything that can be recorded, in the order of a recording's rows."""


def as_matrix(tensor: Tensor) -> Tensor:
    """The matrix of a parameter-shaped tensor: (out, in, height, width) becomes (out, in * height * width).

    Args:
        tensor: at least two dimensions, any layout, as Muon takes convolution kernels.

    Returns:
        the matrix of shape (out, -1), dense, without gradient tracking; a view where that is possible.

    Source: Jordan 2024 (flattening of the last three dimensions of a kernel).

    >>> as_matrix(torch.zeros(8, 3, 5, 5)).shape
    torch.Size([8, 75])
    """
    tensor = tensor.detach()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.reshape(tensor.shape[0], -1)


def momentum(optimizer: Optimizer, parameter: Tensor) -> Tensor | None:
    """The momentum buffer of a parameter.

    Args:
        optimizer: any optimizer; its `momentum_buffer` (Muon, SGD, RMSprop) or `exp_avg` (the Adam family) is found.
        parameter: one of its parameters.

    Returns:
        the buffer, in the parameter's shape, not copied; None where the optimizer keeps none.

    Source: the state of each optimizer in torch.optim.
    """
    state = optimizer.state.get(parameter)
    if not isinstance(state, Mapping):
        return None
    found = (state.get(name) for name in ("momentum_buffer", "exp_avg"))
    return next((each for each in found if isinstance(each, Tensor) and each.shape == parameter.shape), None)


def lmo_input(
    optimizer: Optimizer, parameter: Tensor, group: Mapping[str, Any], weight_before: Tensor | None
) -> Tensor | None:
    """The matrix whose direction the step took, found after the step.

    With gradient g, buffer b (after the step), momentum mu: torch.optim.Muon orthogonalises `b`, with Nesterov
    `(1 - mu) g + mu b`; SGD moves along `d = g + decay * W` without momentum, `b` with it, `d + mu b` with Nesterov.

    Args:
        optimizer: an optimizer with a method `lmo_input(parameter)`, torch.optim.Muon or torch.optim.SGD, or one with
            a list `optimizers` of such.
        parameter: one of its parameters.
        group: the parameter group it is in.
        weight_before: the parameter before the step where `needs_weight_before` says so, else None.

    Returns:
        the matrix, in the shape of the parameter or flattened; None where no rule is known, or the parameter had no
        gradient.

    Source: torch.optim.Muon and torch.optim.SGD (whose documentation writes Muon's buffer as mu b + g; the code, and so
        this function, uses the average mu b + (1 - mu) g). Checked in tests/recorder/test_kinds.py.
    """
    rule = _rule(stepping_optimizer(optimizer, parameter))
    if rule is None or parameter.grad is None:
        return None
    return rule(parameter, group, weight_before)


def stepping_optimizers(optimizer: Optimizer) -> list[Optimizer]:
    """The optimizers that step parameters: the inner ones of a hybrid, or the optimizer itself.

    Args:
        optimizer: any optimizer; a list `optimizers` of others makes it a hybrid.

    Returns:
        the optimizers, at least one.

    Source: elementary.
    """
    inner = [each for each in getattr(optimizer, "optimizers", ()) if isinstance(each, Optimizer)]
    return [found for each in inner for found in stepping_optimizers(each)] or [optimizer]


def ask_for_details(optimizer: Optimizer, *, updates: bool) -> None:
    """Ask an optimizer to keep what its next step forms anyway: singular values, and updates before they are rounded.

    Args:
        optimizer: any optimizer; one with `keep_details`, such as `muon_theory.optimizers.Muon`, is asked.
        updates: whether the updates are wanted.

    Source: elementary.
    """
    for inner in stepping_optimizers(optimizer):
        ask = getattr(inner, "keep_details", None)
        if ask is not None:
            ask(updates=updates)


def drop_details(optimizer: Optimizer) -> None:
    """Release what `ask_for_details` made an optimizer keep.

    Args:
        optimizer: any optimizer.

    Source: elementary.
    """
    for inner in stepping_optimizers(optimizer):
        drop = getattr(inner, "drop_details", None)
        if drop is not None:
            drop()


def lmo_spectrum(optimizer: Optimizer, parameter: Tensor) -> Tensor | None:
    """Singular values of the LMO input, where the step has formed them and they are accurate enough for a recording.

    Args:
        optimizer: any optimizer, after a step before which `ask_for_details` was called.
        parameter: one of its parameters.

    Returns:
        sigma, shape (min(rows, columns),), float64, descending, or None.

    Source: elementary; accuracy by `muon_theory.spectra.singular_values.gram_error`.
    """
    offered = getattr(stepping_optimizer(optimizer, parameter), "lmo_spectrum", None)
    sigma = None if offered is None else offered(parameter)
    if sigma is None or parameter.dtype == torch.float64:
        return sigma
    asked = sigma >= _ASKED_DOWN_TO * sigma[:1]
    return None if bool((asked & (gram_error(sigma) > _ASKED_ACCURACY)).any()) else sigma


def intended_update(optimizer: Optimizer, parameter: Tensor) -> Tensor | None:
    """The update of a parameter before it was rounded into the weight, in the weight's dtype.

    Args:
        optimizer: any optimizer, after a step before which `ask_for_details` was called with updates.
        parameter: one of its parameters.

    Returns:
        the update, in the parameter's shape, or None where the optimizer keeps none.

    Source: elementary.
    """
    offered = getattr(stepping_optimizer(optimizer, parameter), "intended_update", None)
    update = None if offered is None else offered(parameter)
    return None if update is None else update.to(parameter.dtype)


def has_lmo_input(optimizer: Optimizer) -> bool:
    """Whether the LMO input of at least some parameters of an optimizer is known.

    Args:
        optimizer: any optimizer.

    Returns:
        True for optimizers with a method `lmo_input`, torch.optim.Muon and torch.optim.SGD.

    Source: elementary.

    >>> has_lmo_input(torch.optim.AdamW([torch.nn.Parameter(torch.ones(2, 2))]))
    False
    """
    return _rule(optimizer) is not None


def needs_weight_before(optimizer: Optimizer, parameter: Tensor, group: Mapping[str, Any]) -> bool:
    """Whether `lmo_input` needs the parameter as it was before the step.

    Args:
        optimizer: any optimizer.
        parameter: one of its parameters.
        group: the parameter group it is in.

    Returns:
        True for SGD with weight decay, unless its direction is the buffer alone.

    Source: elementary.
    """
    if not _steps_like(stepping_optimizer(optimizer, parameter), torch.optim.SGD):
        return False
    return group["weight_decay"] != 0 and (group["momentum"] == 0 or group["nesterov"])


def stepping_optimizer(optimizer: Optimizer, parameter: Tensor) -> Optimizer:
    """Among the inner optimizers of a hybrid, the one that steps a parameter.

    Args:
        optimizer: any optimizer; a list `optimizers` of others makes it a hybrid.
        parameter: one of its parameters.

    Returns:
        the inner optimizer, or the optimizer itself where it is no hybrid.

    Source: elementary.
    """
    for inner in getattr(optimizer, "optimizers", ()):
        if isinstance(inner, Optimizer) and any(parameter is p for g in inner.param_groups for p in g["params"]):
            return stepping_optimizer(inner, parameter)
    return optimizer


def _steps_like(optimizer: Optimizer, kind: type[Optimizer]) -> bool:
    """Whether the optimizer's step is that of the class, not one that a subclass replaced."""
    return isinstance(optimizer, kind) and inspect.unwrap(type(optimizer).step) is inspect.unwrap(kind.step)


def _rule(optimizer: Optimizer) -> Callable[[Tensor, Mapping[str, Any], Tensor | None], Tensor | None] | None:
    """How the LMO input is found for this optimizer, or None."""
    offered: Callable[[Tensor], Tensor | None] | None = getattr(optimizer, "lmo_input", None)
    if offered is not None:
        return lambda parameter, _group, _before: offered(parameter)
    for kind, rule in ((torch.optim.Muon, _muon_input), (torch.optim.SGD, _sgd_input)):
        if _steps_like(optimizer, kind):
            return lambda parameter, group, before: rule(optimizer, parameter, group, before)
    return None


def _muon_input(optimizer: Optimizer, parameter: Tensor, group: Mapping[str, Any], _before: Tensor | None) -> Tensor:
    buffer = optimizer.state[parameter]["momentum_buffer"]
    return _gradient(parameter).lerp(buffer, group["momentum"]) if group["nesterov"] else buffer


def _sgd_input(
    optimizer: Optimizer, parameter: Tensor, group: Mapping[str, Any], weight_before: Tensor | None
) -> Tensor:
    buffer = momentum(optimizer, parameter) if group["momentum"] != 0 else None
    if buffer is not None and not group["nesterov"]:
        return buffer
    direction = -_gradient(parameter) if group["maximize"] else _gradient(parameter)
    if weight_before is not None:
        direction = direction.add(weight_before, alpha=group["weight_decay"])
    return direction if buffer is None else direction.add(buffer, alpha=group["momentum"])


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None  # noqa: S101  (lmo_input has checked)
    return parameter.grad.to_dense() if parameter.grad.layout != torch.strided else parameter.grad
