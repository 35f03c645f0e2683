"""Moving whole matrices between their shards and their owners: boxes of a tensor, and one all-to-all per bucket."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

_BUCKET_BYTES = 2**28


@dataclass(frozen=True)
class Box:
    """Axis-aligned part of a tensor: where it starts and how far it reaches in each dimension.

    Args:
        offsets: first index per dimension.
        sizes: extent per dimension.

    Source: elementary.

    >>> Box((2, 0), (2, 3)).of(torch.arange(12).reshape(4, 3)).tolist()
    [[6, 7, 8], [9, 10, 11]]
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of entries in the box, an integer >= 0."""
        return math.prod(self.sizes)

    def of(self, whole: Tensor) -> Tensor:
        """View of the box in a whole tensor.

        Args:
            whole: the tensor.

        Returns:
            The view, of shape `sizes`.

        Source: elementary.
        """
        for dimension, (offset, size) in enumerate(zip(self.offsets, self.sizes, strict=True)):
            whole = whole.narrow(dimension, offset, size)
        return whole


def _as_dtensor(tensor: Tensor) -> DTensor | None:
    """The tensor if it is a DTensor; known by its methods: importing the class takes half as long as torch."""
    return cast("DTensor", tensor) if hasattr(tensor, "to_local") else None


def local_tensor(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor: a DTensor's local shard, any other tensor itself; shares memory.

    Args:
        tensor: a DTensor or an ordinary tensor.

    Returns:
        The ordinary tensor, detached.

    Source: elementary.

    >>> local_tensor(torch.ones(2)).tolist()
    [1.0, 1.0]
    """
    spread = _as_dtensor(tensor)
    return (tensor if spread is None else spread.to_local()).detach()


def local_box(tensor: Tensor) -> Box | None:
    """Box of the global tensor that this rank holds.

    Args:
        tensor: a DTensor of any mesh, sharded evenly or not, or an ordinary tensor, which is whole on this rank.

    Returns:
        The box, or None if this rank's shard is empty.

    Raises:
        ValueError: if a DTensor is no single box, or its local shard is not what its placements say.

    Source: elementary; the protocol is torch.distributed.checkpoint's.

    >>> local_box(torch.ones(2, 3))
    Box(offsets=(0, 0), sizes=(2, 3))
    """
    spread = _as_dtensor(tensor)
    if spread is None:
        return Box((0,) * tensor.ndim, tuple(tensor.shape)) if tensor.numel() else None
    local = local_tensor(tensor)
    if local.numel() == 0:
        return None
    chunks = spread.__create_chunk_list__()
    if len(chunks) != 1 or tuple(chunks[0].sizes) != tuple(local.shape):
        raise ValueError(
            f"a DTensor of shape {tuple(tensor.shape)} and placements {spread.placements} has the local shape "
            f"{tuple(local.shape)}, not one box {chunks}; use Shard and Replicate placements"
        )
    return Box(tuple(chunks[0].offsets), tuple(chunks[0].sizes))


def placed_gradient(parameter: Tensor) -> Tensor:
    """This rank's part of a parameter's gradient, placed as the parameter is.

    Args:
        parameter: a parameter; a DTensor's gradient may be placed otherwise, which all ranks of its mesh then mend
            together.

    Returns:
        The part, of the shape of the parameter's own; arbitrary numbers if there is no gradient.

    Source: elementary.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.grad = torch.zeros(2)
    >>> placed_gradient(weight).tolist()
    [0.0, 0.0]
    """
    gradient = parameter.grad
    if gradient is None:  # this rank holds no entry of the parameter
        return torch.empty_like(local_tensor(parameter))
    spread, spread_gradient = _as_dtensor(parameter), _as_dtensor(gradient)
    if spread is not None and spread_gradient is not None and spread_gradient.placements != spread.placements:
        gradient = spread_gradient.redistribute(placements=spread.placements)
    return local_tensor(gradient)


