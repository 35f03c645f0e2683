"""Several optimizers as one, each stepping its own parameters: what Muon needs, since it steps matrices only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from muon_theory.optimizers.routing import Routing


class Hybrid(Optimizer):
    """Optimizer made of several optimizers over disjoint parameters.

    `param_groups` are the inner optimizers' own groups in order, and one `state` is shared by all, so learning-rate
    schedulers, `zero_grad`, `state_dict` and `load_state_dict` work as on any optimizer. A step steps them in order;
    hooks registered on the hybrid run once a step, hooks registered on an inner optimizer still run with it. `routing`
    is the table of who steps what where `hybrid` made it, else None.

    Args:
        optimizers: at least one optimizer; their parameters must not overlap. From here on step,
            save and load them through the hybrid.

    Raises:
        ValueError: if there is no optimizer, or a parameter is in two of them.
        TypeError: if one of them is no torch optimizer.

    Source: elementary; Jordan 2024 (Muon for hidden matrices, AdamW for the rest).

    >>> one, two = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    >>> hybrid = Hybrid([torch.optim.SGD([one], lr=0.5), torch.optim.AdamW([two], lr=0.1)])
    >>> (one.sum() + two.sum()).backward()
    >>> hybrid.step()
    >>> one.tolist(), [group["lr"] for group in hybrid.param_groups]
    ([0.5, 0.5], [0.5, 0.1])
    """

    optimizers: list[Optimizer]
    routing: Routing | None = None

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        optimizers = list(optimizers)
        if not optimizers:
            raise ValueError("optimizers is empty; give at least one torch.optim.Optimizer")
        for optimizer in optimizers:
            if not isinstance(optimizer, Optimizer):
                raise TypeError(f"optimizers holds a {type(optimizer).__name__}; give torch.optim.Optimizer objects")
        seen: set[Tensor] = set()
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            if not seen.isdisjoint(group["params"]):
                raise ValueError("a parameter is in two of the optimizers; each parameter may have one only")
            seen.update(group["params"])
        self.optimizers = []
        super().__init__([{"params": []}], {})
        self.optimizers = optimizers
        self._share()

    def _share(self) -> None:
        """Let the inner optimizers and the hybrid see one state and the same groups."""
        self.param_groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for optimizer in self.optimizers:
            if optimizer.state is not self.state:  # new, or its load_state_dict was called
                self.state.update(optimizer.state)
                optimizer.state = self.state

    def state_dict(self) -> dict[str, Any]:
        """State of all inner optimizers, in the layout of any torch optimizer.

        Returns:
            The dict that `load_state_dict` of a hybrid built alike takes.

        Source: elementary.
        """
        self._share()
        return super().state_dict()

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"optimizers": self.optimizers, "routing": self.routing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        start = 0
        for optimizer in self.optimizers:
            stop = start + len(optimizer.param_groups)
            optimizer.__setstate__({"state": self.state, "param_groups": self.param_groups[start:stop]})
            start = stop
        self._share()

    def add_param_group(self, param_group: dict[str, Any], optimizer: int | None = None) -> None:
        """Add a parameter group to one of the inner optimizers.

        Args:
            param_group: the group, as that optimizer takes it.
            optimizer: index of the inner optimizer; needed where there are several.

        Raises:
            ValueError: if the index is missing or out of range, or a parameter is in the hybrid already.

        Source: elementary.
        """
        if not self.optimizers:  # torch's constructor, before the inner optimizers are in place
            super().add_param_group(param_group)
            return
        if optimizer is None and len(self.optimizers) == 1:
            optimizer = 0
        if optimizer is None or not 0 <= optimizer < len(self.optimizers):
            kinds = ", ".join(f"{index}: {type(inner).__name__}" for index, inner in enumerate(self.optimizers))
            raise ValueError(f"optimizer is {optimizer!r}; say which one gets the group by its index ({kinds})")
        parameters = param_group["params"]
        parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        known = {parameter for group in self.param_groups for parameter in group["params"]}
        if not known.isdisjoint(entry[1] if isinstance(entry, tuple) else entry for entry in parameters):
            raise ValueError("a parameter of the group is in the optimizer already; each parameter may have one group")
        self.optimizers[optimizer].add_param_group(param_group | {"params": parameters})
        self._share()

    def lmo_input(self, parameter: Tensor) -> Tensor | None:
        """LMO input: the matrix the parameter's own optimizer orthogonalised in the last step.

        Args:
            parameter: a parameter of one of the inner optimizers.

        Returns:
            The matrix, shape (out, -1), or None where that optimizer offers none.

        Source: elementary.
        """
        for optimizer in self.optimizers:
            offered = getattr(optimizer, "lmo_input", None)
            if offered is not None and (matrix := offered(parameter)) is not None:
                return matrix
        return None

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Step every inner optimizer once, in order.

        Args:
            closure: recomputes the loss and the gradients; called once, before the first of them.

        Returns:
            The closure's loss, or None without one.

        Source: elementary.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._share()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss
