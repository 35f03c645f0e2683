"""Checked claims for the eye: a table for a terminal, Markdown, the counts, and all that is known of a failure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from muon_theory.reporting.claim_rows import Row

if TYPE_CHECKING:
    from rich.table import Table


_WIDE, _FULL = 110, 170


def summary(rows: Sequence[Row]) -> str:
    """The counts that end a check.

    Args:
        rows: rows of `check_claims`.

    Returns:
        One line, e.g. `72 claims: 60 hold, 10 refuted, 2 undecided; all as expected; every mutation flips its verdict`.

    Source: elementary.

    >>> summary([])
    'no claims'
    """
    if not rows:
        return "no claims"
    verdicts = Counter(row["verdict"] for row in rows)
    words = {"holds": "hold", "not_run": "not run"}
    told = ", ".join(
        f"{verdicts[name]} {words.get(name, name)}"
        for name in ("holds", "refuted", "undecided", "stale", "not_run")
        if verdicts[name]
    )
    wrong = sum(not row["as_expected"] for row in rows)
    flips = Counter(row["mutation_verdict"] for row in rows)
    ending = "mutations not run" if flips["not_run"] == len(rows) else f"{flips['flips']} flipped by every mutation"
    number = f"{len(rows)} claim{'s' if len(rows) > 1 else ''}"
    return f"{number}: {told}; {f'{wrong} NOT as expected' if wrong else 'all as expected'}; {ending}"


def claims_table(rows: Sequence[Row], width: int) -> Table:
    """The rows as a table for a terminal: one line a claim.

    Of a claim about several numbers the pair nearest to breaking the relation is shown.

    Args:
        rows: rows of `check_claims`.
        width: columns of the terminal; below 110 the expected verdict is only the mark before the verdict, from 170 on
            the source and the printed, provable, attained and observed constants are shown too.

    Returns:
        A rich table.

    Source: elementary.
    """
    from rich.table import Table
    from rich.text import Text

    heads = ["id", "statement", "source", "measured", "", "predicted", "printed", "provable", "attained", "observed",
             "verdict", "expected", "mutation", "s"]  # fmt: skip
    lines: list[list[Text]] = []
    for row in rows:
        measured, predicted = tightest(row)
        mark, style = ("✓", "green") if row["as_expected"] else ("✗", "bold red")
        stays = row["mutation_verdict"] == "stays"
        words = [
            row["id"], " ".join(row["statement"].split()), " ".join(row["source"].split()), short_number(measured),
            row["relation"], short_number(predicted),
            *(short_number(row[name]) for name in ("printed", "provable", "attained", "observed")),
            f"{mark} {row['verdict'].replace('_', ' ')}", row["expected"],
            row["mutation_verdict"].replace("not_run", "-"), _seconds(row["seconds"]),
        ]  # fmt: skip
        styles = {"id": "cyan", "verdict": style, "mutation": "bold red" if stays else ""}
        lines.append([Text(word, style=styles.get(head, "")) for head, word in zip(heads, words, strict=True)])
    left_out = {"source", "printed", "provable", "attained", "observed"} if width < _FULL else set()
    left_out |= {"expected"} if width < _WIDE else set()
    kept = [column for column, head in enumerate(heads) if head not in left_out]
    if width < _WIDE:
        heads[heads.index("mutation")] = "mut."
    widths = [max([len(heads[c]), *(line[c].cell_len for line in lines)]) for c in range(len(heads))]
    texts = [c for c in kept if heads[c] in ("statement", "source")]
    free = width - sum(widths[c] + 1 for c in kept if c not in texts) - len(texts)
    for c in texts:
        widths[c] = max(12, min(widths[c], free // len(texts)))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    right = {"measured", "printed", "provable", "attained", "observed", "s"}
    for column in kept:
        justify = "right" if heads[column] in right else "left"
        table.add_column(heads[column], justify=justify, no_wrap=True, overflow="ellipsis", width=widths[column])
    for line in lines:
        table.add_row(*(line[column] for column in kept))
    return table


def tightest(row: Row) -> tuple[Any, Any]:
    """Of a claim's measured and predicted numbers, the pair nearest to breaking the relation.

    Args:
        row: a row of `check_claims`.

    Returns:
        `(measured, predicted)`, each a JSON number, one of the texts for NaN and infinity, or None.

    Source: elementary.

    >>> tightest({"measured": [1.0, 3.0], "predicted": [2.0, 3.5], "relation": "<="})
    (3.0, 3.5)
    """
    measured, predicted = row["measured"], row["predicted"]
    measured = measured if isinstance(measured, list) else [measured]
    predicted = predicted if isinstance(predicted, list) else [predicted]
    if not measured or not predicted or None in measured or None in predicted:
        return None, None
    if len(predicted) == 1:
        predicted = predicted * len(measured)
    sign = {"<=": 1, "<": 1, ">=": -1, ">": -1}.get(row["relation"], 0)

    def excess(pair: tuple[Any, Any]) -> float:
        difference = float(pair[0]) - float(pair[1])
        if math.isnan(difference):
            return math.inf
        scale = abs(float(pair[1])) or 1.0
        return (sign * difference if sign else abs(difference)) / scale

    return max(zip(measured, predicted, strict=False), key=excess)


def details(row: Row) -> str:
    """All that is known about a claim that is not as expected, as lines of plain text.

    Args:
        row: a row of `check_claims`.

    Returns:
        A few lines.

    Source: elementary.
    """
    lines = [f"{row['id']} ({row['room']}): {row['statement']}"]
    if row["verdict"] == "stale":
        return "\n".join([*lines, f"the code of {row['room']} changed since it was run: run it again"])
    if row["error"]:
        lines.append(f"raised {row['error']}")
    else:
        lines.append(f"expected {row['expected']}, found {row['verdict']}")
        lines.append(f"measured {_listed(row['measured'])}")
        lines.append(f"predicted {row['relation']} {_listed(row['predicted'])}")
        if row["tolerance_reason"]:
            lines.append(f"tolerance {row['tolerance']} + {row['relative_tolerance']} relative")
    lines += [
        f"the mutation '{mutation['description']}' gives {mutation['verdict']}; it must flip the verdict"
        for mutation in row["mutations"]
        if {mutation["verdict"], row["verdict"]} != {"holds", "refuted"}
    ]
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table.

    Args:
        rows: rows of `check_claims`.

    Returns:
        The table and a line of counts.

    Source: elementary.
    """
    lines = [
        "| id | statement | source | measured | | predicted | verdict | expected | mutation |",
        "| --- | --- | --- | ---: | :-: | :--- | --- | --- | --- |",
    ]
    for row in rows:
        measured, predicted = tightest(row)
        cells = [
            row["id"], row["statement"], f"{row['source']} ({row['attribution']})", short_number(measured),
            row["relation"], short_number(predicted), row["verdict"].replace("_", " "), row["expected"],
            row["mutation_verdict"].replace("_", " "),
        ]  # fmt: skip
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", summary(rows)])


def short_number(value: Any) -> str:
    """A number in at most nine characters, four of them significant digits.

    Args:
        value: a JSON number, one of the texts for NaN and infinity, or None.

    Returns:
        The text.

    Source: elementary.

    >>> short_number(0.123456), short_number(12), short_number("Infinity"), short_number(None)
    ('0.1235', '12', 'inf', '-')
    """
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) and abs(value) < 1e6 else f"{float(value):.4g}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}" if seconds >= 0.05 else "0"


def _listed(value: Any) -> str:
    """A value in full digits, a long list cut."""
    if isinstance(value, list):
        return "[" + ", ".join(str(item) for item in value[:6]) + (", ...]" if len(value) > 6 else "]")
    return str(value)
