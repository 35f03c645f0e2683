"""Where data sets are kept: the folder named, else $MUON_THEORY_DATA, else the user's cache."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

VARIABLE = "MUON_THEORY_DATA"

MNIST_FILES: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
"""The four original files of MNIST and their SHA-256."""

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
"""Where the original files are served: the mirrors that torchvision and TensorFlow Datasets use."""


def data_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Data folder: the argument, else the environment variable MUON_THEORY_DATA, else the user's cache folder.

    Args:
        folder: a folder, or None. "~" is expanded. It need not exist (a download creates it).

    Returns:
        The folder; inside it MNIST lies in `mnist/*.gz`.

    Raises:
        NotADirectoryError: if it is the name of a file.

    Source: elementary.

    >>> data_folder("somewhere").name
    'somewhere'
    """
    if folder is None:
        folder = os.environ.get(VARIABLE) or None
    if folder is None:
        import pooch

        folder = pooch.os_cache("muon_theory")
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"the data folder {path} is a file; name a folder, or unset {VARIABLE}")
    return path


def fetch_mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] = MNIST_MIRRORS,
    files: Mapping[str, str] = MNIST_FILES,
) -> list[Path]:
    """Download MNIST's four files into the data folder, each checked by its SHA-256.

    What is there with the right checksum is kept, what is there with a wrong one is replaced; see `download`.

    Args:
        folder: data folder, resolved by `data_folder`.
        mirrors: addresses to try in turn, each ending in "/".
        files: file names and their SHA-256 in hexadecimal.

    Returns:
        The paths of the files, in the order of `files`.

    Raises:
        OSError: if the folder cannot be written, or no mirror gave a file with the right checksum (the message has what
            each of them answered).

    Source: LeCun, Cortes, Burges, the MNIST database; checksums of the original files.

    Cost: 11.6 MB, once. A file appears under its name only when complete and checked.
    """  # noqa: DOC502  (raised by download)
    from muon_theory.problems.download import download

    target = data_folder(folder) / "mnist"
    target.mkdir(parents=True, exist_ok=True)
    return [download(name, [mirror + name for mirror in mirrors], checksum, target) for name, checksum in files.items()]
