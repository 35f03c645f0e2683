"""`muon-theory train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muon_theory.cli.screen import complain, screen

if TYPE_CHECKING:
    import pandas as pd

LEARNING_RATES = {"sgd": 0.05, "adamw": 1e-3, "muon": 0.02}

TRAIN_HELP = """Train a network on a data set, by default the tutorial's perceptron.

With --record the exact singular values of gradients, momenta, updates and weights are written to a folder, which
`muon-theory spectra` shows. Runs on one thread, so that a seed gives the same result whatever the number of cores.

With --recipe a published run is carried out: tutorial (MNIST, CIFAR-10) or airbench (CIFAR-10; for a GPU). Its network,
batch size, augmentation and schedule are the recipe's, and the optimizer's hyperparameters too unless given. The
options from --epochs on belong to recipes; --steps, --schedule, --method, --ns-steps and --exact to runs without one.
"""


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("train", help=TRAIN_HELP, short_help="Train a small network, recording spectra.")(_train)


def _train(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="digits (bundled), mnist or cifar10.")],
    optimizer: Annotated[
        str, typer.Option(help="sgd, adamw or muon; by a recipe also hybrid, neon, ... or package.module:Class.")
    ] = "muon",
    lr: Annotated[float | None, typer.Option(help="Learning rate [default: sgd 0.05, adamw 0.001, muon 0.02].")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Number of steps.")] = 1000,
    batch: Annotated[int | None, typer.Option(min=1, help="Images a step [default: 64].")] = None,
    momentum: Annotated[float | None, typer.Option(help="Momentum (AdamW: beta_1).")] = None,
    weight_decay: Annotated[float | None, typer.Option(min=0, help="Weight decay [default: 0].")] = None,
    schedule: Annotated[str, typer.Option(help="Learning rate: constant, cosine or linear.")] = "constant",
    method: Annotated[str, typer.Option(help="Muon: coefficient set, or taylor_<degree>.")] = "jordan_2024",
    ns_steps: Annotated[int, typer.Option(min=0, help="Muon: Newton-Schulz steps.")] = 5,
    exact: Annotated[bool, typer.Option("--exact", help="Muon: the exact polar factor.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of initialisation and order.")] = 0,
    data: Annotated[Path | None, typer.Option(help="Folder of data sets [default: $MUON_THEORY_DATA].")] = None,
    record: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Record spectra to this folder.")] = None,
    record_every: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Record every Nth step [default: the first ones, then ever fewer]."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write the table of steps, or epochs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the last row as JSON.")] = False,
    recipe: Annotated[str | None, typer.Option(help="tutorial or airbench.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs [default: the recipe's].")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Only the first training images, and test images.")] = None,
    optimizer_args: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of an optimizer given by its path.")
    ] = None,
    device: Annotated[str, typer.Option(help="A torch device: cpu, cuda, mps, ...")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16 (autocast).")] = "float32",
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the network.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the CPU.")] = 1,
    checkpoint: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Keep a checkpoint there.")] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Steps between checkpoints [default: an epoch].")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint, if there is one.")] = False,
) -> None:
    """Train, show progress, say how it went."""
    _refuse_strangers(context, recipe)
    if record_every is not None and record is None:
        raise ValueError("--record-every: give --record, the folder to record to")
    from muon_theory.problems import load_images
    from muon_theory.reporting.progress import progress
    from muon_theory.reporting.workers import one_thread

    recorded = None
    if record_every is not None:
        from muon_theory.recorder import every

        recorded = every(record_every)
    if recipe is not None:
        from muon_theory.cli.recipe import Request, run_recipe

        given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "batch": batch, "epochs": epochs,
                 "seed": seed, "device": device, "precision": precision, "compile": compiled, "record_to": record,
                 "schedule": recorded, "checkpoint_to": checkpoint, "checkpoint_every": checkpoint_every,
                 "resume": resume}  # fmt: skip
        label = f"{recipe}, {optimizer} on {dataset}"
        table = run_recipe(
            Request(recipe, dataset, data, optimizer, tuple(optimizer_args or ()), images, threads, given), label
        )
    else:
        from muon_theory.training import train

        if optimizer not in LEARNING_RATES:
            raise ValueError(f"--optimizer {optimizer}: choose one of {', '.join(LEARNING_RATES)}, or give a --recipe")
        loaded = load_images(dataset, data)
        label = f"{optimizer} on {dataset}"
        with one_thread(), progress(steps, label, unit="steps") as bar:
            table = train(
                loaded,
                optimizer,
                lr=LEARNING_RATES[optimizer] if lr is None else lr,
                steps=steps,
                batch=64 if batch is None else batch,
                seed=seed,
                momentum=momentum,
                weight_decay=0.0 if weight_decay is None else weight_decay,
                method=method,
                ns_steps=ns_steps,
                exact=exact,
                record_to=record,
                schedule=recorded,
                schedule_lr=schedule,
                progress=lambda step, steps, loss: bar.advance(note=f"loss {loss:.4f}"),  # noqa: ARG005  (train's call)
            )
    _tell(label, table, record, out, as_json=as_json)


def _refuse_strangers(context: typer.Context, recipe: str | None) -> None:
    """Refuse options that the kind of run asked for does not have, instead of ignoring them."""
    of_recipes = ("epochs", "images", "optimizer_args", "device", "precision", "compiled", "threads", "checkpoint",
                  "checkpoint_every", "resume")  # fmt: skip
    of_others = ("steps", "schedule", "method", "ns_steps", "exact")
    for name in of_others if recipe is not None else of_recipes:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + {"compiled": "compile"}.get(name, name).replace("_", "-")
            remedy = "a recipe has its own" if recipe is not None else "give a --recipe, e.g. tutorial"
            raise ValueError(f"{option}: {remedy}")


def _tell(label: str, table: pd.DataFrame, record: Path | None, out: Path | None, *, as_json: bool) -> None:
    """Write the table where asked, print how the run went; a diverged one gives status 1."""
    from muon_theory.reporting.atomic import atomic_path

    if out is not None:
        with atomic_path(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
    last = table.iloc[-1]
    if as_json:
        shown: dict[str, Any] = {name: None if value != value else value for name, value in last.to_dict().items()}
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
    if "epoch" in table:
        seconds, optimizing = table["time_s"].sum(), table["optimizer_time_s"].sum()
        return (
            f"{label}: {int(last['epoch'])} epochs, train loss {first['train_loss']:.3f} -> {last['train_loss']:.4g}, "
            f"test accuracy {100 * last['test_accuracy']:.2f} %, {seconds:.1f} s, of them {optimizing:.1f} s in the "
            "optimizer"
        )
    return (
        f"{label}: {len(table)} steps, loss {first['loss']:.3f} -> {last['loss']:.3g}, "
        f"test accuracy {100 * last['test_accuracy']:.2f} %, {last['time_s']:.1f} s"
    )
