"""`muon-theory spectra`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from muon_theory.cli.screen import complain, screen

SPECTRA_HELP = "Show the spectra recorded in a folder: first and last step of each matrix, or those asked for."


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("spectra", help=SPECTRA_HELP, short_help="Show the spectra recorded in a folder.")(_spectra)


def _spectra(
    folder: Annotated[Path, typer.Argument(help="Folder that `--record`, or a SpectrumRecorder, has written.")],
    step: Annotated[list[int] | None, typer.Option(help="Only this step.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every recorded step.")] = False,
    layer: Annotated[str | None, typer.Option(help="Only layers whose name contains this.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. gradient.")] = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE.pdf|FILE.png|FOLDER", help="Draw all steps: a page a layer (.png: one layer)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show summaries of recorded spectra."""
    from muon_theory.recorder import read_spectra

    table: Any = read_spectra(folder)
    if table.empty:
        raise ValueError(f"{folder} holds no recorded spectra")
    for column, wanted in (("layer", layer), ("kind", kind)):
        if wanted is not None:
            chosen = table[column].str.contains(wanted, regex=False) if column == "layer" else table[column] == wanted
            if not chosen.any():
                raise ValueError(f"--{column} {wanted}: recorded are {', '.join(sorted(set(table[column])))}")
            table = table[chosen]
    if figure is not None:
        _draw(folder, table, figure)
    if step:
        if missing := sorted(set(step) - set(table.step)):
            raise ValueError(f"--step {missing[0]}: recorded are {_some(sorted(set(table.step)))}")
        table = table[table.step.isin(step)]
    elif not every:
        ends = table.groupby(["run", "layer", "kind"]).step.transform
        table = table[(table.step == ends("min")) | (table.step == ends("max"))]
    rows = _summaries(table)
    if as_json:
        typer.echo(json.dumps({"spectra": rows}, indent=1, allow_nan=False))
        return
    screen().print(_spectra_table(rows, several_runs=table.run.nunique() > 1))
    screen().print("below: singular values below the noise floor of the stored dtype, which say nothing")


def _draw(folder: Path, table: Any, target: Path) -> None:
    """Draw a page a layer and say where."""
    from muon_theory.recorder.evolution import subspace_drift
    from muon_theory.reporting.progress import progress
    from muon_theory.reporting.run_figures import save_run_figures

    layers = table[["run", "layer"]].drop_duplicates()
    with progress(len(layers), "figures", unit="layers", shown=sys.stderr.isatty()) as bar:
        drift = subspace_drift(folder, most=100)
        files = save_run_figures(table, target, drift=drift, progress=lambda layer: bar.advance(note=layer))
    complain(f"wrote {files[0]}" if len(files) == 1 else f"wrote {len(files)} files to {target}")


def _summaries(table: Any) -> list[dict[str, Any]]:
    """The numbers that describe each spectrum; null where the matrix held NaN or inf."""
    import numpy as np

    from muon_theory.recorder import summarize_spectra

    found = []
    for row, numbers in zip(table.to_dict("records"), summarize_spectra(table).to_dict("records"), strict=True):
        summary = {name: row[name] for name in ("run", "layer", "kind", "step", "rows", "columns", "dtype")}
        names = ("sigma_1", "sigma_r", "stable_rank", "nuclear_rank", "effective_rank", "below_noise_floor")
        if not np.isfinite(row["sigma"]).all():
            found.append(summary | dict.fromkeys(names))
            continue
        length = min(row["rows"], row["columns"])
        values = (
            float(numbers["spectral_norm"]), float(row["sigma"][-1]), float(numbers["stable_rank"]),
            float(numbers["nuclear_rank"]), float(np.exp(numbers["entropy"])),
            round(length * (1 - numbers["share_above_floor"])),
        )  # fmt: skip
        found.append(summary | dict(zip(names, values, strict=True)))
    return found


def _spectra_table(rows: list[dict[str, Any]], *, several_runs: bool) -> Any:
    """Summaries as a rich table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    if several_runs:
        table.add_column("run", overflow="fold")
    table.add_column("layer", overflow="fold", min_width=min(20, max((len(row["layer"]) for row in rows), default=5)))
    for name in ("kind", "step", "shape", "sigma_1"):
        table.add_column(name, no_wrap=True, justify="left" if name == "kind" else "right")
    for name in ("stable rank", "nucl. rank", "eff. rank", "below floor"):
        table.add_column(name, width=6, justify="right")
    for row in rows:
        shape = f"{row['rows']}x{row['columns']}"
        if row["sigma_1"] is None:
            numbers = ["not finite", "-", "-", "-", "-"]
        else:
            ranks = [f"{row[name]:.1f}" for name in ("stable_rank", "nuclear_rank", "effective_rank")]
            numbers = [f"{row['sigma_1']:.3g}", *ranks, str(row["below_noise_floor"])]
        table.add_row(
            *([row["run"]] if several_runs else []), row["layer"], row["kind"], str(row["step"]), shape, *numbers
        )
    return table


def _some(steps: list[int]) -> str:
    """A few of the steps."""
    shown = [str(step) for step in steps]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:6], "...", shown[-1]])
