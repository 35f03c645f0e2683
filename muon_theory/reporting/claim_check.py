"""Checking claims: in parallel, longest first, and cached by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from muon_theory.claim import Claim, Result
from muon_theory.reporting.atomic import write_text
from muon_theory.reporting.claim_rows import Row, result_row
from muon_theory.reporting.fingerprint import versions
from muon_theory.reporting.progress import progress
from muon_theory.reporting.source_hash import module_hash
from muon_theory.reporting.workers import Died, in_processes

FORMAT_VERSION = 1
LONGEST_FIRST = {"slow": 0, "run": 1, "medium": 2, "fast": 3}

RoomClaim = tuple[str, Claim]


def check_claims(
    claims: Sequence[RoomClaim],
    *,
    mutate: bool = True,
    workers: int = 2,
    cache: Path | None = None,
    show_progress: bool = True,
) -> list[Row]:
    """Check claims in parallel, reading verdicts that are already known for this very code.

    Args:
        claims: pairs of a room's name and a claim.
        mutate: also evaluate the mutations.
        workers: number of processes; 1 checks in this process.
        cache: folder of stored verdicts, or None.
        show_progress: a bar on a terminal, lines elsewhere.

    Returns:
        One row a claim, in the order given, see `claim_row`; a claim that raised is `not_run` with `error`.

    Source: DESIGN of this project, section 7.
    """
    files = _files(claims, mutate, cache)
    rows = {index: row for index, file in enumerate(files) if file is not None and (row := _read(file)) is not None}
    missing = [index for index in range(len(claims)) if index not in rows]
    missing.sort(key=lambda index: LONGEST_FIRST[claims[index][1].tier])
    with progress(len(claims), "check", unit="claims", shown=show_progress, done=len(rows)) as bar:
        tasks = [claims[index] for index in missing]
        for position, outcome in in_processes(partial(_checked, mutate=mutate), tasks, workers):
            index = missing[position]
            room, claim = claims[index]
            if isinstance(outcome, Died):
                outcome = result_row(room, claim, Result(None, "not_run", (), 0.0, outcome.reason))
            rows[index] = outcome
            if (file := files[index]) is not None and outcome["verdict"] != "not_run":
                write_text(file, json.dumps({"format_version": FORMAT_VERSION, "row": outcome}))
            bar.advance()
    return [rows[index] for index in range(len(claims))]


def claim_row(room: str, claim: Claim, *, mutate: bool = True) -> Row:
    """Check one claim here and now.

    Args:
        room: the room, or the study, that states it.
        claim: the claim.
        mutate: also evaluate its mutations.

    Returns:
        The row, see `result_row`.

    Source: DESIGN of this project, section 7.
    """
    return result_row(room, claim, claim.check(mutate=mutate))


def _checked(item: RoomClaim, *, mutate: bool) -> Row:
    """What a worker does."""
    return claim_row(*item, mutate=mutate)


def _files(claims: Sequence[RoomClaim], mutate: bool, cache: Path | None) -> list[Path | None]:
    """The file of each claim's stored row: its name hashes all that the row depends on."""
    if cache is None:
        return [None] * len(claims)
    code: dict[str, str] = {}
    files: list[Path | None] = []
    for room, claim in claims:
        evaluate: Any = claim.evaluate.func if isinstance(claim.evaluate, partial) else claim.evaluate
        module = evaluate.__module__
        if module not in code:
            code[module] = _code_of(module)
        if not code[module]:
            files.append(None)
            continue
        stated = [repr(getattr(claim, field.name)) for field in fields(claim) if field.name != "evaluate"]
        bound = repr(claim.evaluate.keywords) if isinstance(claim.evaluate, partial) else ""
        identity = [code[module], evaluate.__qualname__, bound, room, stated, mutate, sorted(versions().items())]
        files.append(cache / "claims" / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()}.json")
    return files


def _code_of(module: str) -> str:
    """Hash of a module's code, empty when it has no source that could be hashed, as in a notebook."""
    try:
        return module_hash(module)
    except ValueError:
        return ""


def _read(file: Path) -> Row | None:
    """A stored row, or None."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return stored["row"] if stored.get("format_version") == FORMAT_VERSION else None