@dataclass(frozen=True)
class Layout:
    """Where the entries of one parameter lie: its shape and each rank's box.

    Args:
        shape: shape of the whole tensor.
        boxes: each rank's box or None, by rank in the process group.
        owner: the rank that works on the whole tensor.

    Source: elementary.

    >>> halves = Layout((4, 2), (Box((0, 0), (2, 2)), Box((2, 0), (2, 2))), owner=1)
    >>> [(rank, box.offsets) for rank, box in halves.sources()]
    [(0, (0, 0)), (1, (2, 0))]
    """

    shape: tuple[int, ...]
    boxes: tuple[Box | None, ...]
    owner: int

    def sources(self) -> list[tuple[int, Box]]:
        """The distinct boxes and the rank that sends each to the owner: the owner itself where it holds a copy.

        Returns:
            Pairs (rank, box) in the order of the boxes' offsets.

        Source: elementary.
        """
        holders: dict[Box, list[int]] = {}
        for rank, box in enumerate(self.boxes):
            if box is not None:
                holders.setdefault(box, []).append(rank)
        return [
            (self.owner if self.owner in ranks else ranks[self.owner % len(ranks)], box)
            for box, ranks in sorted(holders.items(), key=lambda item: (item[0].offsets, item[0].sizes))
        ]

    def covers(self) -> bool:
        """Whether the distinct boxes make up the tensor, each entry once.

        Returns:
            True if their entries add up to the tensor's and no two overlap.

        Source: elementary.
        """
        boxes = [box for _, box in self.sources()]
        return sum(box.count for box in boxes) == math.prod(self.shape) and not any(
            _overlap(one, two) for index, one in enumerate(boxes) for two in boxes[:index]
        )


def _overlap(one: Box, two: Box) -> bool:
    """Whether two boxes share an entry."""
    return all(
        max(a, b) < min(a + p, b + q) for a, p, b, q in zip(one.offsets, one.sizes, two.offsets, two.sizes, strict=True)
    )


