"""Images as rows of a matrix: the digits bundled with scikit-learn, MNIST from its original files, and CIFAR-10."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from muon_theory.problems.data_folder import VARIABLE, data_folder

IMAGE_SETS = ("digits", "mnist", "cifar10")

MNIST_CONTENT: Mapping[str, str] = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""MNIST's files and the SHA-256 of their unpacked content, which does not depend on how they were compressed."""

TEST_DIGITS = 360


@dataclass(frozen=True)
class Images:
    """Labelled images for classification, flattened to rows.

    Args:
        name: "digits", "mnist" or "cifar10".
        train_images: float32 in [0, 1], shape (N, features).
        train_labels: int64 in 0..classes-1, shape (N,).
        test_images: float32 in [0, 1], shape (N_test, features).
        test_labels: int64, shape (N_test,).
        classes: number of classes.
        image_shape: (height, width) of an image before flattening; features = channels * height * width, channel by
            channel.
        fingerprint: SHA-256 of pixels and labels as bytes, for provenance.

    Source: elementary.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    image_shape: tuple[int, int]
    fingerprint: str

    @property
    def features(self) -> int:
        """Number of pixels of an image, times its channels.

        Source: elementary.
        """
        return self.train_images.shape[1]

    @property
    def channels(self) -> int:
        """Number of channels: 1 for grey images, 3 for coloured ones.

        Source: elementary.
        """
        return self.features // math.prod(self.image_shape)


def load_images(name: str, folder: str | os.PathLike[str] | None = None, *, verify: bool = True) -> Images:
    """Load a set of images.

    "digits": 1797 images of 8x8 bundled with scikit-learn; the last 360, drawn mostly by other writers, are the test
    set. "mnist": 60,000 + 10,000 images of 28x28 from `mnist/*-ubyte.gz` (or unpacked) in the data folder. "cifar10":
    50,000 + 10,000 images of 32x32 in three colours from `cifar-10-batches-bin/*.bin` in it.

    Args:
        name: "digits", "mnist" or "cifar10".
        folder: data folder, see `data_folder`; not used by "digits".
        verify: whether MNIST's unpacked content must have the published checksums, and CIFAR-10 its published numbers
            of images; layout and sizes are always checked.

    Returns:
        The images, pixels divided by their largest possible value.

    Raises:
        ValueError: if the name is unknown, or a file is truncated, laid out otherwise or fails its checksum.
        FileNotFoundError: if a file is missing.

    Source: Alpaydin, Kaynak 1998 (digits, UCI); LeCun, Bottou, Bengio, Haffner 1998 (MNIST); Krizhevsky 2009, "Learning
    Multiple Layers of Features from Tiny Images" (CIFAR-10).

    >>> images = load_images("digits")
    >>> images.train_images.shape, images.image_shape
    (torch.Size([1437, 64]), (8, 8))
    """  # noqa: DOC502  (raised by the readers below)
    if name == "digits":
        return _digits()
    if name == "mnist":
        return _mnist(data_folder(folder) / "mnist", verify)
    if name == "cifar10":
        from muon_theory.problems.cifar10 import FOLDER, cifar10

        return cifar10(data_folder(folder) / FOLDER, verify=verify)
    raise ValueError(f"name is {name!r}; known image sets: {', '.join(IMAGE_SETS)}")


def read_idx(path: Path, dimensions: Literal[1, 3], sha256: str | None = None) -> np.ndarray:
    """Array of unsigned bytes from an IDX file, gzipped when its name ends in .gz.

    Args:
        path: the file.
        dimensions: 1 (labels) or 3 (images) expected.
        sha256: what the unpacked content must hash to, in hexadecimal, or None.

    Returns:
        uint8 array with `dimensions` axes.

    Raises:
        ValueError: if the file is truncated, is no such IDX file or fails its checksum.

    Source: LeCun, Cortes, Burges, "the MNIST database", file format: big-endian 32-bit magic 0x0000 08 <dimensions>,
    the sizes, then the bytes in row-major order.
    """
    content = _unpacked(path)
    remedy = "delete it and fetch MNIST anew (`muon-theory fetch mnist`)"
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise ValueError(f"{path} is truncated: {len(content)} bytes, its header alone takes {header}; {remedy}")
    magic, *sizes = (int(word) for word in np.frombuffer(content, ">u4", count=1 + dimensions))
    if magic != 0x0800 + dimensions:
        raise ValueError(
            f"{path} is no IDX file of bytes with {dimensions} axes: its magic is {magic:#010x}, "
            f"expected {0x0800 + dimensions:#010x}; {remedy}"
        )
    expected = header + math.prod(sizes)
    if len(content) != expected:
        fault = "truncated" if len(content) < expected else "too long"
        raise ValueError(
            f"{path} is {fault}: sizes {tuple(sizes)} need {expected} bytes, it has {len(content)}; {remedy}"
        )
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ValueError(
            f"{path} has the wrong checksum: SHA-256 of the unpacked content is {found}, expected {sha256}; "
            f"{remedy}, or pass verify=False if you mean to use your own images"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)


def _unpacked(path: Path) -> bytes:
    """Content of a file, decompressed if it is gzipped."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is truncated or damaged ({error}); delete it and fetch MNIST anew (`muon-theory fetch mnist`)"
        ) from error


def _digits() -> Images:
    """The bundled digits."""
    from sklearn.datasets import load_digits

    pixels, labels = (np.asarray(array, np.uint8) for array in load_digits(return_X_y=True))
    train, test = slice(None, -TEST_DIGITS), slice(-TEST_DIGITS, None)
    return _images("digits", (pixels[train], labels[train], pixels[test], labels[test]), largest=16, shape=(8, 8))


def _mnist(folder: Path, verify: bool) -> Images:
    """MNIST from its four files."""
    paths = {}
    for name in MNIST_CONTENT:
        packed, plain = folder / f"{name}.gz", folder / name
        paths[name] = plain if plain.is_file() and not packed.is_file() else packed
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"MNIST is not in {folder} (missing: {', '.join(missing)}); run `muon-theory fetch mnist`, "
            f"or name the data folder by --data or {VARIABLE}"
        )
    arrays = []
    for name, sha256 in MNIST_CONTENT.items():
        arrays.append(read_idx(paths[name], 3 if "idx3" in name else 1, sha256 if verify else None))
    train_images, train_labels, test_images, test_labels = arrays
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        if len(images) != len(labels) or len(images) == 0 or images.shape[1:] != (28, 28) or labels.max() > 9:
            raise ValueError(
                f"{folder} holds {len(images)} images of {images.shape[1:]} and {len(labels)} labels up to "
                f"{labels.max(initial=0)}; MNIST has as many labels as images, 28x28 pixels and labels 0 to 9"
            )
    return _images("mnist", (train_images, train_labels, test_images, test_labels), largest=255, shape=(28, 28))


def _images(name: str, arrays: tuple[np.ndarray, ...], *, largest: int, shape: tuple[int, int]) -> Images:
    """Tensors and fingerprint of (train pixels, train labels, test pixels, test labels)."""
    digest = hashlib.sha256()
    tensors = []
    for array in arrays:
        content = np.ascontiguousarray(array, np.uint8)
        digest.update(content.tobytes())
        if content.size == len(content):
            tensors.append(torch.from_numpy(content.astype(np.int64)))
        else:
            rows = content.reshape(len(content), -1).astype(np.float32)
            tensors.append(torch.from_numpy(rows / np.float32(largest)))
    return Images(name, tensors[0], tensors[1], tensors[2], tensors[3], 10, shape, digest.hexdigest())
