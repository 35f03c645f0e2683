"""How far a piece of work has come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10.0


class Bar(Protocol):
    """What the work reports to.

    Source: elementary.
    """

    def advance(self, count: int = 1, note: str = "") -> None:
        """Report finished pieces.

        Args:
            count: how many.
            note: what to show beside them, e.g. the loss.

        Source: elementary.
        """
        ...


class _Lines:
    """Plain lines, at most one every ten seconds and one at the end."""

    def __init__(self, console: Console, total: int, label: str, unit: str, done: int) -> None:
        self.console, self.total, self.label, self.unit = console, total, label, unit
        self.done, self.start, self.last = done, time.monotonic(), time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if self.done >= self.total or now - self.last >= SECONDS_BETWEEN_LINES:
            self.last = now
            line = f"{self.label}: {self.done}/{self.total} {self.unit}, {now - self.start:.0f} s {note}".rstrip()
            self.console.print(line, highlight=False, soft_wrap=True)


class _Rich:
    """A bar of rich."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def advance(self, count: int = 1, note: str = "") -> None:
        self.bar.update(self.task, advance=count, note=note)


class _Silent:
    """Nothing shown."""

    def advance(self, count: int = 1, note: str = "") -> None:
        del count, note


@contextmanager
def progress(
    total: int, label: str, *, unit: str = "", shown: bool = True, done: int = 0, console: Console | None = None
) -> Iterator[Bar]:
    """Show progress on standard error while the block runs.

    Args:
        total: number of pieces.
        label: what is being done.
        unit: what a piece is called, e.g. `cells`.
        shown: False shows nothing.
        done: pieces finished before the block, e.g. found in a cache.
        console: where to draw; standard error by default.

    Yields:
        An object with `advance(count=1, note="")`.

    Source: elementary.
    """
    console = console or Console(stderr=True)
    if not shown or done >= total:
        yield _Silent()
    elif not console.is_terminal:
        yield _Lines(console, total, label, unit, done)
    else:
        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn(unit),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=console, transient=True) as bar:
            yield _Rich(bar, bar.add_task(label, total=total, completed=done, note=""))
