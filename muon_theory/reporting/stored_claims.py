"""Claims whose verdict was found by running a study: read from its results, and stale once the study's code changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from muon_theory.reporting.claim_rows import Row
from muon_theory.reporting.provenance import FORMAT_VERSION, code_hash
from muon_theory.reporting.study import find_studies


def belongs(study: str, names: Sequence[str]) -> bool:
    """Whether a study is among the named ones or in a named folder.

    Args:
        study: name of a study, "folder/name".
        names: studies and folders.

    Returns:
        True if so.

    Source: elementary.

    >>> belongs("fanions/which_k", ["fanions"]), belongs("fanions/which_k", ["fan", "dion"])
    (True, False)
    """
    return any(study == name or study.startswith(f"{name}/") for name in names)


def stored_claims(out: Path, of: Sequence[str] | None = None) -> list[Row]:
    """The claims of studies, as their last standard run of the full profile left them.

    Args:
        out: folder of all figures.
        of: names of studies, or of folders of them; None takes all.

    Returns:
        Rows as of `muon-theory check`, `room` being the study; the verdict is `stale`, and not as expected, when what
        the study's `compute` and `claims` reach has changed since.

    Source: DESIGN of this project, section 7.

    >>> stored_claims(Path("no such folder"))
    []
    """
    rows: list[Row] = []
    for study in find_studies().values():
        file = out / study.name / "claims.json"
        if not file.is_file() or not (of is None or belongs(study.name, of)):
            continue
        stored = json.loads(file.read_text(encoding="utf-8"))
        current = stored.get("format_version") == FORMAT_VERSION and stored.get("code") == code_hash(study.load())
        for row in stored["claims"]:
            rows.append(row | {"tier": "run"} | ({} if current else {"verdict": "stale", "as_expected": False}))
    return rows
