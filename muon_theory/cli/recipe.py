"""Carrying out a recipe for the command line: options read, progress shown."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from muon_theory.problems import Images


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Args:
        recipe: name of the recipe.
        dataset: name of the data set.
        data: folder of data sets, or None.
        optimizer: as `train_recipe` takes it.
        optimizer_args: KEY=VALUE options of an optimizer.
        images: number of training images, at most as many test images, or None for all.
        threads: threads of the CPU.
        given: further keyword arguments of `train_recipe`.

    Source: elementary.
    """

    recipe: str
    dataset: str
    data: Path | None
    optimizer: str
    optimizer_args: Sequence[str]
    images: int | None
    threads: int
    given: Mapping[str, Any]


def run_recipe(request: Request, label: str) -> pd.DataFrame:
    """Carry out a recipe, with a progress bar.

    Args:
        request: what is asked for.
        label: what to call the run.

    Returns:
        One row an epoch, see `train_recipe`.

    Raises:
        ValueError: if an option is out of range.

    Source: elementary.
    """
    import torch

    from muon_theory.problems import load_images
    from muon_theory.reporting.progress import progress
    from muon_theory.training.recipe_run import train_recipe
    from muon_theory.training.recipes import recipe_for

    try:
        device = torch.device(request.given["device"])
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"--device {request.given['device']}: not here ({reason}); give cpu") from error
    options = optimizer_options(request.optimizer_args)
    images = load_images(request.dataset, request.data)
    if request.images is not None:
        images = _first(images, request.images)
    recipe = recipe_for(request.recipe, images)
    batch = request.given["batch"] or min(recipe.batch, len(images.train_labels))
    count = len(images.train_labels)
    epoch = count // batch if recipe.drop_last else -(-count // batch)
    total = epoch * (request.given["epochs"] or recipe.epochs)
    before = torch.get_num_threads()
    torch.set_num_threads(request.threads)
    try:
        with progress(total, label, unit="steps") as bar:
            shown = 0

            def report(step: int, steps: int, loss: float) -> None:  # noqa: ARG001  (train_recipe's call)
                nonlocal shown
                bar.advance(step - shown, note=f"loss {loss:.4f}")
                shown = step

            return train_recipe(
                request.recipe, images, request.optimizer, optimizer_args=options or None, progress=report,
                **request.given,
            )  # fmt: skip
    finally:
        torch.set_num_threads(before)


def optimizer_options(words: Sequence[str]) -> dict[str, Any]:
    """Options from KEY=VALUE words; values are Python literals, or text.

    Args:
        words: the words.

    Returns:
        Name to value.

    Raises:
        ValueError: if a word is no KEY=VALUE.

    Source: elementary.

    >>> optimizer_options(["betas=(0.9, 0.99)", "mode=fast"])
    {'betas': (0.9, 0.99), 'mode': 'fast'}
    """
    options = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (equals and key.isidentifier()):
            raise ValueError(f"--optimizer-args {word}: give it as KEY=VALUE")
        try:
            options[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[key] = text
    return options


def _first(images: Images, count: int) -> Images:
    """The first images of a set."""
    return replace(
        images,
        train_images=images.train_images[:count],
        train_labels=images.train_labels[:count],
        test_images=images.test_images[:count],
        test_labels=images.test_labels[:count],
    )
