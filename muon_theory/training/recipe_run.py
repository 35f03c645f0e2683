"""Train by a recipe: the optimizer chosen, spectra recorded and checkpoints kept on the way."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import nn

from muon_theory.problems import Images
from muon_theory.training.checkpoint import Checkpoints, described_parameters
from muon_theory.training.imported_optimizer import build_imported, imported_optimizer
from muon_theory.training.recipe_loop import Precision, RecipeLoop
from muon_theory.training.recipes import Recipe, recipe_for

Progress = Callable[[int, int, float], None]

PROGRESS_EVERY_ON_A_GPU = 25


def train_recipe(
    recipe: str,
    images: Images,
    optimizer: str = "muon",
    *,
    seed: int = 0,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    optimizer_args: Mapping[str, Any] | None = None,
    model: nn.Module | None = None,
    optimizer_factory: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    compile: bool = False,
    record_to: str | os.PathLike[str] | None = None,
    schedule: Callable[[int], bool] | None = None,
    kinds: Sequence[str] | None = None,
    run: str | None = None,
    store_matrices: bool = False,
    checkpoint_to: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    evaluate: bool = True,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Train a network by a recipe.

    Initialisation, order, augmentation and dropout depend on `seed` only, so runs of different optimizers with one seed
    are paired. A run resumed from a checkpoint is, on the same CPU and number of threads, equal to the bit to one that
    was never interrupted.

    Args:
        recipe: "tutorial" or "airbench", see `RECIPES`.
        images: the data; grey ones and coloured ones have recipes of their own.
        optimizer: "muon", "sgd" or "adamw" with the recipe's published hyperparameters; a short name of one of the
            library's optimizers ("hybrid", "muon_all", "neon", "dion", ...); or an import path "package.module:Class",
            see `build_imported`.
        seed: seed of everything random, >= 0.
        epochs: number of epochs; None: the recipe's.
        batch: images a step; None: the recipe's.
        lr: learning rate; None: the published one, or the optimizer's own default.
        momentum: momentum (or beta_1); None: likewise.
        weight_decay: weight decay; None: likewise.
        optimizer_args: further keyword arguments of an optimizer that is not the recipe's.
        model: a network to train in place of the recipe's.
        optimizer_factory: makes the optimizer from the model, in place of `optimizer`.
        device: any torch device.
        precision: "float32", or autocast to "bfloat16" or "float16", the latter with a gradient scaler.
        compile: whether the network is compiled (torch.nn.Module.compile); the names of its parameters stay.
        record_to: folder for a `SpectrumRecorder`, or None.
        schedule: which steps are recorded, see there.
        kinds: which kinds are recorded, see there.
        run: name of the run in the recording; None: named after the run where it has checkpoints, else a new one.
        store_matrices: whether the matrices themselves are recorded, too.
        checkpoint_to: folder of the run's checkpoint, or None.
        checkpoint_every: steps between checkpoints; None: one an epoch.
        resume: go on from the checkpoint in `checkpoint_to`, if there is one.
        evaluate: whether to test after each epoch.
        progress: called as progress(step, steps, mean loss of the epoch so far), on accelerators every 25 steps.

    Returns:
        DataFrame, one row an epoch: epoch (from 1); step (steps so far); train_loss (mean over the epoch's minibatches,
        nats, as the recipe smooths it); train_accuracy; test_loss (nats) and test_accuracy (0 to 1; NaN without
        `evaluate`); learning_rate (of the epoch's last step, of the first group); time_s (of the epoch, data and
        recording included, test and checkpoints not); optimizer_time_s (of optimizer.step alone, recording included);
        diverged. A run whose loss is no longer finite ends there, on accelerators at the end of the epoch.

    Raises:
        ValueError: if a name or number is out of range, or a checkpoint is of another run or damaged.

    Source: see `RECIPES`.

    Cost: tutorial on one CPU core: MNIST about 30 s for Muon, CIFAR-10 four to six minutes.

    >>> from muon_theory.problems import load_images
    >>> table = train_recipe("tutorial", load_images("digits"), "muon", epochs=2)
    >>> table[["epoch", "step"]].to_numpy().tolist(), bool(table.test_accuracy.iloc[-1] > 0.5)
    ([[1, 23], [2, 46]], True)
    """  # noqa: DOC502  (raised by what is called)
    chosen = recipe_for(recipe, images)
    if checkpoint_to is None and (resume or checkpoint_every is not None):
        raise ValueError("resume and checkpoint_every need checkpoint_to, the folder of the checkpoint")
    given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    given = {name: value for name, value in given.items() if value is not None}
    factory = optimizer_factory or chosen_optimizer(chosen, optimizer, given, optimizer_args)
    network = chosen.network(images, seed) if model is None else model
    if compile:
        network.compile()
    loop = RecipeLoop(
        chosen,
        images,
        network,
        factory,
        epochs=chosen.epochs if epochs is None else epochs,
        batch=min(chosen.batch, len(images.train_labels)) if batch is None else batch,
        seed=seed,
        device=device,
        precision=precision,
        evaluate=evaluate,
    )
    checkpoints = None
    if checkpoint_to is not None:
        label = optimizer if optimizer_factory is None else type(loop.optimizer).__name__
        described = _described(loop, label, given | dict(optimizer_args or {}))
        checkpoints = Checkpoints(checkpoint_to, checkpoint_every, described)
        if resume:
            checkpoints.resume(loop)
        else:
            checkpoints.refuse_to_overwrite()
        run = run or f"{recipe}_{images.name}_{label.replace(':', '.')}_seed{seed}"
    recording: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if record_to is not None and not loop.finished:
        from muon_theory.recorder import SpectrumRecorder

        recording = SpectrumRecorder(
            loop.optimizer, network, record_to, schedule=schedule, kinds=kinds, run=run, store_matrices=store_matrices,
            first_step=loop.step,
        )  # fmt: skip
    with recording as recorder:
        return loop.run(partial(_after_step, recorder=recorder, checkpoints=checkpoints, progress=progress))