@dataclass(frozen=True)
class Exchange:
    """The transfers of one process group, each rank's pieces for another packed into one message per bucket.

    Args:
        group: the process group for tensors on the CPU, or None for a single process.
        device_group: the process group for tensors on an accelerator.
        rank: this rank within the group.
        world_size: number of ranks in the group.

    Source: elementary.

    Cost: a gather brings every entry to its owner once and a scatter takes it back to each holder once, about
    (1 - 1/world_size) of the entries each; the buffers hold at most 256 MiB of whole parameters, or one parameter.
    """

    group: Any
    device_group: Any
    rank: int
    world_size: int

    def gather(self, items: Sequence[tuple[Layout, Tensor]]) -> list[Tensor | None]:
        """Bring whole tensors to their owners.

        Args:
            items: for each tensor its layout and this rank's part; the same tensors in the same order on every rank.

        Returns:
            For each tensor the whole on its owner (this rank's own part, not copied, where that is all of it), None
            elsewhere.

        Source: elementary.
        """
        wholes: list[Tensor | None] = [self._start(layout, local) for layout, local in items]
        moves = [[(r, layout.owner, box) for r, box in layout.sources() if r != layout.owner] for layout, _ in items]
        for bucket in _buckets(items, moves):
            sent = [items[i][1] for i, source, _, _ in bucket if source == self.rank]
            received = self._all_to_all(bucket, sent, items[bucket[0][0]][1])
            arrivals = (move for move in sorted(bucket, key=_by_source) if move[2] == self.rank)
            for (index, _, _, box), piece in zip(arrivals, received, strict=True):
                whole = wholes[index]
                assert whole is not None  # noqa: S101  (this rank is its owner)
                box.of(whole).copy_(piece.reshape(box.sizes))
        return wholes

    def scatter(self, items: Sequence[tuple[Layout, Tensor]], wholes: Sequence[Tensor | None]) -> None:
        """Write whole tensors from their owners into every rank's part.

        Args:
            items: for each tensor its layout and this rank's part, which is overwritten.
            wholes: what `gather` returned, updated by the owner.

        Source: elementary.
        """
        moves = [
            [(layout.owner, r, box) for r, box in enumerate(layout.boxes) if box is not None and r != layout.owner]
            for layout, _ in items
        ]
        for (layout, local), whole in zip(items, wholes, strict=True):
            box = layout.boxes[self.rank]
            if whole is not None and box is not None and whole.data_ptr() != local.data_ptr():
                local.copy_(box.of(whole))
        for bucket in _buckets(items, moves):
            sent = [box.of(_present(wholes[i])) for i, source, _, box in bucket if source == self.rank]
            received = self._all_to_all(bucket, sent, items[bucket[0][0]][1])
            arrivals = (move for move in sorted(bucket, key=_by_source) if move[2] == self.rank)
            for (index, _, _, box), piece in zip(arrivals, received, strict=True):
                items[index][1].copy_(piece.reshape(box.sizes))

    def _start(self, layout: Layout, local: Tensor) -> Tensor | None:
        """The whole tensor on its owner, with what the owner holds already in place."""
        if layout.owner != self.rank:
            return None
        box = layout.boxes[self.rank]
        if box is not None and box.sizes == layout.shape:
            return local
        whole = torch.empty(layout.shape, dtype=local.dtype, device=local.device)
        if box is not None:
            box.of(whole).copy_(local)
        return whole

    def _all_to_all(self, bucket: list[_Move], sent: list[Tensor], like: Tensor) -> Iterator[Tensor]:
        """Send this rank's pieces, given in the bucket's order; the received ones, by source and then in that order."""
        mine = [move for move in bucket if move[1] == self.rank]
        order = sorted(range(len(mine)), key=lambda i: mine[i][2])
        outgoing = _packed([sent[i] for i in order], like)
        arrivals = [move for move in sorted(bucket, key=_by_source) if move[2] == self.rank]
        incoming = torch.empty(sum(move[3].count for move in arrivals), dtype=like.dtype, device=like.device)
        size = like.element_size()
        dist.all_to_all_single(
            incoming.view(torch.uint8),
            outgoing.view(torch.uint8),
            [size * sum(move[3].count for move in arrivals if move[1] == r) for r in range(self.world_size)],
            [size * sum(move[3].count for move in mine if move[2] == r) for r in range(self.world_size)],
            group=self.group if like.device.type == "cpu" else self.device_group,
        )
        return iter(incoming.split([move[3].count for move in arrivals]))


_Move = tuple[int, int, int, Box]  # index of the tensor, source, destination, what moves


def _by_source(move: _Move) -> int:
    """Sorting key: the source rank."""
    return move[1]


def _present(whole: Tensor | None) -> Tensor:
    """The tensor, which its owner has."""
    assert whole is not None  # noqa: S101  (asked of the owner only)
    return whole


def _packed(pieces: list[Tensor], like: Tensor) -> Tensor:
    """The pieces, flat, one after the other."""
    return torch.cat([piece.reshape(-1) for piece in pieces]) if pieces else like.new_empty(0)


def _buckets(
    items: Sequence[tuple[Layout, Tensor]], moves: Iterable[list[tuple[int, int, Box]]]
) -> Iterator[list[_Move]]:
    """The moves in messages: tensors of one dtype and device, as many as fit into a bucket."""

    def kind(entry: tuple[int, list[tuple[int, int, Box]]]) -> str:
        local = items[entry[0]][1]
        return f"{local.dtype} {local.device.type}"

    for _, entries in groupby(sorted(enumerate(moves), key=kind), key=kind):
        bucket: list[_Move] = []
        filled = 0
        for index, parts in entries:
            size = math.prod(items[index][0].shape) * items[index][1].element_size()
            if bucket and filled + size > _BUCKET_BYTES:
                yield bucket
                bucket, filled = [], 0
            bucket += [(index, source, destination, box) for source, destination, box in parts]
            filled += size
        if bucket:
            yield bucket
