"""Descent on matrices: momentum, a direction found for every matrix, decoupled weight decay, the step.

What a rule adds is one function, `direction`: from a batch of momentum matrices of one shape to a batch of directions.
Momentum, flattening, batching and writing are the same for all of them and live here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, overload

import torch
from torch import Tensor

from muon_theory.optimizers.checked_optimizer import CheckedOptimizer, alike, signed_gradient
from muon_theory.optimizers.muon import shape_factor
from muon_theory.optimizers.validation import check_number, check_parameters, listed_parameters

ShapeRule = Literal["none", "original", "match_rms_adamw", "spectral"]
Nesterov = bool | Literal["coded", "written"]

SHAPE_RULES = ("none", None, "original", "match_rms_adamw", "spectral")
NESTEROV_FORMS = (True, False, "coded", "written")


def look_ahead_weight(momentum: float, nesterov: Nesterov) -> float:
    r"""Look-ahead weight w: the direction is taken of X = (1 - w) G + w B, with B <- b B + (1 - b) G already advanced.

    The codes (and torch.optim.Muon) add b times the *sum* S = B / (1 - b) to the gradient, G + b S, which is
    proportional to (1 - b) G + b B: w = b. The papers write G + b B with the *average* B: w = b / (1 + b). In terms of
    past gradients the coded rule weighs (1 + b), b^2, b^3, ... and the written one 1 + b (1 - b), b^2 (1 - b),
    b^3 (1 - b), ...; the overall factor is lost on directions that do not depend on scale, the ratio is not. Without
    Nesterov X = B: w = 1.

    Args:
        momentum: b in [0, 1).
        nesterov: True or "coded", "written", or False.

    Returns:
        w in [0, 1].

    Source: arXiv 2512.09678v2, section on momentum (written), and its published code (coded); the weights are derived
        here, checked in tests/optimizers/test_lmo_descent.py.

    >>> look_ahead_weight(0.95, True), look_ahead_weight(0.5, "written"), look_ahead_weight(0.95, False)
    (0.95, 0.3333333333333333, 1.0)
    """
    if not nesterov:
        return 1.0
    return momentum / (1.0 + momentum) if nesterov == "written" else momentum


class _Plan(NamedTuple):
    """What a step is going to write: nothing is written before every plan of the step is made."""

    parameter: Tensor
    buffer: Tensor
    lmo_input: Tensor
    direction: Tensor
    step_size: float
    shrinkage: float


class MatrixDescent(CheckedOptimizer):
    """Optimizer that steps every matrix along a direction found from its momentum.

    With gradient G, buffer B, momentum b, learning rate lr, decay w and shape factor c::

        B <- b B + (1 - b) G
        X  = B, or with Nesterov a mean of G and B         (`look_ahead_weight`, `lmo_input`)
        W <- (1 - lr w) W + lr c direction(X)

    Tensors of more than two dimensions are matrices (out, -1), from which c is taken too. A step that raises has
    changed nothing: all directions are found before anything is written. Gradients are never modified.

    Args:
        params: parameters, named parameters or parameter groups; each tensor real floating point.
        defaults: the options of a group, at least lr, weight_decay, momentum, nesterov, adjust_lr_fn and maximize.
        objects: the options among them that are objects (a norm, a function). Groups and state_dict hold their
            labels only, so that a state stays loadable with weights_only=True; the optimizer keeps the objects.
        check_finite: whether each step looks for NaN and inf in the gradients first and raises ValueError; None: on
            CPU only, because it would synchronise a GPU.

    Raises:
        ValueError: if an option or a parameter's shape is out of range, a group is empty or a parameter is given twice.
        TypeError: if a parameter is not a real floating-point tensor.

    Source: Jordan 2024 (the rule of Muon); Pethick et al. 2025, arXiv 2502.07529 (a norm's oracle in its place).
    """  # noqa: DOC502  (raised by the checks below)

    def __init__(
        self,
        params: Iterable[Any],
        defaults: dict[str, Any],
        *,
        objects: tuple[str, ...] = (),
        check_finite: bool | None = None,
    ) -> None:
        self._object_options = objects
        self._objects: dict[str, Any] = {}
        self._planned: list[_Plan] = []
        super().__init__(params, self._labelled(defaults), check_finite=check_finite)

    @abstractmethod
    def direction(self, X: Tensor, group: dict[str, Any]) -> Tensor:
        """Direction of a batch of matrices of one shape by the options of a group, pointing downhill.

        Args:
            X: LMO inputs, shape (batch, m, n), finite; not to be modified.
            group: a parameter group.

        Returns:
            Tensor of X's shape and dtype.

        Source: elementary.
        """

    def object_label(self, value: Any) -> str:
        """Label that stands for an object option in groups and states.

        Args:
            value: the object.

        Returns:
            Its repr.

        Source: elementary.
        """
        return repr(value)

    def _labelled(self, options: dict[str, Any]) -> dict[str, Any]:
        """Copy of options in which objects are replaced by labels; the objects are kept."""
        options = dict(options)
        for name in self._object_options:
            value = options.get(name)
            if name in options and not isinstance(value, str):
                label = plain = self.object_label(value)
                count = 1
                while label in self._objects and self._objects[label] is not value and self._objects[label] != value:
                    count += 1
                    label = f"{plain}#{count}"
                self._objects[label] = value
                options[name] = label
        return options

    def _object(self, group: dict[str, Any], name: str) -> Any:
        """The object that an option of a group stands for."""
        value = group[name]
        return self._objects.get(value) if isinstance(value, str) else value

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise for options or parameters that the rule cannot take.

        Args:
            options: a group with the defaults filled in; "params" may be missing.

        Raises:
            ValueError: if one is out of range.

        Source: elementary.
        """
        check_number("lr", options["lr"])
        check_number("momentum", options["momentum"], below=1.0)
        check_number("weight_decay", options["weight_decay"])
        for name, choices in (("nesterov", NESTEROV_FORMS), ("adjust_lr_fn", SHAPE_RULES)):
            if options[name] not in choices:
                raise ValueError(f"{name} is {options[name]!r}; choose one of {choices}")
        remedy = (
            f"{type(self).__name__} steps matrices (and kernels, flattened to (out, -1)): "
            "give vectors and scalars to AdamW, MuonAll or sign_descent"
        )
        check_parameters(options, type(self).__name__, dimensions=self.least_dimensions(options), remedy=remedy)

    def least_dimensions(self, options: dict[str, Any]) -> int:  # noqa: ARG002  (for rules that depend on the group)
        """Least number of dimensions of the parameters of a group: 2, or 1 where the rule means the same for vectors.

        Args:
            options: a group with the defaults filled in.

        Returns:
            1 or 2.

        Source: elementary.
        """
        return 2

    def step_factor(self, rows: int, columns: int, group: dict[str, Any]) -> float:
        """Factor c that the direction of a matrix of this shape is multiplied by, besides the learning rate.

        Args:
            rows: of the flattened matrix.
            columns: of the flattened matrix.
            group: a parameter group.

        Returns:
            1 where adjust_lr_fn is "none", else Muon's shape factor.

        Source: elementary; see `shape_factor`.
        """
        rule = group["adjust_lr_fn"]
        return 1.0 if rule == "none" else shape_factor(rows, columns, rule)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group, checked as the constructor checks it.

        Args:
            param_group: "params" and any of the constructor's per-group options.

        Raises:
            ValueError: if an option or a parameter's shape is out of range, the group is empty or a parameter is given
                twice; nothing is added then.
            TypeError: if a parameter is not a real floating-point tensor.

        Source: elementary.
        """  # noqa: DOC502  (raised by the checks below)
        super().add_param_group(self._labelled(listed_parameters(param_group)))

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_object_options": self._object_options, "_objects": self._objects}

    def __setstate__(self, state: dict[str, Any]) -> None:
        objects = state.get("_objects", self.__dict__.get("_objects", {}))
        for group in state.get("param_groups", ()):
            for name in state.get("_object_options", self.__dict__.get("_object_options", ())):
                label = group.get(name)
                if isinstance(label, str) and label not in objects:
                    raise ValueError(
                        f"the state was saved with {name} {label}, this optimizer has {', '.join(objects)}: "
                        f"build it with the same {name}"
                    )
        super().__setstate__(state)
        self._planned = []

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
            ValueError: if a gradient holds NaN or inf (where `check_finite` applies); nothing is changed then.
            TypeError: if a gradient is sparse; nothing is changed then.

        Source: Jordan 2024.
        """  # noqa: DOC502  (raised by check_gradient)
        for group in self.param_groups:  # an object that was put into a group since
            group.update(self._labelled({name: group[name] for name in self._object_options}))
        self._planned = []
        loss = super().step() if closure is None else super().step(closure)
        planned, self._planned = self._planned, []
        for plan in planned:
            self._carry_out(plan)
        return loss

    # Traced, the second matrix of a batch got a wrong direction from the second step on (torch 2.13): it runs untraced.
    @torch._disable_dynamo  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    def step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Plan the step of a group; `step` carries out all plans together.

        Args:
            group: the group.
            parameters: those of its parameters that have a gradient, in order.

        Source: elementary.
        """
        for (rows, columns), batch in alike(parameters):
            self._planned.extend(self._plans(batch, rows, columns, group))

    def _plans(self, parameters: list[Tensor], rows: int, columns: int, group: dict[str, Any]) -> Iterator[_Plan]:
        """Plans of parameters that are matrices of one shape, in one batch."""
        weight = look_ahead_weight(group["momentum"], group["nesterov"])
        buffers, inputs = [], []
        for parameter in parameters:
            gradient = signed_gradient(parameter, group)
            buffer = self._advanced(parameter, gradient, group["momentum"])
            X = buffer if weight == 1.0 else gradient.lerp(buffer, weight)
            buffers.append(buffer)
            inputs.append(X.reshape(rows, columns))
        stacked = torch.stack(inputs)
        lr = float(group["lr"])
        step_size = lr * self.step_factor(rows, columns, group)
        shrinkage = 1 - lr * group["weight_decay"]
        for parameter, buffer, X, D in zip(parameters, buffers, stacked, self.direction(stacked, group), strict=True):
            yield _Plan(parameter, buffer, X, D, step_size, shrinkage)

    def _advanced(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """The momentum buffer after this step's gradient; a tensor of its own."""
        buffer = self.state[parameter].get("momentum_buffer") if parameter in self.state else None
        if buffer is None:
            buffer = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return buffer.lerp(gradient, 1 - momentum)

    def _carry_out(self, plan: _Plan) -> None:
        """Write what was planned for a parameter."""
        state = self.state[plan.parameter]
        if "momentum_buffer" in state:
            state["momentum_buffer"].copy_(plan.buffer)
        else:
            state["momentum_buffer"] = plan.buffer
        self.lmo_inputs[plan.parameter] = plan.lmo_input
        plan.parameter.mul_(plan.shrinkage)
        plan.parameter.add_(plan.direction.reshape(plan.parameter.shape), alpha=plan.step_size)
