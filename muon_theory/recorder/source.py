"""Which matrices an optimizer works on, and how each is taken at a scheduled step."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from muon_theory.recorder.activations import GRAM_RESOLUTION, InputMatrix, LayerInputs
from muon_theory.recorder.arguments import check_matrix, checked_kinds, checked_names
from muon_theory.recorder.kinds import (
    as_matrix,
    ask_for_details,
    drop_details,
    intended_update,
    lmo_input,
    lmo_spectrum,
    momentum,
    needs_weight_before,
    stepping_optimizer,
)
from muon_theory.recorder.matrices import MatrixKey
from muon_theory.recorder.measure import KnownSpectrum, RecordedMatrix

_logger = logging.getLogger(__name__)


class Layer(NamedTuple):
    """A parameter with its name in the model, the parameter group it is in and the optimizer that steps it.

    Source: elementary.
    """

    name: str
    parameter: Tensor
    group: dict[str, Any]
    optimizer: Optimizer


class MatrixSource:
    """The matrices of the optimizers' steps: those of every parameter with two or more dimensions.

    Args:
        optimizers: any torch optimizers, each with parameters of its own.
        model: the module whose parameter names are used.
        kinds: which of `KINDS` to take; None: all but `activation`.
        layers: names of the parameters to take; None: every matrix of the optimizer.

    Raises:
        TypeError: a matrix is complex, or one of the arguments has the wrong type.
        ValueError: an unknown kind or layer, a parameter that is not in the model or not initialised, no matrix at all.

    Source: elementary.
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        model: nn.Module,
        kinds: Iterable[str] | None,
        layers: Iterable[str] | None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is a {type(model).__name__}: pass the torch.nn.Module that the optimizer trains")
        self._optimizers, self._model = tuple(optimizers), model
        self.kinds = checked_kinds(kinds)
        self._chosen = checked_names(layers)
        self._names: dict[Tensor, str] = {}
        self._before: dict[Tensor, Tensor] = {}
        self._asked: list[Optimizer] = []
        self._inputs = LayerInputs(model, [])
        self._said: set[str] = set()
        found = self.layers(strict=True)
        for layer in found:
            check_matrix(layer.name, layer.parameter)
        _check_given_once(found)
        unknown = sorted(self._chosen - {layer.name for layer in found}) if self._chosen is not None else []
        if unknown:
            names = ", ".join(layer.name for layer in self._matrices())
            raise ValueError(f"layers holds {unknown}: choose among the optimizer's matrices, {names}")
        if not found:
            raise ValueError(
                "the optimizer has no parameter with two or more dimensions: "
                "pass the optimizer of the matrices (weights), there is nothing to record in vectors"
            )

    def layers(self, optimizer: Optimizer | None = None, *, strict: bool = False) -> list[Layer]:
        """The parameters whose matrices are taken, groups added in the meantime included.

        Args:
            optimizer: only those that this one steps; None: all.
            strict: raise where a parameter is not in the model, instead of leaving it out and saying so once.

        Returns:
            the layers in the optimizers' order.

        Raises:
            ValueError: `strict`, and a parameter is not in the model.

        Source: elementary.
        """
        found = []
        for layer in self._matrices(optimizer):
            if layer.name:
                found.append(layer)
                continue
            shape = tuple(layer.parameter.shape)
            if strict:
                index = next(i for i, group in enumerate(layer.optimizer.param_groups) if group is layer.group)
                raise ValueError(
                    f"a parameter of the optimizer, of shape {shape} in param_groups[{index}], is not in the model: "
                    "pass the model that this optimizer trains (its parameters, not copies made by .to() or a wrapper)"
                )
            self._say_once("unknown", "a parameter of shape %s is not in the model: it is not recorded", shape)
        return [layer for layer in found if self._chosen is None or layer.name in self._chosen]

    @property
    def is_spread(self) -> bool:
        """Whether a matrix is spread over several processes (a DTensor).

        Source: elementary.
        """
        return any(hasattr(layer.parameter, "full_tensor") for layer in self.layers())

    @property
    def looks_ahead(self) -> bool:
        """Whether it must be known before the forward pass that a step is recorded.

        Source: elementary.
        """
        return "activation" in self.kinds

    def arm(self, due: bool) -> None:
        """Before the forward passes of a step: hook the layers if it is recorded, else see to it that none is hooked.

        Args:
            due: whether the coming step is recorded.

        Source: elementary.
        """
        if due or self._inputs.asked_for([]):  # a compiled model must be hooked before its first forward pass
            weights = [layer.parameter for layer in self.layers()]
            if not self._inputs.asked_for(weights):
                self.leave()
                self._inputs = LayerInputs(self._model, weights)
        if due:
            self._inputs.arm()
        else:
            self._inputs.disarm()

    def leave(self) -> None:
        """Release everything and leave no hook in the model.

        Source: elementary.
        """
        self.forget()
        self._inputs.unhook()
        self._inputs = LayerInputs(self._model, [])

    def before_step(self, optimizer: Optimizer) -> None:
        """Keep what the step is going to overwrite: the weights, where a kind needs them.

        Args:
            optimizer: the one that is about to step.

        Source: elementary.
        """
        layers = self.layers(optimizer)
        unresolved = "update" in self.kinds and not all(resolves_updates(layer.parameter) for layer in layers)
        if unresolved or "lmo_input" in self.kinds:
            self._asked.append(optimizer)
            ask_for_details(optimizer, updates=unresolved)
        for _, parameter, group, _ in layers:
            wanted = "lmo_input" in self.kinds and needs_weight_before(optimizer, parameter, group)
            if wanted or ("update" in self.kinds and resolves_updates(parameter)):
                self._before[parameter] = parameter.detach().clone()

    def forget(self) -> None:
        """Release what `before_step` kept.

        Source: elementary.
        """
        self._before = {}
        self._inputs.disarm()
        self._inputs.clear()
        while self._asked:
            drop_details(self._asked.pop())

    def after_step(self, optimizer: Optimizer, step: int) -> Iterator[RecordedMatrix]:
        """The matrices of the step that an optimizer has just taken.

        Args:
            optimizer: the one that stepped.
            step: number of the step.

        Yields:
            the matrices by layer, and within a layer in the order of `KINDS`.

        Source: elementary.
        """
        for layer in self.layers(optimizer):
            for kind in self.kinds:
                if kind == "activation":
                    yield from self._activation(layer, step)
                    continue
                tensor = self.take(kind, layer)
                if tensor is not None:
                    differences = kind == "update" and resolves_updates(layer.parameter)
                    rounded = layer.parameter.detach() if differences else None
                    known = self._known(kind, layer, tensor)
                    yield RecordedMatrix(MatrixKey(step, layer.name, kind), as_matrix(tensor), rounded, known)

    def _matrices(self, stepped_by: Optimizer | None = None) -> list[Layer]:
        """The matrices of the optimizers; the name is empty where the model does not know the parameter."""
        optimizers = self._optimizers if stepped_by is None else (stepped_by,)
        grouped = [(group, optimizer) for optimizer in optimizers for group in optimizer.param_groups]
        held = [(p, group, optimizer) for group, optimizer in grouped for p in group["params"] if _may_be_matrix(p)]
        if any(parameter not in self._names for parameter, _, _ in held):  # at first, and after the model grew
            wrapped = "module." if isinstance(self._model, nn.parallel.DistributedDataParallel) else ""
            named = self._model.named_parameters()
            self._names = {parameter: _plain_name(name.removeprefix(wrapped)) for name, parameter in named}
        return [Layer(self._names.get(parameter, ""), parameter, group, by) for parameter, group, by in held]

    def inputs_of(self, layer: Layer) -> InputMatrix | None:
        """The inputs of a layer in the forward passes of the step, as far as this process saw them.

        Args:
            layer: one of `layers`.

        Returns:
            The input matrix, or None where there is none, which is said once.

        Source: elementary.
        """
        inputs = self._inputs.of(layer.parameter)
        if inputs is not None and inputs.rows:
            return inputs
        if layer.parameter in self._inputs.weights:
            text = (
                "no input of %s was seen: its layer was not called in training mode, or compiled before it was hooked "
                "(pass the compiled model to the recorder, and enter it before the first forward pass)"
            )
        else:
            text = "the input of %s is not recorded: it is the weight of no Linear or convolution layer"
        self._say_once(text, text, layer.name)
        return None

    def take(self, kind: str, layer: Layer) -> Tensor | None:
        """What a kind other than `activation` is of a layer, after the step.

        Args:
            kind: one of `STEP_KINDS`.
            layer: one of `layers`.

        Returns:
            A tensor in the parameter's shape (or flattened, for some LMO inputs), or None where there is none.

        Source: elementary.
        """
        name, parameter, group, optimizer = layer
        before = self._before.get(parameter)
        if kind == "weight":
            return parameter
        if kind == "update":
            return self._update(layer, before)
        if parameter.grad is None or kind == "gradient":
            return parameter.grad
        if kind == "momentum":
            tensor = momentum(optimizer, parameter)
            missing = "%s keeps no momentum of %s: the kind is not recorded"
        else:
            tensor = lmo_input(optimizer, parameter, group, before)
            missing = "no rule is known for the LMO input of %s in %s: the kind is not recorded"
        if tensor is None and not hasattr(optimizer, "owner"):  # of sharded optimizers, the owner has it
            self._say_once(kind, missing, type(stepping_optimizer(optimizer, parameter)).__name__, name)
        return tensor

    def _update(self, layer: Layer, before: Tensor | None) -> Tensor | None:
        parameter = layer.parameter
        if resolves_updates(parameter):
            return None if before is None else parameter - before
        update = intended_update(layer.optimizer, parameter)
        if update is None and parameter.grad is not None:
            text = (
                "the update of weights in %s (%s) is not recorded: their difference is mostly rounding, %s tells none"
            )
            self._say_once("update", text, parameter.dtype, layer.name, type(layer.optimizer).__name__)
        return update

    def _activation(self, layer: Layer, step: int) -> Iterator[RecordedMatrix]:
        inputs = self.inputs_of(layer)
        if inputs is None:
            return
        key, matrix = MatrixKey(step, layer.name, "activation"), inputs.matrix()
        if matrix is not None:
            yield RecordedMatrix(key, matrix)
        else:
            shape = torch.empty(inputs.rows, inputs.columns, dtype=inputs.dtype, device="meta")
            yield RecordedMatrix(key, shape, known=KnownSpectrum(inputs.spectrum(), GRAM_RESOLUTION))

    def _known(self, kind: str, layer: Layer, tensor: Tensor) -> KnownSpectrum | None:
        """The singular values that the optimizer has formed: of the LMO input, and of a momentum that is the same."""
        if kind not in ("momentum", "lmo_input"):
            return None
        sigma = lmo_spectrum(layer.optimizer, layer.parameter)
        if sigma is None or (kind == "momentum" and not self._is_lmo_input(tensor, layer)):
            return None
        return KnownSpectrum(sigma)

    def _is_lmo_input(self, tensor: Tensor, layer: Layer) -> bool:
        found = lmo_input(layer.optimizer, layer.parameter, layer.group, None)
        return found is not None and found.is_cpu and torch.equal(as_matrix(found), as_matrix(tensor))

    def _say_once(self, topic: str, text: str, *values: object) -> None:
        if topic not in self._said:
            self._said.add(topic)
            _logger.warning(text, *values)


def _plain_name(name: str) -> str:
    """The name without what torch.compile and activation checkpointing put in front."""
    return name.replace("_orig_mod.", "").replace("_checkpoint_wrapped_module.", "")


def _may_be_matrix(parameter: Tensor) -> bool:
    if torch.nn.parameter.is_lazy(parameter):
        return True
    return parameter.ndim >= 2 and parameter.numel() > 0


def resolves_updates(parameter: Tensor) -> bool:
    """Whether the difference of two stored weights is more than rounding.

    Args:
        parameter: a weight.

    Returns:
        True from 32 bits on.

    Source: elementary; bfloat16 and float16 updates by difference were seen wrong by up to their own size.
    """
    return torch.finfo(parameter.dtype).bits >= 32


def _check_given_once(layers: Iterable[Layer]) -> None:
    seen: dict[int, Optimizer] = {}
    for layer in layers:
        if seen.setdefault(id(layer.parameter), layer.optimizer) is not layer.optimizer:
            raise ValueError(f"parameter {layer.name} is in two of the optimizers: give each matrix to one of them")
