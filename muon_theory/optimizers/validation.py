"""What the optimizers accept: options, parameters and gradients are checked before anything is changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import UninitializedParameter

from muon_theory.polar import CoefficientSet, coefficient_set

_FLAGS = frozenset({"maximize", "exact", "match_frobenius", "error_feedback", "relative"})

STEPPED_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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


def check_iteration(options: dict[str, Any]) -> None:
    """Check the options of momentum and a Newton-Schulz iteration: nesterov, ns_steps, method and compute_dtype.

    A set that begins anew after its last row (`you_2024`) is a schedule of that many steps and no other: cut short or
    begun anew it leaves singular values far from 1. It is run as asked, with a UserWarning.

    Args:
        options: a group with the defaults filled in; "ns_coefficients" may be missing. "auto" is no method here.

    Raises:
        ValueError: if one is out of range.

    Source: elementary; You 2024 and Cesista 2025 publish five rows for five steps.

    >>> check_iteration({"nesterov": True, "ns_steps": 5, "method": "you_2024", "compute_dtype": None})
    """
    if not isinstance(options["nesterov"], bool):
        raise ValueError(f"nesterov is {options['nesterov']!r}; it must be True or False here (Fanion has more forms)")
    steps = options["ns_steps"]
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps < 100:
        raise ValueError(f"ns_steps is {steps!r}; it must be an integer from 0 to 99")
    if (coefficients := options.get("ns_coefficients")) is None:
        chosen = coefficient_set(options["method"])
        if "params" in options:  # once for a group
            _warn_of_cycles(chosen, steps)
    elif len(coefficients) != 3:
        raise ValueError(f"ns_coefficients is {coefficients!r}; it must be a triple (a, b, c), or None for `method`")
    dtype = options["compute_dtype"]
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"compute_dtype is {dtype!r}; it must be a real floating-point torch.dtype or None")


def _warn_of_cycles(chosen: CoefficientSet, steps: int) -> None:
    """Warn of a schedule that is cut short or begun anew; no step at all is a normalisation, as asked."""
    published = len(chosen.steps)
    if chosen.extension == "cycle" and steps % published:
        warnings.warn(
            f"{chosen.name} is a schedule of {published} steps, and ns_steps is {steps}: cut short or begun anew, it "
            f"leaves singular values far from 1; take ns_steps={published}, or another method",
            stacklevel=8,
        )


def check_number(name: str, value: Any, *, below: float = float("inf")) -> None:
    """Check that an option is a finite number in [0, below).

    Args:
        name: what to call it.
        value: the option; a tensor of one element will do.
        below: exclusive upper end.

    Raises:
        ValueError: if it is not.
        TypeError: if it is no number, such as the string that a configuration file makes of 1e-3.

    Source: elementary.
    """
    if isinstance(value, bool) or not isinstance(value, Real | Tensor):
        raise TypeError(f"{name} is {value!r}, of type {type(value).__name__}; it must be a number")
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"{name} is a tensor of shape {tuple(value.shape)}; it must have one element")
    if not 0.0 <= float(value) < below:
        limit = "be finite and >= 0" if below == float("inf") else f"be in [0, {below:g})"
        raise ValueError(f"{name} is {value!r}; it must {limit}")


def check_flags(options: dict[str, Any]) -> None:
    """Check that the options that are True or False are one of them: "no" would be taken for True.

    Args:
        options: a group; those that are missing are left out.

    Raises:
        TypeError: if one is neither.

    Source: elementary.

    >>> check_flags({"maximize": False})
    """
    for name in _FLAGS & options.keys():
        if not isinstance(options[name], bool):
            raise TypeError(f"{name} is {options[name]!r}; it must be True or False")


def check_parameters(options: dict[str, Any], optimizer: str, *, dimensions: int, remedy: str) -> None:
    """Check that the parameters of a group are real floating-point tensors of enough dimensions, not empty.

    Args:
        options: a group; "params" may be missing.
        optimizer: its name, for the message.
        dimensions: the least number of dimensions.
        remedy: what to do with a tensor of fewer dimensions.

    Raises:
        ValueError: if a shape is out of range.
        TypeError: if a parameter is not a real floating-point tensor.

    Source: elementary.
    """
    for index, entry in enumerate(options.get("params", ())):
        name, parameter = entry if isinstance(entry, tuple) else (f"parameter {index}", entry)
        if not isinstance(parameter, Tensor) or parameter.dtype not in STEPPED_DTYPES:
            kind = parameter.dtype if isinstance(parameter, Tensor) else type(parameter).__name__
            raise TypeError(f"{name} is {kind}; {optimizer} steps real floating-point tensors of 16 bits or more only")
        if isinstance(parameter, UninitializedParameter):
            raise ValueError(f"{name} has no shape yet; run the model once, then build its optimizer")
        if parameter.ndim < dimensions:
            raise ValueError(f"{name} has shape {tuple(parameter.shape)}; {remedy}")
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
