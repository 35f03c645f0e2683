"""A parameter as the matrices it is made of: fused projections are split by rows, stacks of matrices by leading sizes.

An orthogonal step mixes all rows of what it takes for one matrix, so queries, keys and values fused into one weight, or
the experts of one tensor, have to be told apart first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def matrix_blocks(X: Tensor, split_rows: Sequence[int] | None = None, stacked: int = 0) -> list[Tensor]:
    """The matrices that make up a tensor.

    Args:
        X: a tensor of two or more dimensions.
        split_rows: numbers of rows of the matrices that lie under one another in X flattened to (out, -1), or None.
        stacked: number of leading dimensions that index matrices; each matrix is the rest, flattened to (out, -1).

    Returns:
        The matrices, views of X where it is contiguous.

    Source: elementary.

    >>> [tuple(block.shape) for block in matrix_blocks(torch.zeros(6, 4), split_rows=(4, 2))]
    [(4, 4), (2, 4)]
    >>> [tuple(block.shape) for block in matrix_blocks(torch.zeros(2, 3, 4), stacked=1)]
    [(3, 4), (3, 4)]
    """
    matrices = X.reshape(math.prod(X.shape[:stacked]), X.shape[stacked], -1).unbind()
    if split_rows is None:
        return list(matrices)
    return [block for matrix in matrices for block in matrix.split(list(split_rows))]


def joined_blocks(blocks: Sequence[Tensor], shape: Sequence[int], split_rows: Sequence[int] | None = None) -> Tensor:
    """The tensor of which `matrix_blocks` are given.

    Args:
        blocks: the matrices in their order.
        shape: shape of the tensor.
        split_rows: as given to `matrix_blocks`.

    Returns:
        A new tensor of that shape.

    Source: elementary.

    >>> X = torch.arange(24.0).reshape(2, 3, 4)
    >>> bool(torch.equal(joined_blocks(matrix_blocks(X, (2, 1), 1), X.shape, (2, 1)), X))
    True
    """
    if split_rows is None:
        return torch.stack(list(blocks)).reshape(list(shape))
    return torch.cat(list(blocks)).reshape(list(shape))


def check_blocks(name: str, shape: Sequence[int], split_rows: Sequence[int] | None, stacked: int) -> None:
    """Check that a parameter of this shape can be taken apart so.

    Args:
        name: what to call the parameter.
        shape: its shape.
        split_rows: as given to `matrix_blocks`.
        stacked: as given to `matrix_blocks`.

    Raises:
        ValueError: if the rows do not add up, or fewer than two dimensions are left to a matrix.

    Source: elementary.

    >>> check_blocks("qkv", (12, 4), (4, 4, 4), 0)
    """
    if isinstance(stacked, bool) or not isinstance(stacked, int) or stacked < 0:
        raise ValueError(f"stacked is {stacked!r}; it must be the number of leading dimensions that index matrices")
    if len(shape) - stacked < 2:
        raise ValueError(f"{name} has shape {tuple(shape)}; with stacked={stacked} no matrix is left, lower it")
    if split_rows is not None and (min(split_rows, default=0) < 1 or sum(split_rows) != shape[stacked]):
        raise ValueError(
            f"split_rows is {tuple(split_rows)} for {name} of shape {tuple(shape)}; "
            f"give positive numbers of rows that add up to {shape[stacked]}"
        )
