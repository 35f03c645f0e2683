"""Any optimizer of matrices over several processes: one owner sees each matrix whole, steps it once, and hands it back.

Nothing is asked of the optimizer inside. It holds stand-ins of the model's parameters, whole on their owner and without
memory elsewhere, so its arithmetic is a single process's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from muon_theory.optimizers.agreement import Agreement, explained, gradient_report, refuse_gradients
from muon_theory.optimizers.ownership import orthogonalization_cost
from muon_theory.optimizers.shard_exchange import Exchange, Layout, local_tensor, placed_gradient
from muon_theory.optimizers.shard_plan import planned_layouts
from muon_theory.optimizers.step_details import DetailsInside
from muon_theory.optimizers.validation import parameter_label


class Sharded(DetailsInside, Optimizer):
    """Optimizer whose parameters are spread over several processes; each is stepped whole, once, by its owner.

    Parameters may be DTensors under FSDP2 (`fully_shard`), tensor parallelism or any mesh of both, with shards that are
    uneven or empty, or ordinary tensors that every rank holds whole (DDP). A step gathers each gradient and parameter
    to the owner, runs the optimizer there, and scatters the parameter back; momentum and other state live on the owner
    only, so the ranks together hold one copy. Owners balance the cost of orthogonalization (`balanced_owners`).

    From equal state and equal gradients the step is bit-equal to the single-process step on the same CPU and thread
    count, because it is the same arithmetic on the same whole matrices; on a GPU a product may round differently in
    a batch of another size. The gradients themselves differ by the order in which the ranks' parts are summed, and the
    polar factor amplifies that where singular values are small: 20 steps agree to 1e-8 in float64, and in float32 to
    between 1e-6 and 1e-2, by the spectra they meet.

    `state_dict()` gathers the optimizer's ordinary state_dict on every rank (a collective: all ranks call it), so that
    one saved at 4 ranks loads at any number, into `Sharded` or into the optimizer alone, with an identical next step.
    It also serves torch.distributed.checkpoint's `get_optimizer_state_dict`.

    Args:
        optimizer: an optimizer of the model's parameters that has not stepped yet, for instance a `Hybrid`; step, save
            and schedule it through this object from here on. Its parameters are exchanged for the stand-ins.
        process_group: the ranks that share the parameters; None: all of them, or this process alone where
            torch.distributed is not initialised. Every rank gives the same parameters in the same order.
        timeout: seconds, > 0, after which a rank that waits for another raises; longer than one rank ever works while
            the others wait. Covers this object's own communication (on a GPU its messages of data follow the process
            group's own timeout).
        check_gradients: whether each step first looks for NaN, inf, and replicas whose gradients differ by more than
            1 %, and raises on every rank before anything is changed. None: on CPU only.
        bit_equal: whether matrices of equal shape whose size is no multiple of 64 bytes share an owner, since their
            last bits depend on the batch they are in (`same_bits_in_any_batch`). False balances them too.
        record_updates: whether each step keeps what `get_post_step_metrics` reports, for one copy of the parameters
            over all ranks.

    Raises:
        ValueError: on every rank, if the optimizer has state, the ranks' parameters differ, shards do not make
            up a tensor, or `timeout` is not positive.
        TypeError: if `optimizer` is no torch optimizer.

    Source: Jordan 2024 (owners in turn); Liu et al. 2025, arXiv 2502.16982 (gather, orthogonalize); derived here: whole
    stand-ins and balanced owners, checked in tests/optimizers.

    Cost: per step each gradient and each parameter travels to its owner once and back once; one copy of the state over
    all ranks; per rank its own matrices whole, during the step.

    >>> weight = torch.nn.Parameter(torch.ones(2, 2))
    >>> optimizer = Sharded(torch.optim.SGD([weight], lr=0.5))
    >>> weight.sum().backward()
    >>> optimizer.step()
    >>> weight.tolist(), optimizer.owner(weight)
    ([[0.5, 0.5], [0.5, 0.5]], 0)
    """

    optimizer: Optimizer

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        process_group: Any = None,
        timeout: float = 60.0,
        check_gradients: bool | None = None,
        bit_equal: bool = True,
        record_updates: bool = False,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer is a {type(optimizer).__name__}; give a torch.optim.Optimizer")
        if not 0 < timeout < float("inf"):
            raise ValueError(f"timeout is {timeout!r} seconds; it must be positive and finite")
        self._agreement = Agreement.of_group(process_group, timedelta(seconds=timeout))
        self._check_gradients = check_gradients
        self._bit_equal = bit_equal
        self._record_updates = record_updates
        self._updates: dict[Tensor, tuple[float, float]] = {}
        self.optimizer = optimizer
        self._pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._stand_ins: dict[Tensor, Tensor] = {}
        self._layouts: dict[Tensor, Layout] = {}
        self._agreement.all_or_none(
            "optimizer has taken steps already; wrap it before the first one, then load_state_dict"
            if optimizer.state
            else ""
        )
        self._building = True
        super().__init__([dict(group) for group in optimizer.param_groups], dict(optimizer.defaults))
        self._building = False
        self._adopt()

    def _adopt(self) -> None:
        """Plan the owners of the inner optimizer's new groups and put stand-ins in their parameters' places."""
        known = {id(inner): outer for outer, inner in self._pairs}
        groups = [group for group in self.optimizer.param_groups if id(group) not in known]
        parameters = [parameter for group in groups for parameter in group["params"]]
        groups_of = [(len(known) + number, group) for number, group in enumerate(groups) for _ in group["params"]]
        layouts = planned_layouts(parameters, groups_of, self._agreement, loads=self.loads(), bit_equal=self._bit_equal)
        for parameter, layout in zip(parameters, layouts, strict=True):
            self._layouts[parameter] = layout
            self._stand_ins[parameter] = self._stand_in(parameter, layout)
        fresh = {id(group): dict(group) for group in groups}
        for group in groups:
            group["params"] = [self._stand_ins[parameter] for parameter in group["params"]]
        self._pairs = [(known.get(id(g)) or fresh[id(g)], g) for g in self.optimizer.param_groups]
        self.param_groups = [outer for outer, _ in self._pairs]

    def _stand_in(self, parameter: Tensor, layout: Layout) -> Tensor:
        """A parameter in the place of this one: of its shape, without memory until it is filled for a step."""
        if layout.owner != self._agreement.rank:
            return torch.nn.Parameter(torch.empty(layout.shape, dtype=parameter.dtype, device="meta"))
        local = local_tensor(parameter)
        return torch.nn.Parameter(_placeholder(local, layout.shape), requires_grad=parameter.requires_grad)

    def owner(self, parameter: Tensor) -> int:
        """Rank, within the process group, that steps a parameter.

        Args:
            parameter: a parameter of this optimizer.

        Returns:
            The rank.

        Raises:
            KeyError: if it is no parameter of this optimizer.

        Source: elementary.
        """  # noqa: DOC502  (raised by the lookup)
        return self._layouts[parameter].owner

    def loads(self) -> list[float]:
        """Cost of what each rank owns, see `orthogonalization_cost`.

        Returns:
            One number >= 0 per rank.

        Source: elementary.
        """
        loads = [0.0] * self._agreement.world_size
        for group in self.param_groups:
            fusion = {"split_rows": group.get("split_rows"), "stacked": group.get("stacked", 0)}
            for layout in (self._layouts[p] for p in group["params"] if p in self._layouts):
                loads[layout.owner] += orthogonalization_cost(layout.shape, **fusion)
        return loads

    def lmo_input(self, parameter: Tensor) -> Tensor | None:
        """LMO input of the last step, whole, on the parameter's owner.

        Args:
            parameter: a parameter of this optimizer.

        Returns:
            What the optimizer inside offers, or None where it offers none, and on every rank but the owner.

        Source: elementary.
        """
        offered = getattr(self.optimizer, "lmo_input", None)
        return None if offered is None or parameter not in self._stand_ins else offered(self._stand_ins[parameter])

    def add_param_group(self, param_group: dict[str, Any], **where: Any) -> None:
        """Add a parameter group to the optimizer inside, on every rank alike.

        Args:
            param_group: the group, as that optimizer takes it.
            **where: its further arguments, such as the index that `Hybrid` asks for.

        Raises:
            ValueError: if that optimizer refuses the group, or a parameter is in it already.

        Source: elementary.
        """
        if self._building:
            super().add_param_group(param_group)
            return
        entries = [param_group["params"]] if isinstance(param_group["params"], Tensor) else list(param_group["params"])
        if any((entry[1] if isinstance(entry, tuple) else entry) in self._layouts for entry in entries):
            raise ValueError("a parameter of the group is in the optimizer already; each parameter may have one group")
        self._pass_options_down()
        self.optimizer.add_param_group(param_group | {"params": entries}, **where)
        self._adopt()

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step on every rank together.

        Args:
            closure: recomputes this rank's loss and gradients, as in torch.

        Returns:
            The closure's loss, or None without one.

        Raises:
            ValueError: on every rank, before anything is changed, if a gradient holds NaN or inf, is missing on some
                ranks only, or differs between replicas.
            TypeError: on every rank, if a gradient is sparse.
            RuntimeError: if another rank failed or was lost; the state is then to be taken from a checkpoint.

        Source: derived here, checked in tests/optimizers.
        """  # noqa: DOC502  (raised by what it calls)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parameters = self._parameters()
        reports = self._agreement.table([gradient_report(p, self._check_gradients) for p in parameters])
        present = refuse_gradients(reports, [self._layouts[p] for p in parameters], self._label)
        stepped = [parameter for parameter, has in zip(parameters, present, strict=True) if has]
        wholes = self._filled(stepped)
        self._pass_options_down()
        before = [whole.clone() if self._record_updates and whole is not None else None for whole in wholes]
        failure: str | Exception = ""
        try:
            self.optimizer.step()
        except Exception as error:  # handed to every rank by all_or_none, which raises it again here
            failure = error
        finally:
            for parameter in stepped:
                self._emptied(parameter)
        self._agreement.all_or_none(failure)
        self._updates = {
            parameter: _norm_and_max(whole, old)
            for parameter, whole, old in zip(stepped, wholes, before, strict=True)
            if whole is not None and old is not None
        }
        for outer, inner in self._pairs:
            outer.update({option: value for option, value in inner.items() if option != "params"})
        with explained():
            self._exchange().scatter([(self._layouts[p], local_tensor(p)) for p in stepped], wholes)
        if stepped:
            self._show_state()
        return loss

    def get_post_step_metrics(self, module: torch.nn.Module) -> dict[str, float]:
        """Size of the last step's updates, the same on every rank; all ranks call this together.

        The update is W_after - W_before, the learning rate and the weight decay included, of the whole parameter: each
        is measured once, by its owner.

        Args:
            module: the model, for the parameters' names; the wrappers of DDP and torch.compile leave none in them.

        Returns:
            "update/{name}.norm", the Frobenius norm, and "update/{name}.max", the largest absolute entry, of each
            parameter of this optimizer that has a name; 0 where the last step had no gradient.

        Raises:
            ValueError: without `record_updates`.

        Source: the keys are OLMo's (allenai/OLMo, pull request 882); there the update is taken before the learning rate
        and without the decay.
        """
        if not self._record_updates:
            raise ValueError("no step was measured; build Sharded(optimizer, record_updates=True)")
        parameters = self._parameters()
        rows = [number for p in parameters for number in self._updates.get(p, (0.0, 0.0))]
        numbers = self._agreement.table(rows).sum(dim=0).reshape(-1, 2).tolist()
        measured = dict(zip(parameters, numbers, strict=True))
        metrics: dict[str, float] = {}
        inner = module.module if isinstance(module, torch.nn.parallel.DistributedDataParallel) else module
        for name, parameter in inner.named_parameters():
            if parameter in measured:
                name = name.replace("_orig_mod.", "").replace("_checkpoint_wrapped_module.", "")
                norm, largest = measured[parameter]
                metrics |= {f"update/{name}.norm": norm, f"update/{name}.max": largest}
        return metrics

    def _parameters(self) -> list[Tensor]:
        """The model's parameters, in the order of the groups."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _filled(self, parameters: list[Tensor]) -> list[Tensor | None]:
        """Fill the stand-ins of what this rank owns with whole parameters and gradients; the whole parameters."""
        layouts = [self._layouts[parameter] for parameter in parameters]
        locals_and_gradients = [*map(local_tensor, parameters), *map(placed_gradient, parameters)]
        with explained():
            gathered = self._exchange().gather(list(zip(layouts * 2, locals_and_gradients, strict=True)))
        wholes, whole_gradients = gathered[: len(parameters)], gathered[len(parameters) :]
        for parameter, whole, gradient in zip(parameters, wholes, whole_gradients, strict=True):
            if whole is not None:
                self._stand_ins[parameter].data = whole
                self._stand_ins[parameter].grad = gradient
        return wholes

    def _emptied(self, parameter: Tensor) -> None:
        """Take the memory from a stand-in."""
        stand_in = self._stand_ins[parameter]
        stand_in.grad = None
        if stand_in.device.type != "meta":
            stand_in.data = _placeholder(stand_in, self._layouts[parameter].shape)

    def _exchange(self) -> Exchange:
        """What moves this optimizer's tensors."""
        agreement = self._agreement
        return Exchange(agreement.group, agreement.device_group, agreement.rank, agreement.world_size)

    def _pass_options_down(self) -> None:
        """Let the inner groups have the options of this optimizer's groups, which schedulers write."""
        for outer, inner in self._pairs:
            inner.update({option: value for option, value in outer.items() if option != "params"})

    def _show_state(self) -> None:
        """Let `state` show the owned parameters' state, and an empty one of each other, so that it is empty nowhere."""
        inner = self.optimizer.state
        self.state = defaultdict(dict, {p: inner.get(stand_in, {}) for p, stand_in in self._stand_ins.items()})

    def _label(self, index: int) -> str:
        """What to call the parameter of this running index in an error."""
        for group_index, group in enumerate(self.param_groups):
            if index < len(group["params"]):
                return parameter_label(self, group_index, index)
            index -= len(group["params"])
        raise IndexError(index)

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state_dict as a single process would have it; all ranks call this together.

        Returns:
            On every rank the full state: whole tensors, those of other owners in host memory.

        Raises:
            RuntimeError: if a rank was lost.

        Source: elementary.
        """  # noqa: DOC502  (raised by the communication)
        self._pass_options_down()
        packed = self.optimizer.state_dict()
        owners = [self._layouts[parameter].owner for parameter in self._parameters()]
        packed["state"] = self._agreement.merged_state(packed["state"], owners)
        return packed

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a full state_dict, saved with any number of processes; every rank keeps what it owns.

        Args:
            state_dict: what `state_dict` returned here or on the optimizer alone; equal on every rank.

        Raises:
            ValueError: if its groups do not fit.

        Source: elementary.
        """  # noqa: DOC502  (raised by the optimizer inside)
        keys = [key for group in state_dict["param_groups"] for key in group["params"]]  # indices, or names
        others = {
            key
            for key, parameter in zip(keys, self._parameters(), strict=False)
            if self._layouts[parameter].owner != self._agreement.rank
        }
        states = {key: state for key, state in state_dict["state"].items() if key not in others}
        self.optimizer.load_state_dict({**state_dict, "state": states})
        self._pairs = list(zip(self.param_groups, self.optimizer.param_groups, strict=True))
        for outer, inner in self._pairs:
            outer.update({option: value for option, value in inner.items() if option != "params"})
        if state_dict["state"]:
            self._show_state()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse pickle and deepcopy: process groups belong to running processes."""
        raise TypeError("Sharded cannot be pickled or deep-copied, it holds a process group; use state_dict()")


def _placeholder(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A tensor of this shape in the memory of one number."""
    return torch.zeros((), dtype=like.dtype, device=like.device).expand(shape)


def _norm_and_max(after: Tensor, before: Tensor) -> tuple[float, float]:
    """Frobenius norm and largest absolute entry of an update."""
    wide = torch.promote_types(after.dtype, torch.float32)
    update = after.to(wide) - before.to(wide)
    return float(torch.linalg.vector_norm(update, dtype=torch.float64)), float(update.abs().max())
