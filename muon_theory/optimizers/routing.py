"""Which role every parameter plays in a model, read from the modules and the graph, never from names.

The role decides the optimizer: matrices between hidden layers have an operator norm that means something, so Muon steps
them; embeddings, the output head, tables that are added, and vectors go to AdamW.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from muon_theory.optimizers.graph_roles import roles_in_graph
from muon_theory.optimizers.matrix_blocks import check_blocks

if TYPE_CHECKING:
    import pandas as pd

Role = Literal["hidden", "fused", "stack", "convolution", "embedding", "head", "tied", "table", "vector"]
Target = Literal["muon", "adamw"]

MUON_ROLES: tuple[Role, ...] = ("hidden", "fused", "stack", "convolution")
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


@dataclass(frozen=True)
class Route:
    """What is done with one parameter.

    Args:
        name: its first name in the model.
        shape: its shape.
        role: what it does in the model.
        optimizer: "muon" or "adamw".
        reason: why, in a few words.
        split_rows: rows of the matrices fused in it, or None.
        stacked: number of leading dimensions that index matrices.

    Source: elementary.

    >>> Route("w", (2, 2), "hidden", "muon", "a matrix").optimizer
    'muon'
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    optimizer: Target
    reason: str
    split_rows: tuple[int, ...] | None = None
    stacked: int = 0


@dataclass(frozen=True)
class Routing:
    """The routes of all trainable parameters of a model, in its order; as text, an aligned table.

    Args:
        routes: one a parameter.

    Source: elementary.

    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    >>> [(route.name, route.role, route.optimizer) for route in route_parameters(model).routes]
    [('0.weight', 'hidden', 'muon'), ('0.bias', 'vector', 'adamw'), ('2.weight', 'head', 'adamw')]
    """

    routes: tuple[Route, ...]

    def table(self) -> pd.DataFrame:
        """Table of the routes.

        Returns:
            DataFrame with columns name, shape, role, optimizer, split_rows, stacked and reason.

        Source: elementary.
        """
        import pandas as pd

        columns = ["name", "shape", "role", "optimizer", "split_rows", "stacked", "reason"]
        return pd.DataFrame([{column: getattr(route, column) for column in columns} for route in self.routes])

    def __str__(self) -> str:
        rows = [("parameter", "shape", "role", "optimizer", "reason")]
        for route in self.routes:
            shape = "x".join(map(str, route.shape)) or "1"
            blocks = f" as {'+'.join(map(str, route.split_rows))}" if route.split_rows else ""
            blocks += f" {route.stacked} stacked" if route.stacked else ""
            rows.append((route.name, shape + blocks, route.role, route.optimizer, route.reason))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]])
            for row in rows
        )


