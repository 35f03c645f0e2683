"""Accuracy of groups of classes by their frequency, and Muon's advantage there."""

from __future__ import annotations

from typing import Any

import pandas as pd

from muon_theory.claim import Claim, Mutation
from muon_theory.training.comparison import paired_difference
from studies.training._paired import excess

GROUPS = {"common": (0, 1, 2), "middle": (3, 4, 5, 6), "rare": (7, 8, 9)}


def by_group(table: pd.DataFrame, network: str) -> pd.DataFrame:
    """Test accuracy in % of the paired runs, one row a seed, columns (optimizer, group of classes)."""
    runs: Any = table[(table.phase == "runs") & (table.network == network)].set_index(["optimizer", "seed"])
    groups = {name: 100 * runs[[f"accuracy_{i}" for i in places]].mean(axis=1) for name, places in GROUPS.items()}
    wide: Any = pd.DataFrame(groups).unstack("optimizer")
    return wide.swaplevel(axis=1).sort_index(axis=1)


def advantages(table: pd.DataFrame, network: str) -> dict[str, dict[str, float]]:
    """Muon's paired advantage in points, keyed "other group"; and "other group more", that over the common classes'."""
    wide, rows = by_group(table, network), {}
    for other in ("sgd", "adamw"):
        gains = {group: (wide["muon", group] - wide[other, group]).tolist() for group in GROUPS}
        pairs = {group: (gain, [0.0] * len(wide)) for group, gain in gains.items()}
        pairs |= {f"{group} more": (gains[group], gains["common"]) for group in ("middle", "rare")}
        for name, pair in pairs.items():
            found = paired_difference(*pair)
            rows[f"{other} {name}"] = {"mean": found.mean, "lower": found.lower, "upper": found.upper}
    return rows


def tail_claims(table: pd.DataFrame) -> list[Claim]:
    """Muon against AdamW and SGD in the tail, and the tail against the head; from five seeds on."""
    found = []
    for network, dataset in table.groupby("network").dataset.first().items():
        if len(by_group(table, str(network))) < 5:
            break
        rest: dict[str, Any] = {"source": "Wang et al. 2025, arXiv 2509.26030 (relayed); run here", "relation": ">",
                                "method": "training run", "tier": "run", "evaluate": excess, "expected": "holds",
                                "mutations": (Mutation("exchanged", {"sign": -1.0}),), "attribution": "implied",
                                "unit": "points"}  # fmt: skip
        name, rows = str(dataset).upper(), advantages(table, str(network))
        more = "middle" if dataset == "cifar10" else "rare"  # of CIFAR-10's rare classes little is learned by anybody
        found += [
            Claim(id=f"TC-{group.upper()}-{name}", statement=f"{dataset}: Muon's accuracy on the {group} classes "
                  "exceeds SGD's and AdamW's", parameters={
                  "found": rows, "names": [f"sgd {group}", f"adamw {group}"]}, **rest)
            for group in dict.fromkeys(("rare", more))
        ]  # fmt: skip
        found.append(
            Claim(id=f"TC-MORE-{name}", statement=f"{dataset}: its gain over AdamW is larger on the {more} "
                  "classes than on the common", parameters={"found": rows, "names": [f"adamw {more} more"]}, **rest)
        )  # fmt: skip
    return found
