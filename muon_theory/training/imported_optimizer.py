"""Any optimizer by its import path, "package.module:Class", built for a model; the library's own have short names."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import nn

from muon_theory.optimizers.joint_optimizer import Hybrid
from muon_theory.training.recipe_optimizers import trained

_logger = logging.getLogger(__name__)

SHORT_NAMES: Mapping[str, str] = MappingProxyType({
    "dion": "muon_theory.optimizers:Dion",
    "f_fanion": "muon_theory.optimizers:FFanion",
    "fanion": "muon_theory.optimizers:Fanion",
    "hybrid": "muon_theory.optimizers:muon_with_adamw",
    "muon_all": "muon_theory.optimizers:MuonAll",
    "neon": "muon_theory.optimizers:Neon",
    "s_fanion": "muon_theory.optimizers:SFanion",
    "scale": "muon_theory.optimizers:Scale",
    "tutorial_muon": "muon_theory.training.tutorial_muon:TutorialMuon",
})
"""The library's optimizers by short name; "hybrid" is Muon for hidden matrices and AdamW for the rest."""

VECTOR_LEARNING_RATE = 1e-3


def imported_optimizer(path: str) -> Callable[..., Any]:
    """The class or function at an import path.

    Args:
        path: "package.module:Name", or a key of `SHORT_NAMES`.

    Returns:
        A subclass of torch.optim.Optimizer, or a function that takes a model.

    Raises:
        ValueError: if there is no such module or name, or it is neither.

    Source: elementary.

    >>> imported_optimizer("torch.optim:RMSprop").__name__, imported_optimizer("neon").__name__
    ('RMSprop', 'Neon')
    """
    module_name, colon, name = SHORT_NAMES.get(path, path).partition(":")
    if not (module_name and colon and name):
        raise ValueError(
            f"optimizer is {path!r}; give one of the recipe, one of {', '.join(SHORT_NAMES)}, or an import path like "
            "torch.optim:RMSprop"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"optimizer {path}: cannot import {module_name} ({error}); install it first") from error
    found = getattr(module, name, None)
    if inspect.isclass(found) and issubclass(found, torch.optim.Optimizer):
        return found
    if found is None or inspect.isclass(found) or not callable(found):
        raise ValueError(f"optimizer {path}: {module_name} has no optimizer called {name}")
    return found


def build_imported(path: str, model: nn.Module, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimizer at an import path for a model's trained parameters.

    A class gets the parameters; where it refuses vectors (Muon and its kin step matrices only), it gets those of two or
    more dimensions and torch.optim.AdamW the rest, at learning rate 1e-3 (`adamw_lr`). A function gets the model.

    Args:
        path: see `imported_optimizer`.
        model: the model.
        options: keyword arguments; `momentum` becomes the first of `betas` where the optimizer takes these instead.

    Returns:
        The optimizer.

    Raises:
        ValueError: if the optimizer takes no such option, or refuses the parameters or the options.
        TypeError: if it is a function that returns no optimizer.

    Source: elementary.

    >>> model = nn.Linear(3, 2)
    >>> [type(inner).__name__ for inner in build_imported("neon", model, {"lr": 0.1}).optimizers]
    ['Neon', 'AdamW']
    """
    build = cast("Any", imported_optimizer(path))
    options = dict(options)
    known = inspect.signature(build).parameters
    if "momentum" in options and "momentum" not in known and "betas" in known:
        default = known["betas"].default
        options["betas"] = (options.pop("momentum"), *(default[1:] if isinstance(default, tuple) else (0.999,)))
    vector_lr = VECTOR_LEARNING_RATE if "adamw_lr" in known else options.pop("adamw_lr", VECTOR_LEARNING_RATE)
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        for name in options:
            if name not in known:
                taken = ", ".join(list(known)[1:])
                raise ValueError(f"optimizer {path} takes no {name}; it takes {taken}")
    if not isinstance(build, type):
        optimizer = build(model, **options)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"optimizer {path} gave a {type(optimizer).__name__}, which is no torch.optim.Optimizer")
        return optimizer
    parameters = trained(model)
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    try:
        return cast("torch.optim.Optimizer", build(parameters, **options))
    except (ValueError, TypeError, AssertionError) as refusal:
        matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
        if not vectors or not matrices:
            raise ValueError(f"optimizer {path} refuses the model's parameters or its options: {refusal}") from refusal
        try:
            first = cast("torch.optim.Optimizer", build(matrices, **options))
        except (ValueError, TypeError, AssertionError) as error:
            raise ValueError(f"optimizer {path} refuses the model's parameters or its options: {error}") from refusal
        _logger.info("%s refuses vectors (%s): they go to AdamW, lr %g", path, refusal, vector_lr)
        return Hybrid([first, torch.optim.AdamW(vectors, lr=vector_lr, weight_decay=0.0)])
