"""Matrices on a GPU are measured beside the training: copied at the step, measured on a side stream, read later.

At a scheduled step the training's stream copies the matrices, and goes on. A lane measures the copies on a side stream
and sends the numbers (r singular values a matrix) into one of two pinned buffers, in turn. The event is written when a
later step finds it done, at the latest when the next event is sent on its way, or at the end: two events never wait at
once. Matrices on the CPU are measured at once, and their event is complete when the step returns.

The order of these doings is tested on the CPU with a lane that runs when the test says so; on a GPU nothing of this
was measured.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from muon_theory.recorder.layout import Spectrum
from muon_theory.recorder.matrices import MatrixKey
from muon_theory.recorder.measure import RecordedMatrix, device_spectra, row
from muon_theory.recorder.stream_lane import Lane, Ticket, stream_lane

_SLOTS = 2


class CopiedMatrix(NamedTuple):
    """A matrix of an event that is measured later.

    Source: elementary.
    """

    matrix: RecordedMatrix
    """With the copy; `rounded` is None."""
    rounded_norm: Tensor | None
    """Frobenius norm of what `rounded` was, a float64 number on the device."""
    lane: Lane


class Event(NamedTuple):
    """An event that is complete.

    Source: elementary.
    """

    step: int
    spectra: list[Spectrum]
    matrices: Mapping[MatrixKey, Tensor]


class _Flight(NamedTuple):
    """An event under way: its rows in order, and for each lane the ticket, the buffer and what is in it."""

    step: int
    rows: list[Spectrum | CopiedMatrix]
    matrices: Mapping[MatrixKey, Tensor]
    sent: list[tuple[Ticket, Tensor, list[CopiedMatrix]]]


class Transfer:
    """Events on their way from the devices to the folder.

    Args:
        lane_of: the lane of a device, None where its matrices are measured at once; asked once a device.

    Source: elementary (double buffering).
    """

    def __init__(self, lane_of: Callable[[torch.device], Lane | None] = stream_lane) -> None:
        self._lane_of = lane_of
        self._lanes: dict[torch.device, Lane | None] = {}
        self._buffers: dict[tuple[int, int], Tensor] = {}
        self._flying: deque[_Flight] = deque()
        self._launched = 0

    @property
    def under_way(self) -> bool:
        """Whether an event is not complete yet.

        Source: elementary.
        """
        return bool(self._flying)

    def take(
        self, matrices: Iterable[RecordedMatrix], measure: Callable[[Iterable[RecordedMatrix]], list[Spectrum]]
    ) -> list[Spectrum | CopiedMatrix]:
        """Copy the matrices that have a lane, and measure the others at once.

        Args:
            matrices: of one event, all or some; drawn one after the other.
            measure: from matrices to rows, in their order.

        Returns:
            a row or a copy for each, in their order.

        Source: elementary.
        """
        taken: list[CopiedMatrix | None] = []

        def rest() -> Iterator[RecordedMatrix]:
            for each in matrices:
                lane = self._lane((each.matrix if each.known is None else each.known.sigma).device)
                taken.append(None if lane is None else _copied(each, lane))
                if lane is None:
                    yield each

        rows = iter(measure(rest()))
        return [next(rows) if each is None else each for each in taken]

    def send(
        self, step: int, rows: list[Spectrum | CopiedMatrix], matrices: Mapping[MatrixKey, Tensor]
    ) -> Iterator[Event]:
        """Send an event on its way; what was on its way before it is complete then.

        Args:
            step: number of the step.
            rows: what `take` returned, of every optimizer.
            matrices: matrices to be stored with the event; copies take the place of those that were copied.

        Yields:
            the events that are complete now, oldest first; this one too where nothing of it was copied.

        Source: elementary.
        """
        lanes: dict[int, list[CopiedMatrix]] = {}
        for each in rows:
            if isinstance(each, CopiedMatrix):
                lanes.setdefault(id(each.lane), []).append(each)
        copies = {each.matrix.key: each.matrix.matrix for group in lanes.values() for each in group}
        kept = {key: copies.get(key, matrix) for key, matrix in matrices.items()}
        slot = self._launched % _SLOTS  # free: of earlier events at most one is under way
        sent = []
        for key, group in lanes.items():
            lane = group[0].lane
            numbers = sum(_numbers(each) for each in group)
            buffer = self._buffers.get((key, slot))
            if buffer is None or len(buffer) < numbers:
                buffer = self._buffers[key, slot] = lane.buffer(numbers)
            sent.append((lane.launch(partial(_measured, group), buffer[:numbers]), buffer[:numbers], group))
        self._launched += bool(sent)
        self._flying.append(_Flight(step, rows, kept, sent))
        yield from self.land(1 if sent else 0)

    def poll(self) -> Iterator[Event]:
        """The events that are done, without waiting.

        Yields:
            the events, oldest first.

        Source: elementary.
        """
        while self._flying and all(ticket.done() for ticket, _, _ in self._flying[0].sent):
            yield _landed(self._flying.popleft())

    def land(self, at_most: int = 0) -> Iterator[Event]:
        """Wait until no more than so many events are under way.

        Args:
            at_most: how many may stay under way.

        Yields:
            the events that are complete, oldest first. What the measuring of one raised is raised in its place; the
            others are there in the next call.

        Source: elementary.
        """
        while len(self._flying) > at_most:
            yield _landed(self._flying.popleft())

    def close(self) -> None:
        """End the lanes; what is still under way is given up.

        Source: elementary.
        """
        self._flying.clear()
        for lane in self._lanes.values():
            if lane is not None:
                lane.close()
        self._lanes, self._buffers = {}, {}

    def _lane(self, device: torch.device) -> Lane | None:
        if device not in self._lanes:
            self._lanes[device] = self._lane_of(device)
        return self._lanes[device]


def _copied(each: RecordedMatrix, lane: Lane) -> CopiedMatrix:
    norm = None if each.rounded is None else torch.linalg.vector_norm(each.rounded, dtype=torch.float64)
    known = None if each.known is None else each.known._replace(sigma=lane.copy(each.known.sigma))
    elsewhere = known is not None and each.matrix.device != known.sigma.device  # then it is not looked at
    matrix = each.matrix if elsewhere else lane.copy(each.matrix)
    copied = each._replace(matrix=matrix, rounded=None, known=known)
    return CopiedMatrix(copied, None if norm is None else lane.copy(norm), lane)


def _numbers(each: CopiedMatrix) -> int:
    return min(each.matrix.matrix.shape) + 1


def _measured(group: list[CopiedMatrix]) -> Tensor:
    """On the lane: singular values and the norm of what was rounded, one matrix after the other."""
    parts: list[Tensor] = []
    for each, sigma in zip(group, device_spectra([each.matrix for each in group]), strict=True):
        norm = sigma.new_zeros(()) if each.rounded_norm is None else each.rounded_norm
        parts += [sigma, norm.reshape(1)]
    return torch.cat(parts)


def _landed(flight: _Flight) -> Event:
    found: dict[int, Spectrum] = {}
    for ticket, buffer, group in flight.sent:
        ticket.wait()
        numbers = buffer.numpy()
        start = 0
        for each in group:
            end = start + _numbers(each)
            norm = None if each.rounded_norm is None else float(numbers[end - 1])
            found[id(each)] = row(each.matrix, numbers[start : end - 1].copy(), norm)
            start = end
    spectra = [found[id(each)] if isinstance(each, CopiedMatrix) else each for each in flight.rows]
    return Event(flight.step, spectra, flight.matrices)
