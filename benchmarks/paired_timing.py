"""Timing on a machine that others use too: the contestants take turns, and only ratios within a round are compared."""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import scipy
import torch

Clock = Callable[[], float]


def machine() -> str:
    """Processor, threads and versions, one line."""
    model = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open() as lines:
            model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return (
        f"{model}, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {numpy.__version__}, scipy {scipy.__version__}"
    )


def interleaved(
    contestants: dict[str, Callable[[], object]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, one call each and in turn, after one call to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for call in contestants.values():
        call()
    for _ in range(rounds):
        for name, call in contestants.items():
            start = clock()
            call()
            seconds[name].append(clock() - start)
    return seconds


def paired_ratio(seconds: dict[str, list[float]], name: str, reference: str) -> float:
    """Median over the rounds of the ratio of the two times within a round."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[reference], strict=True))


def paired_difference(seconds: dict[str, list[float]], name: str, reference: str) -> float:
    """Median over the rounds of the difference of the two times within a round, in seconds."""
    return statistics.median(a - b for a, b in zip(seconds[name], seconds[reference], strict=True))


def report(title: str, seconds: dict[str, list[float]], reference: str, goals: dict[str, float]) -> bool:
    """Print one table, each contestant against the reference, and say whether the goals are met."""
    rounds = len(seconds[reference])
    print(f"\n{title}\n{'':46}{'median ms':>10}{'ratio':>8}   (median of {rounds} paired ratios to: {reference})")
    met = True
    for name, times in seconds.items():
        ratio = paired_ratio(seconds, name, reference)
        verdict = ""
        if name in goals:
            met &= ratio <= goals[name]
            verdict = f"   goal <= {goals[name]:g}: {'met' if ratio <= goals[name] else 'MISSED'}"
        print(f"{name:<46}{1e3 * statistics.median(times):>10.2f}{ratio:>8.3f}{verdict}")
    return met
