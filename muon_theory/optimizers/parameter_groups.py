"""Which parameters Muon steps and which are left to AdamW, decided by their role in the model rather than by name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn

from muon_theory.optimizers.joint_optimizer import Hybrid
from muon_theory.optimizers.learning_rates import width_factor
from muon_theory.optimizers.matrix_blocks import matrix_blocks
from muon_theory.optimizers.muon import Muon
from muon_theory.optimizers.routing import Route, Routing, Target, route_parameters

_LOGGER = logging.getLogger(__name__)

NamedParameters = tuple[tuple[str, nn.Parameter], ...]
Matrices = Literal["hidden", "all"]


@dataclass(frozen=True)
class ParameterRoles:
    """Trainable parameters of a model by the optimizer that suits them.

    Args:
        matrices: (name, parameter) of those for Muon.
        rest: (name, parameter) of those for AdamW.

    Source: elementary.
    """

    matrices: NamedParameters
    rest: NamedParameters


def parameter_roles(
    model: nn.Module, *, matrices: Matrices = "hidden", adamw_names: Sequence[str] = ()
) -> ParameterRoles:
    """Split a model's trainable parameters into Muon's matrices and the rest.

    With matrices="hidden", Muon gets every parameter of two or more dimensions except embeddings, the output head (the
    weight of the last `Linear` in the model's order) and whatever shares its tensor with one of these. With "all" it
    gets every one, head and embeddings included, as the tutorial does. Vectors and scalars always belong to the rest.
    Frozen parameters (requires_grad=False) are in neither.

    Args:
        model: the model.
        matrices: "hidden" or "all".
        adamw_names: patterns (* and ?) of parameter names that are to join the rest, e.g. ("stem.*",).

    Returns:
        The two lists, each in the model's order; every trainable parameter is in exactly one.

    Raises:
        ValueError: if `matrices` is neither, a pattern matches no trainable parameter, or no parameter is trainable.

    Source: Jordan 2024 (embeddings, head and vectors to AdamW); Wei 2025 (all matrices to Muon).

    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> [name for name, _ in parameter_roles(model).matrices], [name for name, _ in parameter_roles(model).rest]
    (['0.weight'], ['0.bias', '2.weight', '2.bias'])
    """
    if matrices not in {"hidden", "all"}:
        raise ValueError(f"matrices is {matrices!r}; choose 'hidden' or 'all'")
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("the model has no trainable parameter; set requires_grad=True on what is to be trained")
    for pattern in adamw_names:
        if not any(fnmatchcase(name, pattern) for name, _ in trainable):
            names = ", ".join(name for name, _ in trainable)
            raise ValueError(f"adamw_names: {pattern!r} matches none of the trainable parameters: {names}")
    left_out = set(_outer_matrices(model)) if matrices == "hidden" else set()
    muon, rest = [], []
    for name, parameter in trainable:
        named = any(fnmatchcase(name, pattern) for pattern in adamw_names)
        (rest if parameter.ndim < 2 or parameter in left_out or named else muon).append((name, parameter))
    return ParameterRoles(tuple(muon), tuple(rest))


def _check_model(model: nn.Module) -> None:
    """Refuse what is no model, and modules whose gradients neither Muon nor AdamW takes."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; give the nn.Module, whose modules tell the roles")
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse and module.weight.requires_grad:
            raise ValueError(
                f"{name or 'the model'} has sparse=True, and AdamW takes no sparse gradients; set it to False, or make "
                "a Hybrid of Muon, AdamW and torch.optim.SparseAdam"
            )


def _outer_matrices(model: nn.Module) -> list[Tensor]:
    """Embeddings and the weight of the last linear layer, by tensor, so that tied weights count wherever they occur."""
    embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
    linear = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    return embeddings + linear[-1:]


