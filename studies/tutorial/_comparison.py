"""What the comparisons on MNIST and CIFAR-10 share: a run by the tutorial's recipe, the tuning, the published numbers.

Tuned is the learning rate, alike for the three optimizers: a geometric grid of five around the published value that
grows until the best is interior, judged by the validation loss on the last tenth of the training set at the end of a
run as long as those compared, with a seed of its own. Momentum and weight decay stay as published.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from muon_theory.problems import Images, load_images
from muon_theory.training.recipe_loop import RecipeLoop
from muon_theory.training.recipes import TUTORIAL, variant
from muon_theory.training.tuning import learning_rates, tune

OPTIMIZERS = ("muon", "sgd", "adamw")


def recipe_run(
    dataset: str, coloured: bool, optimizer: str, lr: float, epochs: int, images: int, validate: bool, seed: int
) -> pd.DataFrame:
    """One run by the tutorial's recipe, one row an epoch.

    `images` is the number of training images, 0 for all. `validate` puts the last tenth of the training set in the
    place of the test set. `coloured` repeats grey images in three channels, so that they take the convolutional recipe.
    """
    data = load_images(dataset)
    if coloured and data.channels == 1:
        data = replace(data, train_images=data.train_images.repeat(1, 3), test_images=data.test_images.repeat(1, 3))
    recipe = variant(TUTORIAL, data)
    name = data.fingerprint[:12]
    data = _chosen(data, images, validate)
    setting = recipe.optimizers[optimizer]
    loop = RecipeLoop(
        recipe,
        data,
        recipe.network(data, seed),
        lambda model: setting.build(model, lr=lr, momentum=setting.momentum, weight_decay=setting.weight_decay),
        epochs=epochs,
        batch=recipe.batch,
        seed=seed,
    )
    table = loop.run().drop(columns="learning_rate")
    described = {"dataset": dataset, "optimizer": optimizer, "lr": lr, "epochs": epochs, "seed": seed}
    return table.assign(**described, images=len(data.train_labels), validated=validate, data=name)


def _chosen(data: Images, images: int, validate: bool) -> Images:
    """The first training images, and what is tested on."""
    held = len(data.train_labels) // 10 if validate else 0
    count = min(images or len(data.train_labels), len(data.train_labels) - held)
    kept = replace(data, train_images=data.train_images[:count], train_labels=data.train_labels[:count])
    if not held:
        return kept
    return replace(kept, test_images=data.train_images[-held:], test_labels=data.train_labels[-held:])


def all_runs(
    published: dict[str, Any], tuned: dict[str, Any], seeds: range, tuned_seeds: range, kind: str, map_cells: Any
) -> pd.DataFrame:
    """Published runs, trials of the tuning, and runs at the tuned learning rates; `phase` tells them apart.

    A trial is a run as the tuned ones will be, with a seed of its own, validated on held-out training images.
    """
    settings = TUTORIAL[kind].optimizers
    as_published = map_cells(recipe_run, _cells(published, {name: settings[name].lr for name in OPTIMIZERS}, seeds))
    trial = tuned | {"validate": True, "seed": seeds[0] + 1000}
    trials: list[pd.DataFrame] = []

    def losses(candidates: list[dict[str, Any]]) -> list[float]:
        table = map_cells(recipe_run, [{**trial, **candidate} for candidate in candidates])
        trials.append(table)
        last = {row["lr"]: row["test_loss"] for row in table.to_dict("records")}  # NaN where it diverged
        return [last[candidate["lr"]] for candidate in candidates]

    best = {}
    for name in OPTIMIZERS:
        grid = {"lr": learning_rates(settings[name].lr)}
        (found,) = tune(losses, [{"optimizer": name}], {"lr": settings[name].lr}, grid)
        best[name] = found["lr"]
    runs = map_cells(recipe_run, _cells(tuned | {"validate": False}, best, tuned_seeds))
    phases = {"published": [as_published], "tuning": trials, "tuned": [runs]}
    return pd.concat([t.assign(phase=phase) for phase, tables in phases.items() for t in tables], ignore_index=True)


def _cells(run: dict[str, Any], rates: dict[str, float], seeds: range) -> list[dict[str, Any]]:
    """The runs of every optimizer with every seed."""
    return [{**run, "optimizer": name, "lr": rates[name], "seed": seed} for seed in seeds for name in OPTIMIZERS]
