"""The tables of the SCALE paper's first version, as read on the page of its released code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MEMORY: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "adam": {"60M": "0.35", "130M": "0.81", "350M": "2.21", "1B": "8.04", "7B": "40.43"},
    "muon": {"60M": "0.23", "130M": "0.54", "350M": "1.47", "1B": "5.36", "7B": "26.95"},
    "galore": {"60M": "0.28", "130M": "0.61", "350M": "1.59", "1B": "4.76"},
    "swan": {"60M": "0.25", "130M": "0.46", "350M": "1.00", "1B": "3.20", "7B": "14.53"},
    "apollo": {"7B": "16.14"},
    "scale": {"60M": "0.15", "130M": "0.32", "350M": "0.80", "1B": "2.81", "7B": "13.74"},
})
PERPLEXITY: Mapping[str, Mapping[str, float]] = MappingProxyType({
    "adam": {"60M": 30.05, "130M": 23.13, "350M": 18.77, "1B": 16.52},
    "muon": {"60M": 28.86, "130M": 22.20, "350M": 16.70, "1B": 14.18},
    "scale": {"60M": 30.81, "130M": 22.57, "350M": 16.32, "1B": 14.25},
})
STEPS: Mapping[str, int] = MappingProxyType({
    "60M": 11_000,
    "130M": 20_000,
    "350M": 60_000,
    "1B": 100_000,
    "7B": 150_000,
})
TOKENS: Mapping[str, str] = MappingProxyType({
    "60M": "1.44e9",
    "130M": "2.62e9",
    "350M": "7.86e9",
    "1B": "1.31e10",
    "7B": "1.97e10",
})