def route_parameters(
    model: nn.Module,
    *,
    example: Any = None,
    assign: Mapping[str, Target] | None = None,
    split: Mapping[str, Sequence[int]] | None = None,
    stacked: Mapping[str, int] | None = None,
) -> Routing:
    """Find the role of every trainable parameter and the optimizer that suits it.

    The modules tell embeddings, convolutions (grouped ones are stacks; kernels of depthwise ones are vectors), fused
    projections of attention (`nn.MultiheadAttention`, or a `Linear` of 3 d rows beside one of d in one module) and
    gates of recurrent cells. A tensor used as embedding and as a linear weight is "tied". With an `example` the model
    is run once, forward only, and its graph tells more: the head is the matrix nearest to the output, what is looked
    up is an embedding, and what is only added is a table. Without, the head is a tied weight or else the last `Linear`
    in the model's order, and bare tensors of three or more dimensions are stacks, or tables where the first size is 1.

    Args:
        model: the model; its parameters and buffers are unchanged afterwards, and so is torch's random state.
        example: an input: a tensor, a tuple of arguments or a dict of keyword arguments; None not to run the model.
        assign: optimizer by name or pattern (* and ?), against the rule; the last match counts.
        split: rows of fused matrices by name or pattern; () takes a split that was found back.
        stacked: number of leading dimensions that index matrices, by name or pattern.

    Returns:
        The routing.

    Raises:
        ValueError: if nothing is trainable, a lazy parameter has no shape yet, a pattern matches nothing, a target is
            unknown, a vector is assigned to Muon, or sizes do not add up.

    Source: Jordan 2024 (matrices between layers to Muon; embedding, head and vectors to AdamW; queries, keys and values
    apart); derived here (the roles from modules and graph), checked in tests/optimizers.

    >>> print(route_parameters(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 9))))
    parameter  shape  role       optimizer  reason
    0.weight   9x4    embedding  adamw      weight of Embedding
    1.weight   4x4    hidden     muon       weight of Linear
    2.weight   9x4    head       adamw      last Linear of the model
    2.bias     9      vector     adamw      fewer than two dimensions
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not named:
        raise ValueError("the model has no trainable parameter; set requires_grad=True on what is to be trained")
    for name, parameter in named:
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ValueError(f"{name} has no shape yet; run the model once, then build its optimizer")
    roles = _roles_in_modules(model)
    if example is not None:
        for parameter, (role, reason) in roles_in_graph(model, example).items():
            roles[parameter] = _merged(roles.get(parameter), role, reason)
    else:
        _assume_head(model, roles)
    routes = [_route(name, parameter, roles.get(parameter)) for name, parameter in named]
    routes = _override(routes, "split", split, lambda route, sizes: replace(route, split_rows=tuple(sizes) or None))
    routes = _override(routes, "stacked", stacked, lambda route, count: replace(route, stacked=count))
    routes = _override(routes, "assign", assign, _assigned)
    for route in routes:
        if route.optimizer == "muon" or route.split_rows is not None or route.stacked != 0:
            check_blocks(route.name, route.shape, route.split_rows, route.stacked)
    return Routing(tuple(routes))


@dataclass(frozen=True)
class _Found:
    """What the modules say about a tensor."""

    role: Role
    reason: str
    split_rows: tuple[int, ...] | None = None
    stacked: int = 0


def _roles_in_modules(model: nn.Module) -> dict[Tensor, _Found]:
    """Roles by the type of the module that holds the tensor."""
    roles: dict[Tensor, _Found] = {}
    for module in model.modules():
        kind = type(module).__name__
        for name, parameter in module.named_parameters(recurse=False):
            found = _role_in_module(module, kind, name, parameter)
            if found is not None:
                known = roles.get(parameter)
                tied = known is not None and {known.role, found.role} == {"embedding", "hidden"}
                roles[parameter] = _Found("tied", "embedding and linear weight in one") if tied else found
    for module in model.modules():
        _find_fused_attention(module, roles)
    return roles


def _role_in_module(module: nn.Module, kind: str, name: str, parameter: Tensor) -> _Found | None:
    """The role of a parameter of this module, or None where the module says nothing."""
    where = f"{name} of {kind}"
    if parameter.ndim < 2:
        return None
    if isinstance(module, _EMBEDDINGS):
        return _Found("embedding", where)
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return _Found("vector", where)
    if isinstance(module, nn.MultiheadAttention) and parameter is module.in_proj_weight:
        return _Found("fused", "queries, keys and values", (parameter.shape[0] // 3,) * 3)
    if isinstance(module, nn.RNNBase):
        gates = _GATES[module.mode] if parameter.shape[0] % _GATES[module.mode] == 0 else 1
        rows = (parameter.shape[0] // gates,) * gates
        return _Found("fused", f"gates of {kind}", rows) if gates > 1 else _Found("hidden", where)
    if isinstance(module, _CONVOLUTIONS):
        if module.groups == 1:
            return _Found("convolution", where)
        rows = parameter.shape[0] // module.groups
        if rows == 1 or parameter.shape[1] * rows == 1:
            return _Found("vector", f"depthwise {where}")
        return _Found("convolution", f"{module.groups} groups, {where}", (rows,) * module.groups)
    if isinstance(module, nn.Bilinear):
        return _Found("stack", where, stacked=1)
    return _Found("hidden", where) if parameter.ndim == 2 and isinstance(module, nn.Linear) else None


def _find_fused_attention(module: nn.Module, roles: dict[Tensor, _Found]) -> None:
    """Mark a Linear d -> 3 d beside a Linear d -> d in one module as queries, keys and values."""
    linear = [child for child in module.children() if isinstance(child, nn.Linear)]
    for child in linear:
        d = child.in_features
        partner = any((other.in_features, other.out_features) == (d, d) for other in linear)
        if child.out_features == 3 * d and partner:
            roles[child.weight] = _Found("fused", "3 d rows beside a d x d matrix", (d, d, d))


def _assume_head(model: nn.Module, roles: dict[Tensor, _Found]) -> None:
    """Without a graph, the head is the weight tied to an embedding, or else the last Linear in the model's order."""
    if any(found.role == "tied" for found in roles.values()):
        return
    linear = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    if linear:
        roles[linear[-1]] = _Found("head", "last Linear of the model")


def _merged(known: _Found | None, role: Role, reason: str) -> _Found:
    """What the graph says, where it outweighs what the modules say."""
    if known is None or role == "tied" or (known.role in MUON_ROLES and role in ("head", "embedding", "table")):
        return _Found(role, reason)
    if known.role == "embedding" and role == "head":
        return _Found("tied", "looked up, and nearest to the output")
    return known


def _route(name: str, parameter: Tensor, found: _Found | None) -> Route:
    """The route by rule."""
    shape = tuple(parameter.shape)
    if parameter.ndim < 2:
        found = _Found("vector", "fewer than two dimensions")
    elif found is None or (found.role == "hidden" and parameter.ndim > 2):
        if parameter.ndim == 2:
            found = _Found("hidden", "a matrix")
        elif shape[0] == 1:
            found = _Found("table", "bare tensor, first size one")
        else:
            found = _Found("stack", "bare tensor of matrices", stacked=parameter.ndim - 2)
    matrix = shape[found.stacked :]
    if found.role in MUON_ROLES and min(matrix[0], torch.Size(matrix[1:]).numel()) == 1:
        found = _Found("vector", "one row or one column")
    target: Target = "muon" if found.role in MUON_ROLES else "adamw"
    return Route(name, shape, found.role, target, found.reason, found.split_rows, found.stacked)


def _assigned(route: Route, target: Any) -> Route:
    """The route with the optimizer the user chose."""
    if target not in ("muon", "adamw"):
        raise ValueError(f"assign: {route.name!r} is to go to {target!r}; choose 'muon' or 'adamw'")
    if target == "muon" and len(route.shape) < 2:
        raise ValueError(f"assign: {route.name!r} has shape {route.shape}; Muon steps matrices, leave it to 'adamw'")
    return route if target == route.optimizer else replace(route, optimizer=target, reason="assigned by hand")


def _override(routes: list[Route], argument: str, patterns: Mapping[str, Any] | None, change: Any) -> list[Route]:
    """Routes with the user's choices for matching names."""
    for pattern, value in (patterns or {}).items():
        if not any(fnmatchcase(route.name, pattern) for route in routes):
            names = ", ".join(route.name for route in routes)
            raise ValueError(f"{argument}: {pattern!r} matches none of the trainable parameters: {names}")
        routes = [change(route, value) if fnmatchcase(route.name, pattern) else route for route in routes]
    return routes
