"""Finished cells on disk: a table each, with the parameters, the context, the versions and the code it came from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from muon_theory.reporting.atomic import atomic_path

FORMAT_VERSION = 1


class Origin(NamedTuple):
    """Where the result of a cell comes from.

    Source: elementary.
    """

    cell: str
    """The cell's parameters, canonical JSON."""
    context: str
    """What else the result depends on, e.g. the fingerprint of a data folder."""
    versions: str
    """Versions of the packages that do arithmetic, canonical JSON."""
    code: str
    """Hash of the code."""


def write_result(file: Path | None, table: pa.Table, origin: Origin) -> None:
    """Write the result of a cell atomically.

    Args:
        file: where to, or None for nowhere.
        table: the rows.
        origin: what is kept with them.

    Source: elementary.
    """
    if file is None:
        return
    metadata = {"format_version": str(FORMAT_VERSION)} | origin._asdict()
    with atomic_path(file) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_result(file: Path) -> pa.Table | None:
    """The result of a finished cell.

    Args:
        file: where it would be.

    Returns:
        The rows, or None: no such file; a file of another format, or damaged, counts as not there.

    Source: elementary.
    """
    try:
        table = pq.read_table(file)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    metadata = table.schema.metadata or {}
    return table if metadata.get(b"format_version") == str(FORMAT_VERSION).encode() else None


def earlier_results(folder: Path) -> dict[tuple[str, str, str], pa.Table]:
    """The newest result of each cell in a folder of one function's results, whatever the code it came from.

    Args:
        folder: the folder; it need not exist.

    Returns:
        Parameters, context and versions to the rows.

    Source: elementary.

    >>> earlier_results(Path("no such folder"))
    {}
    """
    files = sorted(folder.glob("*.parquet"), key=lambda file: file.stat().st_mtime)
    results = {}
    for table in map(read_result, files):
        metadata = {} if table is None else table.schema.metadata
        if b"cell" in metadata:
            cell, context, versions = (metadata[name.encode()].decode() for name in Origin._fields[:3])
            results[cell, context, versions] = table
    return results


def same_numbers(one: pa.Table, other: pa.Table) -> bool:
    """Whether two results of a cell are the same, bit for bit, but for times.

    Args:
        one: rows.
        other: rows.

    Returns:
        Whether columns, types and values agree; columns whose names end in `_s` are left out, NaN equals NaN.

    Source: elementary.

    >>> table = pa.table({"loss": [0.1, float("nan")], "time_s": [1.0, 2.0]})
    >>> same_numbers(table, table.set_column(1, "time_s", pa.array([3.0, 4.0])))
    True
    >>> same_numbers(table, table.set_column(0, "loss", pa.array([0.1 + 2e-17, 0.1])))
    False
    """
    frames = [table.replace_schema_metadata(None).to_pandas() for table in (one, other)]
    frames = [frame[[name for name in frame if not str(name).endswith("_s")]] for frame in frames]
    try:
        pd.testing.assert_frame_equal(frames[0], frames[1], check_exact=True)
    except AssertionError:
        return False
    return True
