"""A checked claim as JSON values: the row that `muon-theory check --json` prints and a study stores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from muon_theory.claim import Claim, Enclosure, Estimate, Finding, Result, as_float

Row = dict[str, Any]


def result_row(room: str, claim: Claim, result: Result) -> Row:
    """A claim and its result as JSON values.

    Args:
        room: the room, or the study, that states it.
        claim: the claim.
        result: what its check gave.

    Returns:
        A dict with `id, room, statement, source, attribution, relation, predicted, measured, printed, provable,
        attained, observed, unit, method, tier, tag, expected, verdict, as_expected, mutation_verdict, mutations,
        seconds, error`.
        Numbers that JSON lacks are the texts `NaN`, `Infinity`, `-Infinity`; of an interval the value is its midpoint
        (an estimate's mean) and `measured_interval` has the ends. `mutation_verdict` is `flips`, `stays` or `not_run`.

    Source: DESIGN of this project, section 4.
    """
    finding = result.finding or Finding((), ())
    return {
        "id": claim.id, "room": room, "statement": claim.statement, "source": claim.source,
        "attribution": claim.attribution, "relation": claim.relation,
        "predicted": _json(finding.predicted), "measured": _json(finding.measured),
        "measured_interval": _interval(finding.measured),
        "printed": _json(claim.printed), "provable": _json(finding.provable), "attained": _json(finding.attained),
        "observed": _json(finding.observed), "unit": claim.unit, "method": claim.method, "tier": claim.tier,
        "tag": claim.tag, "expected": claim.expected, "verdict": result.verdict,
        "as_expected": claim.as_expected(result), "mutation_verdict": _mutation_verdict(result),
        "mutations": [
            {"description": mutation.description, "verdict": verdict}
            for mutation, verdict in zip(claim.mutations, result.mutation_verdicts, strict=False)
        ],
        "tolerance": claim.tolerance, "relative_tolerance": claim.relative_tolerance,
        "tolerance_reason": claim.tolerance_reason, "seconds": round(result.seconds, 3), "error": result.error,
    }  # fmt: skip


def _json(value: Any) -> Any:
    """A number of any kind, or a sequence of them, as JSON values."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enclosure | Estimate | Fraction):
        return _json(_finite_float(value))
    if isinstance(value, int):
        return value
    if hasattr(value, "tolist"):
        return _json(value.tolist())
    if isinstance(value, Sequence):
        return [_json(item) for item in value]
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _finite_float(value: Any) -> float:
    """A float, or the largest one of its sign: a rational may be too large for a float and is finite all the same."""
    try:
        return as_float(value)
    except OverflowError:
        return math.copysign(math.inf, 1 if value > 0 else -1)


def _interval(measured: Any) -> Any:
    """The ends of measured intervals, or None when nothing measured is one."""
    items = list(measured) if isinstance(measured, Sequence) else [measured]
    if not any(isinstance(item, Enclosure | Estimate) for item in items):
        return None
    ends = [
        [_json(item.lower), _json(item.upper)] if isinstance(item, Enclosure | Estimate) else [_json(item)] * 2
        for item in items
    ]
    return ends if isinstance(measured, Sequence) else ends[0]


def _mutation_verdict(result: Result) -> str:
    if not result.mutation_verdicts:
        return "not_run"
    flipped = all({result.verdict, verdict} == {"holds", "refuted"} for verdict in result.mutation_verdicts)
    return "flips" if flipped else "stays"
