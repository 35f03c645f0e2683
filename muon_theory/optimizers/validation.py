"""What the optimizers accept: options, parameters and gradients are checked before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from muon_theory.polar import method_steps

ADJUSTMENTS = (None, "original", "match_rms_adamw", "spectral")


def listed_parameters(param_group: dict[str, Any]) -> dict[str, Any]:
    """Copy of a parameter group whose "params" is a list, so that checking it does not use up an iterator.

    Args:
        param_group: a dict with "params": a tensor, or an ordered iterable of tensors or (name, tensor) pairs.

    Returns:
        The copy.

    Raises:
        TypeError: if the group is no dict with "params", or "params" is a set, whose order changes between runs.

    Source: elementary.
    """
    if not isinstance(param_group, dict) or "params" not in param_group:
        raise TypeError(f"a parameter group must be a dict with the key 'params', got {type(param_group).__name__}")
    parameters = param_group["params"]
    if isinstance(parameters, set):
        raise TypeError("params is a set, whose order changes between runs; pass a list")
    return param_group | {"params": [parameters] if isinstance(parameters, Tensor) else list(parameters)}


def check_group(options: dict[str, Any]) -> None:
    """Check Muon's options and the parameters of a group.

    Args:
        options: the group with defaults filled in; "params" may be missing.

    Raises:
        ValueError: if an option or a parameter's shape is out of range.
        TypeError: if a parameter is not a real floating-point tensor.

    Source: elementary.
    """  # noqa: DOC502  (raised by the checks below)
    _check_rates(options)
    coefficients, steps = options["ns_coefficients"], options["ns_steps"]
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps < 100:
        raise ValueError(f"ns_steps is {steps!r}; it must be an integer from 0 to 99")
    if coefficients is None:
        method_steps(options["method"], steps)
    elif len(coefficients) != 3:
        raise ValueError(f"ns_coefficients is {coefficients!r}; it must be a triple (a, b, c), or None for `method`")
    if options["adjust_lr_fn"] not in ADJUSTMENTS:
        raise ValueError(f"adjust_lr_fn is {options['adjust_lr_fn']!r}; choose one of {ADJUSTMENTS}")
    dtype = options["compute_dtype"]
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"compute_dtype is {dtype!r}; it must be a real floating-point torch.dtype or None")
    for index, entry in enumerate(options.get("params", ())):
        name, parameter = entry if isinstance(entry, tuple) else (f"parameter {index}", entry)
        _check_parameter(name, parameter)


def _check_rates(options: dict[str, Any]) -> None:
    """Check learning rate, weight decay, momentum and eps."""
    lr = options["lr"]
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError(f"lr is a tensor of shape {tuple(lr.shape)}; it must have one element")
    for name in ("lr", "weight_decay", "eps"):
        if not 0.0 <= float(options[name]) < float("inf"):
            raise ValueError(f"{name} is {options[name]!r}; it must be finite and >= 0")
    if not 0.0 <= options["momentum"] < 1.0:
        raise ValueError(f"momentum is {options['momentum']!r}; it must be in [0, 1)")


def _check_parameter(name: str, parameter: Any) -> None:
    """Check that Muon can step this parameter."""
    if not isinstance(parameter, Tensor) or not parameter.is_floating_point():
        kind = parameter.dtype if isinstance(parameter, Tensor) else type(parameter).__name__
        raise TypeError(f"{name} is {kind}; Muon steps real floating-point tensors only")
    if parameter.ndim < 2:
        raise ValueError(
            f"{name} has shape {tuple(parameter.shape)}; Muon steps matrices (and kernels, flattened to (out, -1)): "
            "give vectors and scalars to AdamW, for instance by muon_with_adamw(model)"
        )
    if parameter.numel() == 0:
        raise ValueError(f"{name} has shape {tuple(parameter.shape)}; leave parameters without elements out")


def check_gradient(parameter: Tensor, check_finite: bool | None, label: Callable[[], str]) -> None:
    """Check that a gradient is dense and, where that is asked or cheap, finite.

    Args:
        parameter: a parameter with a gradient.
        check_finite: whether to look for NaN and inf; None: on CPU only.
        label: what to call the parameter in an error.

    Raises:
        ValueError: if the gradient holds NaN or inf.
        TypeError: if the gradient is sparse.

    Source: elementary.

    Cost: one pass over the gradient.
    """
    gradient = parameter.grad
    if gradient is None:
        return
    if gradient.layout != torch.strided:
        raise TypeError(f"the gradient of {label()} is {gradient.layout}; Muon needs dense gradients: use sparse=False")
    if check_finite is None:
        check_finite = gradient.device.type == "cpu"
    if check_finite and not bool(torch.isfinite(torch.linalg.vector_norm(gradient, float("inf")))):
        raise ValueError(f"the gradient of {label()} holds NaN or inf; nothing was changed: skip the step or lower lr")


def parameter_label(optimizer: torch.optim.Optimizer, group: int, index: int) -> str:
    """Label of a parameter for an error message: group, index, name if the optimizer was given names, and shape.

    Args:
        optimizer: the optimizer that holds it.
        group: index of the parameter group.
        index: index within the group.

    Returns:
        For example "parameter 1 of group 0 ('fc.weight', shape (10, 4))".

    Source: elementary.
    """
    options = optimizer.param_groups[group]
    names = options.get("param_names")
    name = f"{names[index]!r}, " if names else ""
    return f"parameter {index} of group {group} ({name}shape {tuple(options['params'][index].shape)})"
