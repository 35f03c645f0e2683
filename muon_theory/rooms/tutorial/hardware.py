"""Peak rates of two GPUs, and what they alone say about Muon's extra time: a direction, no measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from muon_theory.rooms.tutorial.update import iteration_flops


@dataclass(frozen=True)
class Device:
    """Peak rates of a device.

    Args:
        bfloat16: floating-point operations per second of products in bfloat16.
        bandwidth: bytes per second of its memory.

    Source: elementary.
    """

    bfloat16: float
    bandwidth: float


DEVICES: Mapping[str, Device] = MappingProxyType({"t4": Device(8.1e12, 320e9), "a100": Device(312e12, 1555e9)})
"""NVIDIA's data sheets: the T4 has no bfloat16 tensor cores, so that products run at its float32 rate."""


def roofline_ratio(device: Device, rows: int, columns: int) -> float:
    """Time of a Muon step over that of an AdamW step on one matrix, each at its peak rate.

    AdamW reads weight, gradient and two moments and writes three, 28 bytes an entry in float32. Muon moves 20 bytes an
    entry (weight, gradient, momentum) and multiplies.

    Args:
        device: peak rates.
        rows: of the matrix.
        columns: of the matrix.

    Returns:
        The ratio, a pure number; latencies and launches are not counted.

    Source: derived here.

    >>> round(roofline_ratio(DEVICES["t4"], 1024, 1024), 1)
    44.1
    """
    adamw = 28 * rows * columns / device.bandwidth
    muon = 20 * rows * columns / device.bandwidth + iteration_flops(rows, columns) / device.bfloat16
    return muon / adamw
