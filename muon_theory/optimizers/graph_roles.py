"""Roles read from the autograd graph of one forward pass: the head, embeddings, and tables that are only added."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

GraphRole = Literal["embedding", "head", "tied", "table"]

_PRODUCTS = {"Mm", "Addmm", "Bmm", "Baddbmm", "Mv", "Addmv", "Linear", "Trilinear", "Convolution", "MkldnnRnnLayer"}
_LOOKUPS = {"Embedding", "EmbeddingBag", "IndexSelect", "Gather", "Index"}
_ADDITIONS = {"Add", "Sub"}
_VIEWS = {"T", "Transpose", "Permute", "View", "UnsafeView", "ReshapeAlias", "Reshape", "ToCopy", "Expand", "Slice"}
_VIEWS |= {"Select", "Split", "SplitWithSizes", "Unbind", "Chunk", "Unsqueeze", "Squeeze", "Clone", "Narrow"}


def roles_in_graph(model: nn.Module, example: Any) -> dict[Tensor, tuple[GraphRole, str]]:
    """Roles that one forward pass shows.

    The head of an output is the matrix multiplied last on every way to it; where several are (a residual stream without
    a head), there is none. A parameter of two or more dimensions that is looked up is an embedding; looked up and
    multiplied, it is tied; only added, it is a table (positions, for instance).

    Args:
        model: the model; run once in its present mode, forward only, with buffers and random state put back.
        example: a tensor, a tuple of arguments or a dict of keyword arguments.

    Returns:
        Role and reason of the parameters about which the graph says something.

    Raises:
        ValueError: if the output depends on no parameter.

    Source: derived here, checked in tests/optimizers/test_routing.py.

    Cost: one forward pass.

    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    >>> {tuple(p.shape): role for p, (role, _) in roles_in_graph(model, torch.zeros(1, 4)).items()}
    {(2, 4): 'head'}
    """
    outputs = _forward(model, example)
    if not outputs:
        raise ValueError("the model's output for `example` depends on no parameter; give another example or none")
    parameters = set(model.parameters())
    uses: defaultdict[Tensor, set[str]] = defaultdict(set)
    heads: set[Tensor] = set()
    for output in outputs:
        nearest = _nearest_matrices(output, parameters, uses)
        heads |= nearest if len(nearest) == 1 else set()
    return {weight: role for weight in uses if (role := _role(uses[weight], weight in heads)) is not None}


def _nearest_matrices(output: Tensor, parameters: set[Any], uses: dict[Tensor, set[str]]) -> set[Tensor]:
    """Matrices multiplied on a way back from the output that meets no other before; all uses are noted on the way."""
    nearest: set[Tensor] = set()
    queue: deque[tuple[Any, bool]] = deque([(output.grad_fn, True)])
    seen: dict[Any, bool] = {}
    while queue:  # a node is visited again when it is found to be reachable without a product
        node, direct = queue.popleft()
        if node is None or seen.get(node, False) or (node in seen and not direct):
            continue
        seen[node] = direct
        operation = _operation(node)
        leaves = [_leaf(child, parameters) for child, _ in node.next_functions]
        matrices = [leaf for leaf in leaves if leaf is not None and leaf.ndim >= 2]
        if operation not in _VIEWS:
            for weight in matrices:
                uses[weight].add(_use(operation))
        multiplies = operation in _PRODUCTS and bool(matrices)
        if multiplies and direct:
            nearest |= set(matrices)
        queue.extend((child, direct and not multiplies) for child, _ in node.next_functions)
    return nearest


def _operation(node: Any) -> str:
    """Name of the operation of a node, e.g. "Addmm" of AddmmBackward0."""
    return type(node).__name__.split("Backward")[0]


def _use(operation: str) -> str:
    """Kind of an operation."""
    kinds = {"product": _PRODUCTS, "lookup": _LOOKUPS, "addition": _ADDITIONS}
    return next((kind for kind, names in kinds.items() if operation in names), "other")


def _role(uses: set[str], is_head: bool) -> tuple[GraphRole, str] | None:
    """What the uses of a parameter make of it."""
    if "lookup" in uses:
        return ("tied", "looked up and multiplied") if "product" in uses else ("embedding", "looked up")
    if is_head:
        return "head", "nearest matrix to the output"
    return ("table", "only added") if uses == {"addition"} else None


def _leaf(node: Any, parameters: set[Any]) -> Tensor | None:
    """The parameter that reaches an operation through views, casts and expansions only, if one does."""
    while node is not None:
        variable = getattr(node, "variable", None)
        if variable is not None:
            return variable if variable in parameters else None
        if _operation(node) not in _VIEWS or not node.next_functions:
            return None
        node = node.next_functions[0][0]
    return None


def _forward(model: nn.Module, example: Any) -> list[Tensor]:
    """Tensors of the output that have a graph; buffers and random state are put back."""
    arguments, keywords = ((), example) if isinstance(example, Mapping) else (example, {})
    if not isinstance(arguments, tuple):
        arguments = (arguments,)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with torch.random.fork_rng(devices=()), torch.enable_grad():
            output = model(*arguments, **keywords)
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])
    return [tensor for tensor in _tensors(output) if tensor.grad_fn is not None]


def _tensors(output: Any) -> list[Tensor]:
    """All tensors in an output of nested containers."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        output = list(output.values())
    return [tensor for part in output for tensor in _tensors(part)] if isinstance(output, list | tuple) else []
