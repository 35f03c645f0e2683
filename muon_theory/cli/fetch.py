"""`muon-theory fetch`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muon_theory.cli.screen import screen

if TYPE_CHECKING:
    from muon_theory.reporting.progress import Bar

FETCH_HELP = """Download a data set, checked by its SHA-256: mnist, cifar10 or tinyshakespeare.

It goes to the folder given, else to $MUON_THEORY_DATA, else to the user's cache folder. What is there already is kept,
and an interrupted download goes on where it stopped. The terms of the data set are stated.
"""

KILOBYTE = 1024


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("fetch", help=FETCH_HELP, short_help="Download a data set, checked by its SHA-256.")(_fetch)


def _fetch(
    dataset: Annotated[str, typer.Argument(help="mnist, cifar10 or tinyshakespeare.")],
    data: Annotated[Path | None, typer.Option(help="Folder of data sets [default: $MUON_THEORY_DATA].")] = None,
) -> None:
    """Download a data set into the data folder."""
    from muon_theory.problems.data_folder import data_folder
    from muon_theory.problems.data_sets import DATA_SETS, fetch

    if dataset == "digits":
        screen().print("digits: bundled with scikit-learn, nothing to fetch")
        return
    if dataset not in DATA_SETS:
        raise ValueError(f"fetch {dataset}: can fetch {', '.join(DATA_SETS)}; digits is bundled")
    screen().print(f"{dataset}: {DATA_SETS[dataset].terms}", soft_wrap=True, markup=False)
    with _Bars() as bars:
        files = fetch(dataset, data, progress=bars)
    folder = data_folder(data) / DATA_SETS[dataset].folder
    screen().print(f"{dataset}: {len(files)} file{'s' if len(files) > 1 else ''}, checked, in {folder}", soft_wrap=True)
    if data is not None:
        screen().print(f"use it with --data {data} or MUON_THEORY_DATA={data.resolve()}", soft_wrap=True)


class _Bars:
    """A bar for each file in turn, in kilobytes."""

    def __init__(self) -> None:
        self._name = ""
        self._shown = 0
        self._bar: Bar | None = None
        self._context: AbstractContextManager[Bar] | None = None

    def __call__(self, name: str, there: int, total: int | None) -> None:
        """Show how far a file has come."""
        from muon_theory.reporting.progress import progress

        done = there // KILOBYTE
        if name != self._name or done < self._shown:
            self.__exit__()
            self._context = progress(max((total or there) // KILOBYTE, 1), name, unit="kB", done=done)
            self._bar, self._name, self._shown = self._context.__enter__(), name, done
        elif self._bar is not None and done > self._shown:
            self._bar.advance(done - self._shown)
            self._shown = done

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
        self._context = self._bar = None
        self._name = ""
