"""Tasks in local processes: one thread each, outcomes as they come; a process that dies takes only its own task."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Died:
    """The outcome of a task whose process was killed, by a signal or for want of memory.

    Args:
        reason: the operating system's account of it, one line.

    Source: elementary.
    """

    reason: str


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block on one thread: BLAS, OpenMP and torch, whether loaded before the block or inside it.

    Yields:
        Nothing.

    Source: elementary. Sums depend on the number of threads in their last bits; one thread makes a cell reproducible.
    """
    from threadpoolctl import threadpool_limits

    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    torch: Any = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch is not None else None
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if torch is not None and threads is not None:
            torch.set_num_threads(threads)


def in_processes(function: Callable[[Any], Any], items: Sequence[Any], workers: int) -> Iterator[tuple[int, Any]]:
    """Apply a function to every item, in worker processes; outcomes come in the order they finish.

    Args:
        function: picklable function of one item; it should turn its own errors into values.
        items: picklable items.
        workers: number of processes; 1 runs everything in this process.

    Yields:
        `(index, outcome)`; the outcome is `Died` when the item's process was killed twice, the second time alone.

    Raises:
        RuntimeError: the workers cannot even start on an item, e.g. its module cannot be imported there.

    Source: elementary.

    >>> sorted(in_processes(abs, [-3, 4], workers=1))
    [(0, 3), (1, 4)]
    """
    if workers == 1:
        for index, item in enumerate(items):
            with one_thread():
                outcome = function(item)
            yield index, outcome
        return
    waiting = dict(enumerate(items))
    fruitless = 0
    with tempfile.TemporaryDirectory(prefix="muon_theory_") as folder:
        while waiting:
            try:
                for index, outcome in _stream(function, waiting, workers, folder):
                    del waiting[index]
                    fruitless = 0
                    yield index, outcome
            except BrokenProcessPool as broken:
                suspects = [index for index in sorted(_started(folder)) if index in waiting]
                # A worker may be killed between two tasks; twice in a row without any progress is no accident.
                fruitless += not suspects
                if fruitless > 1:
                    raise RuntimeError(f"worker processes cannot run {function!r}: {broken}") from broken
                for index in suspects:
                    yield _alone(function, index, waiting.pop(index), folder)


def _stream(
    function: Callable[[Any], Any], waiting: Mapping[int, Any], workers: int, folder: str
) -> Iterator[tuple[int, Any]]:
    """Outcomes as they finish; closing it early stops the workers."""
    import joblib

    options: Any = {"batch_size": 1, "max_nbytes": None, "return_as": "generator_unordered"}
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=max(workers, 2), **options)
    # Workers outlive a call, so they are told the settings of this call.
    settings = {name: value for name, value in os.environ.items() if name.startswith("MUON_THEORY_")}
    tasks = [joblib.delayed(_attempt)(function, index, item, folder, settings) for index, item in waiting.items()]
    results: Any = parallel(tasks)
    try:
        yield from results
    finally:
        results.close()


def _attempt(
    function: Callable[[Any], Any], index: int, item: Any, folder: str, settings: Mapping[str, str]
) -> tuple[int, Any]:
    """One task in a worker; the marker file tells the parent which tasks were under way when a process died."""
    marker = Path(folder, str(index))
    marker.touch()
    for name in [name for name in os.environ if name.startswith("MUON_THEORY_")]:
        del os.environ[name]
    os.environ.update(settings)
    with one_thread():
        outcome = function(item)
    marker.unlink(missing_ok=True)
    return index, outcome


def _started(folder: str) -> set[int]:
    """Indices of the tasks under way when the pool broke; forgets them."""
    markers = list(Path(folder).iterdir())
    for marker in markers:
        marker.unlink(missing_ok=True)
    return {int(marker.name) for marker in markers}


def _alone(function: Callable[[Any], Any], index: int, item: Any, folder: str) -> tuple[int, Any]:
    """Run one suspect by itself in a fresh worker, so that it can take nobody along."""
    try:
        return next(_stream(function, {index: item}, 2, folder))
    except BrokenProcessPool as broken:
        _started(folder)
        signals = re.findall(r"\w+\(-?\d+\)", str(broken))
        return index, Died(f"process died ({', '.join(signals) or 'unknown exit'}): a crash, or out of memory")
