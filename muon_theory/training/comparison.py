"""Comparing two ways of training over paired seeds: better, worse or undecided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of two paired samples with its confidence interval and the word it allows.

    Args:
        mean: mean of first minus second, in the unit of the samples.
        lower: lower end of the confidence interval.
        upper: upper end of the confidence interval.
        word: "better" if the whole interval is below 0 (lower is better), "worse" if above, else "undecided".

    Source: elementary.
    """

    mean: float
    lower: float
    upper: float
    word: Literal["better", "worse", "undecided"]


def paired_difference(first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95) -> PairedDifference:
    """Paired difference of two samples of losses, with Student's interval; lower is better.

    d_i = first_i - second_i, interval mean(d) +- t_{n-1} sd(d) / sqrt(n).

    Args:
        first: losses of one way of training, one for each seed, n >= 2.
        second: losses of the other with the same seeds.
        confidence: two-sided confidence level, in (0, 1).

    Returns:
        The difference; with a NaN or inf in a sample (a diverged run) mean and interval are NaN, the word "undecided".

    Raises:
        ValueError: the samples differ in length or have fewer than two entries.

    Source: Student 1908.

    >>> paired_difference([1.0, 1.1, 0.9], [2.0, 2.2, 1.9]).word
    'better'
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"paired samples need the same length of at least 2, got {len(first)} and {len(second)}")
    from scipy.stats import t as student

    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if not np.isfinite(differences).all():
        return PairedDifference(math.nan, math.nan, math.nan, "undecided")
    mean = float(differences.mean())
    half = float(student.ppf((1 + confidence) / 2, len(differences) - 1) * differences.std(ddof=1))
    half /= math.sqrt(len(differences))
    word = "better" if mean + half < 0 else "worse" if mean - half > 0 else "undecided"
    return PairedDifference(mean, mean - half, mean + half, word)
