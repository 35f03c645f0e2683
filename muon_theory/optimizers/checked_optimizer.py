"""What is the same for every rule: checks before anything is changed, the closure, the LMO inputs, batches by shape."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from muon_theory.optimizers.validation import check_flags, check_gradient, listed_parameters, parameter_label

_BATCH_ELEMENTS = 2**24


class CheckedOptimizer(Optimizer, ABC):
    """Optimizer that checks options, parameters and gradients before it changes anything.

    A rule is a subclass with `check_options` (raises on what it cannot do) and `step_group` (steps the parameters of a
    group that have a gradient, and leaves the LMO inputs in `self.lmo_inputs`).

    Args:
        params: parameters, named parameters or parameter groups.
        defaults: the options of a group and their default values.
        check_finite: whether each step first looks for NaN and inf in the gradients and raises ValueError before
            anything is changed; None: on CPU only, because it would synchronise a GPU.

    Source: elementary.
    """

    state_names: frozenset[str] = frozenset({"momentum_buffer"})  # what a rule keeps for a parameter

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any], *, check_finite: bool | None = None) -> None:
        self.check_finite = check_finite
        self.lmo_inputs: dict[Tensor, Tensor] = {}
        defaults = _plain(defaults)
        check_flags(defaults)
        self.check_options(defaults)
        super().__init__(params, defaults)

    @abstractmethod
    def check_options(self, options: dict[str, Any]) -> None:
        """Raise ValueError or TypeError for options, or parameters in "params", that the rule cannot take.

        Args:
            options: a group with the defaults filled in; "params" may be missing.

        Source: elementary.
        """

    @abstractmethod
    def step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Step the parameters of a group.

        Args:
            group: the group.
            parameters: those of its parameters that have a gradient, in order.

        Source: elementary.
        """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group, checked as the constructor checks it.

        Args:
            param_group: "params" and any of the constructor's per-group options.

        Raises:
            ValueError: if an option or a parameter's shape is out of range, the group is empty, or a parameter is given
                twice; nothing is added then.
            TypeError: if a parameter is not a real floating-point tensor.

        Source: elementary.
        """  # noqa: DOC502  (raised by the checks below)
        param_group = _plain(listed_parameters(param_group))
        self._check_given_once(param_group["params"])
        check_flags(param_group)
        self.check_options(self.defaults | param_group)
        super().add_param_group(param_group)

    def _check_given_once(self, listed: list[Any]) -> None:
        """Check that a new group is not empty and repeats no parameter, be it its own or of another group."""
        if not listed:
            raise ValueError("a parameter group is empty; leave it out, or give it at least one parameter")
        seen = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        for index, entry in enumerate(listed):
            name, parameter = entry if isinstance(entry, tuple) else (f"parameter {index}", entry)
            if id(parameter) in seen:
                raise ValueError(f"{name} of the group is given twice; each parameter may be given once only")
            seen.add(id(parameter))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a loaded or unpickled state, unless it is another kind of optimizer's."""
        stepped = (parameter for group in state["param_groups"] for parameter in group["params"])
        found = {name for parameter in stepped for name in state["state"].get(parameter, ())}
        if not found <= self.state_names:
            raise ValueError(
                f"the state holds {sorted(map(str, found - self.state_names))}, which {type(self).__name__} does not "
                "keep: it was saved by another kind of optimizer, load it there"
            )
        super().__setstate__(state)
        self.lmo_inputs = {}
        self.check_finite = getattr(self, "check_finite", None)
        for group in self.param_groups:
            for option, value in self.defaults.items():
                group.setdefault(option, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "check_finite": self.check_finite}

    def lmo_input(self, parameter: Tensor) -> Tensor | None:
        """LMO input: what the rule's linear minimization oracle was applied to in the last step.

        Args:
            parameter: a parameter of this optimizer.

        Returns:
            The matrix or vector, not to be modified, or None if the last step had no gradient for it (and right after a
            state was loaded: it is no part of the state).

        Source: elementary.
        """
        return self.lmo_inputs.get(parameter)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; parameters without a gradient are left alone.

        Args:
            closure: recomputes the loss and the gradients, as in torch.

        Returns:
            The closure's loss, or None without one.

        Raises:
            ValueError: before anything is changed, if a gradient holds NaN or inf (where `check_finite` applies), a
                learning rate is not finite, or the state does not fit a parameter, which was cast, moved or resized.
            TypeError: if a gradient is sparse.

        Source: elementary.
        """  # noqa: DOC502  (raised by check_gradient)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._check_gradients()
        self._check_state()
        self.lmo_inputs = {}
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self.step_group(group, parameters)
        return loss

    def _check_gradients(self) -> None:
        """Refuse gradients that are sparse, or not finite where that is looked for."""
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        looked_at = [g for g in gradients if self.check_finite or (self.check_finite is None and g.is_cpu)]
        if all(g.layout == torch.strided for g in gradients) and _surely_finite(looked_at):
            return
        for g, group in enumerate(self.param_groups):
            for i, parameter in enumerate(group["params"]):
                check_gradient(parameter, self.check_finite, lambda g=g, i=i: parameter_label(self, g, i))

    def _check_state(self) -> None:
        """Refuse learning rates that are not finite, and buffers unlike their parameters."""
        for g, group in enumerate(self.param_groups):
            if not math.isfinite(group["lr"]):
                raise ValueError(f"lr of group {g} is {group['lr']!r}; nothing was changed: look at the scheduler")
            for i, parameter in enumerate(group["params"]):
                buffer = self.state[parameter].get("momentum_buffer") if parameter in self.state else None
                if buffer is None or (buffer.shape, buffer.dtype, buffer.device) == (
                    parameter.shape,
                    parameter.dtype,
                    parameter.device,
                ):
                    continue
                raise ValueError(
                    f"the state of {parameter_label(self, g, i)} is {buffer.dtype} of shape {tuple(buffer.shape)} on "
                    f"{buffer.device}, the parameter {parameter.dtype} on {parameter.device}; nothing was changed: "
                    "cast, move or resize a model before its optimizer is built, or load a state that fits"
                )

    def momentum_buffer(self, parameter: Tensor) -> Tensor:
        """The buffer of a parameter in the state, made of zeros on its first step.

        Args:
            parameter: a parameter of this optimizer.

        Returns:
            The buffer itself, in the parameter's shape, dtype and memory format.

        Source: elementary.
        """
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return state["momentum_buffer"]


def signed_gradient(parameter: Tensor, group: dict[str, Any]) -> Tensor:
    """Gradient of what is minimised: the parameter's, or minus it where the group says maximize.

    Args:
        parameter: a parameter with a gradient.
        group: its group.

    Returns:
        The gradient itself or a new tensor, in the parameter's dtype, which is the state's.

    Source: elementary.
    """
    gradient = parameter.grad
    assert gradient is not None  # noqa: S101  (the caller filtered)
    gradient = gradient.to(parameter.dtype)
    return -gradient if group["maximize"] else gradient


def matrix_shape(parameter: Tensor) -> tuple[int, int]:
    """Rows and columns of a parameter seen as a matrix: kernels are flattened to (out, -1), a vector is one column.

    Args:
        parameter: a tensor with at least one dimension and one element.

    Returns:
        (rows, columns).

    Source: Jordan 2024 (the flattening).

    >>> matrix_shape(torch.zeros(8, 3, 5, 5))
    (8, 75)
    """
    return parameter.shape[0], parameter.numel() // parameter.shape[0]


def alike(parameters: Iterable[Tensor], *, largest_side: int = 128) -> Iterator[tuple[tuple[int, int], list[Tensor]]]:
    """Parameters of one matrix shape, dtype and device together, in batches of bounded memory.

    Args:
        parameters: tensors with at least one dimension.
        largest_side: on a CPU, matrices whose smaller side exceeds this come one by one: batching gains nothing there.

    Yields:
        (shape as a matrix, the parameters of a batch).

    Source: elementary.

    >>> [(shape, len(batch)) for shape, batch in alike([torch.zeros(2, 3), torch.zeros(4, 4), torch.zeros(2, 3)])]
    [((2, 3), 2), ((4, 4), 1)]
    """
    found: defaultdict[tuple[Any, ...], list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        found[matrix_shape(parameter), parameter.dtype, parameter.device].append(parameter)
    for (shape, _, device), batch in found.items():
        one_by_one = device.type == "cpu" and min(shape) > largest_side
        count = 1 if one_by_one else max(1, _BATCH_ELEMENTS // (shape[0] * shape[1]))
        for start in range(0, len(batch), count):
            yield shape, batch[start : start + count]


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Copy of options with numpy's numbers as Python's, so that a saved state loads with weights_only=True."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}


def _surely_finite(gradients: list[Tensor]) -> bool:
    """Whether all entries are finite by the Euclidean norms, which are cheap and may overflow: False says nothing."""
    same_kind: defaultdict[tuple[torch.dtype, torch.device], list[Tensor]] = defaultdict(list)
    for gradient in gradients:
        same_kind[gradient.dtype, gradient.device].append(gradient)
    norms = [torch.stack(list(torch._foreach_norm(same))) for same in same_kind.values()]  # pyright: ignore[reportPrivateImportUsage]
    return all(bool(norm.isfinite().all()) for norm in norms)
