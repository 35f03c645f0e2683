"""Question: does Muon end at a lower loss than AdamW and SGD on MNIST, as published and with tuned baselines?

Claim: after three epochs Muon's training loss is .0475, 34 % below AdamW's .0717; SGD's is .3931.

Source: Wei 2025, "Understanding the Muon Optimizer", the MNIST experiment: one run each, no seeds, baselines untuned.

Cost: quick 3 s on the bundled digits, full about 15 minutes on one core. Scale: perceptron 784-256-128-10 (235,146
parameters), 60,000 images, batch 64, 3 epochs, 5 seeds, CPU. Tuned: the learning rate, alike for the three, by the loss
on 6000 held-out training images; momentum (SGD: none) and weight decay as published.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim
from muon_theory.reporting.engine import serially
from studies.tutorial._comparison import all_runs
from studies.tutorial._comparison_claims import compared, found_again, last_values, relative_time, row, spread
from studies.tutorial._comparison_panels import comparison_figure

PUBLISHED = {"muon": [0.2778, 0.0680, 0.0475], "sgd": [1.7083, 0.5566, 0.3931], "adamw": [0.2847, 0.1075, 0.0717]}


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row an epoch of each run: published settings, trials of the tuning, tuned settings."""
    run = {"dataset": "digits" if quick else "mnist", "coloured": False, "epochs": 3, "images": 0, "validate": False}
    seeds = range(seed, seed + (2 if quick else 5))
    return all_runs(run, run, seeds, seeds, "grey", map_cells)


def figure(table: Any) -> Figure:
    """Training loss as published, the tuning, test loss with tuned learning rates."""
    seeds = table.query("phase == 'published'")["seed"].nunique()
    trials = len(table.query("phase == 'tuning' and epoch == 1"))
    text = (f"Perceptron 784-256-128-10, {table['dataset'].iloc[0]}, batch 64, 3 epochs, CPU; line, band: median "
            f"and range of {seeds} seeds, crosses: the tutorial's single run; learning rate tuned alike\nin {trials} "
            "trials on held-out images with another seed, momentum and weight decay as published.")  # fmt: skip
    return comparison_figure(table, "train_loss", "training loss / nats", PUBLISHED, text)


def claims(table: Any) -> list[Claim]:
    """TUT-08, TUT-10 and the three published numbers; and what tuned baselines leave of the gain."""
    if set(table["dataset"]) != {"mnist"}:
        return []  # stated for the full profile
    losses = last_values(table, "published", "train_loss")
    gains = [1 - muon / adamw for muon, adamw in zip(losses["muon"], losses["adamw"], strict=True)]
    tuned = last_values(table, "tuned", "test_loss")
    accuracy = last_values(table, "tuned", "test_accuracy")
    published = {name: values[-1] for name, values in PUBLISHED.items()}
    return [
        row("TUT-08", "on MNIST Muon's training loss of the third epoch is 34 % below AdamW's", "==", 0.34,
            spread(gains), "a quarter of it", 0.085),
        *found_again({"muon": "TUT-21", "sgd": "TUT-22", "adamw": "TUT-23"}, published, losses,
                     "MNIST: the mean training loss of the third epoch", "nat"),
        row("TUT-10-MNIST", "on MNIST an epoch of Muon takes 1.32 times as long as one of SGD (here on one CPU core)",
            "<=", 1.32, relative_time(table, "sgd"), "100 times allowed", 100.0, expected="refuted"),
        compared("TUT-27", "with learning rates tuned alike Muon's test loss on MNIST", tuned["muon"], tuned["adamw"],
                 "nat"),
        compared("TUT-27-ACCURACY", "with learning rates tuned alike Muon's test accuracy on MNIST", accuracy["muon"],
                 accuracy["adamw"]),
    ]  # fmt: skip
