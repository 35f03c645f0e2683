"""The tidy table of a study on disk: one row one observation, six significant digits, compressed when long."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from muon_theory.reporting.atomic import atomic_path

LARGEST_PLAIN_TABLE = 200_000
"""Bytes beyond which the table is written as `table.csv.gz`."""


def write_table(table: pd.DataFrame, folder: Path) -> Path:
    r"""Write `table.csv`, or `table.csv.gz` beyond 200 kB, atomically; the other of the two is removed.

    Args:
        table: one row one observation; list-valued columns are written as JSON lists.
        folder: where; made if missing.

    Returns:
        The file written. Floats have six significant digits; equal tables give equal bytes.

    Source: elementary.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_table(pd.DataFrame({"q": [1], "error": [1 / 3]}), folder).read_text()
    'q,error\n1,0.333333\n'
    """
    shown = table.copy()
    for name in shown.columns:
        if shown[name].dtype == object:
            shown[name] = [_cell_text(value) for value in shown[name]]
    content = shown.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()
    plain, packed = folder / "table.csv", folder / "table.csv.gz"
    path, other = (packed, plain) if len(content) > LARGEST_PLAIN_TABLE else (plain, packed)
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if path == packed else content)
    other.unlink(missing_ok=True)
    return path


def read_table(folder: Path) -> pd.DataFrame:
    """Read the table of a study's folder.

    Args:
        folder: as given to `write_table`.

    Returns:
        The table; JSON lists are numpy arrays again.

    Raises:
        FileNotFoundError: the folder has no table.

    Source: elementary.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = write_table(pd.DataFrame({"sigma": [[1.0, 0.5]]}), folder)
    >>> read_table(folder).sigma[0]
    array([1. , 0.5])
    """
    for path in (folder / "table.csv", folder / "table.csv.gz"):
        if path.exists():
            table = pd.read_csv(path, keep_default_na=False, na_values=[""])
            for name in table.columns:
                if table[name].astype(str).str.startswith("[").any():
                    table[name] = pd.Series([_parsed(value) for value in table[name]], dtype=object)
            return table
    raise FileNotFoundError(f"{folder} holds no table.csv; run the study first")


def _cell_text(value: Any) -> Any:
    """A list as JSON with six significant digits, anything else as it is."""
    if isinstance(value, np.ndarray | list | tuple):
        return json.dumps([_rounded(item) for item in np.asarray(value).tolist()])
    return value


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def _parsed(value: Any) -> Any:
    return np.asarray(json.loads(value)) if isinstance(value, str) and value.startswith("[") else value
