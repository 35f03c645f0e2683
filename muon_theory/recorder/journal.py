"""An append-only journal: what was appended before a process was killed is read back, whatever the moment.

Layout: a mark with the format version, then records. A record is a mark of its own, the payload's length and CRC-32,
and the payload; the first record is a JSON header. A record counts once it is whole, so a torn tail costs only the
record that was being written, and a damaged record only itself: the scan goes on at the next mark with a matching
checksum. Appending hands the bytes to the operating system, which keeps them when the process dies; a power cut may
lose records that were not yet compacted.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORMAT_VERSION = 2
"""Newest version of what the recorder stores, in journals, Parquet parts and matrix parts, and newest that is read.

Version 2 has columns for condensed spectra; a session that condenses none writes version 1.
"""

_FILE_MARK = b"muon_theory journal\n"
_RECORD_MARK = b"\xf5REC"
_FILE_HEAD = struct.Struct(f"<{len(_FILE_MARK)}sI")
_RECORD_HEAD = struct.Struct(f"<{len(_RECORD_MARK)}sQI")


class Journal:
    """A journal open for appending.

    Args:
        path: file to create; it must not exist.
        header: what the records belong to, stored as JSON in the first record; `format_version` in it, 1 where it is
            missing, is that of the file.

    Source: elementary (write-ahead logging).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder) / "one.journal", {"run": "a"})
    ...     journal.append(b"first")
    ...     journal.close()
    ...     list(read_journal(journal.path))
    [b'{"run": "a"}', b'first']
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        self._size = 0
        try:
            self._write(
                _FILE_HEAD.pack(_FILE_MARK, header.get("format_version", 1)) + _record(json.dumps(header).encode())
            )
        except BaseException:  # no file and no descriptor for each attempt on a full disk
            os.close(self._file)
            path.unlink(missing_ok=True)
            raise

    def append(self, payload: bytes) -> None:
        """Append one record; when the call returns, the record survives the end of the process.

        Args:
            payload: the record's bytes.

        Source: elementary.
        """
        self._write(_record(payload))

    def close(self) -> None:
        """Close the file; nothing is buffered here, so nothing is written.

        Source: elementary.
        """
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except BaseException:  # a full disk, a signal: leave no torn record before the next one
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)


def read_journal(path: Path) -> Iterator[bytes]:
    """The whole records of a journal, header first; a torn tail and damaged records are left out.

    Args:
        path: a journal, of a living process or of one that was killed.

    Yields:
        the payload of each whole record. Nothing at all when the process was killed before the header was complete.

    A file that is no journal, or one that a newer release wrote, is refused with a ValueError.

    Source: elementary.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _FILE_HEAD.size:
            check_beginning(file.read(), path)
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_beginning(data[: _FILE_HEAD.size], path)
            yield from _records(data)


def check_beginning(beginning: bytes, path: Path) -> None:
    """Refuse a file that is no journal, or one of a newer format.

    Args:
        beginning: the first bytes of the file, fewer where the file ends sooner.
        path: the file, for the message.

    Raises:
        ValueError: the bytes are not those of a journal, or the version is newer than this release reads.

    Source: elementary.
    """
    if not _FILE_MARK.startswith(beginning[: len(_FILE_MARK)]):
        raise ValueError(f"{path} is not a journal of the spectrum recorder: move it out of the folder")
    if len(beginning) >= _FILE_HEAD.size:
        refuse_newer(_FILE_HEAD.unpack(beginning[: _FILE_HEAD.size])[1], path)


def refuse_newer(version: int, path: Path) -> None:
    """Refuse a file whose format is newer than this release.

    Args:
        version: the format version found in the file.
        path: the file, for the message.

    Raises:
        ValueError: the version is newer than `FORMAT_VERSION`.

    Source: elementary.

    >>> refuse_newer(FORMAT_VERSION, Path("spectra-000001-00000.parquet"))
    """
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, and this release reads versions up to {FORMAT_VERSION}: "
            "install a newer muon_theory to read it"
        )


def _record(payload: bytes) -> bytes:
    return _RECORD_HEAD.pack(_RECORD_MARK, len(payload), zlib.crc32(payload)) + payload


def _records(data: mmap.mmap) -> Iterator[bytes]:
    position = _FILE_HEAD.size
    while (position := data.find(_RECORD_MARK, position)) >= 0 and position + _RECORD_HEAD.size <= len(data):
        _, length, checksum = _RECORD_HEAD.unpack_from(data, position)
        start = position + _RECORD_HEAD.size
        if start + length <= len(data):
            payload = data[start : start + length]
            if zlib.crc32(payload) == checksum:
                yield payload
                position = start + length
                continue
        position += 1
