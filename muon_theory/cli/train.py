"""`muon-theory train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muon_theory.cli.screen import complain, screen

if TYPE_CHECKING:
    import pandas as pd

LEARNING_RATES = {"sgd": 0.05, "adamw": 1e-3, "muon": 0.02}

TRAIN_HELP = """Train the tutorial's perceptron (256 and 128 hidden units) on a data set.

With --record the exact singular values of gradients, momenta, updates and weights are written to a folder, which
`muon-theory spectra` shows. Runs on one thread, so that a seed gives the same result whatever the number of cores.
"""


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("train", help=TRAIN_HELP, short_help="Train a small network, recording spectra.")(_train)


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
