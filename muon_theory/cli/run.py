"""`muon-theory list` and `muon-theory run`."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from muon_theory.cli.screen import cache_folder, complain, cores, debugging, screen

RUN_HELP = """Run studies: table, figure and provenance go to figures/STUDY.

Finished cells are kept in the cache ($MUON_THEORY_CACHE), so that an interrupted run goes on where it stopped.
"""

CARRY_HELP = (
    "For changes that should move no number: keep earlier results if N cells, computed anew, agree bit for bit."
)


def register(app: typer.Typer) -> None:
    """Add the commands.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("list", help="List the studies and the rooms.")(_list)
    app.command("run", help=RUN_HELP, short_help="Run studies: table, figure, provenance.")(_run)


def _list(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the studies and the rooms."""
    from muon_theory.reporting.study import find_studies
    from muon_theory.rooms import room_names

    studies = {name: study.section("Question") for name, study in find_studies().items()}
    rooms = {name: _title(name) for name in room_names()}
    if as_json:
        typer.echo(json.dumps({"studies": studies, "rooms": rooms}, indent=1, ensure_ascii=False))
        return
    out = screen()
    for heading, entries in (("Studies (muon-theory run NAME)", studies), ("Rooms (muon-theory check NAME)", rooms)):
        out.print(heading, style="bold")
        for name, text in entries.items():
            out.print(f"  {name}", style="cyan", markup=False)
            if text:
                lines = textwrap.wrap(text, out.width - 1, initial_indent=" " * 6, subsequent_indent=" " * 6)
                out.print("\n".join(lines), markup=False)


def _run(
    studies: Annotated[list[str] | None, typer.Argument(help="Studies, or folders of them; `list` shows all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every study.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="The quick profile, on bundled data.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder of data sets [default: $MUON_THEORY_DATA].")] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set, e.g. digits or mnist.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes [default: one per core].")] = None,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("figures"),
    options: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Option of a study.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute every cell anew.")] = False,
    carry: Annotated[int | None, typer.Option(min=1, metavar="N", help=CARRY_HELP)] = None,
) -> None:
    """Run studies one after the other."""
    from muon_theory.reporting.study import chosen_studies, find_studies
    from muon_theory.reporting.study_run import Settings, run_study, study_options

    if not studies and not every:
        raise ValueError("run: name a study, or give --all; `muon-theory list` shows them")
    chosen = list(find_studies().values()) if every else chosen_studies(studies or [])
    settings = Settings(
        quick=quick,
        seed=seed,
        dataset=dataset,
        data=data,
        options=_options(options or []),
        workers=workers or cores(),
        cache=None if no_cache else cache_folder(),
        carry=carry,
    )
    failed = False
    several = len(chosen) > 1
    for study in chosen:
        try:
            # With several studies, --dataset is for those that have one.
            drop = several and dataset is not None and "dataset" not in study_options(study.load())
            result = run_study(study, replace(settings, dataset=None) if drop else settings, out)
            failed |= _told(study.name, result)
        except Exception as error:  # one broken study must not keep the others from running
            if not several or debugging():
                raise
            complain(f"{study.name}: {type(error).__name__}: {error} (run it alone to see more)")
            failed = True
    if failed:
        raise typer.Exit(1)


def _told(name: str, result: Any) -> bool:
    """Say what a run left; True when a cell or a claim failed."""
    counts = result.counts
    reused = f", {counts['cached']} of them from the cache" if counts.get("cached") else ""
    reused += f", {counts['carried']} carried over from earlier code" if counts.get("carried") else ""
    cells = sum(counts.values())
    screen().print(
        f"{name}: {len(result.table)} rows from {cells} cell{'s' if cells != 1 else ''}{reused}, "
        f"{result.seconds:.0f} s -> {result.folder}",
        markup=False,
        soft_wrap=True,
    )
    for error, count in Counter(result.errors).most_common(5):
        complain(f"{name}: {count} cell{'s' if count > 1 else ''} failed: {error}")
    wrong = [row for row in result.claims if not row["as_expected"]]
    for row in wrong:
        complain(f"{name}: claim {row['id']} is {row['verdict']}, expected {row['expected']} {row['error'] or ''}")
    return bool(result.errors or wrong)


def _options(pairs: list[str]) -> dict[str, Any]:
    """`key=value` pairs; a value is JSON where it can be, else text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"--set {pair}: give it as KEY=VALUE, e.g. --set steps=5")
        try:
            options[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            options[key.strip()] = value
    return options


def _title(room: str) -> str:
    """First line of the room's opening page, read without importing it."""
    import ast
    import importlib.util

    spec = importlib.util.find_spec(f"muon_theory.rooms.{room}")
    source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
