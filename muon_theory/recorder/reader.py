"""Reading a recording back, of a finished, a running or a killed run.

Of several rows for one (run, step, layer, kind) the one recorded last counts. A session that resumed a run at step s
replaces what earlier sessions of that run recorded at steps >= s, in the layers it records itself: those steps belong
to a branch of the training that was given up. Nothing is removed from the folder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from muon_theory.recorder.layout import CONDENSED_SCHEMA, SCHEMA, RecordingFile, read_spectra_file, recording_files
from muon_theory.recorder.quantiles import condensed_spectrum

if TYPE_CHECKING:
    from torch import Tensor

_IDENTITY = ["run", "step", "layer", "kind"]
_SUMS = ("frobenius_norm", "nuclear_norm", "entropy")
_logger = logging.getLogger(__name__)


def read_spectra(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """All recorded spectra of a folder.

    Args:
        folder: folder of one or several recordings, also while they are being written.

    Returns:
        DataFrame with one row a spectrum, ordered by run, step, layer and kind (the latter two as in the model and in
        `KINDS`): run (text), step (int64), layer (text), kind (text), rows and columns (int64), dtype (text, as torch
        names it), noise_floor (float64, in the unit of sigma; NaN where the matrix held NaN or inf), sigma (float64
        arrays of shape (min(rows, columns),), descending; all NaN where the matrix held NaN or inf). A folder without
        a recorded event gives no rows. Where a recorder condensed spectra (`quantiles_above`), four columns more say
        which: condensed (bool; sigma of those rows holds 65 quantiles, see `muon_theory.recorder.quantiles`), and, of
        every row's whole spectrum, frobenius_norm, nuclear_norm (in the unit of sigma) and entropy (nats).

    A folder that does not exist is refused with a FileNotFoundError, a file with a NotADirectoryError, a part that is
    damaged or that a newer release wrote with a ValueError that names it.

    Source: elementary.
    """
    return _read(folder).drop(columns="session")


def read_matrices(folder: str | os.PathLike[str]) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """The recorded matrices of a folder, one after the other, where a recorder was told to store them.

    Args:
        folder: folder of one or several recordings.

    Yields:
        (row, matrix): the row of `read_spectra` that belongs to the matrix, as a dict, and the matrix of shape
        (rows, columns), on the CPU, in the dtype it was recorded in. Ordered by session and file.

    Source: elementary.
    """
    from muon_theory.recorder.matrices import read_matrices_file

    table = _read(folder)
    rows = {(row["session"], row["step"], row["layer"], row["kind"]): row for row in table.to_dict("records")}
    for file in recording_files(Path(folder)):
        if file.content != "matrices":
            continue
        for key, matrix in read_matrices_file(file.path):
            row = rows.pop((file.session, key.step, key.layer, key.kind), None)
            if row is not None:
                row.pop("session")
                yield row, matrix


def _read(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """The rows of a folder with their session number, all that were complete when the files were listed."""
    path = Path(folder)
    if not path.exists():
        raise FileNotFoundError(f"there is no folder {path}: pass the folder that a SpectrumRecorder was given")
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is a file: pass the folder that a SpectrumRecorder was given")
    table, headers = _concatenated([file for file in recording_files(path) if file.content == "spectra"])
    if not len(table):
        _logger.warning("%s holds no recorded event", path)
    current = _current(table, headers)
    return table.loc[current].sort_values(by=["run", "step"], kind="stable", ignore_index=True)


def _concatenated(files: list[RecordingFile]) -> tuple[pd.DataFrame, dict[int, dict[str, Any]]]:
    """All rows of the files in the order they were recorded, and the header of each session that has rows."""
    headers: dict[int, dict[str, Any]] = {}
    batches: list[pa.RecordBatch] = []
    sessions: list[int] = []
    for file in files:
        try:
            header, found = read_spectra_file(file.path)
        except FileNotFoundError:  # withdrawn since the listing: only a journal without an event ever is
            continue
        for batch in found:
            batches.append(batch)
            sessions += [file.session] * batch.num_rows
            headers[file.session] = header or {}
    rows = _table(batches)
    table = rows.drop_columns("sigma").to_pandas()
    table["sigma"] = pd.Series([sigma for chunk in rows["sigma"].chunks for sigma in _arrays(chunk)], dtype=object)
    if "condensed" in table.columns:
        table = _with_sums(table)
    table["session"] = np.array(sessions, dtype=np.int64)
    return table, headers


def _table(batches: list[pa.RecordBatch]) -> pa.Table:
    """The batches in one table, with the columns of condensed spectra where at least one of them has any."""
    if not any(
        "condensed" in batch.schema.names and True in batch["condensed"].unique().to_pylist() for batch in batches
    ):
        return pa.Table.from_batches([batch.select(SCHEMA.names) for batch in batches], SCHEMA)
    whole = []
    for batch in batches:
        arrays = list(batch.columns)
        for name in CONDENSED_SCHEMA.names[len(arrays) :]:
            arrays.append(pa.nulls(batch.num_rows, CONDENSED_SCHEMA.field(name).type))
        whole.append(pa.RecordBatch.from_arrays(arrays, schema=CONDENSED_SCHEMA))
    return pa.Table.from_batches(whole, CONDENSED_SCHEMA)


def _with_sums(table: pd.DataFrame) -> pd.DataFrame:
    """The sums of the spectra that are stored whole, beside those of the condensed ones."""
    condensed = table["condensed"].fillna(False).astype(bool).to_numpy()
    sums = {name: table[name].to_numpy(dtype=np.float64, copy=True) for name in _SUMS}
    for row in np.flatnonzero(~condensed):
        found = condensed_spectrum(table["sigma"].iloc[row])
        for name in _SUMS:
            sums[name][row] = getattr(found, name)
    return table.assign(condensed=condensed, **sums)


def _arrays(lists: pa.ListArray) -> list[np.ndarray]:
    """The lists of an Arrow array as writable numpy arrays."""
    offsets = lists.offsets.to_numpy()
    return np.split(
        lists.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]].copy(), offsets[1:-1] - offsets[0]
    )


def _current(table: pd.DataFrame, headers: dict[int, dict[str, Any]]) -> np.ndarray:
    """Which rows count: not recorded again later, and not of a branch that a resumed session gave up."""
    current = ~table.duplicated(_IDENTITY, keep="last").to_numpy()
    for session, header in headers.items():
        given_up = (table["session"] < session) & (table["run"] == header["run"])
        given_up &= (table["step"] >= header["first_step"]) & table["layer"].isin(header["layers"])
        current &= ~given_up.to_numpy()
    return current
