"""`muon-theory train`, `muon-theory spectra` and `muon-theory fetch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muon_theory.cli.screen import complain, screen

if TYPE_CHECKING:
    import pandas as pd

LEARNING_RATES = {"sgd": 0.05, "adamw": 1e-3, "muon": 0.02}

TRAIN_HELP = """Train the tutorial's perceptron (256 and 128 hidden units) on a data set.

With --record the exact singular values of gradients, momenta, updates and weights are written to a folder, which
`muon-theory spectra` shows. Runs on one thread, so that a seed gives the same result whatever the number of cores.
"""
SPECTRA_HELP = "Show the spectra recorded in a folder: first and last step of each matrix, or those asked for."


def register(app: typer.Typer) -> None:
    """Add the commands.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("train", help=TRAIN_HELP, short_help="Train a small network, recording spectra.")(_train)
    app.command("spectra", help=SPECTRA_HELP, short_help="Show the spectra recorded in a folder.")(_spectra)
    app.command("fetch", help="Download a data set, checked by its SHA-256.")(_fetch)


def _train(
    dataset: Annotated[str, typer.Argument(help="digits (bundled) or mnist.")],
    optimizer: Annotated[str, typer.Option(help="sgd, adamw or muon.")] = "muon",
    lr: Annotated[float | None, typer.Option(help="Learning rate [default: sgd 0.05, adamw 0.001, muon 0.02].")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Number of steps.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Images a step.")] = 64,
    momentum: Annotated[float | None, typer.Option(help="Momentum (AdamW: beta_1).")] = None,
    weight_decay: Annotated[float, typer.Option(min=0, help="Weight decay.")] = 0.0,
    schedule: Annotated[str, typer.Option(help="Learning rate: constant, cosine or linear.")] = "constant",
    method: Annotated[str, typer.Option(help="Muon: coefficient set, or taylor_<degree>.")] = "jordan_2024",
    ns_steps: Annotated[int, typer.Option(min=0, help="Muon: Newton-Schulz steps.")] = 5,
    exact: Annotated[bool, typer.Option("--exact", help="Muon: the exact polar factor.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of initialisation and order.")] = 0,
    data: Annotated[Path | None, typer.Option(help="Folder of data sets [default: $MUON_THEORY_DATA].")] = None,
    record: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Record spectra to this folder.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write the table of all steps.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the last step as JSON.")] = False,
) -> None:
    """Train, show progress, say how it went."""
    from muon_theory.problems import load_images
    from muon_theory.reporting.atomic import atomic_path
    from muon_theory.reporting.progress import progress
    from muon_theory.reporting.workers import one_thread
    from muon_theory.training import train

    if optimizer not in LEARNING_RATES:
        raise ValueError(f"--optimizer {optimizer}: choose one of {', '.join(LEARNING_RATES)}")
    images = load_images(dataset, data)
    label = f"{optimizer} on {dataset}"
    with one_thread(), progress(steps, label, unit="steps") as bar:
        table = train(
            images,
            optimizer,
            lr=LEARNING_RATES[optimizer] if lr is None else lr,
            steps=steps,
            batch=batch,
            seed=seed,
            momentum=momentum,
            weight_decay=weight_decay,
            method=method,
            ns_steps=ns_steps,
            exact=exact,
            record_to=record,
            schedule_lr=schedule,
            progress=lambda step, steps, loss: bar.advance(note=f"loss {loss:.4f}"),  # noqa: ARG005  (train's call)
        )
    if out is not None:
        with atomic_path(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
    last = table.iloc[-1]
    if as_json:
        shown = {name: None if value != value else value for name, value in last.to_dict().items()}
        typer.echo(json.dumps(shown, default=lambda value: value.item()))
    else:
        screen().print(_trained(label, table), markup=False, soft_wrap=True)
        if record is not None:
            screen().print(f"spectra: muon-theory spectra {record}", markup=False, soft_wrap=True)
    if last["diverged"]:
        complain(f"{label}: diverged at step {int(last['step'])}; a smaller --lr may help")
        raise typer.Exit(1)


def _trained(label: str, table: pd.DataFrame) -> str:
    """A run in one line."""
    first, last = table.iloc[0], table.iloc[-1]
    return (
        f"{label}: {len(table)} steps, loss {first['loss']:.3f} -> {last['loss']:.3g}, "
        f"test accuracy {100 * last['test_accuracy']:.2f} %, {last['time_s']:.1f} s"
    )


def _spectra(
    folder: Annotated[Path, typer.Argument(help="Folder that `--record`, or a SpectrumRecorder, has written.")],
    step: Annotated[list[int] | None, typer.Option(help="Only this step.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every recorded step.")] = False,
    layer: Annotated[str | None, typer.Option(help="Only layers whose name contains this.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. gradient.")] = None,
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
    if step:
        if missing := sorted(set(step) - set(table.step)):
            raise ValueError(f"--step {missing[0]}: recorded are {_some(sorted(set(table.step)))}")
        table = table[table.step.isin(step)]
    elif not every:
        ends = table.groupby(["run", "layer", "kind"]).step.transform
        table = table[(table.step == ends("min")) | (table.step == ends("max"))]
    rows = [_summary(row) for row in table.to_dict("records")]
    if as_json:
        typer.echo(json.dumps({"spectra": rows}, indent=1, allow_nan=False))
        return
    screen().print(_spectra_table(rows, several_runs=table.run.nunique() > 1))
    screen().print("below: singular values below the noise floor of the stored dtype, which say nothing")


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    """The numbers that describe one spectrum; null where the matrix held NaN or inf."""
    import numpy as np

    from muon_theory.spectra import effective_rank, nuclear_rank, stable_rank

    sigma = row["sigma"]
    summary: dict[str, Any] = {name: row[name] for name in ("run", "layer", "kind", "step", "rows", "columns", "dtype")}
    if not np.isfinite(sigma).all():
        names = ("sigma_1", "sigma_r", "stable_rank", "nuclear_rank", "effective_rank", "below_noise_floor")
        return summary | dict.fromkeys(names)
    return summary | {
        "sigma_1": float(sigma[0]),
        "sigma_r": float(sigma[-1]),
        "stable_rank": float(stable_rank(sigma)),
        "nuclear_rank": float(nuclear_rank(sigma)),
        "effective_rank": float(effective_rank(sigma)),
        "below_noise_floor": int((sigma < row["noise_floor"]).sum()),
    }


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


def _fetch(
    dataset: Annotated[str, typer.Argument(help="mnist.")],
    data: Annotated[Path | None, typer.Option(help="Folder of data sets [default: $MUON_THEORY_DATA].")] = None,
) -> None:
    """Download a data set into the data folder."""
    from muon_theory.problems import data_folder, fetch_mnist

    if dataset == "digits":
        screen().print("digits: bundled with scikit-learn, nothing to fetch")
        return
    if dataset != "mnist":
        raise ValueError(f"fetch {dataset}: can fetch mnist; digits is bundled")
    files = fetch_mnist(data)
    screen().print(f"{dataset}: {len(files)} files, checked, in {data_folder(data) / 'mnist'}", soft_wrap=True)
    if data is not None:
        screen().print(f"use it with --data {data} or MUON_THEORY_DATA={data.resolve()}", soft_wrap=True)
