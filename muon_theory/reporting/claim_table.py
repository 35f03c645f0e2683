"""Checked claims for the eye: a table for a terminal, Markdown, the counts, and all that is known of a failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from muon_theory.reporting.claim_rows import Row

if TYPE_CHECKING:
    from rich.table import Table


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

    Args:
        rows: rows of `check_claims`.
        width: columns of the terminal; below 110 the expected verdict is a mark before the verdict.

    Returns:
        A rich table.

    Source: elementary.
    """
    from rich.table import Table
    from rich.text import Text

    wide = width >= 110
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("id", no_wrap=True)
    table.add_column("statement", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("predicted", justify="left", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if wide:
        table.add_column("expected", no_wrap=True)
    table.add_column("mutation" if wide else "mut.", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    for row in rows:
        mark, style = ("✓", "green") if row["as_expected"] else ("✗", "bold red")
        cells = [
            row["id"], Text(" ".join(row["statement"].split())), short_number(row["measured"], row["relation"]),
            row["relation"], short_number(row["predicted"], row["relation"]),
            Text(f"{mark} {row['verdict'].replace('_', ' ')}", style=style),
        ]  # fmt: skip
        cells += [row["expected"]] if wide else []
        mutation = {"flips": "flips", "stays": Text("STAYS", style="bold red"), "not_run": "-"}[row["mutation_verdict"]]
        table.add_row(*cells, mutation, _seconds(row["seconds"]))
    return table


def details(row: Row) -> str:
    """All that is known about a claim that is not as expected, as lines of plain text.

    Args:
        row: a row of `check_claims`.

    Returns:
        A few lines.

    Source: elementary.
    """
    lines = [f"{row['id']} ({row['room']}): {row['statement']}"]
    if row["error"]:
        lines.append(f"  raised {row['error']}")
    else:
        lines.append(f"  expected {row['expected']}, found {row['verdict']}")
        lines.append(f"  measured {_listed(row['measured'])}, predicted {row['relation']} {_listed(row['predicted'])}")
    lines += [
        f"  mutation '{mutation['description']}' gives {mutation['verdict']}: it must flip the verdict"
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
        cells = [
            row["id"], row["statement"], f"{row['source']} ({row['attribution']})",
            short_number(row["measured"], row["relation"]), row["relation"],
            short_number(row["predicted"], row["relation"]), row["verdict"].replace("_", " "), row["expected"],
            row["mutation_verdict"].replace("_", " "),
        ]  # fmt: skip
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", summary(rows)])


def short_number(value: Any, relation: str = "==") -> str:
    """A number, or a list, in at most nine characters.

    Args:
        value: a JSON number, one of the texts for NaN and infinity, a list, or None.
        relation: the claim's relation; of a list, the entry nearest to breaking it is shown.

    Returns:
        The text; `(n)` follows the entry shown of a list of n.

    Source: elementary.

    >>> short_number(0.123456), short_number([1.0, 2.0], "<="), short_number(None)
    ('0.1235', '2(2)', '-')
    """
    if isinstance(value, list):
        if not value:
            return "-"
        numbers = [float(item) for item in value]
        shown = max(numbers) if relation in ("<=", "<") else min(numbers) if relation in (">=", ">") else numbers[0]
        return short_number(shown) if len(set(value)) == 1 else f"{shown:.3g}({len(value)})"
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) and abs(value) < 1e6 else f"{float(value):.4g}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}" if seconds >= 0.05 else "0"


def _listed(value: Any) -> str:
    """A value in full, a long list cut."""
    if isinstance(value, list):
        return "[" + ", ".join(short_number(item) for item in value[:6]) + (", ...]" if len(value) > 6 else "]")
    return str(value)
