"""How many threads numpy's BLAS takes beside torch, whose threads it shares the cores with."""

from __future__ import annotations

import contextlib
import functools

import torch
from threadpoolctl import ThreadpoolController


def blas_threads(modest: bool) -> contextlib.AbstractContextManager[object]:
    """A context in which numpy's BLAS uses one thread for modest work, and no more than torch for other work.

    After a parallel loop the threads of torch, and those of a BLAS, go on spinning for a while. Whichever library wants
    their cores at that moment takes up to three times as long as on one thread, which leaves them alone.

    Args:
        modest: whether the work inside is worth no second thread.

    Returns:
        The context.

    Source: elementary; measured by benchmarks/recorder.py and benchmarks/top_k.py.

    >>> import numpy as np
    >>> with blas_threads(modest=True):
    ...     (np.eye(2) @ np.ones(2)).tolist()
    [1.0, 1.0]
    """
    wanted = 1 if modest else torch.get_num_threads()
    blas = _blas()
    if all(library.num_threads <= wanted for library in blas.lib_controllers):
        return contextlib.nullcontext()
    return blas.limit(limits=wanted)


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
