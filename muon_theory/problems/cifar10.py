"""CIFAR-10 from its official binary files: records of one label byte and 3072 pixel bytes, red, green, blue."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from muon_theory.problems.data_folder import VARIABLE
from muon_theory.problems.images import Images

FOLDER = "cifar-10-batches-bin"
TRAINING_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
IMAGES_A_FILE = 10_000

SIDE, CHANNELS, CLASSES = 32, 3, 10
RECORD_BYTES = 1 + CHANNELS * SIDE * SIDE


def cifar10(folder: Path, *, verify: bool = True) -> Images:
    """CIFAR-10 from the six files of its binary version.

    Args:
        folder: the folder `cifar-10-batches-bin`.
        verify: whether every file must hold 10,000 images with, over the five training files and in the test file, as
            many of each class; otherwise any number of records goes, which small test sets need.

    Returns:
        50,000 and 10,000 images, rows of 3 * 32 * 32 floats channel by channel; the fingerprint is the SHA-256 of the
        training labels and pixels and of those for testing, in this order.

    Raises:
        ValueError: if a file is truncated, laid out otherwise, or its labels are out of range or not balanced.
        FileNotFoundError: if a file is missing.

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images", binary version.
    """  # noqa: DOC502  (raised by read_records)
    names = (*TRAINING_FILES, TEST_FILE)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"CIFAR-10 is not in {folder} (missing: {', '.join(missing)}); run `muon-theory fetch cifar10`, "
            f"or name the data folder by --data or {VARIABLE}"
        )
    count = IMAGES_A_FILE if verify else None
    parts = [read_records(folder / name, count=count) for name in names]
    train_labels = np.concatenate([labels for labels, _ in parts[:-1]])
    train_pixels = np.concatenate([pixels for _, pixels in parts[:-1]])
    test_labels, test_pixels = parts[-1]
    if verify:
        for name, labels in (("training", train_labels), ("test", test_labels)):
            counts = np.bincount(labels, minlength=CLASSES)
            if counts.min() != counts.max():
                raise ValueError(
                    f"{folder}: the {name} labels occur {counts.tolist()} times, CIFAR-10 has as many of each class; "
                    "fetch it anew (`muon-theory fetch cifar10`), or pass verify=False if you mean to use your own"
                )
    digest = hashlib.sha256()
    for array in (train_labels, train_pixels, test_labels, test_pixels):
        digest.update(np.ascontiguousarray(array).tobytes())
    return Images(
        "cifar10",
        _unit_range(train_pixels),
        torch.from_numpy(train_labels.astype(np.int64)),
        _unit_range(test_pixels),
        torch.from_numpy(test_labels.astype(np.int64)),
        CLASSES,
        (SIDE, SIDE),
        digest.hexdigest(),
    )


def read_records(path: Path, *, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels and pixels of one binary file.

    Args:
        path: the file.
        count: how many records it must hold, or None for any number.

    Returns:
        (labels, pixels), uint8 of shapes (N,) and (N, 3072).

    Raises:
        ValueError: if its size is no whole number of records or not that of `count`, or a label is above 9.

    Source: Krizhevsky 2009, binary version: <1 x label><3072 x pixel>, pixels row by row, red, green, blue.
    """
    remedy = "delete it and fetch CIFAR-10 anew (`muon-theory fetch cifar10`)"
    content = path.read_bytes()
    records, rest = divmod(len(content), RECORD_BYTES)
    if records == 0 or rest:
        raise ValueError(
            f"{path} is truncated or no file of CIFAR-10: {len(content)} bytes are no whole number of records of "
            f"{RECORD_BYTES} bytes; {remedy}"
        )
    if count is not None and records != count:
        raise ValueError(f"{path} holds {records} images, the published file {count}; {remedy}")
    table = np.frombuffer(content, np.uint8).reshape(records, RECORD_BYTES)
    if (largest := int(table[:, 0].max())) >= CLASSES:
        first = int(np.argmax(table[:, 0] >= CLASSES))
        raise ValueError(
            f"{path} has label {largest} (record {first} is the first with one above {CLASSES - 1}): it is no file of "
            f"CIFAR-10's binary version; {remedy}"
        )
    return table[:, 0], table[:, 1:]


def _unit_range(pixels: np.ndarray) -> torch.Tensor:
    """Bytes as float32 in [0, 1]."""
    return torch.from_numpy(pixels.astype(np.float32)).div_(255)