def chosen_optimizer(
    recipe: Recipe, name: str, given: Mapping[str, float], options: Mapping[str, Any] | None = None
) -> Callable[[nn.Module], torch.optim.Optimizer]:
    """The function that builds an optimizer for a model: one of the recipe's, or any other.

    Args:
        recipe: the recipe.
        name: see `train_recipe`.
        given: those of lr, momentum and weight_decay that are not to be the recipe's.
        options: further options of an optimizer that is not the recipe's.

    Returns:
        A function of the model.

    Raises:
        ValueError: if a recipe's optimizer is given further options, or the name is unknown.

    Source: elementary.
    """
    setting = recipe.optimizers.get(name)
    if setting is None:
        if name in ("muon", "sgd", "adamw"):
            raise ValueError(
                f"the recipe {recipe.name} publishes no {name}, only {', '.join(recipe.optimizers)}; name it by its "
                "import path, e.g. torch.optim:AdamW, with its learning rate"
            )
        imported_optimizer(name)
        return lambda model: build_imported(name, model, {**given, **(options or {})})
    if options:
        raise ValueError(
            f"{name} is the recipe's own and takes lr, momentum and weight_decay only, not {', '.join(options)}; name "
            "an optimizer by its import path to give it other options, e.g. torch.optim:SGD"
        )
    for key, value in given.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{key} is {value!r}; it must be finite and >= 0")
    rates = {"lr": setting.lr, "momentum": setting.momentum, "weight_decay": setting.weight_decay, **given}
    return lambda model: setting.build(model, **rates)


def _after_step(
    loop: RecipeLoop,
    stepped: bool,
    *,
    recorder: Any,
    checkpoints: Checkpoints | None,
    progress: Progress | None,
) -> None:
    """What follows every step."""
    if recorder is not None and not stepped:
        recorder.advance_to(loop.step)
    if checkpoints is not None:
        checkpoints.after_step(loop)
    if progress is not None and (loop.device.type == "cpu" or loop.step % PROGRESS_EVERY_ON_A_GPU == 0):
        done = loop.sums["steps"]
        mean = loop.sums["loss"] / done if done else loop.rows[-1]["train_loss"]
        progress(loop.step, loop.steps, float(mean))


def _described(loop: RecipeLoop, optimizer: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run what it is, for its checkpoints."""
    return {
        "recipe": loop.recipe.name,
        "images": loop.images.name,
        "fingerprint": loop.images.fingerprint,
        "training images": len(loop.images.train_labels),
        "seed": loop.seed,
        "epochs": loop.epochs,
        "batch": loop.batches.batch,
        "precision": loop.precision,
        "optimizer": optimizer,
        "options of the optimizer": {name: _plain(value) for name, value in sorted(options.items())},
        "groups of the optimizer": [
            [type(loop.optimizer).__name__, *(len(group["params"]) for group in loop.optimizer.param_groups)]
        ],
        "parameters": described_parameters(loop.model),
    }


def _plain(value: Any) -> Any:
    """A value that a checkpoint can hold."""
    return value if isinstance(value, bool | int | float | str | None) else repr(value)
