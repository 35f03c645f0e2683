"""What paired runs show, as findings of claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from muon_theory.claim import Estimate, Finding

Row = Mapping[str, Any]


def excess(*, found: Mapping[str, Row], names: Sequence[str], bound: float = 0.0, sign: float = 1.0) -> Finding:
    """Paired differences to a reference, of rows as `differences_to` makes them; sign -1 exchanges the two."""
    ends = [(sign * found[name]["mean"], sign * found[name]["lower"], sign * found[name]["upper"]) for name in names]
    return Finding(bound, [Estimate(mean, min(a, b), max(a, b)) for mean, a, b in ends])


def over_seeds(values: Sequence[float], *, bound: float, factor: float = 1.0) -> Finding:
    """Mean of one value a seed, times a factor, with Student's 95 % interval, against a bound."""
    from muon_theory.training.comparison import paired_difference

    found = paired_difference([factor * value for value in values], [0.0] * len(values))
    return Finding(bound, Estimate(found.mean, found.lower, found.upper))


def each_over_seeds(*, values: Mapping[str, Sequence[float]], bound: float) -> Finding:
    """The same of several quantities against one bound."""
    from muon_theory.training.comparison import paired_difference

    found = [paired_difference(each, [0.0] * len(each)) for each in values.values()]
    return Finding(bound, [Estimate(d.mean, d.lower, d.upper) for d in found])
