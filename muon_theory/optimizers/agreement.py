"""What the ranks tell one another beside the data: that their parameters and gradients go together, and all is well.

Small messages over a gloo group of their own, whose timeout turns a lost rank into an error on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from muon_theory.optimizers.shard_exchange import Layout, local_tensor

_MISSING, _EMPTY, _SPARSE, _UNCHECKED = -1.0, -2.0, -3.0, 0.0
_REPLICA_TOLERANCE = 0.01


@dataclass(frozen=True)
class Agreement:
    """The ranks of a process group, able to agree.

    Args:
        group: a gloo group of these ranks, or None for a single process.
        device_group: the group that moves data of an accelerator.
        rank: this rank within the group.
        world_size: number of ranks.

    Source: elementary.

    >>> Agreement(None, None, 0, 1).gathered("ready")
    ['ready']
    """

    group: Any
    device_group: Any
    rank: int
    world_size: int

    @classmethod
    def of_group(cls, process_group: Any, timeout: timedelta) -> Agreement:
        """The agreement among a process group's ranks; every one of them calls this.

        Args:
            process_group: the group, or None for all ranks, or this process alone without torch.distributed.
            timeout: how long to wait for a rank.

        Returns:
            The agreement.

        Source: elementary.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return cls(None, None, 0, 1)
        members = dist.group.WORLD if process_group is None else process_group
        ranks = dist.get_process_group_ranks(members)
        if len(ranks) == 1:
            return cls(None, None, 0, 1)
        group = dist.new_group(
            ranks, timeout=timeout, backend="gloo", use_local_synchronization=process_group is not None
        )
        return cls(group, members, dist.get_rank(members), len(ranks))

    def gathered(self, message: Any) -> list[Any]:
        """Every rank's message.

        Args:
            message: this rank's, picklable.

        Returns:
            The messages by rank.

        Source: elementary.
        """
        if self.group is None:
            return [message]
        messages: list[Any] = [None] * self.world_size
        with explained():
            dist.all_gather_object(messages, message, group=self.group)
        return messages

    def table(self, row: Sequence[float]) -> Tensor:
        """Every rank's row of numbers.

        Args:
            row: this rank's, of a length equal on all ranks.

        Returns:
            Shape (world_size, len(row)), float64.

        Source: elementary.
        """
        mine = torch.tensor(row, dtype=torch.float64)
        if self.group is None:
            return mine[None]
        rows = [torch.empty_like(mine) for _ in range(self.world_size)]
        with explained():
            dist.all_gather(rows, mine, group=self.group)
        return torch.stack(rows)

    def all_or_none(self, failure: str | Exception) -> None:
        """Go on if every rank is well, else raise on every rank.

        Args:
            failure: what went wrong on this rank, as an exception or a text; "" if nothing did.

        Raises:
            ValueError: if this rank gives a text.
            RuntimeError: if only other ranks failed; a rank that gives an exception raises that.

        Source: elementary.
        """
        if not self.table([1.0 if failure else 0.0]).any():
            return
        failures = self.gathered(f"{type(failure).__name__}: {failure}" if isinstance(failure, Exception) else failure)
        if isinstance(failure, Exception):
            raise failure
        texts = list(dict.fromkeys(f"{text} (on rank {rank})" for rank, text in enumerate(failures) if text))
        if failure:
            raise ValueError(failure)
        where = "; ".join(texts)
        raise RuntimeError(f"another rank failed, so this one stops too: {where}")

    def merged_state(self, states: dict[Any, Any], owners: Sequence[int]) -> dict[Any, Any]:
        """State of all parameters from the states of those that each rank owns, one parameter at a time.

        Args:
            states: this rank's states by index of the parameter.
            owners: the owner of each index.

        Returns:
            The states of every index that has one; those of other ranks in host memory.

        Source: elementary.
        """
        merged = {key: state for key, state in states.items() if not isinstance(key, int)}
        for index, owner in enumerate(owners):
            held = [on_host(states[index])] if index in states and self.group is not None else [None]
            if self.group is not None:
                with explained():
                    dist.broadcast_object_list(held, src=dist.get_global_rank(self.group, owner), group=self.group)
            if owner == self.rank and index in states:
                merged[index] = states[index]
            elif held[0] is not None:
                merged[index] = held[0]
        return merged


