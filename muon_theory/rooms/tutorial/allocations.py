"""How many bytes a computation asks memory for, counted operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class _Counter(TorchDispatchMode):
    """Adds up the bytes of outputs that share no storage with an input."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        known = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs or {}))}
        fresh = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _tensors(result)}
        self.bytes += sum(size for place, size in fresh.items() if place not in known)
        return result


def allocated_bytes(compute: Callable[[], object]) -> int:
    """The bytes of all new tensors that a computation makes, temporaries included.

    Args:
        compute: called once.

    Returns:
        Bytes; operations in place and views ask for none. Workspaces inside a product are not seen.

    Source: elementary.

    >>> import torch
    >>> x, y = torch.ones(4), torch.ones(4)
    >>> allocated_bytes(lambda: x + y), allocated_bytes(lambda: x.add_(y))
    (16, 0)
    """
    with _Counter() as counter:
        compute()
    return counter.bytes


def _tensors(value: Any) -> Iterable[Tensor]:
    """The tensors in nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
