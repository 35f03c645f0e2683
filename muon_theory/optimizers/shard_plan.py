"""The plan of a sharded optimizer: where every parameter lies, and which rank owns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from muon_theory.optimizers.agreement import Agreement
from muon_theory.optimizers.ownership import (
    balanced_owners,
    batch_bundles,
    block_shapes,
    orthogonalization_cost,
    same_bits_in_any_batch,
)
from muon_theory.optimizers.shard_exchange import Box, Layout, local_box

_WHOLE: dict[str, Any] = {"split_rows": None, "stacked": 0}


def planned_layouts(
    parameters: Sequence[Tensor],
    groups: Sequence[tuple[int, Mapping[str, Any]]],
    agreement: Agreement,
    *,
    loads: Sequence[float] | None = None,
    bit_equal: bool = True,
) -> list[Layout]:
    """Layout and owner of every parameter; all ranks call this together and get the same.

    Args:
        parameters: DTensors, or ordinary tensors that each rank holds whole; the same in the same order on every rank.
        groups: for each parameter its group's number and options, of which "split_rows" and "stacked" matter here.
        agreement: the ranks.
        loads: what each rank carries already, see `balanced_owners`.
        bit_equal: whether matrices of one group and shape whose bits depend on their batch share an owner.

    Returns:
        The layouts, in the parameters' order.

    Raises:
        ValueError: on every rank, if the ranks' parameters differ, one is on the meta device, or shards do not make up
            a tensor.

    Source: elementary.

    >>> import torch
    >>> planned_layouts([torch.ones(2, 3)], [(0, {})], Agreement(None, None, 0, 1))[0].owner
    0
    """
    described = _described(parameters, agreement)
    everyone = agreement.gathered(described)
    _refuse_differences(everyone, agreement.rank)
    boxes = [tuple(other[index][3] for other in everyone) for index in range(len(described))]
    fusions = [{name: option.get(name, rest) for name, rest in _WHOLE.items()} for _, option in groups]
    blocks = [block_shapes(entry[0], **fusion) for entry, fusion in zip(described, fusions, strict=True)]
    batches = [
        {(group, entry[1], block) for block in made_of if bit_equal and not same_bits_in_any_batch(*block)}
        for (group, _), entry, made_of in zip(groups, described, blocks, strict=True)
    ]
    owners = balanced_owners(
        [orthogonalization_cost(entry[0], **fusion) for entry, fusion in zip(described, fusions, strict=True)],
        agreement.world_size,
        bundles=batch_bundles(batches),
        preferred=[_largest_holders(each) for each in boxes],
        loads=loads,
    )
    layouts = [Layout(entry[0], each, owner) for entry, each, owner in zip(described, boxes, owners, strict=True)]
    for index, layout in enumerate(layouts):
        if not layout.covers():
            raise ValueError(
                f"the shards of parameter {index} (shape {layout.shape}) do not make it up, each entry once: "
                f"{layout.boxes}; is process_group the group of all ranks that hold a part of it?"
            )
    return layouts


def _described(parameters: Sequence[Tensor], agreement: Agreement) -> list[tuple[Any, ...]]:
    """Shape, dtype, device type and this rank's box of every parameter; raises on every rank if one cannot be said."""
    described: list[tuple[Any, ...]] = []
    failure = ""
    for index, parameter in enumerate(parameters):
        if parameter.device.type == "meta":
            failure = f"parameter {index} is on the meta device; build the optimizer once the model has its memory"
            break
        try:
            box = local_box(parameter)
        except (ValueError, RuntimeError) as error:
            failure = f"parameter {index}: {error}"
            break
        described.append((tuple(parameter.shape), str(parameter.dtype), parameter.device.type, box))
    agreement.all_or_none(failure)
    return described


def _refuse_differences(everyone: Sequence[Sequence[tuple[Any, ...]]], rank: int) -> None:
    """Raise where the ranks' lists of parameters differ; some rank differs from every rank then, so that all raise."""
    counts = [len(other) for other in everyone]
    if len(set(counts)) > 1:
        raise ValueError(f"the ranks give {counts} parameters; every rank must give the same ones in one order")
    for other_rank, other in enumerate(everyone):
        for index, (mine, theirs) in enumerate(zip(everyone[rank], other, strict=True)):
            if mine[:3] != theirs[:3]:
                raise ValueError(
                    f"parameter {index} is {mine[:3]} on rank {rank} but {theirs[:3]} on rank {other_rank}; every rank "
                    "of the process group must give the same parameters in the same order"
                )


def _largest_holders(boxes: Sequence[Box | None]) -> list[int]:
    """The ranks that hold the largest part."""
    counts = [0 if box is None else box.count for box in boxes]
    return [rank for rank, count in enumerate(counts) if count == max(counts)]
