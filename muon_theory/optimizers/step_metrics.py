"""How large the updates of the last step were, for any optimizer: what it did to the weights is what is measured."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer
from torch.utils.hooks import RemovableHandle


class UpdateRecord:
    """The sizes of an optimizer's last updates, measured by hooks around its step.

    Args:
        optimizer: any torch optimizer; `get_post_step_metrics` finds this record from now on.

    Source: elementary.

    Cost: one copy of the stepped parameters during the step, two reductions a parameter; nothing waits for a GPU.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = torch.optim.SGD([weight], lr=0.5)
    >>> record = UpdateRecord(optimizer)
    >>> weight.sum().backward()
    >>> optimizer.step()
    >>> [size.item() for size in record.sizes[weight]]
    [0.7071067690849304, 0.5]
    """

    sizes: dict[Tensor, tuple[Tensor, Tensor]]

    def __init__(self, optimizer: Optimizer) -> None:
        self.sizes = {}
        self.steps = 0
        self._before: dict[Tensor, Tensor] = {}
        self._handles: list[RemovableHandle] = [
            optimizer.register_step_pre_hook(self._remember),
            optimizer.register_step_post_hook(self._measure),
        ]
        _RECORDS[optimizer] = self

    def close(self) -> None:
        """Stop measuring; what was measured stays readable.

        Source: elementary.
        """
        for handle in self._handles:
            handle.remove()
        self._before = {}

    @torch.no_grad()
    def _remember(self, optimizer: Optimizer, *_: Any) -> None:
        """Copy the parameters before the step; a closure may bring gradients later, so all of them."""
        self._before = {p: p.detach().clone() for group in optimizer.param_groups for p in group["params"]}

    @torch.no_grad()
    def _measure(self, *_: Any) -> None:
        """Measure what the step changed."""
        self.sizes = {}
        for parameter, before in self._before.items():
            if parameter.numel() > 0:
                wide = torch.promote_types(parameter.dtype, torch.float32)
                update = parameter.detach().to(wide) - before.to(wide)
                self.sizes[parameter] = (torch.linalg.vector_norm(update), update.abs().max())
        self._before = {}
        self.steps += 1


_RECORDS: WeakKeyDictionary[Optimizer, UpdateRecord] = WeakKeyDictionary()


def get_post_step_metrics(optimizer: Optimizer, model: nn.Module) -> dict[str, float]:
    """Norm and largest entry of each parameter's last update W_after - W_before, learning rate and decay included.

    The updates are measured once an `UpdateRecord(optimizer)` exists. An optimizer with a method of this name, such as
    one spread over several processes, is asked itself, so that norms are reduced over the ranks as they must be.

    Args:
        optimizer: the optimizer.
        model: the model, for the parameters' names.

    Returns:
        "update/{name}.norm", the Frobenius norm, and "update/{name}.max", the largest absolute entry, in the unit of
        the parameter; for every parameter of the model that the optimizer holds, 0 where it was left alone.

    Raises:
        ValueError: if no step was measured, or no parameter of the model is in the optimizer.

    Source: elementary; the keys are OLMo's (allenai/OLMo).

    Cost: one transfer a device.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> record = UpdateRecord(optimizer)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    >>> sorted(get_post_step_metrics(optimizer, model))
    ['update/weight.max', 'update/weight.norm']
    """
    own = getattr(optimizer, "get_post_step_metrics", None)
    if own is not None:
        return own(model)
    record = _RECORDS.get(optimizer)
    if record is None or record.steps == 0:
        raise ValueError("no step was measured; create UpdateRecord(optimizer) once, before the step asked about")
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter in record.sizes]
    if not named:
        raise ValueError("the model holds none of the optimizer's parameters; pass the model that is trained")
    sizes = [size.cpu() for _, parameter in named for size in record.sizes[parameter]]
    values = torch.stack([size.double() for size in sizes]).tolist()
    metrics: dict[str, float] = {}
    for index, (name, _) in enumerate(named):
        metrics[f"update/{name}.norm"], metrics[f"update/{name}.max"] = values[2 * index], values[2 * index + 1]
    return metrics
