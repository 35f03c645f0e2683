"""What a recorder is given, checked before anything is changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from muon_theory.recorder.kinds import KINDS, STEP_KINDS


def check_matrix(name: str, parameter: Tensor) -> None:
    """Refuse a parameter that cannot be recorded.

    Args:
        name: its name.
        parameter: the parameter.

    Raises:
        ValueError: it is not initialised yet.
        TypeError: it is not real and floating-point.

    Source: elementary.
    """
    if torch.nn.parameter.is_lazy(parameter):
        raise ValueError(f"parameter {name} is not initialised yet: run the model once before recording")
    if not parameter.is_floating_point():
        raise TypeError(f"parameter {name} has dtype {parameter.dtype}: only real floating-point matrices are recorded")


def checked_optimizers(optimizer: object) -> tuple[Optimizer, ...]:
    """The optimizers of an argument that is one or several.

    Args:
        optimizer: an optimizer, or several in an iterable or in the values of a mapping.

    Returns:
        the optimizers, at least one, in the given order.

    Raises:
        TypeError: it is neither.
        ValueError: there is none, or one is given twice.

    Source: elementary.
    """
    given = optimizer.values() if isinstance(optimizer, Mapping) else optimizer
    listed = [given] if isinstance(given, Optimizer) or not isinstance(given, Iterable) else list(given)
    for each in listed:
        if not isinstance(each, Optimizer):
            raise TypeError(f"optimizer is a {type(each).__name__}: pass a torch.optim.Optimizer, or a list of several")
    if not listed:
        raise ValueError("optimizer is an empty list: pass a torch.optim.Optimizer, or a list of several")
    if len({id(each) for each in listed}) < len(listed):
        raise ValueError("an optimizer is listed twice: list each once")
    return tuple(each for each in listed if isinstance(each, Optimizer))


def checked_kinds(kinds: Iterable[str] | None) -> tuple[str, ...]:
    """The kinds that are asked for, in the order of `KINDS`.

    Args:
        kinds: some of `KINDS`, or None for `STEP_KINDS`.

    Returns:
        the kinds, at least one.

    Raises:
        TypeError: a text instead of a list.
        ValueError: an unknown kind, or none.

    Source: elementary.
    """
    if kinds is None:
        return STEP_KINDS
    if isinstance(kinds, str):
        raise TypeError(f"kinds is the text {kinds!r}: pass a list, [{kinds!r}]")
    wanted = list(kinds)
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown or not wanted:
        raise ValueError(f"kinds is {wanted}: choose one or more of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in wanted)


def checked_names(layers: Iterable[str] | None) -> frozenset[str] | None:
    """The names of layers that are asked for.

    Args:
        layers: names, or None for all.

    Returns:
        the names, at least one, or None.

    Raises:
        TypeError: a text instead of a list.
        ValueError: no name.

    Source: elementary.
    """
    if layers is None:
        return None
    if isinstance(layers, str):
        raise TypeError(f"layers is the text {layers!r}: pass a list, [{layers!r}]")
    chosen = frozenset(layers)
    if not chosen:
        raise ValueError("layers is empty: pass names of parameters, or None for every matrix")
    return chosen


def checked_seconds(name: str, value: float) -> float:
    """A time that something may take.

    Args:
        name: name of the argument, for the message.
        value: seconds, finite and > 0.

    Returns:
        the seconds.

    Raises:
        TypeError: it is no number.
        ValueError: it is not finite and positive.

    Source: elementary.

    >>> checked_seconds("timeout", 30)
    30.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {value!r}: pass seconds, such as 120.0")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value!r} seconds: it must be positive and finite")
    return float(value)
