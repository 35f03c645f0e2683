"""Who orthogonalizes what: every matrix whole, once, by one rank, the ranks' costs balanced."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

_ALIGNMENT_BYTES = 64
_NARROWEST_BYTES = 2


def block_shapes(
    shape: Sequence[int], split_rows: Sequence[int] | None = None, stacked: int = 0
) -> tuple[tuple[int, int], ...]:
    """Shapes of the matrices a parameter is made of: one, flattened to (out, -1), unless it is fused or stacked.

    Args:
        shape: shape of the parameter.
        split_rows: numbers of rows of the matrices fused in it, or None.
        stacked: number of its leading dimensions that index matrices.

    Returns:
        (rows, columns) of each; none for a vector or scalar, or if there are no entries.

    Source: elementary.

    >>> block_shapes((6, 2, 2)), block_shapes((6, 4), split_rows=(4, 2)), block_shapes((2, 3, 4), stacked=1)
    (((6, 4),), ((4, 4), (2, 4)), ((3, 4), (3, 4)))
    """
    if len(shape) - stacked < 2 or 0 in shape:
        return ()
    columns = math.prod(shape[stacked + 1 :])
    rows = (shape[stacked],) if split_rows is None else tuple(split_rows)
    return tuple((count, columns) for count in rows) * math.prod(shape[:stacked])


def orthogonalization_cost(shape: Sequence[int], split_rows: Sequence[int] | None = None, stacked: int = 0) -> float:
    """Cost of orthogonalizing a parameter of this shape, in floating-point operations of one Newton-Schulz step.

    With m <= n the sides, summed over the matrices it is made of (`block_shapes`)::

        4 m^2 n + 2 m^3

    (X X^T and p(X X^T) X cost 2 m^2 n each, the square of the Gram matrix 2 m^3). A vector or scalar costs its number
    of entries.

    Args:
        shape: shape of the parameter, sides >= 0.
        split_rows: numbers of rows of the matrices fused in it, or None.
        stacked: number of its leading dimensions that index matrices.

    Returns:
        The count, >= 0, without unit; only ratios matter here.

    Source: elementary; Jordan 2024 counts the same products.

    >>> orthogonalization_cost((2, 3)), orthogonalization_cost((3, 1, 2)), orthogonalization_cost((5,))
    (64.0, 64.0, 5.0)
    """
    blocks = block_shapes(shape, split_rows, stacked)
    if not blocks:
        return float(math.prod(shape))
    return sum(4.0 * min(block) ** 2 * max(block) + 2.0 * min(block) ** 3 for block in blocks)


def balanced_owners(
    costs: Sequence[float],
    world_size: int,
    *,
    bundles: Sequence[Hashable] | None = None,
    preferred: Sequence[Sequence[int]] | None = None,
    loads: Sequence[float] | None = None,
) -> tuple[int, ...]:
    """Owner rank of every parameter, by longest processing time first: the costliest goes to the least loaded rank.

    Args:
        costs: cost of each parameter, finite and >= 0.
        world_size: number of ranks, >= 1; it need not divide anything, and ranks may end up with nothing.
        bundles: a key per parameter; parameters of equal key get one owner together. None: each its own.
        preferred: per parameter the ranks to prefer among the equally loaded (those that hold most of it).
        loads: what each rank carries already, >= 0; None: nothing.

    Returns:
        One rank in [0, world_size) per parameter; the same on every rank that asks with the same arguments.

    Raises:
        ValueError: if `world_size` is below 1, a cost is not finite or negative, or the lengths differ.

    Source: Graham 1969, "Bounds on multiprocessing timing anomalies": the largest load is at most 4/3 - 1/(3 n) times
    the smallest possible one.

    >>> balanced_owners([5.0, 4.0, 3.0, 2.0], 2)
    (0, 1, 1, 0)
    """
    if world_size < 1:
        raise ValueError(f"world_size is {world_size}; it must be at least 1")
    for index, cost in enumerate(costs):
        if not 0.0 <= cost < math.inf:
            raise ValueError(f"cost {index} is {cost}; costs must be finite and >= 0")
    for name, given in (("bundles", bundles), ("preferred", preferred)):
        if given is not None and len(given) != len(costs):
            raise ValueError(f"{name} has {len(given)} entries for {len(costs)} costs; give one each")
    members: dict[Hashable, list[int]] = {}
    for index in range(len(costs)):
        members.setdefault(("alone", index) if bundles is None else ("bundle", bundles[index]), []).append(index)
    carried = [0.0] * world_size if loads is None else list(loads)
    owners = [0] * len(costs)
    for indices in sorted(members.values(), key=lambda indices: (-sum(costs[i] for i in indices), indices[0])):
        liked = () if preferred is None else preferred[indices[0]]
        owner = min(range(world_size), key=lambda rank: (carried[rank], rank not in liked, rank))
        carried[owner] += sum(costs[index] for index in indices)
        for index in indices:
            owners[index] = owner
    return tuple(owners)


def same_bits_in_any_batch(rows: int, columns: int) -> bool:
    """Whether a batched product gives such a matrix the bits it gets alone: its sizes are multiples of 64 bytes.

    A CPU's matrix products round differently at differently aligned addresses. Matrices (and their Gram matrices) of
    64-byte multiples are aligned alike wherever they lie in a batch, others only in the same batch.

    Args:
        rows: number of rows.
        columns: number of columns.

    Returns:
        Whether rows columns and min(rows, columns)^2 entries of two bytes are multiples of 64 bytes.

    Source: derived here, checked in tests/optimizers.

    >>> same_bits_in_any_batch(64, 32), same_bits_in_any_batch(7, 13)
    (True, False)
    """
    sizes = (rows * columns, min(rows, columns) ** 2)
    return all(size * _NARROWEST_BYTES % _ALIGNMENT_BYTES == 0 for size in sizes)


def batch_bundles(batches: Sequence[Iterable[Hashable]]) -> tuple[int, ...]:
    """Bundles of parameters that must stay together because they have a batch in common, directly or by others.

    Args:
        batches: per parameter the keys of the batches it takes part in.

    Returns:
        A number per parameter, equal within a bundle.

    Source: elementary (connected components).

    >>> batch_bundles(["a", "b", "", "ac", "c", ""])
    (0, 1, 2, 0, 0, 5)
    """
    bundles = list(range(len(batches)))
    first: dict[Hashable, int] = {}
    for index, keys in enumerate(batches):
        for key in keys:
            one, other = sorted((bundles[index], bundles[first.setdefault(key, index)]))
            bundles = [one if bundle == other else bundle for bundle in bundles]
    return tuple(bundles)
