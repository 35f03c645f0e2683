"""Steps and samples to a target as functions of the batch size, and the batch that needs the fewest samples.

`form` says how the noise term of the bound falls with the batch size: "sqrt" for Y/sqrt(B), "linear" for Y/B.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from muon_theory.rooms.critical_batch.four_settings import BatchTerms

Form = Literal["sqrt", "linear"]


class CriticalBatch(NamedTuple):
    """The batch size that needs the fewest samples, the steps it takes and the samples: samples = batch * steps.

    Source: elementary (a record).
    """

    batch: Any
    steps: Any
    samples: Any


def steps_needed(terms: BatchTerms, goal: Any, batch: Any, form: Form = "sqrt") -> Any:
    """T(B) with X/T + Y/sqrt(B) + Z = goal: X/(goal - Z - Y/sqrt(B)), or with Y/B; infinite where no T suffices.

    Args:
        terms: X, Y, Z of the bound.
        goal: target of the mean stationarity measure, > Z.
        batch: B > 0, a number or an array.
        form: how the noise term falls with B.

    Returns:
        T, float or array; inf where B is too small.

    Raises:
        ValueError: the goal is not above the floor Z, the batch is not positive, or the form is unknown.

    Source: arXiv 2507.01598, Proposition 4.2 as restated ("sqrt"); an earlier form as restated ("linear").

    >>> terms = BatchTerms(1.0, 1.0, 0.0)
    >>> float(steps_needed(terms, 1.0, 4.0)), float(steps_needed(terms, 1.0, 1.0))
    (2.0, inf)
    """
    room = _room(terms, goal)
    if not np.all(np.asarray(batch, dtype=float) > 0):
        raise ValueError(f"batch = {batch}: give numbers > 0")
    left = room - terms.Y / np.asarray(batch, dtype=float) ** _power(form)
    with np.errstate(divide="ignore"):
        return np.where(left > 0, terms.X / np.where(left > 0, left, 1.0), np.inf)


def critical_batch(terms: BatchTerms, goal: Any, form: Form = "sqrt") -> CriticalBatch:
    """Where B T(B) is smallest: B* = 9Y^2/(4c^2), T = 3X/c ("sqrt"); B* = 2Y/c, T = 2X/c ("linear"); c = goal - Z.

    Args:
        terms: X, Y, Z of the bound.
        goal: target, > Z.
        form: how the noise term falls with B.

    Returns:
        Batch, steps and samples at the minimum.

    Raises:
        ValueError: the goal is not above the floor Z, or the form is unknown.

    Source: arXiv 2507.01598, Proposition 4.2 as restated; the value and the certificate derived here, claims CB-01 to
    CB-04.

    >>> critical_batch(BatchTerms(1.0, 1.0, 0.0), 1.0)
    CriticalBatch(batch=2.25, steps=3.0, samples=6.75)
    """  # noqa: DOC502  (raised by the checks below)
    c = _room(terms, goal)
    if _power(form) == 0.5:
        batch, steps = 9 * terms.Y**2 / (4 * c**2), 3 * terms.X / c
    else:
        batch, steps = 2 * terms.Y / c, 2 * terms.X / c
    return CriticalBatch(batch, steps, batch * steps)


def retuned_steps(*, gap: Any, smoothness: Any, floor: Any, noise_term: Any, goal: Any, batch: Any) -> Any:
    """T(B) when the step size is tuned anew for every B: 4 D A L/(goal - Y/sqrt(B))^2, Z = A L eta.

    Args:
        gap: D > 0.
        smoothness: L > 0.
        floor: A > 0, `floor_factor`.
        noise_term: Y >= 0.
        goal: target > 0.
        batch: B > 0.

    Returns:
        T, inf where B is too small. The term of the initial gradient is left out.

    Raises:
        ValueError: the goal is not positive.

    Source: derived here; claim CB-05.

    >>> float(retuned_steps(gap=1.0, smoothness=1.0, floor=0.5, noise_term=1.0, goal=1.0, batch=4.0))
    8.0
    """
    if not np.all(np.asarray(goal, dtype=float) > 0):
        raise ValueError(f"goal = {goal}: give a number > 0")
    left = goal - noise_term / np.asarray(batch, dtype=float) ** 0.5
    return np.where(left > 0, 4 * gap * floor * smoothness / np.where(left > 0, left, 1.0) ** 2, np.inf)


def retuned_critical_batch(*, gap: Any, smoothness: Any, floor: Any, noise_term: Any, goal: Any) -> CriticalBatch:
    """Where B T(B) is smallest when the step size is tuned anew for every B: B* = 4Y^2/goal^2, T = 16 D A L/goal^2.

    Args:
        gap: D > 0.
        smoothness: L > 0.
        floor: A > 0, `floor_factor`.
        noise_term: Y >= 0.
        goal: target > 0.

    Returns:
        Batch, steps and samples, 64 D A L Y^2/goal^4.

    Raises:
        ValueError: the goal is not positive.

    Source: derived here; claim CB-05.

    >>> retuned_critical_batch(gap=1.0, smoothness=1.0, floor=0.5, noise_term=1.0, goal=1.0)
    CriticalBatch(batch=4.0, steps=8.0, samples=32.0)
    """
    if not np.all(np.asarray(goal, dtype=float) > 0):
        raise ValueError(f"goal = {goal}: give a number > 0")
    batch, steps = 4 * noise_term**2 / goal**2, 16 * gap * floor * smoothness / goal**2
    return CriticalBatch(batch, steps, batch * steps)


def kim_oh_samples(
    batch: Any, *, gap: Any, rank: Any, noise: Any, goal: Any, chi: Any = 1.0, sharp: bool = False
) -> Any:
    """B T of Kim and Oh's tuning: B max{chi^2 LD/e^2, chi^2 r^2 s^2/(B e^2), chi^4 r s^2 LD/(B e^4)}.

    Args:
        batch: B > 0.
        gap: L D > 0, smoothness times initial gap.
        rank: r >= 1.
        noise: s = sigma > 0.
        goal: e > 0.
        chi: chi_q >= 1.
        sharp: take r s^2 in place of r^2 s^2 in the middle term (the sharpened start term).

    Returns:
        Samples, up to one constant.

    Source: Kim and Oh 2026, arXiv 2601.19156, Theorem 1 solved for T; the sharp middle term is derived here.

    >>> float(kim_oh_samples(1.0, gap=1.0, rank=1, noise=1.0, goal=1.0))
    1.0
    """
    batch = np.asarray(batch, dtype=float)
    first = chi**2 * gap / goal**2 * batch
    start = chi**2 * rank ** (1 if sharp else 2) * noise**2 / goal**2
    return np.maximum(np.maximum(first, start), chi**4 * rank * noise**2 * gap / goal**4)


def kim_oh_critical_batch(*, gap: Any, rank: Any, noise: Any, goal: Any, chi: Any = 1.0, sharp: bool = False) -> Any:
    """Up to here `kim_oh_samples` is flat in B: max{r s^2 chi^2/e^2, r^2 s^2/(LD)}, r in place of r^2 when sharp.

    Args:
        gap: L D > 0.
        rank: r >= 1.
        noise: s > 0.
        goal: e > 0.
        chi: chi_q >= 1.
        sharp: as in `kim_oh_samples`.

    Returns:
        The largest batch size without a loss of samples.

    Source: derived here from Theorem 1 of arXiv 2601.19156; claims CB-13 and CB-18.

    >>> kim_oh_critical_batch(gap=0.01, rank=64, noise=1.0, goal=0.1)
    409600.0
    """
    return np.maximum(rank * noise**2 * chi**2 / goal**2, rank ** (1 if sharp else 2) * noise**2 / gap).item()


def _power(form: Form) -> float:
    powers = {"sqrt": 0.5, "linear": 1.0}
    if form not in powers:
        raise ValueError(f"form = {form!r}: give 'sqrt' or 'linear'")
    return powers[form]


def _room(terms: BatchTerms, goal: Any) -> Any:
    if not np.all(np.asarray(goal > terms.Z)):
        raise ValueError(f"goal = {goal} is not above the floor Z = {terms.Z}: no batch size and no T reach it")
    return goal - terms.Z
