"""The page: template, style and script of the package with the data of a run, in one file without a network."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from muon_theory.reporting.atomic import write_text


def report_page(data: Mapping[str, Any]) -> str:
    """The HTML page of a run.

    Args:
        data: what `report_data` returns.

    Returns:
        A whole HTML document. It loads nothing: style, script and data are inside, and a content security policy
        forbids every request. Names cannot break out: the data are JSON in which `<`, `>` and `&` are escaped, and the
        script sets text, never HTML.

    Source: elementary.
    """
    folder = files("muon_theory.reporting.run_report")
    parts = {
        "TITLE": html.escape(str(data["title"])),
        "STYLE": (folder / "page.css").read_text(encoding="utf-8"),
        "CHARTS": (folder / "charts.js").read_text(encoding="utf-8"),
        "SCRIPT": (folder / "page.js").read_text(encoding="utf-8"),
        "DATA": _json_for_html(data),
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    before, *rest = page.split("{{")
    whole = [before]
    for piece in rest:
        name, _, after = piece.partition("}}")
        whole += [parts[name], after]
    return "".join(whole)


def write_report(data: Mapping[str, Any], path: Path) -> Path:
    """Write the page of a run, whole or not at all.

    Args:
        data: what `report_data` returns.
        path: the file; its folder is made if missing.

    Returns:
        The path.

    Source: elementary.
    """
    write_text(path, report_page(data))
    return path


def _json_for_html(data: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element, whatever the names in it."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
