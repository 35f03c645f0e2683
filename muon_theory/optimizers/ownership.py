"""Who orthogonalizes what: every matrix whole, once, by one rank, the ranks' costs balanced."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

_ALIGNMENT_BYTES = 64
_NARROWEST_BYTES = 2


def orthogonalization_cost(shape: Sequence[int]) -> float:
    """Cost of orthogonalizing a parameter of this shape, in floating-point operations of one Newton-Schulz step.

    With m <= n the sides of the parameter flattened to (out, -1)::

        4 m^2 n + 2 m^3

    (X X^T and p(X X^T) X cost 2 m^2 n each, the square of the Gram matrix 2 m^3). A vector or scalar costs its number
    of entries.

    Args:
        shape: shape of the parameter, sides >= 0.

    Returns:
        The count, >= 0, without unit; only ratios matter here.

    Source: elementary; Jordan 2024 counts the same products.

    >>> orthogonalization_cost((2, 3)), orthogonalization_cost((3, 1, 2)), orthogonalization_cost((5,))
    (64.0, 64.0, 5.0)
    """
    if len(shape) < 2 or 0 in shape:
        return float(math.prod(shape))
    rows, columns = shape[0], math.prod(shape[1:])
    short, long = min(rows, columns), max(rows, columns)
    return 4.0 * short**2 * long + 2.0 * short**3


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


def same_bits_in_any_batch(shape: Sequence[int]) -> bool:
    """Whether a batched product gives such a matrix the bits it gets alone: its sizes are multiples of 64 bytes.

    A CPU's matrix products round differently at differently aligned addresses. Matrices (and their Gram matrices) of
    64-byte multiples are aligned alike wherever they lie in a batch, others only in the same batch.

    Args:
        shape: shape of the parameter, taken as flattened to (out, -1).

    Returns:
        Whether m n and min(m, n)^2 entries of two bytes are multiples of 64 bytes. True below two dimensions.

    Source: derived here, checked in tests/optimizers.

    >>> same_bits_in_any_batch((64, 32)), same_bits_in_any_batch((7, 13))
    (True, False)
    """
    if len(shape) < 2:
        return True
    rows, columns = shape[0], math.prod(shape[1:])
    sizes = (rows * columns, min(rows, columns) ** 2)
    return all(size * _NARROWEST_BYTES % _ALIGNMENT_BYTES == 0 for size in sizes)
