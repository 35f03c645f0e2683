"""One session's files in a recording folder, open for appending: a journal, compacted every so many events."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from muon_theory.recorder.faults import remedy
from muon_theory.recorder.journal import FORMAT_VERSION, Journal, read_journal
from muon_theory.recorder.layout import (
    METADATA_KEY,
    Spectrum,
    event_record,
    read_spectra_file,
    recording_files,
    schema_of,
)
from muon_theory.recorder.matrices import MatrixKey, compact_matrices, event_blob

if TYPE_CHECKING:
    from torch import Tensor

_ROW_GROUP_BYTES = 16 * 2**20
_logger = logging.getLogger(__name__)


class SpectrumStore:
    """A session: the files that one entered recorder writes.

    Args:
        folder: an existing folder.
        run: name of the run; None names it after the session, `run_<session>`.
        first_step: step at which the session begins.
        layers: name and shape of each parameter whose matrices are recorded.
        events_per_part: events between two compactions.
        quantiles_above: spectra of more values than that are stored as quantiles; None: none.

    Source: elementary (write-ahead log and compaction).
    """

    def __init__(
        self,
        folder: Path,
        run: str | None,
        first_step: int,
        layers: Mapping[str, Sequence[int]],
        events_per_part: int,
        quantiles_above: int | None = None,
    ) -> None:
        self.folder = folder
        self.session = max((file.session for file in recording_files(folder)), default=0)
        self._part = 0
        self._events_per_part = events_per_part
        self._quantiles_above = quantiles_above
        self._events = 0
        self._process = os.getpid()
        self._matrices: Journal | None = None
        self._spectra: Journal | None = None
        while self._spectra is None:
            self.session += 1
            self.run = run or f"run_{self.session}"
            self.header = {
                "format_version": 1 if quantiles_above is None else FORMAT_VERSION,
                "run": self.run,
                "first_step": first_step,
                "layers": {name: list(shape) for name, shape in layers.items()},
            }
            self._spectra = self._claim()

    def append(self, spectra: Sequence[Spectrum], matrices: Mapping[MatrixKey, Tensor] | None = None) -> None:
        """Store one event; when the call returns, it survives the end of the process.

        Args:
            spectra: the rows of the event.
            matrices: the matrices behind them, or None.

        Raises:
            RuntimeError: the process is a fork of the one that owns the session.

        Source: elementary.
        """
        if os.getpid() != self._process:
            raise RuntimeError("this process is a fork of the one that records: enter a recorder of its own")
        if matrices:
            self._matrices = self._matrices or self._open("matrices")
            self._matrices.append(event_blob(matrices))
        self._spectra = self._spectra or self._open("spectra")
        self._spectra.append(event_record(self.run, spectra, self._quantiles_above))
        self._events += 1
        if self._events % self._events_per_part == 0:
            self._compact()

    def close(self) -> None:
        """Compact what the journals hold and close the session; a session without events leaves no file.

        Source: elementary.
        """
        if os.getpid() == self._process:
            self._compact()
        for journal in (self._spectra, self._matrices):
            if journal is not None:
                journal.close()
        self._spectra = self._matrices = None
        if os.getpid() == self._process:
            self._sweep()

    def _sweep(self) -> None:
        """Remove journals of this session that an interrupt kept from being removed, or from being used."""
        for journal in self.folder.glob(f"*-{self.session:06d}-*.journal"):
            compacted = journal.with_suffix(".parquet" if journal.name.startswith("spectra") else ".safetensors")
            with contextlib.suppress(OSError, ValueError):  # then it stays, and is read
                unused = next(itertools.islice(read_journal(journal), 1, None), None) is None
                if compacted.exists() or unused:
                    journal.unlink()

    def _path(self, content: str) -> Path:
        return self.folder / f"{content}-{self.session:06d}-{self._part:05d}.journal"

    def _claim(self) -> Journal | None:
        try:
            journal = Journal(self._path("spectra"), self.header)
        except FileExistsError:
            return None
        # Another recorder may have used the same number up between the listing and the creation of the file.
        if sum(file.session == self.session for file in recording_files(self.folder)) > 1:
            journal.close()
            journal.path.unlink()
            return None
        return journal

    def _open(self, content: str) -> Journal:
        while True:
            try:
                return Journal(self._path(content), self.header)
            except FileExistsError:  # left by an interrupt between the file's creation and its use
                self._part += 1

    def _compact(self) -> None:
        spectra, matrices = self._spectra, self._matrices
        try:
            if self._events and matrices is not None:
                _atomically(matrices.path.with_suffix(".safetensors"), lambda path: self._merge(matrices.path, path))
            if self._events and spectra is not None:
                _atomically(spectra.path.with_suffix(".parquet"), lambda path: self._write(spectra.path, path))
        except (OSError, ValueError, pa.ArrowException) as error:
            text = "compaction failed, the events stay in the journals of %s: %s"
            _logger.warning(text, self.folder, remedy(error))
            return
        # From here on nothing appends to the old journals, whatever interrupts.
        self._spectra = self._matrices = None
        self._events = 0
        self._part += 1
        for journal in (spectra, matrices):
            if journal is not None:
                journal.close()
                journal.path.unlink()

    def _merge(self, journal: Path, path: Path) -> None:
        compact_matrices(journal, path, self.header)

    def _write(self, journal: Path, path: Path) -> None:
        header, batches = read_spectra_file(journal)
        schema = schema_of(header).with_metadata({METADATA_KEY: json.dumps(header).encode()})
        # pyarrow takes lists of columns here; its type stubs say bool
        split: Any = ["sigma.list.element"]
        named: Any = ["run", "layer", "kind", "dtype"]
        with pq.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=named, use_byte_stream_split=split
        ) as out:
            group: list[pa.RecordBatch] = []
            size = 0
            for batch in batches:
                group.append(batch)
                size += batch.nbytes
                if size > _ROW_GROUP_BYTES:
                    out.write_table(pa.Table.from_batches(group))
                    group, size = [], 0
            if group:
                out.write_table(pa.Table.from_batches(group))


def _atomically(path: Path, write: Callable[[Path], None]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        write(temporary)
        _synchronise(temporary)
        temporary.replace(path)
        _synchronise(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
