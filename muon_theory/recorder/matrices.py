"""Recorded matrices: one safetensors blob an event in a journal, merged into one safetensors file a part.

The merge copies bytes from file to file, so its memory does not grow with the part.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from muon_theory.recorder.journal import read_journal, refuse_newer

_LENGTH = struct.Struct("<Q")


class MatrixKey(NamedTuple):
    """Which matrix: the step, the parameter's name and the kind.

    Source: elementary.
    """

    step: int
    layer: str
    kind: str

    def text(self) -> str:
        """The key inside a safetensors file.

        Returns:
            `step/kind/layer`.

        Source: elementary.
        """
        return f"{self.step}/{self.kind}/{self.layer}"

    @classmethod
    def parse(cls, text: str) -> MatrixKey:
        """The key of a text written by `text`.

        Args:
            text: `step/kind/layer`; only the layer may contain slashes.

        Returns:
            the key.

        Source: elementary.
        """
        step, kind, layer = text.split("/", 2)
        return cls(int(step), layer, kind)


def event_blob(matrices: Mapping[MatrixKey, Tensor]) -> bytes:
    """The journal record of the matrices of one event.

    Args:
        matrices: matrices by key, any device; stored in their own dtype.

    Returns:
        the bytes of a safetensors file.

    Source: elementary.
    """
    stored: dict[str, Tensor] = {}
    memory: set[int] = set()
    for key, matrix in matrices.items():
        each = matrix.detach().cpu().contiguous()
        place = each.untyped_storage().data_ptr()  # safetensors refuses tensors that share memory
        stored[key.text()] = each.clone() if place in memory else each
        memory.add(place)
    return safetensors.torch.save(stored)


def compact_matrices(journal: Path, path: Path, header: Mapping[str, Any]) -> None:
    """Merge the blobs of a journal into one safetensors file; of two matrices with one key the later one stays.

    Args:
        journal: journal whose records are `event_blob`s.
        path: file to write.
        header: what the matrices belong to, stored as JSON in the file's metadata.

    Source: elementary; layout of the file as in the safetensors format description.
    """
    last: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, (entries, _) in enumerate(_blobs(journal)):
        last.update((text, (number, entry)) for text, entry in entries.items())
    # Widest entries first, as the library itself orders a file, so that every tensor is aligned.
    order = sorted(last, key=lambda text: -_entry_bytes(last[text][1]))
    table: dict[str, Any] = {"__metadata__": {"muon_theory": json.dumps(header)}}
    end = 0
    for text in order:
        begin, stop = last[text][1]["data_offsets"]
        table[text] = last[text][1] | {"data_offsets": [end, end + stop - begin]}
        end += stop - begin
    head = json.dumps(table).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(_LENGTH.pack(len(head)) + head)
        for number, (entries, data) in enumerate(_blobs(journal)):
            for text, entry in entries.items():
                if last[text][0] == number:
                    begin, stop = entry["data_offsets"]
                    file.seek(_LENGTH.size + len(head) + table[text]["data_offsets"][0])
                    file.write(data[begin:stop])


def read_matrices_file(path: Path) -> Iterator[tuple[MatrixKey, Tensor]]:
    """The matrices of one file, journal or safetensors part, one after the other.

    Args:
        path: the file; of a journal that was compacted since it was listed, the part is read.

    Yields:
        the key and the matrix, on the CPU, in the dtype it was recorded in.

    Raises:
        ValueError: the part is damaged, or was written by a newer release.

    Source: elementary.
    """
    if path.suffix == ".journal":
        records = read_journal(path)
        try:
            next(records, None)
        except FileNotFoundError:
            yield from read_matrices_file(path.with_suffix(".safetensors"))
        for record in records:
            for text, matrix in safetensors.torch.load(record).items():
                yield MatrixKey.parse(text), matrix
        return
    try:
        opened = safetensors.safe_open(path, framework="pt")
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): move it out of the folder to read the rest") from error
    with opened as file:
        refuse_newer(json.loads(file.metadata()["muon_theory"])["format_version"], path)
        for text in file.keys():  # noqa: SIM118 (not a mapping)
            yield MatrixKey.parse(text), file.get_tensor(text)


def _entry_bytes(entry: Mapping[str, Any]) -> int:
    begin, stop = entry["data_offsets"]
    return (stop - begin) // max(1, math.prod(entry["shape"]))


def _blobs(journal: Path) -> Iterator[tuple[dict[str, Any], memoryview]]:
    records = read_journal(journal)
    next(records, None)
    for record in records:
        length = _LENGTH.unpack_from(record)[0]
        entries = json.loads(record[_LENGTH.size : _LENGTH.size + length])
        entries.pop("__metadata__", None)
        yield entries, memoryview(record)[_LENGTH.size + length :]
