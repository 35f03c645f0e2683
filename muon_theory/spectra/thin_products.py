"""A few rows times a large matrix or its transpose, float32 on a CPU, at the speed of reading the matrix.

The usual BLAS copies the matrix into blocks first, which eight rows do not pay for. With 5000 x 5000 entries and
AVX-512, OpenBLAS and MKL take two to four times as long as oneDNN, which torch carries along for its linear layers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

Product = Callable[[np.ndarray], np.ndarray]


def thin_products(X: np.ndarray) -> tuple[Product, Product]:
    """The maps rows -> rows X^T and rows -> rows X by oneDNN, numpy's where torch has none for this matrix.

    Args:
        X: shape (m, n); unless it or its transpose is contiguous, it is copied.

    Returns:
        Two functions, of rows (b, n) to (b, m) and of rows (b, m) to (b, n), in the dtype of X.

    Source: elementary; measured by benchmarks/top_k.py.

    Accuracy: that of a float32 product; sums are taken in another order than numpy's.

    >>> import numpy as np
    >>> forth, back = thin_products(np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32))
    >>> row = np.array([[1.0, 0.0]], dtype=np.float32)
    >>> forth(row).tolist(), back(row).tolist()
    ([[1.0, 3.0]], [[1.0, 2.0]])
    """
    if X.dtype != np.float32 or not has_onednn_linear():
        return lambda rows: rows @ X.T, lambda rows: rows @ X
    if X.flags.f_contiguous and not X.flags.c_contiguous:
        forth, back = thin_products(X.T)
        return back, forth
    matrix = torch.from_numpy(np.ascontiguousarray(X))
    transposed = matrix.mT  # as the weight of a layer: that way oneDNN reads X in its own order for both products
    return (
        lambda rows: np.ascontiguousarray(_linear(matrix, torch.from_numpy(rows)).numpy().T),
        lambda rows: _linear(torch.from_numpy(rows), transposed).numpy(),
    )


@cache
def has_onednn_linear() -> bool:
    """Whether this torch has oneDNN's linear layer for float32; its name is not among those torch promises to keep.

    Returns:
        True if it is there and right on an example.

    Source: elementary.

    >>> has_onednn_linear() in (True, False)
    True
    """
    try:
        found = _linear(torch.eye(2), torch.tensor([[1.0, 2.0]]))
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return False
    return torch.equal(found, torch.tensor([[1.0], [2.0]]))


def _linear(rows: Tensor, weight: Tensor) -> Tensor:
    """Rows weight^T."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, None, "none", [], "")
