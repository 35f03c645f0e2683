"""Which steps are recorded: schedules are callables of the global step, united with `|`.

A schedule depends on the step number alone, so a resumed run records the same steps as an uninterrupted one. Any
callable `step -> bool` serves as a schedule too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from numbers import Integral


@dataclass(frozen=True)
class Schedule:
    """The steps at which something is recorded: a predicate of the step number, with a text that says which.

    Args:
        predicate: called with the step number (an int >= 0), returns whether the step is recorded.
        text: the schedule in words, e.g. `every(100)`.

    Source: elementary.

    >>> rule = first(2) | every(5)
    >>> [step for step in range(11) if rule(step)], rule
    ([0, 1, 5, 10], first(2) | every(5))
    """

    predicate: Callable[[int], bool]
    text: str

    def __call__(self, step: int) -> bool:
        """Whether the step is recorded."""
        return self.predicate(step)

    def __or__(self, other: Callable[[int], bool]) -> Schedule:
        """The union of two schedules."""
        return Schedule(partial(_either, self, other), f"{self} | {other}")

    def __repr__(self) -> str:
        """The schedule in words."""
        return self.text


def every(n: int) -> Schedule:
    """Every n-th step: steps 0, n, 2n, ...

    Args:
        n: distance of two recorded steps, an int >= 1.

    Returns:
        the schedule.

    Source: elementary.

    >>> [step for step in range(250) if every(100)(step)]
    [0, 100, 200]
    """
    return Schedule(partial(_is_multiple, checked_count("n", n, 1)), f"every({n})")


def first(k: int) -> Schedule:
    """The first k steps: steps 0, ..., k - 1.

    Args:
        k: number of steps, an int >= 0.

    Returns:
        the schedule.

    Source: elementary.

    >>> [step for step in range(9) if first(3)(step)]
    [0, 1, 2]
    """
    return Schedule(partial(_is_below, checked_count("k", k, 0)), f"first({k})")


def log_spaced(per_decade: int = 8) -> Schedule:
    """Steps evenly spaced in log(step): the integers nearest to 10^(i / per_decade), i = 0, 1, ...

    Args:
        per_decade: number of steps in each factor of ten, an int >= 1; small steps shared by several i count once.

    Returns:
        the schedule.

    Source: elementary.

    >>> [step for step in range(101) if log_spaced(4)(step)]
    [1, 2, 3, 6, 10, 18, 32, 56, 100]
    """
    return Schedule(partial(_is_log_spaced, checked_count("per_decade", per_decade, 1)), f"log_spaced({per_decade})")


def at(steps: Iterable[int]) -> Schedule:
    """Exactly the steps that are listed.

    Args:
        steps: step numbers, ints >= 0, in any order.

    Returns:
        the schedule.

    Source: elementary.

    >>> [step for step in range(100) if at([40, 3])(step)]
    [3, 40]
    """
    chosen = frozenset(checked_count("steps", step, 0) for step in steps)
    return Schedule(chosen.__contains__, f"at({sorted(chosen)})")


def last(steps: int, k: int = 1) -> Schedule:
    """The last k steps of a run whose length is known: steps `steps - k`, ..., `steps - 1`.

    The length is that of the whole run, those parts included that were run before a resume: steps are global.

    Args:
        steps: number of steps of the run, an int >= 1.
        k: number of steps, an int >= 1; of a run that is shorter all steps.

    Returns:
        the schedule.

    Source: elementary.

    >>> schedule = every(40) | last(100)
    >>> [step for step in range(100) if schedule(step)], schedule
    ([0, 40, 80, 99], every(40) | last(100))
    """
    end, count = checked_count("steps", steps, 1), checked_count("k", k, 1)
    return Schedule(partial(_is_between, end - count, end), f"last({end})" if count == 1 else f"last({end}, {count})")


def default_schedule() -> Schedule:
    """The schedule of a recorder that was given none: `first(4) | log_spaced(4) | every(200)`.

    Returns:
        the schedule: 23 of the first 1955 steps (five epochs of CIFAR-10 in batches of 128), 65 of the first 10,000.

    Source: elementary.

    >>> sum(map(default_schedule(), range(10_000)))
    65
    """
    return first(4) | log_spaced(4) | every(200)


def _either(one: Callable[[int], bool], other: Callable[[int], bool], step: int) -> bool:
    return one(step) or other(step)


def _is_multiple(n: int, step: int) -> bool:
    return step % n == 0


def _is_below(k: int, step: int) -> bool:
    return step < k


def _is_between(start: int, end: int, step: int) -> bool:
    return start <= step < end


def _is_log_spaced(per_decade: int, step: int) -> bool:
    # If any i rounds to this step, then one of the two integers around per_decade * log10(step) does.
    if step < 1:
        return False
    below = math.floor(per_decade * math.log10(step))
    return any(round(10 ** (i / per_decade)) == step for i in (below, below + 1))


def checked_count(name: str, value: object, least: int) -> int:
    """A whole number given by the user, refused where it is none or too small.

    Args:
        name: name of the argument, for the message.
        value: what was given.
        least: smallest admissible number.

    Returns:
        the number, as an int.

    Raises:
        TypeError: value is not an integer.
        ValueError: value is below `least`.

    Source: elementary.

    >>> checked_count("n", 0, 1)
    Traceback (most recent call last):
    ValueError: n is 0: pass an integer >= 1
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, not {value!r}: pass a whole number")
    if value < least:
        raise ValueError(f"{name} is {value}: pass an integer >= {least}")
    return int(value)