def muon_with_adamw(
    model: nn.Module,
    *,
    lr: float = 0.02,
    adamw_lr: float = 1e-3,
    weight_decay: float = 0.0,
    adamw_weight_decay: float | None = None,
    adamw_betas: tuple[float, float] = (0.9, 0.999),
    matrices: Matrices = "hidden",
    adamw_names: Sequence[str] = (),
    **muon_options: Any,
) -> Hybrid:
    """Muon for a model's hidden matrices and convolution kernels, AdamW for its head, embeddings, vectors and scalars.

    Args:
        model: the model.
        lr: Muon's learning rate, >= 0.
        adamw_lr: AdamW's learning rate, >= 0.
        weight_decay: Muon's decoupled weight decay, >= 0.
        adamw_weight_decay: AdamW's; None takes `weight_decay`.
        adamw_betas: AdamW's decay rates of the two moments.
        matrices: "hidden", or "all" for the tutorial's habit of orthogonalising every matrix, see `parameter_roles`.
        adamw_names: patterns of parameter names to give to AdamW, see `parameter_roles`.
        **muon_options: further keyword arguments of `Muon`: momentum, nesterov, method, ns_steps, exact, ...

    Returns:
        The hybrid; Muon is stepped first, so that a gradient it rejects leaves every parameter unchanged.

    Raises:
        ValueError: if no parameter is left for Muon, an embedding is sparse, or an argument is out of range.
        TypeError: if `model` is no nn.Module.

    Source: Jordan 2024.

    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> [type(inner).__name__ for inner in muon_with_adamw(model, lr=0.02).optimizers]
    ['Muon', 'AdamW']
    """  # noqa: DOC502  (TypeError is raised by the check of the model)
    _check_model(model)
    roles = parameter_roles(model, matrices=matrices, adamw_names=adamw_names)
    if not roles.matrices:
        raise ValueError("the model has no hidden matrix for Muon; use torch.optim.AdamW, or matrices='all'")
    optimizers: list[torch.optim.Optimizer] = [Muon(roles.matrices, lr, weight_decay, **muon_options)]
    if roles.rest:
        decay = weight_decay if adamw_weight_decay is None else adamw_weight_decay
        optimizers.append(torch.optim.AdamW(roles.rest, lr=adamw_lr, betas=adamw_betas, weight_decay=decay))
    return Hybrid(optimizers)


def hybrid(
    model: nn.Module,
    *,
    lr: float = 0.02,
    adamw_lr: float = 1e-3,
    weight_decay: float = 0.0,
    adamw_weight_decay: float | None = None,
    adamw_betas: tuple[float, float] = (0.9, 0.999),
    decay_vectors: bool = False,
    example: Any = None,
    assign: Mapping[str, Target] | None = None,
    split: Mapping[str, Sequence[int]] | None = None,
    stacked: Mapping[str, int] | None = None,
    base_model: nn.Module | None = None,
    **muon_options: Any,
) -> Hybrid:
    """Muon for the matrices of a model and AdamW for the rest, every parameter routed by its role.

    See `route_parameters` for the rule. The result carries the routing: `str(optimizer.routing)` is the table, which is
    logged too, and `optimizer.routing.table()` a DataFrame. Fused projections are split, stacks taken as batches.

    Args:
        model: the model.
        lr: Muon's learning rate, >= 0.
        adamw_lr: AdamW's learning rate, >= 0.
        weight_decay: Muon's decoupled weight decay, >= 0.
        adamw_weight_decay: AdamW's; None takes `weight_decay`.
        adamw_betas: AdamW's decay rates of the two moments.
        decay_vectors: whether vectors (biases, gains of norms) decay as well.
        example: an input with which the model is run once to read the roles from its graph, or None.
        assign: optimizer by name or pattern against the rule, e.g. {"stem.*": "adamw"}.
        split: rows of fused matrices by name or pattern, e.g. {"*.qkv.weight": (512, 128, 128)}.
        stacked: number of leading dimensions that index matrices, by name or pattern.
        base_model: the same architecture at the width the learning rates were tuned for: each group's rate is then
            multiplied by `width_factor`, so that they carry over; None takes the rates as they are.
        **muon_options: further keyword arguments of `Muon`: momentum, nesterov, method, ns_steps, exact, ...

    Returns:
        The hybrid; Muon is stepped first, so that a gradient it rejects leaves every parameter unchanged.

    Raises:
        ValueError: if nothing is left for Muon, an embedding is sparse, an override does not fit, or the base model has
            other parameters.
        TypeError: if `model` is no nn.Module.

    Source: Jordan 2024 (the split); Yang, Simon, Bernstein 2023, arXiv 2310.17813 (the rates by width).

    A UserWarning names an embedding or a head that is assigned to Muon.

    >>> model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9))
    >>> optimizer = hybrid(model, method="auto")
    >>> [(type(inner).__name__, sum(len(g["params"]) for g in inner.param_groups)) for inner in optimizer.optimizers]
    [('Muon', 1), ('AdamW', 4)]
    """  # noqa: DOC502  (TypeError is raised by the check of the model)
    _check_model(model)
    routing = route_parameters(model, example=example, assign=assign, split=split, stacked=stacked)
    _warn_of_outer_matrices(routing)
    parameters = dict(model.named_parameters())
    decay = weight_decay if adamw_weight_decay is None else adamw_weight_decay
    scales = _width_factors(routing, base_model, muon_options.get("adjust_lr_fn"))
    muon: dict[Any, dict[str, Any]] = {}
    rest: dict[Any, dict[str, Any]] = {}
    for route in routing.routes:
        entry, scale = (route.name, parameters[route.name]), scales[route.name]
        if route.optimizer == "muon":
            options = {"lr": lr * scale, "split_rows": route.split_rows, "stacked": route.stacked}
            group = muon.setdefault(tuple(options.values()), {"params": [], **options})
        else:
            plain = len(route.shape) < 2 or route.role == "vector"
            options = {"lr": adamw_lr * scale, "weight_decay": decay if decay_vectors or not plain else 0.0}
            group = rest.setdefault(tuple(options.values()), {"params": [], **options})
        group["params"].append(entry)
    if not muon:
        raise ValueError(f"nothing is left for Muon; use torch.optim.AdamW, or assign={{...: 'muon'}}:\n{routing}")
    optimizers: list[torch.optim.Optimizer] = [Muon(list(muon.values()), lr, weight_decay, **muon_options)]
    if rest:
        optimizers.append(torch.optim.AdamW(list(rest.values()), lr=adamw_lr, betas=adamw_betas, weight_decay=decay))
    result = Hybrid(optimizers)
    result.routing = routing
    _LOGGER.info("Parameters and their optimizers:\n%s", routing)
    return result


