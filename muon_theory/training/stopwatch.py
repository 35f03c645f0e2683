"""Time of a part of every step, on a GPU too, without waiting for it."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

import torch


class Stopwatch:
    """A context manager that adds up the time spent inside it; on CUDA the device's time, by events.

    Args:
        device: where the work is done.

    Source: elementary.

    >>> stopwatch = Stopwatch(torch.device("cpu"))
    >>> with stopwatch:
    ...     pass
    >>> stopwatch.taken() >= 0, stopwatch.taken()
    (True, 0.0)
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._events: list[tuple[Any, Any]] = []
        self._start = self._seconds = 0.0

    def __enter__(self) -> None:
        """Start."""
        if self._cuda:
            self._events.append((torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)))
            self._events[-1][0].record()
        else:
            self._start = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        if self._cuda:
            self._events[-1][1].record()
        else:
            self._seconds += time.perf_counter() - self._start

    def taken(self) -> float:
        """Seconds since the last call, after which it counts from zero; on CUDA it waits for the device.

        Returns:
            Time in s.

        Source: elementary.
        """
        if self._cuda and self._events:
            torch.cuda.synchronize()
            self._seconds = sum(start.elapsed_time(end) for start, end in self._events) / 1000
            self._events.clear()
        seconds, self._seconds = self._seconds, 0.0
        return seconds
