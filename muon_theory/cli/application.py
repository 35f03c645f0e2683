"""The application: commands, exit status (0 fine, 1 a check or a cell failed, 2 bad usage), errors in one line."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

import muon_theory
from muon_theory.cli import check, fetch, plan, report, run, spectra, train
from muon_theory.cli.screen import DEBUG_VARIABLE, complain, debugging

app = typer.Typer(
    name="muon-theory",
    help="The theory of Muon and spectral optimizers, run rather than quoted.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (run, check, train, spectra, plan, report, fetch):
    commands.register(app)

# Bad usage as typer knows it; older releases take it from click, newer ones bring their own.
UsageError: Any = typer.BadParameter.__mro__[1]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"muon-theory {muon_theory.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _application(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    del version
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after the program's name; those of the process by default.

    Returns:
        Exit status: 0 fine, 1 a check or a cell failed, 2 bad usage, 130 interrupted.

    Raises:
        ValueError: bad usage, with `--debug`; without it the message is printed.
        TypeError: likewise.
        OSError: likewise.

    Source: elementary.

    >>> main(["--version"])
    muon-theory ...
    0
    """
    try:
        status = app(args=arguments, prog_name="muon-theory", standalone_mode=False)
    except UsageError as error:
        complain(f"{error.format_message()} (`{_command(error)} --help` shows what it takes)")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except BrokenPipeError:
        # The reader of our output left, e.g. `| head`; nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError) as error:
        if debugging():
            raise
        complain(f"{' '.join(str(error).split()) or type(error).__name__}")
        return 2
    if status == 130:  # newer typers turn an interruption into this status by themselves
        complain("interrupted; what was finished is kept, and the same command goes on from there")
    return status if isinstance(status, int) else 0


def _command(error: Any) -> str:
    """The command a usage error belongs to."""
    return error.ctx.command_path if getattr(error, "ctx", None) is not None else "muon-theory"
