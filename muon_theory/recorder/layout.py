"""How a recording lies on disk.

Each recorder that is entered claims a session number of its own in the folder, so several recorders, processes and
restarted runs share a folder without touching one another's files:

    spectra-<session>-<part>.journal      events since the last part; a kill costs at most the event being written
    spectra-<session>-<part>.parquet      compacted: written under a temporary name, synchronised, renamed
    matrices-<session>-<part>.journal     the matrices of those events, where they are stored too
    matrices-<session>-<part>.safetensors

The journal of a part is removed after the part got its name. A kill between the two leaves both; the reader takes the
union. A journal that is gone when it is opened was compacted since it was listed: its part holds what it held.
Leftovers named `*.tmp` mean nothing and may be deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from muon_theory.recorder.journal import read_journal, refuse_newer
from muon_theory.recorder.quantiles import condensed_spectrum

SCHEMA = pa.schema([
    ("run", pa.string()),
    ("step", pa.int64()),
    ("layer", pa.string()),
    ("kind", pa.string()),
    ("rows", pa.int64()),
    ("columns", pa.int64()),
    ("dtype", pa.string()),
    ("noise_floor", pa.float64()),
    ("sigma", pa.list_(pa.float64())),
])
"""Columns of a recording, in journals and Parquet parts alike."""

CONDENSED_SCHEMA = pa.schema([
    *SCHEMA,
    ("condensed", pa.bool_()),
    ("frobenius_norm", pa.float64()),
    ("nuclear_norm", pa.float64()),
    ("entropy", pa.float64()),
])
"""Columns where spectra of large matrices are condensed: sigma holds their quantiles then, and sums the rest."""

METADATA_KEY = b"muon_theory"
"""Key of the header (JSON) in the metadata of a Parquet part."""

_NAME = re.compile(r"(spectra|matrices)-(\d+)-(\d+)\.(journal|parquet|safetensors)")


class RecordingFile(NamedTuple):
    """A file of a recording, named after its content (`spectra` or `matrices`), session and part.

    Source: elementary.
    """

    content: str
    session: int
    part: int
    path: Path


@dataclass(frozen=True)
class Spectrum:
    """One recorded spectrum: a row of the recording.

    Args:
        step: global step, an int >= 0.
        layer: the parameter's name in the model.
        kind: what the matrix is, one of `muon_theory.recorder.KINDS`.
        rows: rows m of the matrix.
        columns: columns n of the matrix.
        dtype: dtype of the matrix as torch names it, e.g. `float32`.
        noise_floor: below this value sigma says nothing, in the unit of sigma.
        sigma: singular values, shape (min(m, n),), float64, descending. (Condensed when they are stored, if at all.)

    Source: elementary.
    """

    step: int
    layer: str
    kind: str
    rows: int
    columns: int
    dtype: str
    noise_floor: float
    sigma: np.ndarray


def recording_files(folder: Path) -> list[RecordingFile]:
    """The files of the recordings in a folder, ordered by session, part and name.

    Args:
        folder: an existing folder; files of other programs in it are left out.

    Returns:
        the files. Empty where nothing was recorded.

    Source: elementary.
    """
    # One listing may miss a part that gets its name and its journal that is removed meanwhile; two equal ones do not.
    earlier, files = None, _listing(folder)
    while files != earlier:
        earlier, files = files, _listing(folder)
    return files


def _listing(folder: Path) -> list[RecordingFile]:
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    files = [RecordingFile(name[1], int(name[2]), int(name[3]), path) for name, path in matches if name]
    return sorted(files, key=lambda file: (file.session, file.part, file.path.name))


def schema_of(header: Mapping[str, Any] | None) -> pa.Schema:
    """The columns of the files of a session.

    Args:
        header: the session's header; None where it is not known.

    Returns:
        `SCHEMA`, or from format version 2 on `CONDENSED_SCHEMA`.

    Source: elementary.
    """
    return SCHEMA if header is None or header.get("format_version", 1) == 1 else CONDENSED_SCHEMA


def event_record(run: str, spectra: Sequence[Spectrum], quantiles_above: int | None = None) -> bytes:
    """The journal record of one event: its rows as an Arrow record batch.

    Args:
        run: name of the run.
        spectra: the rows of the event.
        quantiles_above: spectra of more values than that are condensed; None: none, and no columns for it.

    Returns:
        the bytes of the batch, without its schema.

    Source: elementary.
    """
    columns = {name: [getattr(each, name) for each in spectra] for name in SCHEMA.names[1:-1]}
    condensed = [
        condensed_spectrum(each.sigma) if quantiles_above is not None and len(each.sigma) > quantiles_above else None
        for each in spectra
    ]
    stored = [each.sigma if few is None else few.quantiles for each, few in zip(spectra, condensed, strict=True)]
    offsets = np.concatenate([[0], np.cumsum([len(sigma) for sigma in stored])]).astype(np.int32)
    values = np.concatenate(stored) if stored else np.empty(0)
    arrays = [pa.array([run] * len(spectra), pa.string())]
    arrays += [pa.array(values_of, SCHEMA.field(name).type) for name, values_of in columns.items()]
    arrays.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.float64())))
    if quantiles_above is None:
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA).serialize().to_pybytes()
    arrays.append(pa.array([few is not None for few in condensed], pa.bool_()))
    for name in CONDENSED_SCHEMA.names[len(arrays) :]:
        arrays.append(pa.array([None if few is None else getattr(few, name) for few in condensed], pa.float64()))
    return pa.RecordBatch.from_arrays(arrays, schema=CONDENSED_SCHEMA).serialize().to_pybytes()


def read_spectra_file(path: Path) -> tuple[dict[str, Any] | None, Iterator[pa.RecordBatch]]:
    """The header and the rows of one file of spectra, journal or Parquet part.

    Args:
        path: the file; of a journal that was compacted since it was listed, the part is read.

    Returns:
        the header (None where the process was killed before it was written) and an iterator of record batches.

    Raises:
        ValueError: the file is damaged, is not the recorder's, or was written by a newer release.

    Source: elementary.
    """
    if path.suffix == ".journal":
        records = read_journal(path)
        try:
            beginning = next(records, None)
        except FileNotFoundError:
            return read_spectra_file(path.with_suffix(".parquet"))
        header = None if beginning is None else json.loads(beginning)
        schema = schema_of(header)
        return header, (pa.ipc.read_record_batch(pa.py_buffer(record), schema) for record in records)
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is damaged ({error}): move it out of the folder to read the rest") from error
    metadata = file.schema_arrow.metadata or {}
    if METADATA_KEY not in metadata:
        raise ValueError(f"{path} was not written by the spectrum recorder: move it out of the folder")
    header = json.loads(metadata[METADATA_KEY])
    refuse_newer(header["format_version"], path)
    return header, chain.from_iterable(file.read_row_group(i).to_batches() for i in range(file.num_row_groups))


def last_step(path: Path) -> int | None:
    """The largest step in one file of spectra, from a Parquet part's statistics without reading its rows.

    Args:
        path: the file.

    Returns:
        the step, or None where the file has no rows.

    Source: elementary.
    """
    if path.suffix == ".journal":
        return max((step for batch in read_spectra_file(path)[1] for step in batch["step"].to_pylist()), default=None)
    metadata = pq.read_metadata(path)
    groups = (metadata.row_group(i).column(SCHEMA.get_field_index("step")) for i in range(metadata.num_row_groups))
    return max((group.statistics.max for group in groups if group.statistics is not None), default=None)
