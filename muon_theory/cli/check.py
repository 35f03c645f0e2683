"""`muon-theory check`: run the claims of the rooms."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muon_theory.cli.screen import cache_folder, cores, screen

if TYPE_CHECKING:
    from muon_theory.reporting.claim_rows import Row

TIERS = ("fast", "medium", "slow", "run")
HELP = """Check the claims of the rooms: the fast tier, or all with --full.

Each line is a statement of the literature, what was measured, what it predicts, and the verdict; a mark says whether
the verdict is the expected one. Exit status 1 if one is not, or if a mutation fails to flip a verdict.
"""


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("check", help=HELP, short_help="Check the claims of the rooms.")(_check)


def _check(
    rooms: Annotated[
        list[str] | None, typer.Argument(help="Rooms, all by default; with --tier run studies and their folders too.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="The medium and slow tiers too.")] = False,
    tier: Annotated[
        list[str] | None, typer.Option(help="Only this tier: fast, medium, slow, or run (the studies').")
    ] = None,
    identifier: Annotated[list[str] | None, typer.Option("--id", help="Only this claim, whatever its tier.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, hidden rows included.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    only_constants: Annotated[
        bool, typer.Option("--constants", help="Of theorems: the constant printed, provable, attained, observed.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show bookkeeping rows too.")] = False,
    figures: Annotated[Path, typer.Option(help="Where --tier run finds the results of studies.")] = Path("figures"),
    mutate: Annotated[bool, typer.Option("--mutate/--no-mutate", help="Check that mutations flip verdicts.")] = True,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Check every claim anew.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes [default: one per core].")] = None,
) -> None:
    """Check claims, print them and their counts."""
    from rich.padding import Padding
    from rich.text import Text

    from muon_theory.reporting.claim_check import check_claims
    from muon_theory.reporting.claim_table import claims_table, details, markdown, summary
    from muon_theory.reporting.stored_claims import belongs, stored_claims
    from muon_theory.reporting.study import find_studies
    from muon_theory.rooms import load_rooms, room_names

    unknown = [name for name in tier or [] if name not in TIERS]
    if unknown:
        raise ValueError(f"--tier {unknown[0]}: the tiers are {', '.join(TIERS)}")
    if as_json and as_markdown:
        raise ValueError("check: give --json or --markdown, not both")
    wanted = "run" in (tier or [])
    studies = find_studies() if wanted else ()
    named = [name for name in rooms or [] if name in room_names() or not any(belongs(s, [name]) for s in studies)]
    claims = [(room, claim) for room, stated in load_rooms(named if rooms else None).items() for claim in stated]
    stored = []
    if identifier:
        known = {claim.id: None for _, claim in claims}
        if not known.keys() >= set(identifier):
            stored = [row for row in stored_claims(figures, rooms or None) if row["id"] in identifier]
            known |= {row["id"]: None for row in stored}
        for name in identifier:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise ValueError(f"--id {name}: no such claim{f'; did you mean {near[0]}?' if near else ' here'}")
        claims = [(room, claim) for room, claim in claims if claim.id in identifier]
    else:
        tiers = tier or (["fast", "medium", "slow"] if full else ["fast"])
        claims = [(room, claim) for room, claim in claims if claim.tier in tiers]
        if wanted or only_constants:
            stored = stored_claims(figures, None if only_constants else rooms or None)
    rows = stored + check_claims(
        claims, mutate=mutate, workers=workers or cores(), cache=None if no_cache else cache_folder()
    )
    shown = [row for row in rows if every or row["tag"] is None or not row["as_expected"]]
    out = screen()
    if only_constants:
        _print_constants(rows, as_json=as_json, as_markdown=as_markdown)
    elif as_json:
        typer.echo(json.dumps({"claims": rows}, indent=1, ensure_ascii=False, allow_nan=False))
    elif as_markdown:
        typer.echo(markdown(shown))
    else:
        if shown:
            out.print(claims_table(shown, out.width))
        for row in rows:
            if not row["as_expected"]:
                heading, *lines = details(row).splitlines()
                out.print(Text(heading, style="bold"))
                for line in lines:
                    out.print(Padding(Text(line), (0, 0, 0, 3), expand=False))
        hidden = len(rows) - len(shown)
        out.print(summary(rows) + (f"; {hidden} bookkeeping rows not shown (--all)" if hidden else ""), markup=False)
    if not all(row["as_expected"] for row in rows):
        raise typer.Exit(1)


def _print_constants(rows: Sequence[Row], *, as_json: bool, as_markdown: bool) -> None:
    from muon_theory.reporting.constants import constants, constants_markdown, constants_table

    found, out = constants(rows), screen()
    if as_json:
        typer.echo(json.dumps({"constants": found}, indent=1, ensure_ascii=False, allow_nan=False))
    elif as_markdown:
        typer.echo(constants_markdown(found))
    elif found:
        out.print(constants_table(found, out.width))
    else:
        out.print("no theorem with a printed, a provable and an attained constant among these claims", markup=False)
