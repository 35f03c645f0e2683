"""What a theorem's constant is worth: as printed, the best one provable, the largest attained, and what training shows.

A row of `muon-theory check` belongs here when it has a printed, a provable and an attained constant, all in one unit.
What training shows is stated by the claims of studies, as `OBS-<id>` for the theorem `<id>`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from muon_theory.reporting.claim_rows import Row
from muon_theory.reporting.claim_table import short_number

if TYPE_CHECKING:
    from rich.table import Table

OBSERVED = "OBS-"
ORDER = "attained <= provable <= printed"
"""What a row of the table states after its theorem's name; left out where the numbers stand beside it."""
_ROUNDING = 1e-6  # between two numbers of a row that should be equal
_HEADS = ("id", "statement", "source", "printed", "provable", "attained", "attained / provable", "observed", "verdict")


def constants(rows: Sequence[Row]) -> list[Row]:
    """The rows that have all three constants, with the ratio attained / provable and the value observed in training.

    Args:
        rows: rows of `check_claims` and of `stored_claims`.

    Returns:
        Dicts with `id, statement, source, printed, provable, attained, ratio, observed, verdict, sound`, in the order
        given; `sound` is whether attained <= provable <= printed, or attained > printed, which refutes the printed one.

    Source: DESIGN of this project, section 7.

    >>> row = {"id": "A-1", "statement": "s", "source": "here", "printed": 4.0, "provable": 2.0, "attained": 1.0,
    ...        "observed": None, "verdict": "holds"}
    >>> [(found["ratio"], found["sound"]) for found in constants([row])]
    [(0.5, True)]
    """
    observed = {row["id"].removeprefix(OBSERVED): row["observed"] for row in rows if row["id"].startswith(OBSERVED)}
    found: list[Row] = []
    for row in rows:
        numbers = [row["printed"], row["provable"], row["attained"]]
        if any(number is None or isinstance(number, list) for number in numbers):
            continue
        printed, provable, attained = (float(number) for number in numbers)
        beyond = attained > printed * (1 + _ROUNDING)
        ordered = provable <= printed * (1 + _ROUNDING) or beyond
        found.append({
            "id": row["id"], "statement": row["statement"].split(f": {ORDER}")[0], "source": row["source"],
            "printed": row["printed"], "provable": row["provable"], "attained": row["attained"],
            "ratio": attained / provable if provable > 0 and math.isfinite(provable) else None,
            "observed": observed.get(row["id"], row["observed"]), "verdict": row["verdict"],
            "sound": attained <= provable * (1 + _ROUNDING) and ordered,
        })  # fmt: skip
    return found


def constants_table(rows: Sequence[Row], width: int) -> Table:
    """The constants as a table for a terminal, one line a theorem.

    Args:
        rows: rows of `constants`.
        width: columns of the terminal.

    Returns:
        A rich table.

    Source: elementary.
    """
    from rich.table import Table
    from rich.text import Text

    heads = [head for head in _HEADS if head != "source"]
    heads[heads.index("attained / provable")] = "ratio"
    lines = [[cell for head, cell in zip(_HEADS, _cells(row), strict=True) if head != "source"] for row in rows]
    widths = [max([len(head), *(len(line[c]) for line in lines)]) for c, head in enumerate(heads)]
    widths[1] = max(12, min(widths[1], width - sum(widths) + widths[1] - len(heads)))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for head, wide in zip(heads, widths, strict=True):
        words = head in ("id", "statement", "verdict")
        table.add_column(head, justify="left" if words else "right", no_wrap=True, overflow="ellipsis", width=wide)
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    return table


def constants_markdown(rows: Sequence[Row]) -> str:
    """The constants as a Markdown table.

    Args:
        rows: rows of `constants`.

    Returns:
        The table.

    Source: elementary.
    """
    lines = ["| " + " | ".join(_HEADS) + " |", "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    words: list[Any] = [row["id"], row["statement"], row["source"]]
    numbers = [row[name] for name in ("printed", "provable", "attained", "ratio", "observed")]
    verdict = row["verdict"] if row["sound"] else f"{row['verdict']} (!)"
    return [" ".join(word.split()) for word in words] + [short_number(x) for x in numbers] + [verdict]
