"""The data sets that can be fetched: their official files, checksums, terms of use, and the layout they get."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from muon_theory.problems.cifar10 import FOLDER, IMAGES_A_FILE, TEST_FILE, TRAINING_FILES, read_records
from muon_theory.problems.data_folder import MNIST_FILES, MNIST_MIRRORS, data_folder
from muon_theory.problems.download import download
from muon_theory.problems.text import TINY_SHAKESPEARE_CONTENT

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class DataSet:
    """A data set and where it comes from.

    Args:
        folder: its folder in the data folder.
        files: SHA-256 of each file that is downloaded.
        mirrors: addresses in order, each ending in "/", before a file's name.
        terms: licence or terms, and what to cite, as its authors state them.
        members: names to unpack from the one archive downloaded, or () where the files are what is wanted.

    Source: elementary.
    """

    folder: str
    files: Mapping[str, str]
    mirrors: tuple[str, ...]
    terms: str
    members: tuple[str, ...] = ()


DATA_SETS: Mapping[str, DataSet] = MappingProxyType({
    "mnist": DataSet(
        folder="mnist",
        files=MNIST_FILES,
        mirrors=MNIST_MIRRORS,
        terms="copyright Yann LeCun and Corinna Cortes, derived from NIST's databases; Creative Commons "
        "Attribution-ShareAlike 3.0. Cite LeCun, Bottou, Bengio, Haffner 1998.",
    ),
    "cifar10": DataSet(
        folder=FOLDER,
        files=MappingProxyType({
            "cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        }),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        terms="no licence is stated; its authors ask those who use it to cite Krizhevsky 2009, Learning Multiple "
        "Layers of Features from Tiny Images. The rights in the single photographs are their owners'.",
        members=(*TRAINING_FILES, TEST_FILE),
    ),
    "tinyshakespeare": DataSet(
        folder="tinyshakespeare",
        files=MappingProxyType({"input.txt": TINY_SHAKESPEARE_CONTENT}),
        mirrors=("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",),
        terms="Shakespeare's text is in the public domain; this selection of it comes with char-rnn (MIT). "
        "Cite Karpathy 2015.",
    ),
})
"""What `fetch` knows. The checksum of CIFAR-10's archive is TensorFlow Datasets'; its MD5 on the official page is
c32a1d4ab5d03f1284b67883e8d87530."""


def fetch(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
    mirrors: tuple[str, ...] | None = None,
    files: Mapping[str, str] | None = None,
) -> list[Path]:
    """Download a data set into the data folder, each file checked by its SHA-256; a broken download is continued.

    Args:
        name: a key of `DATA_SETS`.
        folder: data folder, resolved by `data_folder`.
        progress: called as progress(file name, bytes there, bytes in all or None).
        mirrors: addresses instead of the official ones.
        files: files and checksums instead of the official ones.

    Returns:
        The files that the readers want, which may have been there already. Those of CIFAR-10 are unpacked from its
        archive, which is then deleted; where they are there with the right size and layout nothing is downloaded.

    Raises:
        ValueError: if the name is unknown.
        OSError: if the folder cannot be written, no mirror gave a file, or an archive lacks a file.

    Source: the data sets' official pages.
    """  # noqa: DOC502  (OSError is raised by what is called)
    if name not in DATA_SETS:
        raise ValueError(f"fetch {name}: can fetch {', '.join(DATA_SETS)}; digits is bundled")
    described = DATA_SETS[name]
    target = data_folder(folder) / described.folder
    target.mkdir(parents=True, exist_ok=True)
    wanted = [target / member for member in described.members]
    if wanted and all(_is_whole(path) for path in wanted):
        return wanted
    fetched = []
    for file, sha256 in (files or described.files).items():
        addresses = [mirror + file for mirror in (described.mirrors if mirrors is None else mirrors)]
        report = None if progress is None else (lambda there, total, file=file: progress(file, there, total))
        fetched.append(download(file, addresses, sha256, target, progress=report))
    if not wanted:
        return fetched
    _unpack(fetched[0], wanted)
    fetched[0].unlink()
    return wanted


def _is_whole(path: Path) -> bool:
    """Whether a file of CIFAR-10 is there, of the right size and layout."""
    try:
        read_records(path, count=IMAGES_A_FILE)
    except (OSError, ValueError):
        return False
    return True


def _unpack(archive: Path, wanted: list[Path]) -> None:
    """Take the files wanted out of an archive, whatever folder they lie in there, each appearing when complete."""
    by_name = {path.name: path for path in wanted}
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for member in packed:
                path = by_name.get(Path(member.name).name)
                source = packed.extractfile(member) if path is not None and member.isfile() else None
                if path is None or source is None:
                    continue
                temporary = path.with_suffix(f".{os.getpid()}.tmp")
                with source:
                    temporary.write_bytes(source.read())
                temporary.replace(path)
                by_name.pop(path.name)
    except (tarfile.TarError, EOFError) as error:
        raise OSError(f"{archive} is no archive ({error}); delete it and fetch it anew") from error
    if by_name:
        raise OSError(f"{archive} lacks {', '.join(by_name)}; delete it and fetch it anew")
