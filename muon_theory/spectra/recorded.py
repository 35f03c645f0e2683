"""The project's test set for orthogonalizers: exact spectra of gradients and momenta recorded in real training.

Only the spectra are committed. A matrix is rebuilt from its spectrum and random singular vectors seeded by its name;
every orthogonalizer that maps singular values alone behaves on it as on the recorded original, up to rounding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from muon_theory.spectra.prescribed import prescribed_matrix

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
RECORDED_FILE = Path(__file__).with_name("recorded_spectra.parquet")
COLUMNS = ("name", "dataset", "optimizer", "layer", "kind", "step", "rows", "columns", "sigma")


def recorded_spectra(path: str | Path | None = None) -> pd.DataFrame:
    """The committed table of recorded spectra, one row a matrix.

    Args:
        path: a file of the same layout; None for the one that comes with the package.

    Returns:
        DataFrame with columns name (unique), dataset, optimizer, layer (the parameter's name), kind (gradient, momentum
        or lmo_input), step, rows, columns, and sigma: float64 array of length min(rows, columns), descending, in the
        unit of the gradient.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of this layout, or written in a newer format.

    Source: recorded here with the spectrum recorder.

    Example:
        >>> table = recorded_spectra()
        >>> {"name", "kind", "sigma"} <= set(table.columns)
        True
    """
    import pandas as pd
    import pyarrow.parquet as pq

    file = RECORDED_FILE if path is None else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no recorded spectra there; build them with build_recorded_set or reinstall")
    try:
        stored = pq.read_table(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is not a readable Parquet file ({error}); restore it from the repository") from error
    metadata: dict[bytes, bytes] = stored.schema.metadata or {}
    version = int(metadata.get(b"format_version", b"1"))
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{file} has format_version {version}, this release reads {FORMAT_VERSION}; update the package"
        )
    missing = [column for column in COLUMNS if column not in stored.column_names]
    if missing:
        raise ValueError(f"{file} lacks the columns {missing}; it is not a table of recorded spectra")
    columns: dict[str, Any] = {column: stored.column(column).to_pylist() for column in COLUMNS}
    columns["sigma"] = [np.asarray(sigma, dtype=np.float64) for sigma in columns["sigma"]]
    table = pd.DataFrame(columns)
    twice = [name for name, count in table["name"].value_counts().items() if count > 1]
    if twice:
        raise ValueError(f"{file} holds the names {twice[:3]} more than once; names must be unique")
    return table


def recorded_matrix(row_or_name: Any, *, dtype: torch.dtype = torch.float32, path: str | Path | None = None) -> Tensor:
    """A recorded matrix, rebuilt from its spectrum and singular vectors seeded by its name.

    Args:
        row_or_name: a name from the table of recorded spectra, or a row of it: a Series or a mapping with the keys
            name, rows, columns and sigma.
        dtype: dtype of the result; the matrix is formed in float64 and rounded once.
        path: where names are looked up; None for the table that comes with the package.

    Returns:
        Tensor of shape (rows, columns) on the CPU; the same name gives the same matrix everywhere, up to rounding.

    Raises:
        KeyError: no matrix of that name.
        TypeError: neither a name nor a row.

    Source: elementary.

    Accuracy: singular values to a few eps * sigma_1 of float64, then to the rounding of dtype.

    Example:
        >>> row = {"name": "example", "rows": 2, "columns": 3, "sigma": [2.0, 0.5]}
        >>> torch.linalg.svdvals(recorded_matrix(row, dtype=torch.float64))
        tensor([2.0000, 0.5000], dtype=torch.float64)
    """
    row = row_or_name
    if isinstance(row_or_name, str):
        table = recorded_spectra(path)
        found = table[table["name"] == row_or_name]
        if found.empty:
            raise KeyError(f"no recorded matrix is called {row_or_name!r}; see recorded_spectra()['name']")
        row = found.iloc[0]
    if not (isinstance(row, Mapping) or hasattr(row, "index")) or not {"name", "rows", "columns", "sigma"} <= {
        *row.keys()
    }:
        raise TypeError(
            f"row_or_name is a {type(row_or_name).__name__}; pass a name or a row with name, rows, columns and sigma"
        )
    return prescribed_matrix(
        row["sigma"], int(row["rows"]), int(row["columns"]), seed=name_seed(str(row["name"])), dtype=dtype
    )


def name_seed(name: str) -> int:
    """Seed derived from a name, the same on every machine and in every Python: 8 bytes of its SHA-256.

    Args:
        name: any text.

    Returns:
        An integer in [0, 2^64).

    Source: elementary.

    Example:
        >>> name_seed("example") == name_seed("example") != name_seed("exampl")
        True
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
