"""What the commands share: where words go, and the folder of the cache."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rich.console import Console

CACHE_VARIABLE = "MUON_THEORY_CACHE"
DEBUG_VARIABLE = "MUON_THEORY_DEBUG"


def screen() -> Console:
    """The console of results, standard output.

    Returns:
        A rich console; colours only on a terminal and without NO_COLOR.

    Source: elementary.
    """
    return Console(highlight=False)


def complain(message: str) -> None:
    """Say in one line on standard error what is wrong and what to do.

    Args:
        message: the line.

    Source: elementary.
    """
    Console(stderr=True, highlight=False).print(f"muon-theory: {message}", markup=False, soft_wrap=True)


def cache_folder() -> Path:
    """Folder of finished cells and verdicts: $MUON_THEORY_CACHE, else inside the user's cache folder.

    Returns:
        The folder, made if missing.

    Raises:
        ValueError: it cannot be written.

    Source: elementary.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        folder = Path(named).expanduser()
    else:
        import pooch

        folder = Path(pooch.os_cache("muon_theory")) / "results"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"cannot write to the cache {folder} ({error.strerror}); name another folder in {CACHE_VARIABLE}, "
            "or give --no-cache"
        ) from error
    return folder


def cores() -> int:
    """Number of cores this process may use.

    Returns:
        At least 1.

    Source: elementary.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def debugging() -> bool:
    """Whether tracebacks are wanted, by `--debug` or $MUON_THEORY_DEBUG.

    Returns:
        True if so.

    Source: elementary.
    """
    return bool(os.environ.get(DEBUG_VARIABLE))
