"""The claims of a comparison: published numbers found again, gains over AdamW, the optimizer's share of the time.

A published number is one run without a seed. It is found again when it lies within two standard deviations of a run and
of our mean over n seeds, 2 sd sqrt(1 + 1/n), of that mean.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from muon_theory.claim import Claim, Estimate, Finding, Mutation, Relation
from muon_theory.training.comparison import paired_difference

SOURCE = "Wei 2025, Understanding the Muon Optimizer"
TIME_METHOD = (
    "the optimizer's share of the time of an epoch, which the data loader's and the machine's load hardly move"
)


def last_values(table: Any, phase: str, column: str) -> dict[str, list[float]]:
    """The column after the last epoch, by optimizer, in the order of the seeds."""
    last = table[(table["phase"] == phase) & (table["epoch"] == table["epochs"])].sort_values("seed")
    return {str(name): own[column].tolist() for name, own in last.groupby("optimizer")}


def spread(values: list[float]) -> Estimate:
    """Mean, and the interval in which a further single run lies: mean +- 2 sd sqrt(1 + 1/n)."""
    mean, half = float(np.mean(values)), 2 * float(np.std(values, ddof=1)) * math.sqrt(1 + 1 / len(values))
    return Estimate(mean, mean - half, mean + half)


def row(
    name: str, statement: str, relation: Relation, predicted: float, measured: Estimate, mutation: str, changed: float,
    *, unit: str = "1", expected: Any = "holds", attribution: Any = "printed", source: str = SOURCE,
) -> Claim:  # fmt: skip
    """A claim on a number of the table; its mutation changes the prediction."""
    return Claim(
        id=name, statement=statement, source=source, relation=relation, method="training run", evaluate=Finding,
        parameters={"predicted": predicted, "measured": measured},
        mutations=(Mutation(mutation, {"predicted": changed}),), expected=expected, attribution=attribution,
        tier="run", unit=unit,
    )  # fmt: skip


def found_again(
    identifiers: dict[str, str], published: dict[str, float], values: dict[str, list[float]], what: str, unit: str
) -> list[Claim]:
    """One row an optimizer: the published number lies where a further run of ours would."""
    rows = []
    for name, number in published.items():
        found = spread(values[name])
        inside = found.lower <= number <= found.upper
        words, changed = ("1.5 times it", 1.5 * number) if inside else ("our mean in its place", found.value)
        rows.append(row(identifiers[name], f"{what} of {name} is {number:g}, within 2 sd sqrt(1 + 1/n) of the mean of "
                        f"{len(values[name])} seeds here", "==", number, found, words, changed, unit=unit))  # fmt: skip
    return rows


def relative_time(table: Any, reference: str) -> Estimate:
    """Time of Muon's epoch relative to another optimizer's, were all but the optimizer the same: (1 - r) / (1 - m).

    m and r are the shares of the time of an epoch that the two optimizers take; median and range over epochs.
    """
    runs = table[table["phase"] == "published"].sort_values(["seed", "epoch"])
    share = {name: 1 - runs[runs["optimizer"] == name]["optimizer_time_s"].to_numpy()
             / runs[runs["optimizer"] == name]["time_s"].to_numpy() for name in ("muon", reference)}  # fmt: skip
    ratio = share[reference] / share["muon"]
    return Estimate(float(np.median(ratio)), float(ratio.min()), float(ratio.max()))


def compared(name: str, what: str, first: list[float], second: list[float], unit: str = "1") -> Claim:
    """What the paired difference of tuned Muon and tuned AdamW says: above, below, or not to be told apart."""
    found = paired_difference(first, second)
    difference, width = Estimate(found.mean, found.lower, found.upper), found.upper - found.lower
    pairs = f"({len(first)} paired seeds, 95 %)"
    words: tuple[str, Relation, float]
    if found.lower <= 0 <= found.upper:
        words = f"cannot be told from AdamW's {pairs}", "==", found.upper + width
    elif found.lower > 0:
        words = f"is above AdamW's {pairs}", ">", found.upper + width
    else:
        words = f"is below AdamW's {pairs}", "<", found.lower - width
    return row(name, f"{what} {words[0]}", words[1], 0.0, difference, "further than the interval reaches", words[2],
               unit=unit, attribution="ours", source="derived here")  # fmt: skip
