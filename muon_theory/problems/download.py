"""Downloads that can be interrupted: what has come stays beside the target, and the next attempt goes on from there."""

from __future__ import annotations

import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

Progress = Callable[[int, int | None], None]

CHUNK_BYTES = 1 << 18
ATTEMPTS = 3
TIMEOUT_S = 60.0
PARTIAL = ".part"

_logger = logging.getLogger(__name__)


def download(
    name: str, addresses: Iterable[str], sha256: str, folder: Path, *, progress: Progress | None = None
) -> Path:
    """Download a file, checked by its SHA-256, from the first address that gives it.

    The bytes go to `<name>.part`, and to their name when they are complete and have the right checksum. A part that is
    there already is continued by an HTTP range request, or begun anew where the server knows none. A connection that
    breaks is tried again, and then the next address; a part whose checksum is wrong is deleted.

    Args:
        name: of the file.
        addresses: where it may be had, in order.
        sha256: its checksum in hexadecimal.
        folder: where it goes; must exist.
        progress: called as progress(bytes there, bytes in all or None).

    Returns:
        The file. One that is there with the right checksum is kept, one with another is replaced.

    Raises:
        OSError: if no address gave the file, with what each of them answered.

    Source: RFC 9110, section 14 (range requests).
    """
    target, part = folder / name, folder / (name + PARTIAL)
    if target.is_file() and checksum(target) == sha256:
        return target
    answers = []
    for address in addresses:
        for _ in range(ATTEMPTS):
            before = _size(part)
            try:
                _receive(address, part, progress)
            except (OSError, http.client.HTTPException) as error:
                answers.append(f"{address}: {error or type(error).__name__}")
                _logger.warning("%s: %s", address, error)
                if isinstance(error, urllib.error.HTTPError) or _size(part) <= before:
                    break  # refused, or nothing came: another attempt would do no better
                continue
            if (found := checksum(part)) == sha256:
                part.replace(target)
                return target
            part.unlink()
            answers.append(f"{address}: SHA-256 is {found}, expected {sha256}")
            _logger.warning("%s: wrong checksum %s", address, found)
            if before == 0:
                break  # what it serves is wrong; otherwise the part we had may have been, so once more from zero
    kept = f"{_size(part)} bytes are kept, and the same command goes on from there; " if part.is_file() else ""
    raise OSError(f"could not download {name} to {folder}; {kept}or place it there by hand. " + "; ".join(answers))


def checksum(path: Path) -> str:
    """SHA-256 of a file.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.

    Source: elementary.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def _receive(address: str, part: Path, progress: Progress | None) -> None:
    """Bring a part to its full length."""
    offset = _size(part)
    request = urllib.request.Request(address, headers={"User-Agent": "muon-theory", "Accept-Encoding": "identity"})  # noqa: S310
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        return  # nothing lies beyond: the part is complete, or its checksum tells that it is not
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        if response.status == 206 and not resumed:
            part.unlink()
            raise OSError("the server sent another range than was asked for")
        length = response.headers.get("Content-Length")
        there = offset if resumed else 0
        total = None if length is None else there + int(length)
        with part.open("ab" if resumed else "wb") as file:
            there = _copy(response, file, there, total, progress)
    if total is not None and there < total:
        raise OSError(f"the connection broke after {there} of {total} bytes")


def _copy(source: IO[bytes], file: IO[bytes], there: int, total: int | None, progress: Progress | None) -> int:
    """Copy what comes, and say how far it is."""
    while True:
        if progress is not None:
            progress(there, total)
        chunk = source.read(CHUNK_BYTES)
        if not chunk:
            return there
        file.write(chunk)
        there += len(chunk)
