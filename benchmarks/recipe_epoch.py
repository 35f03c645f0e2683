"""Time of an epoch of the tutorial's recipe on CIFAR-10, data included, for Muon and SGD beside AdamW.

Run: python benchmarks/recipe_epoch.py [--rounds 7] [--threads 2] [--images 5120] [--data FOLDER]. Every round trains
each optimizer for one pass over the first images, crops and flips included, tests left out. Exit status 1 if a goal is
missed.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import torch
from paired_timing import interleaved, machine, report

from muon_theory.problems import Images, load_images
from muon_theory.training.recipe_run import train_recipe

REFERENCE, GOALS = "adamw", {"muon": 1.4}


def main() -> int:
    """Print the table and the optimizer's share of an epoch; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="at least 7 for a verdict")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--images", type=int, default=5120)
    parser.add_argument("--data", type=Path, help="folder of data sets [default: $MUON_THEORY_DATA]")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    whole = load_images("cifar10", options.data)
    images = replace(
        whole, train_images=whole.train_images[: options.images], train_labels=whole.train_labels[: options.images]
    )
    shares: dict[str, list[float]] = {name: [] for name in (REFERENCE, "sgd", "muon")}
    seconds = interleaved({name: lambda name=name: _epoch(images, name, shares) for name in shares}, options.rounds)
    met = report(f"tutorial on CIFAR-10, {options.images} images, data included", seconds, REFERENCE, GOALS)
    for name, found in shares.items():
        print(f"{name}: optimizer.step is {statistics.median(found):.3f} of the epoch")
    return 0 if met else 1


def _epoch(images: Images, optimizer: str, shares: dict[str, list[float]]) -> None:
    """One epoch; keeps the optimizer's share of its time."""
    last = train_recipe("tutorial", images, optimizer, epochs=1, evaluate=False).iloc[-1]
    shares[optimizer].append(last["optimizer_time_s"] / last["time_s"])


if __name__ == "__main__":
    sys.exit(main())