def _warn_of_outer_matrices(routing: Routing) -> None:
    """Warn of heads and embeddings that are assigned to Muon."""
    for route in routing.routes:
        if route.optimizer == "muon" and route.role in ("head", "embedding", "tied", "table"):
            what = {"head": "the output head", "tied": "an embedding tied to the head"}.get(
                route.role, f"a {route.role}"
            )
            what = "an embedding" if route.role == "embedding" else what
            message = f"{route.name!r} is {what} and goes to Muon; AdamW suits it better: drop it from `assign`"
            warnings.warn(message, stacklevel=3)


def _width_factors(routing: Routing, base_model: nn.Module | None, adjust_lr_fn: str | None) -> dict[str, float]:
    """Factor of each learning rate between the base model's width and this one's."""
    if base_model is None:
        return {route.name: 1.0 for route in routing.routes}
    base = dict(base_model.named_parameters())
    factors = {}
    for route in routing.routes:
        if route.name not in base or base[route.name].ndim != len(route.shape):
            raise ValueError(f"base_model has no {route.name!r} of {len(route.shape)} dimensions; give the same layers")
        factors[route.name] = _width_factor(route, tuple(base[route.name].shape), adjust_lr_fn)
    return factors


def _width_factor(route: Route, base_shape: tuple[int, ...], adjust_lr_fn: str | None) -> float:
    """Factor of the learning rate of one parameter."""
    if route.role in ("vector", "table") or len(route.shape) < 2:
        return 1.0
    rule = (adjust_lr_fn or "original") if route.optimizer == "muon" else "adamw"
    own, base = _fans(route, route.shape), _fans(route, base_shape)
    return width_factor(route.role, own, base, rule)


def _fans(route: Route, shape: tuple[int, ...]) -> tuple[int, int]:
    """(outputs, inputs) of the first matrix of a parameter; an embedding's rows are its inputs."""
    split = route.split_rows if route.split_rows is not None and sum(route.split_rows) == shape[route.stacked] else None
    if route.split_rows is not None and split is None:  # the base model: fused in the same proportions
        whole = sum(route.split_rows)
        split = tuple(rows * shape[route.stacked] // whole for rows in route.split_rows)
    rows, columns = matrix_blocks(torch.empty(shape, device="meta"), split, route.stacked)[0].shape
    return (columns, rows) if route.role in ("embedding", "tied") else (rows, columns)