@contextmanager
def explained() -> Iterator[None]:
    """Say what a failed communication means.

    Yields:
        Nothing.

    Raises:
        RuntimeError: in place of the error of torch.distributed.

    Source: elementary.
    """
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            "a rank was lost, is stuck, or left the common order of calls, and this one gave up waiting for it: look "
            f"for the first error among the ranks, and restart from a checkpoint. torch.distributed says: {error}"
        ) from error


def on_host(state: Any) -> Any:
    """A nested state with its tensors in host memory.

    Args:
        state: a tensor, dict, list, tuple or anything else.

    Returns:
        The same nesting.

    Source: elementary.

    >>> on_host({"step": 3, "buffer": [torch.ones(1)]})
    {'step': 3, 'buffer': [tensor([1.])]}
    """
    if isinstance(state, Tensor):
        return state.detach().cpu()
    if isinstance(state, dict):
        return {key: on_host(value) for key, value in state.items()}
    if isinstance(state, list):
        return [on_host(value) for value in state]
    if isinstance(state, tuple) and not hasattr(state, "_fields"):
        return tuple(on_host(value) for value in state)
    return state


def gradient_report(parameter: Tensor, check: bool | None) -> float:
    """One number that says how this rank's part of a gradient is.

    Args:
        parameter: a parameter, DTensor or not.
        check: whether to look at the entries; None: on CPU only.

    Returns:
        The largest absolute entry (0 unchecked), NaN where one is NaN or inf; -1 if there is no gradient, -2 if this
        rank holds no entry of it, -3 if it is sparse.

    Source: elementary.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> gradient_report(weight, None)
    -1.0
    """
    local = local_tensor(parameter)
    if local.numel() == 0:
        return _EMPTY
    gradient = parameter.grad
    if gradient is None:
        return _MISSING
    if gradient.layout != torch.strided:
        return _SPARSE
    if not (local.device.type == "cpu" if check is None else check):
        return _UNCHECKED
    largest = float(local_tensor(gradient).abs().max())
    if not math.isfinite(largest):
        return math.nan
    alike = getattr(gradient, "placements", None) == getattr(parameter, "placements", None)
    return largest if alike else _UNCHECKED


def refuse_gradients(table: Tensor, layouts: Sequence[Layout], label: Callable[[int], str]) -> list[bool]:
    """Raise where the ranks' gradients do not go together; every rank sees the same table and raises alike.

    Args:
        table: the ranks' reports, shape (world_size, parameters).
        layouts: where each parameter lies.
        label: what to call a parameter, by index.

    Returns:
        Whether each parameter has a gradient.

    Raises:
        ValueError: if a gradient is missing on some ranks only, holds NaN or inf, or replicas differ by more than 1 %.
        TypeError: if a gradient is sparse.

    Source: elementary.

    >>> refuse_gradients(torch.tensor([[2.0, -1.0]]), [Layout((), (None,), 0)] * 2, str)
    [True, False]
    """
    present: list[bool] = []
    for index, (column, layout) in enumerate(zip(table.T.tolist(), layouts, strict=True)):
        said = {rank: report for rank, report in enumerate(column) if report != _EMPTY}
        if _SPARSE in said.values():
            raise TypeError(f"the gradient of {label(index)} is sparse; dense gradients are needed: use sparse=False")
        missing = [rank for rank, report in said.items() if report == _MISSING]
        if 0 < len(missing) < len(said):
            raise ValueError(
                f"the gradient of {label(index)} is missing on rank(s) {missing} but not on the others; nothing was "
                "changed: let every rank compute it, or set it to zeros there"
            )
        broken = [rank for rank, report in said.items() if math.isnan(report)]
        if broken:
            raise ValueError(
                f"the gradient of {label(index)} holds NaN or inf on rank(s) {broken}; nothing was changed: skip the "
                "step or lower lr"
            )
        if said and not missing:
            _refuse_replicas(said, layout, lambda index=index: label(index))
        present.append(bool(said) and not missing)
    return present


def _refuse_replicas(reports: dict[int, float], layout: Layout, label: Callable[[], str]) -> None:
    """Raise where ranks that hold the same part of a parameter have different gradients of it."""
    first: dict[Any, int] = {}
    for rank, report in reports.items():
        other = first.setdefault(layout.boxes[rank], rank)
        if abs(report - reports[other]) > _REPLICA_TOLERANCE * max(report, reports[other]):
            raise ValueError(
                f"ranks {other} and {rank} hold the same part of {label()} but different gradients of it (largest "
                f"entries {reports[other]:.6g} and {report:.6g}); nothing was changed: average them first, as DDP does"
            )
