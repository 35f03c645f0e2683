"""Where matrices on a GPU are measured while the training goes on: a side stream, fed by a thread of its own.

Not measured on a GPU. What uses it, `muon_theory.recorder.transfer`, is tested with a lane that a test drives.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Ticket(Protocol):
    """Work under way on a lane.

    Source: elementary.
    """

    def done(self) -> bool:
        """Whether its numbers are in the buffer, or it failed; does not wait.

        Returns:
            True if `wait` will not wait.

        Source: elementary.
        """
        ...

    def wait(self) -> None:
        """Wait until it is done, and raise what it raised.

        Source: elementary.
        """


class Lane(Protocol):
    """Where copies of matrices are measured while the training goes on.

    Source: elementary.
    """

    def copy(self, X: Tensor) -> Tensor:
        """The tensor as it is now in the order of the training's work, for use on the lane.

        Args:
            X: any tensor on the lane's device.

        Returns:
            the copy, on the same device.

        Source: elementary.
        """
        ...

    def buffer(self, numbers: int) -> Tensor:
        """Memory of the host.

        Args:
            numbers: how many float64 numbers, an int >= 1.

        Returns:
            Tensor of shape (numbers,), float64, on the CPU.

        Source: elementary.
        """
        ...

    def launch(self, work: Callable[[], Tensor], buffer: Tensor) -> Ticket:
        """Have work done after what the training has asked for so far, and its result copied to a buffer.

        Args:
            work: returns a tensor on the lane's device.
            buffer: of the result's shape and dtype, on the CPU.

        Returns:
            the ticket of the work.

        Source: elementary.
        """
        ...

    def close(self) -> None:
        """End the lane.

        Source: elementary.
        """


class StreamLane:
    """A side stream of a CUDA device, fed by a thread of its own.

    The thread is there because torch waits for the result of every eigenvalue problem before it goes on (to raise an
    error where LAPACK reports one): so the thread waits, and the training does not.

    Args:
        device: a CUDA device.

    Source: torch.cuda.Stream, torch.Tensor.record_stream. Not measured on a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spectra")

    def copy(self, X: Tensor) -> Tensor:
        """The tensor as it is now; its memory is not given away before the side stream is done with it.

        Args:
            X: a tensor on the device.

        Returns:
            the copy, made on the current stream.

        Source: torch.Tensor.record_stream.
        """
        copied = X.detach().clone()
        copied.record_stream(self._stream)
        return copied

    def buffer(self, numbers: int) -> Tensor:
        """Pinned memory of the host.

        Args:
            numbers: how many float64 numbers, an int >= 1.

        Returns:
            Tensor of shape (numbers,), float64.

        Source: elementary.
        """
        return torch.empty(numbers, dtype=torch.float64, pin_memory=True)

    def launch(self, work: Callable[[], Tensor], buffer: Tensor) -> Ticket:
        """Queue work on the side stream, behind what the current stream has queued so far.

        Args:
            work: returns a tensor on the device.
            buffer: pinned, of the result's shape and dtype.

        Returns:
            the ticket.

        Source: torch.cuda.Event.
        """
        ready, copied = torch.cuda.Event(), torch.cuda.Event()
        ready.record(torch.cuda.current_stream(self._device))

        def issue() -> None:
            with torch.no_grad(), torch.cuda.device(self._device), torch.cuda.stream(self._stream):
                self._stream.wait_event(ready)
                buffer.copy_(work(), non_blocking=True)
                copied.record(self._stream)

        return _StreamTicket(self._thread.submit(issue), copied)

    def close(self) -> None:
        """End the thread.

        Source: elementary.
        """
        self._thread.shutdown()


class _StreamTicket(NamedTuple):
    """Work that a thread issues, and the event after the copy of its result."""

    issued: Future[None]
    copied: torch.cuda.Event

    def done(self) -> bool:
        return self.issued.done() and (self.issued.exception() is not None or self.copied.query())

    def wait(self) -> None:
        self.issued.result()
        self.copied.synchronize()


def stream_lane(device: torch.device) -> Lane | None:
    """The lane of a device: a side stream on a CUDA device, none elsewhere.

    Args:
        device: any device.

    Returns:
        the lane, or None where matrices are measured at once.

    Source: elementary.

    >>> stream_lane(torch.device("cpu")) is None
    True
    """
    return StreamLane(device) if device.type == "cuda" else None
