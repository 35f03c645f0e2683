"""A claim: a statement of the literature as data, with the code that measures it and the mutation that must flip it.

A claim compares a *measured* value with a *predicted* one through a relation. Its verdict is `holds`, `refuted` or
`undecided` (an enclosure or an interval that straddles the prediction). A check that cannot fail is worthless, so every
claim carries at least one mutation: a perturbed constant under which the verdict has to change.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeAlias, get_args

Relation = Literal["==", "<=", ">=", "<", ">"]
Verdict = Literal["holds", "refuted", "undecided", "not_run", "stale"]
Expected = Literal["holds", "refuted", "open"]
Attribution = Literal["printed", "relayed", "implied", "folklore", "ours"]
Tier = Literal["fast", "medium", "slow", "run"]
Method = Literal[
    "exact rational",
    "certified interval",
    "linear program",
    "float64 evaluation",
    "property test",
    "simulation",
    "training run",
]


@dataclass(frozen=True)
class Enclosure:
    """A certified interval: the true value lies in [lower, upper], whatever the rounding.

    Args:
        lower: lower end, rounded downwards where it was rounded.
        upper: upper end, rounded upwards.

    Source: elementary (interval arithmetic).
    """

    lower: Fraction | float
    upper: Fraction | float


@dataclass(frozen=True)
class Estimate:
    """A simulated value with an interval: `value`, and the interval [lower, upper] within which it is trusted.

    With `==` the claim holds when the prediction lies in the interval; with an inequality the whole interval must lie
    on the right side, and an interval that straddles the prediction is `undecided`.

    Args:
        value: the mean over runs.
        lower: lower end of the interval, e.g. the mean minus five standard errors.
        upper: upper end of the interval.

    Source: elementary.
    """

    value: float
    lower: float
    upper: float


Number: TypeAlias = "int | float | Fraction | Enclosure | Estimate"
Numbers: TypeAlias = "Number | Sequence[Number]"


@dataclass(frozen=True)
class Finding:
    """What one evaluation of a claim found.

    Args:
        predicted: the number the statement gives, or a flat sequence of them.
        measured: the number found by the check, same length.
        provable: best constant provable here, where it was computed.
        attained: largest (or smallest) value actually attained by an instance.
        observed: value observed in training.

    Source: elementary.
    """

    predicted: Numbers
    measured: Numbers
    provable: Number | None = None
    attained: Number | None = None
    observed: Number | None = None


@dataclass(frozen=True)
class Mutation:
    """A perturbation of a claim that must change its verdict.

    Args:
        description: what is perturbed, in the words of the inventory.
        parameters: keyword arguments that override the claim's own in its evaluation.

    Source: elementary.
    """

    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """The outcome of checking one claim.

    Args:
        finding: predicted and measured values; None when the evaluation raised.
        verdict: `holds`, `refuted`, `undecided` or `not_run`.
        mutation_verdicts: verdict under each mutation, in order; empty when mutations were not run.
        seconds: wall time of the evaluation and its mutations, in s.
        error: the exception's text when the evaluation raised, else None.

    Source: elementary.
    """

    finding: Finding | None
    verdict: Verdict
    mutation_verdicts: tuple[Verdict, ...]
    seconds: float
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A published or derived statement, executable.

    Args:
        id: stable identifier, e.g. `NS-01`.
        statement: the statement, one sentence or formula.
        source: where it stands (author, theorem), or `derived here` with the proof idea.
        relation: how `measured` relates to `predicted` if the statement is true.
        method: how it is checked.
        evaluate: returns the `Finding` for the given keyword parameters; its defaults give the claim as stated.
        mutations: perturbations, each of which must change the verdict.
        expected: the verdict known from a proof or an earlier run.
        attribution: `printed` (read in the source), `relayed` (second hand), `implied`, `folklore`, `ours`.
        parameters: keyword arguments of `evaluate` for this row (rows that differ by constants share one function).
        tolerance: absolute tolerance of the comparison.
        relative_tolerance: tolerance relative to the prediction.
        tolerance_reason: why the tolerances are what they are; required when one is positive.
        unit: unit of predicted and measured values; `1` for pure numbers.
        tier: fast (< 1 s), medium (< 10 s), slow, or run (read from a stored table).
        tag: `arithmetic` for bookkeeping rows, hidden by default.
        printed: the constant as printed in the source, where it differs from `predicted`.

    Raises:
        ValueError: empty id, statement or source; no mutation; a tolerance without a reason; an unknown relation.

    Source: DESIGN of this project, section 7.
    """

    id: str
    statement: str
    source: str
    relation: Relation
    method: Method
    evaluate: Callable[..., Finding]
    mutations: tuple[Mutation, ...]
    expected: Expected
    attribution: Attribution
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0
    relative_tolerance: float = 0.0
    tolerance_reason: str = ""
    unit: str = "1"
    tier: Tier = "fast"
    tag: Literal["arithmetic"] | None = None
    printed: Number | None = None

    def __post_init__(self) -> None:
        for name in ("id", "statement", "source"):
            if not getattr(self, name).strip():
                raise ValueError(f"claim {self.id!r}: {name} is empty")
        if not self.mutations:
            raise ValueError(f"claim {self.id}: no mutation, so the check could never fail")
        if (self.tolerance > 0 or self.relative_tolerance > 0) and not self.tolerance_reason:
            raise ValueError(f"claim {self.id}: a tolerance needs its reason")
        for value, kind in ((self.relation, Relation), (self.method, Method), (self.expected, Expected),
                            (self.attribution, Attribution), (self.tier, Tier)):  # fmt: skip
            if value not in get_args(kind):
                raise ValueError(f"claim {self.id}: {value!r} is not one of {get_args(kind)}")

    def verdict_of(self, finding: Finding) -> Verdict:
        """The verdict this finding gives under the claim's relation and tolerances.

        Args:
            finding: predicted and measured values of equal length.

        Returns:
            `holds` if the relation holds for every pair, `refuted` if it fails for one, else `undecided`.

        Raises:
            ValueError: predicted and measured differ in length, or are empty.

        Source: elementary.
        """
        predicted, measured = _flat(finding.predicted), _flat(finding.measured)
        if len(predicted) == 1:
            predicted = predicted * len(measured)
        if len(predicted) != len(measured) or not measured:
            raise ValueError(f"claim {self.id}: {len(measured)} measured values against {len(predicted)} predicted")
        verdicts = [self._compare(m, p) for m, p in zip(measured, predicted, strict=True)]
        if "refuted" in verdicts:
            return "refuted"
        return "undecided" if "undecided" in verdicts else "holds"

    def check(self, *, mutate: bool = True) -> Result:
        """Evaluate the claim, and its mutations.

        Args:
            mutate: also evaluate every mutation.

        Returns:
            The result; an exception in the evaluation becomes verdict `not_run` with its text.

        Source: elementary.
        """
        start = time.perf_counter()
        finding: Finding | None = None
        verdict: Verdict = "not_run"
        flips: tuple[Verdict, ...] = ()
        error = None
        try:
            finding = self.evaluate(**self.parameters)
            verdict = self.verdict_of(finding)
            if mutate:
                flips = tuple(
                    self.verdict_of(self.evaluate(**{**self.parameters, **mutation.parameters}))
                    for mutation in self.mutations
                )
        except Exception as exception:  # the claim's own code may raise anything; it must become a row, not a crash
            verdict, error = "not_run", f"{type(exception).__name__}: {exception}"
        return Result(finding, verdict, flips, time.perf_counter() - start, error)

    def as_expected(self, result: Result) -> bool:
        """Whether the verdict is the expected one and every mutation that was run flipped it.

        Args:
            result: what `check` returned.

        Returns:
            True if so; an `open` claim is as expected with any verdict but `not_run` and `stale`.

        Source: elementary.
        """
        if result.verdict in ("not_run", "stale"):
            return False
        known = self.expected == "open" or result.verdict == self.expected
        return known and all(_opposite(result.verdict, flipped) for flipped in result.mutation_verdicts)

    def _compare(self, measured: Number, predicted: Number) -> Verdict:
        """The verdict of one pair."""
        if isinstance(predicted, Enclosure | Estimate):
            raise TypeError(f"claim {self.id}: the prediction must be a number, the measurement may be an interval")
        # A zero tolerance must not turn exact rationals into floats.
        slack: Fraction | float = 0
        if self.tolerance or self.relative_tolerance:
            slack = self.tolerance + self.relative_tolerance * abs(predicted)
        lower, upper = _ends(measured)
        if any(isinstance(x, float) and math.isnan(x) for x in (lower, upper, predicted)):
            return "refuted"
        if self.relation == "==":
            if isinstance(measured, Estimate):
                return "holds" if lower - slack <= predicted <= upper + slack else "refuted"
            # Without a tolerance the comparison is exact: a difference of a float and a fraction would round to zero.
            if lower == upper == predicted or (slack and max(abs(lower - predicted), abs(upper - predicted)) <= slack):
                return "holds"
            outside = lower > predicted + slack or upper < predicted - slack
            return "refuted" if outside or lower == upper else "undecided"
        sure: bool
        failed: bool
        match self.relation:
            case "<=":
                sure, failed = upper <= predicted + slack, lower > predicted + slack
            case "<":
                sure, failed = upper < predicted + slack, lower >= predicted + slack
            case ">=":
                sure, failed = lower >= predicted - slack, upper < predicted - slack
            case ">":
                sure, failed = lower > predicted - slack, upper <= predicted - slack
        return "holds" if sure else "refuted" if failed else "undecided"


def as_float(value: Number) -> float:
    """The value as a float: the number itself, an estimate's value, an enclosure's midpoint.

    Args:
        value: a number, an enclosure or an estimate.

    Returns:
        A float, for printing.

    Source: elementary.
    """
    if isinstance(value, Estimate):
        return float(value.value)
    if isinstance(value, Enclosure):
        return (float(value.lower) + float(value.upper)) / 2
    return float(value)


def _flat(values: Numbers) -> list[Number]:
    if isinstance(values, Iterable):
        return list(values)
    return [values]


def _ends(value: Number) -> tuple[Any, Any]:
    if isinstance(value, Enclosure | Estimate):
        return value.lower, value.upper
    return value, value


def _opposite(verdict: Verdict, flipped: Verdict) -> bool:
    return {verdict, flipped} == {"holds", "refuted"}
