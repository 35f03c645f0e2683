"""Recording within a share of the wall time: the recorder times itself and takes what the schedule offers sparsely.

The account of a run is kept beside its recording, in `budget-<session>.json`, so that a resumed run goes on with it. It
decides by the clock, so two runs of the same training record different steps; which ones is in the recording.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BUDGET_FORMAT_VERSION = 1
"""Version of the account's file."""

_NAME = re.compile(r"budget-(\d+)\.json")
_logger = logging.getLogger(__name__)


class Budget:
    """The account of what recording costs, and the decision whether there is enough for another event.

    An event is taken if `spent + next <= share * elapsed`, where `next` is what the last event cost; the first event of
    a run is free, for nothing is known of its cost. So what was spent stays below the share at every moment, except for
    the first event, and for what an event costs more than the one before it; never by more than one event.

    Args:
        share: share of the wall time that recording may take, in (0, 1).
        clock: seconds of any origin, never going back.

    Raises:
        TypeError: share is not a number, clock cannot be called.
        ValueError: share lies outside (0, 1).

    Source: elementary; checked with a clock of its own in tests/recorder/test_budget.py.

    >>> now = 0.0
    >>> budget = Budget(0.1, clock=lambda: now)
    >>> steps = []
    >>> for step in range(60):  # steps of 1 s, events of 1 s
    ...     if budget.allows():
    ...         steps.append(step)
    ...         with budget.spending():
    ...             now += 1.0
    ...         budget.event_over()
    ...     now += 1.0
    >>> steps
    [0, 19, 28, 37, 46, 55]
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter) -> None:
        if isinstance(share, bool) or not isinstance(share, (int, float)):
            raise TypeError(f"overhead is {share!r}: pass a share of the wall time such as 0.01, or a Budget")
        if not 0 < share < 1:
            raise ValueError(f"overhead is {share}: pass a share of the wall time between 0 and 1, such as 0.01")
        if not callable(clock):
            raise TypeError(f"clock is {clock!r}: pass a function that returns seconds, such as time.perf_counter")
        self.share = float(share)
        self._clock = clock
        self._origin = clock()
        self._earlier = 0.0
        self._event = 0.0
        self._event_began: float | None = None
        self._next: float | None = None
        self.spent = 0.0
        """Seconds spent on recording, those of earlier sessions of the run included."""
        self.offered = 0
        """Steps that the schedule offered."""
        self.taken = 0
        """Steps of these that were recorded."""

    @property
    def elapsed(self) -> float:
        """Seconds of wall time since the run began, without the pauses between its sessions.

        Source: elementary.
        """
        return self._earlier + self._clock() - self._origin

    def allows(self) -> bool:
        """Whether a step that the schedule offers is recorded.

        Returns:
            True if another event like the last one stays within the share.

        Source: elementary.
        """
        self.offered += 1
        return self._next is None or self.spent + self._next <= self.share * self.elapsed

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Book the time inside the block on the event under way.

        Yields:
            nothing.

        Source: elementary.
        """
        if self._event_began is not None:  # inside another such block, which books it
            yield
            return
        self._event_began = self._clock()
        try:
            yield
        finally:
            cost = self._clock() - self._event_began
            self._event_began = None
            self._event += cost
            self.spent += cost

    def event_over(self) -> None:
        """What was spent since the last call was the cost of one event, and the next is expected to cost as much.

        Source: elementary.
        """
        self.taken += 1
        self._next, self._event = self._event, 0.0

    def begin(self, folder: Path, run: str | None) -> None:
        """Start the clock, and go on with the account of the run where the folder has one.

        Args:
            folder: folder of the recording.
            run: name of the run, None for a new one.

        A file that cannot be read is said and left out: the account then starts anew.

        Source: elementary.
        """
        self._origin, self._event_began = self._clock(), None
        if run is None:
            return
        for _, path in reversed(_accounts(folder)):
            try:
                account = _read_account(path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                _logger.warning("%s is not used, the budget starts anew: %s", path, error)
                continue
            if account["run"] == run:
                self._earlier, self.spent = account["elapsed_s"], account["spent_s"]
                self.offered, self.taken = account["offered"], account["taken"]
                self._next = account["last_event_s"] if self.taken else None
                return

    def save(self, folder: Path, session: int, run: str) -> None:
        """Write the account down, under a temporary name first.

        Args:
            folder: folder of the recording.
            session: number of the session.
            run: name of the run.

        Source: elementary.
        """
        account = {
            "format_version": BUDGET_FORMAT_VERSION,
            "run": run,
            "share": self.share,
            "elapsed_s": self.elapsed,
            "spent_s": self.spent,
            "last_event_s": self._next or 0.0,
            "offered": self.offered,
            "taken": self.taken,
        }
        path = folder / f"budget-{session:06d}.json"
        temporary = path.with_name(path.name + ".tmp")
        try:
            temporary.write_text(json.dumps(account))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def __str__(self) -> str:
        """The account in words."""
        elapsed = self.elapsed
        share = 100 * self.spent / elapsed if elapsed else 0.0
        return (
            f"recorded {self.taken} of {self.offered} scheduled steps in {self.spent:.3g} s of {elapsed:.3g} s, "
            f"{share:.2g} % of the time at a budget of {100 * self.share:g} %"
        )


def _accounts(folder: Path) -> list[tuple[int, Path]]:
    names = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(name[1]), path) for name, path in names if name)


def _read_account(path: Path) -> dict[str, Any]:
    account = json.loads(path.read_text())
    if account["format_version"] > BUDGET_FORMAT_VERSION:
        raise ValueError(f"format version {account['format_version']} is newer than this release")
    for name in ("elapsed_s", "spent_s", "last_event_s"):
        account[name] = float(account[name])
        if not (math.isfinite(account[name]) and account[name] >= 0):
            raise ValueError(f"{name} is {account[name]}")
    return account | {name: int(account[name]) for name in ("offered", "taken")}
