"""Accuracy of groups of classes by their frequency, and Muon's advantage there."""

from __future__ import annotations

from typing import Any

import pandas as pd

from muon_theory.training.comparison import paired_difference

GROUPS = {"common": (0, 1, 2), "middle": (3, 4, 5, 6), "rare": (7, 8, 9)}


def by_group(table: pd.DataFrame, network: str) -> pd.DataFrame:
    """Test accuracy in % of the paired runs, one row a seed, columns (optimizer, group of classes)."""
    runs: Any = table[(table.phase == "runs") & (table.network == network)].set_index(["optimizer", "seed"])
    groups = {name: 100 * runs[[f"accuracy_{i}" for i in places]].mean(axis=1) for name, places in GROUPS.items()}
    wide: Any = pd.DataFrame(groups).unstack("optimizer")
    return wide.swaplevel(axis=1).sort_index(axis=1)


def advantages(table: pd.DataFrame, network: str) -> dict[str, dict[str, float]]:
    """Muon's paired advantage in points, keyed "other group", and "other more", the rare classes' over the common."""
    wide, rows = by_group(table, network), {}
    for other in ("sgd", "adamw"):
        gains = {group: (wide["muon", group] - wide[other, group]).tolist() for group in GROUPS}
        pairs = {group: (gain, [0.0] * len(wide)) for group, gain in gains.items()}
        for name, pair in {**pairs, "more": (gains["rare"], gains["common"])}.items():
            found = paired_difference(*pair)
            rows[f"{other} {name}"] = {"mean": found.mean, "lower": found.lower, "upper": found.upper}
    return rows
