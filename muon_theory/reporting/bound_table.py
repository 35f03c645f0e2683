"""The table printed, provable, attained, observed: what each theorem's constant is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from muon_theory.reporting.claim_rows import Row
from muon_theory.reporting.claim_table import short_number

#: Rounding allowed between two numbers of a line that should be equal.
_ROUNDING = 1e-6


def bound_table(rows: Sequence[Row], observed: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """The checked claims that have a printed, a provable and an attained number, one line each.

    Args:
        rows: rows of `check_claims`.
        observed: claim id to a value observed in training, for claims whose own is missing.

    Returns:
        Dicts with `id, statement, source, printed, provable, attained, observed, ratio, refuted, sound`: floats
        (`observed` and, where they do not apply, `ratio` may be None); `ratio` is attained over provable; `refuted` is
        whether attained > printed; `sound` whether attained <= provable <= printed (to 1e-6 relative), the last unless
        the printed constant is refuted.

    Source: elementary.

    >>> row = {"id": "A", "statement": "b", "source": "c", "printed": 2.0, "provable": 1.0, "attained": 0.5}
    >>> line, = bound_table([row | {"observed": None}], {"A": 0.1})
    >>> line["ratio"], line["sound"], line["observed"]
    (0.5, True, 0.1)
    """
    lines = []
    for row in rows:
        numbers = [row["printed"], row["provable"], row["attained"]]
        if any(number is None or isinstance(number, list) for number in numbers):
            continue
        printed, provable, attained = (float(number) for number in numbers)
        seen = row["observed"] if row["observed"] is not None else (observed or {}).get(row["id"])
        slack = 1 + _ROUNDING
        lines.append({
            "id": row["id"], "statement": row["statement"].split(":")[0], "source": row["source"],
            "printed": printed, "provable": provable, "attained": attained,
            "observed": None if seen is None else float(seen),
            "ratio": attained / provable if provable > 0 and math.isfinite(provable) else None,
            "refuted": attained > printed * slack,
            "sound": attained <= provable * slack and (provable <= printed * slack or attained > printed * slack),
        })  # fmt: skip
    return lines


def bound_markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines of `bound_table` as a Markdown table.

    Args:
        lines: what `bound_table` returned.

    Returns:
        The table; the last column says where the printed constant is refuted, and `(!)` where a line is not sound.

    Source: elementary.

    >>> print(bound_markdown([]).splitlines()[0])
    | id | theorem and instance | printed | provable | attained | observed | attained / provable |
    """
    text = [
        "| id | theorem and instance | printed | provable | attained | observed | attained / provable |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in lines:
        ratio = "-" if line["ratio"] is None else f"{line['ratio']:.3f}"
        numbers = [short_number(line[name]) for name in ("printed", "provable", "attained", "observed")]
        cells = [line["id"], line["statement"].replace("|", "\\|"), *numbers, ratio + _mark(line)]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def _mark(line: Mapping[str, Any]) -> str:
    return " (!)" if not line["sound"] else ", printed refuted" if line["refuted"] else ""
