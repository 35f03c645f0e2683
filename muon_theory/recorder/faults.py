"""What can go wrong with a recording folder, and what is said about it."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from muon_theory.recorder.layout import last_step, read_spectra_file, recording_files

_logger = logging.getLogger(__name__)

_REMEDIES = {
    errno.ENOSPC: "free space on that disk, and recording goes on by itself",
    errno.EDQUOT: "free space in your quota, and recording goes on by itself",
    errno.EFBIG: "raise the limit of the file size, or record fewer events a part (events_per_part)",
    errno.EROFS: "the disk is read-only: make it writable, or start again with another folder",
    errno.EACCES: "let this process write to the folder, and recording goes on by itself",
    errno.EPERM: "let this process write to the folder, and recording goes on by itself",
    errno.ENOENT: "the folder is gone: leave it in its place while a run records",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def remedy(error: BaseException) -> str:
    """What the user can do about an error of the recorder.

    Args:
        error: the error.

    Returns:
        the error's text, with a remedy where one is known.

    Source: elementary.

    >>> remedy(OSError(errno.ENOSPC, "No space left on device"))
    '[Errno 28] No space left on device (free space on that disk, and recording goes on by itself)'
    """
    known = _REMEDIES.get(error.errno or 0) if isinstance(error, OSError) else None
    return f"{error} ({known})" if known else str(error)


def writable_folder(folder: Path) -> Path:
    """The folder, made if need be.

    Args:
        folder: the user's choice.

    Returns:
        the folder.

    Raises:
        NotADirectoryError: it is a file.
        OSError: nothing can be written there.

    Source: elementary.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"writable-{os.getpid()}.tmp"
        probe.write_bytes(b"\0")
        probe.unlink()
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "folder is a file: name a folder", str(folder)) from error
    except OSError as error:
        text = f"cannot write to folder ({error.strerror}): name a folder that this process may write to"
        raise OSError(error.errno, text, str(folder)) from error
    return folder


def warn_of_later_steps(folder: Path, run: str, first_step: int) -> None:
    """Say that a session of this run has steps which a new one is going to replace, and which files are damaged.

    Args:
        folder: folder of the recording.
        run: name of the run.
        first_step: step at which the new session begins.

    Source: elementary.
    """
    for file in recording_files(folder):
        if file.content != "spectra":
            continue
        try:
            header, _ = read_spectra_file(file.path)
            last = last_step(file.path)
        except (OSError, ValueError) as error:  # an old file is no reason not to record
            _logger.warning("recording goes on, but %s", error)
            continue
        if header is not None and header["run"] == run and last is not None and last >= first_step:
            text = "%s holds steps up to %d of run %r: what it holds from step %d on is replaced when this run is read"
            _logger.warning(text, folder, last, run, first_step)
            return
