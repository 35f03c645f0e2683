"""`muon-theory fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muon_theory.cli.screen import screen


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("fetch", help="Download a data set, checked by its SHA-256.")(_fetch)


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
