"""The inputs of layers as matrices: what a weight was multiplied with in all forward passes of one step.

A row is one vector that the flattened weight W (out, -1) was applied to: a token or sample of a linear layer, a patch
(channels x kernel, padding included, of every group) of a convolution. So the gradient of W is a product with this
matrix, and its columns are those of W. Rows are kept while they are fewer than the columns; from then on only their
Gram matrix A^T A, in float64: never more numbers than columns squared.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

GRAM_RESOLUTION = 1e-7
"""Share of sigma_1 below which a spectrum from the float64 Gram matrix tells nothing: sqrt(eps) with some room."""

_CHUNK_ENTRIES = 2**21  # 16 MiB in float64
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def input_rows(module: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """The rows of a layer's input matrix, in pieces of bounded size.

    Args:
        module: a Linear, or a Conv1d, Conv2d or Conv3d with any stride, padding, dilation and groups.
        inputs: what its forward was called with, batched or not.

    Yields:
        Tensors of shape (some rows, columns of the flattened weight), in the dtype of the inputs.

    Source: elementary (a convolution is a product of its flattened kernel with the patches).

    >>> kernel = nn.Conv2d(3, 8, 3, padding=1, stride=2)
    >>> [tuple(rows.shape) for rows in input_rows(kernel, torch.ones(5, 3, 8, 8))]
    [(80, 27)]
    """
    inputs = inputs.detach()
    if not isinstance(module, _CONVOLUTIONS):
        yield inputs.reshape(-1, inputs.shape[-1])
        return
    spatial = len(module.kernel_size)
    if inputs.ndim == spatial + 1:
        inputs = inputs[None]
    per_sample = math.prod(inputs.shape[1:]) * math.prod(module.kernel_size)
    for samples in inputs.split(max(1, _CHUNK_ENTRIES // max(1, per_sample))):
        patches = _padded(module, samples)
        sizes = zip(module.kernel_size, module.stride, module.dilation, strict=True)
        for dimension, (size, stride, dilation) in enumerate(sizes, start=2):
            patches = patches.unfold(dimension, (size - 1) * dilation + 1, stride)[..., ::dilation]
        grouped = patches.unflatten(1, (module.groups, -1))  # (samples, groups, channels, places, kernel)
        places = range(3, 3 + spatial)
        order = (0, *places, 1, 2, *range(3 + spatial, 3 + 2 * spatial))
        yield grouped.permute(order).reshape(-1, math.prod(grouped.shape[i] for i in order[2 + spatial :]))


def _padded(module: nn.Module, samples: Tensor) -> Tensor:
    amounts: Any = module._reversed_padding_repeated_twice
    mode = "constant" if module.padding_mode == "zeros" else str(module.padding_mode)
    return nn.functional.pad(samples, amounts, mode=mode) if any(amounts) else samples


class InputMatrix:
    """The matrix of a layer's inputs, row by row; what is kept of it is bounded by columns^2 numbers.

    Args:
        columns: number of columns, >= 1.

    Source: elementary.

    >>> matrix = InputMatrix(2)
    >>> for _ in range(3):
    ...     matrix.add(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    >>> matrix.rows, matrix.spectrum()
    (6, tensor([6.9282, 5.1962], dtype=torch.float64))
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = 0
        self.dtype = torch.float32
        self.outside_backward = False
        self._kept: list[Tensor] = []
        self._gram: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        """Append rows.

        Args:
            rows: shape (any, columns), any floating-point dtype; copied.

        Source: elementary.
        """
        self.rows += rows.shape[0]
        self.dtype = rows.dtype
        if self._gram is None and self.rows <= self.columns:
            self._kept.append(rows.clone())
            return
        for each in [*self._kept, rows]:
            for piece in each.split(max(1, _CHUNK_ENTRIES // self.columns)):
                self._add_to_gram(piece)
        self._kept = []

    def matrix(self) -> Tensor | None:
        """The matrix itself.

        Returns:
            Shape (rows, columns), or None where only its Gram matrix is kept.

        Source: elementary.
        """
        return torch.cat(self._kept) if self._gram is None and self._kept else None

    def gram(self) -> Tensor:
        """The Gram matrix A^T A.

        Returns:
            Shape (columns, columns), float64.

        Source: elementary.
        """
        for rows in self._kept:
            self._add_to_gram(rows)
        self._kept = []
        return torch.zeros(self.columns, self.columns, dtype=torch.float64) if self._gram is None else self._gram

    def spectrum(self) -> Tensor:
        """The singular values by the Gram matrix.

        Returns:
            Shape (min(rows, columns),), float64, descending; NaN where an input held NaN or inf.

        Source: elementary.

        Accuracy: relative c eps (sigma_1 / sigma)^2, nothing below 1e-7 sigma_1.
        """
        return gram_spectrum(self.gram(), self.rows)

    def _add_to_gram(self, rows: Tensor) -> None:
        wide = rows.to(torch.float64) if rows.device.type != "mps" else rows.cpu().to(torch.float64)
        if wide.device.type == "cpu":
            numbers = wide.contiguous().numpy()
            product = torch.from_numpy(numbers.T @ numbers)  # numpy forms one half only
        else:
            product = wide.mT @ wide
        self._gram = product if self._gram is None else self._gram.add_(product)


def gram_spectrum(gram: Tensor, rows: int) -> Tensor:
    """Singular values of a matrix of which the Gram matrix A^T A is known.

    Args:
        gram: shape (columns, columns), float64.
        rows: rows of A.

    Returns:
        Shape (min(rows, columns),), float64, descending; NaN where the Gram matrix is not finite.

    Source: elementary.
    """
    count = min(rows, gram.shape[0])
    if not bool(gram.isfinite().all()):
        return gram.new_full((count,), math.nan)
    return torch.linalg.eigvalsh(gram).clamp_min(0).sqrt().flip(-1)[:count]


class LayerInputs:
    """Hooks on the layers of a model that gather their input matrices at armed steps, and do nothing else at others.

    Inputs count in training mode and with gradients enabled, once where a checkpointed forward pass is run again in the
    backward pass. Where `zero_grad` has thrown a gradient away, its inputs go too. On a model that is compiled, the
    hooks stay, since a compiled forward pass knows only those it was compiled with: it then has two versions, with and
    without the gathering, neither with a graph break. On others there is no hook at silent steps.

    Args:
        model: the model.
        weights: the weights whose inputs are asked for; those of other modules than Linear and convolutions have none.

    Source: torch.nn.Module.register_forward_pre_hook, torch.library.custom_op.
    """

    def __init__(self, model: nn.Module, weights: Iterable[Tensor]) -> None:
        self._asked = frozenset(weights)
        self._hooks: list[_InputHook] = []
        for module in model.modules():
            weight = module._parameters.get("weight")
            if isinstance(module, (nn.Linear, *_CONVOLUTIONS)) and weight is not None and weight in self._asked:
                self._hooks.append(_InputHook(self, module, weight))
        self.armed = False
        """Whether inputs are gathered."""
        self._matrices: dict[Tensor, InputMatrix] = {}
        self._went_back: set[Tensor] = set()
        self._handles: list[RemovableHandle] = []
        self._gradient_handles: list[RemovableHandle] = []
        self.stays = bool(self._hooks) and any(map(_is_compiled, model.modules()))
        """Whether the hooks stay at silent steps."""
        if self.stays:
            self._hook()

    @property
    def weights(self) -> set[Tensor]:
        """The weights whose layers are hooked.

        Source: elementary.
        """
        return {hook.weight for hook in self._hooks}

    def asked_for(self, weights: Iterable[Tensor]) -> bool:
        """Whether these are the weights that were asked for.

        Args:
            weights: parameters.

        Returns:
            True if they are.

        Source: elementary.
        """
        return self._asked == frozenset(weights)

    def arm(self) -> None:
        """Gather from now on, beginning with nothing.

        Source: elementary.
        """
        self.clear()
        if self.armed:
            return
        self.armed = True
        self._hook()
        for weight in self.weights:
            if weight.requires_grad and weight.is_leaf and not hasattr(weight, "full_tensor"):
                self._gradient_handles.append(weight.register_post_accumulate_grad_hook(self._went_back.add))

    def disarm(self) -> None:
        """Gather no more, and leave no hook where the model is not compiled; what was gathered stays.

        Source: elementary.
        """
        self.armed = False
        while self._gradient_handles:
            self._gradient_handles.pop().remove()
        if not self.stays:
            self.unhook()

    def unhook(self) -> None:
        """Leave no hook.

        Source: elementary.
        """
        while self._handles:
            self._handles.pop().remove()

    def _hook(self) -> None:
        if not self._handles:
            self._handles = [h.module.register_forward_pre_hook(h, with_kwargs=True) for h in self._hooks]

    def clear(self) -> None:
        """Forget what was gathered.

        Source: elementary.
        """
        self._matrices, self._went_back = {}, set()

    def of(self, weight: Tensor) -> InputMatrix | None:
        """The input matrix of a weight since `arm`.

        Args:
            weight: the parameter.

        Returns:
            The matrix, or None where no input was seen.

        Source: elementary.
        """
        return self._matrices.get(weight)

    @torch.no_grad()
    def see(self, module: nn.Module, weight: Tensor, inputs: Tensor) -> None:
        """Add the input of one forward pass.

        Args:
            module: the layer.
            weight: its weight.
            inputs: what the layer was called with.

        Source: elementary.
        """
        whole = _whole_once(inputs)
        if whole is None:
            return
        if weight in self._went_back:
            self._went_back.discard(weight)
            if weight.grad is None:  # zero_grad came between
                self._matrices.pop(weight, None)
        matrix = self._matrices.get(weight)
        if matrix is None:
            matrix = self._matrices[weight] = InputMatrix(math.prod(weight.shape[1:]))
        in_backward = torch._C._current_graph_task_id() != -1
        if in_backward and matrix.outside_backward:
            return  # a checkpointed forward pass, run again
        matrix.outside_backward |= not in_backward
        with _no_autocast(whole.device.type):
            for rows in input_rows(module, whole):
                matrix.add(rows)


class _InputHook:
    """The hook of one layer; what runs while torch compiles is a custom operator, so that the graph does not break."""

    def __init__(self, inputs: LayerInputs, module: nn.Module, weight: Tensor) -> None:
        self._inputs, self.module, self.weight = inputs, module, weight
        self._number = next(_NUMBERS)
        _HOOKS[self._number] = self

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._inputs.armed:
            return
        given = args[0] if args else kwargs.get("input")
        if module.training and torch.is_grad_enabled() and isinstance(given, Tensor):
            if torch.compiler.is_compiling():
                torch.ops.muon_theory.layer_input(given.detach(), _TOKEN, self._number)
            else:
                self.see(given)

    def see(self, given: Tensor) -> None:
        if self._inputs.armed:
            self._inputs.see(self.module, self.weight, given)

    def see_compiled(self, given: Tensor) -> None:
        self._inputs.stays = True  # somebody compiled the model without telling
        self.see(given)


_NUMBERS = itertools.count()
_HOOKS: weakref.WeakValueDictionary[int, _InputHook] = weakref.WeakValueDictionary()
_TOKEN = torch.zeros(())  # said to be written to, so that no compiler leaves the operator out


@torch.library.custom_op(
    "muon_theory::layer_input",
    mutates_args=("token",),
    schema="(Tensor given, Tensor(a!) token, int number) -> ()",
)
def _layer_input(given: Tensor, token: Tensor, number: int) -> None:  # noqa: ARG001
    hook = _HOOKS.get(number)
    if hook is not None:
        hook.see_compiled(given)


@_layer_input.register_fake
def _(given: Tensor, token: Tensor, number: int) -> None:
    """Nothing is returned, so nothing is known of its shape."""


def _is_compiled(module: nn.Module) -> bool:
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None


def _whole_once(inputs: Tensor) -> Tensor | None:
    """The inputs; of a DTensor the whole, on one of the ranks that would otherwise count it several times."""
    spread: Any = inputs
    if not hasattr(spread, "full_tensor"):
        return inputs
    whole = spread.full_tensor()
    return whole if not any(spread.device_mesh.get_coordinate() or ()) else None


def _no_autocast(device: str) -> contextlib.AbstractContextManager[object]:
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()
