"""`muon-theory report`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from muon_theory.cli.screen import screen

DRIFT_STEPS = 40
"""Steps of a layer and kind whose leading subspaces are compared; each costs a singular value decomposition."""

REPORT_HELP = """Write one HTML file to look at a recorded run.

Spectra over time to scrub through, ranks, alignment deficits, the update that the iteration predicts, and the plan. The
file needs no network and can be sent to somebody. Long recordings are thinned to a few megabytes; the page says how.
"""


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("report", help=REPORT_HELP, short_help="Write an HTML page of a recorded run.")(_report)


def _report(
    folder: Annotated[Path, typer.Argument(help="Folder of a recording.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="The file [default: FOLDER/report.html].")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Only layers whose name contains this.")] = None,
    tolerance: Annotated[float, typer.Option(help="Largest alignment deficit of the plan.")] = 0.01,
    share: Annotated[float, typer.Option(help="Share of the recorded matrices within it.")] = 0.99,
    as_json: Annotated[bool, typer.Option("--json", help="Print where the page is and what it shows as JSON.")] = False,
) -> None:
    """Gather, thin, write."""
    from muon_theory.recorder import read_spectra
    from muon_theory.recorder.evolution import subspace_drift
    from muon_theory.reporting.progress import progress
    from muon_theory.reporting.run_report import report_data, write_report

    target = out or folder / "report.html"
    if target.suffix.lower() not in {".html", ".htm"}:
        raise ValueError(f"--out {target}: give a name that ends in .html")
    table: Any = read_spectra(folder)
    if table.empty:
        raise ValueError(f"{folder} holds no recorded spectra")
    if layer is not None:
        chosen = table.layer.str.contains(layer, regex=False)
        if not chosen.any():
            raise ValueError(f"--layer {layer}: recorded are {', '.join(sorted(set(table.layer)))}")
        table = table[chosen]
    layers = table[["run", "layer"]].drop_duplicates()
    with progress(len(layers), "report", unit="layers", shown=sys.stderr.isatty()) as bar:
        data = report_data(
            table,
            title=f"Recorded run {folder.resolve().name}",
            drift=subspace_drift(folder, most=DRIFT_STEPS),
            tolerance=tolerance,
            share=share,
            progress=lambda name: bar.advance(note=name),
        )
    write_report(data, target)
    size = target.stat().st_size
    if as_json:
        runs = [{name: value for name, value in run.items() if name != "layers"} for run in data["runs"]]
        shown = {"file": str(target), "bytes": size, "layers": len(layers), "runs": runs, "notes": data["notes"]}
        typer.echo(json.dumps(shown | {"plan": data["plan"]}, indent=1, allow_nan=False))
        return
    screen().print(f"{target}: {len(layers)} layers, {size / 1e6:.1f} MB, no network", markup=False, soft_wrap=True)
