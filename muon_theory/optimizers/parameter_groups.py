"""Which parameters Muon steps and which are left to AdamW, decided by their role in the model rather than by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn

from muon_theory.optimizers.hybrid import Hybrid
from muon_theory.optimizers.muon import Muon

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
        ValueError: if no parameter is left for Muon, or an argument is out of range.

    Source: Jordan 2024.

    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> [type(inner).__name__ for inner in muon_with_adamw(model, lr=0.02).optimizers]
    ['Muon', 'AdamW']
    """
    roles = parameter_roles(model, matrices=matrices, adamw_names=adamw_names)
    if not roles.matrices:
        raise ValueError("the model has no hidden matrix for Muon; use torch.optim.AdamW, or matrices='all'")
    optimizers: list[torch.optim.Optimizer] = [Muon(roles.matrices, lr, weight_decay, **muon_options)]
    if roles.rest:
        decay = weight_decay if adamw_weight_decay is None else adamw_weight_decay
        optimizers.append(torch.optim.AdamW(roles.rest, lr=adamw_lr, betas=adamw_betas, weight_decay=decay))
    return Hybrid(optimizers)
