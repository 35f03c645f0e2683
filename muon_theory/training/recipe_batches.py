"""The minibatches of a recipe: order and augmentation of every epoch follow from the seed, so that a run can go on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from muon_theory.problems.augmentation import Choices, alternating_flips, cropped, drawn_choices
from muon_theory.problems.images import Images
from muon_theory.training.recipes import Recipe

ORDER, FLIPS, DROPOUT = range(3)


def stream_seed(seed: int, *path: int) -> int:
    """Seed of one of the random streams of a run.

    Args:
        seed: seed of the run, >= 0.
        *path: what the stream is for, e.g. (ORDER, epoch).

    Returns:
        An integer from 0 to 2^63 - 1.

    Source: numpy.random.SeedSequence.

    >>> stream_seed(0, ORDER, 1) == stream_seed(0, ORDER, 1) != stream_seed(0, ORDER, 2)
    True
    """
    return int(np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class RecipeBatches:
    """Training images on a device, cut into augmented and normalised minibatches.

    Args:
        recipe: says batch, augmentation and normalisation.
        images: the data.
        batch: images a step, 1 to the number of training images.
        seed: of order and augmentation.
        device: where batches are made; the images are moved there once.

    Source: elementary.

    >>> from muon_theory.problems import load_images
    >>> from muon_theory.training.recipes import TUTORIAL
    >>> batches = RecipeBatches(TUTORIAL["grey"], load_images("digits"), batch=64, seed=0, device="cpu")
    >>> batches.steps, [len(labels) for _, labels in batches.epoch(0, start=21)]
    (23, [64, 29])
    """

    def __init__(
        self, recipe: Recipe, images: Images, *, batch: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.recipe = recipe
        self.batch = batch
        self.seed = seed
        self.device = torch.device(device)
        self.count = len(images.train_labels)
        self._shape = (images.channels, *images.image_shape)
        self._rows = images.train_images.to(self.device)
        self._labels = images.train_labels.to(self.device)
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=self.device).reshape(1, -1, 1, 1)
            for values in (recipe.mean, recipe.std)
        )

    @property
    def steps(self) -> int:
        """Number of minibatches of an epoch.

        Source: elementary.
        """
        return self.count // self.batch if self.recipe.drop_last else -(-self.count // self.batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The minibatches of an epoch, or those from one on.

        Args:
            epoch: from 0.
            start: the first minibatch wanted.

        Yields:
            (inputs, labels): float32, shape (b, features) or (b, channels, height, width) in channels-last layout, and
            int64, shape (b,).

        Source: elementary.
        """
        recipe = self.recipe
        generator = torch.Generator().manual_seed(stream_seed(self.seed, ORDER, epoch))
        order = torch.randperm(self.count, generator=generator)
        choices = None
        if recipe.augmentation != "none":
            choices = drawn_choices(self.count, recipe.padding, generator)
        if choices is not None and recipe.augmentation == "shift_and_alternating_flip":
            flips = torch.Generator().manual_seed(stream_seed(self.seed, FLIPS))
            choices = Choices(choices.rows, choices.columns, alternating_flips(self.count, epoch, flips)[order])
        order = order.to(self.device)
        choices = None if choices is None else choices.to(self.device)
        for step in range(start, self.steps):
            place = slice(step * self.batch, (step + 1) * self.batch)
            index = order[place]
            rows = self._rows[index]
            if recipe.as_images:
                rows = rows.reshape(-1, *self._shape)
                if choices is not None:
                    mode = "zero" if recipe.augmentation == "crop_and_flip" else "reflect"
                    rows = cropped(rows, choices.of(place), recipe.padding, mode)
            yield self.normalised(rows), self._labels[index]

    def normalised(self, rows: Tensor) -> Tensor:
        """Pixels as the network takes them: shaped, centred and scaled.

        Args:
            rows: in [0, 1], shape (b, features), or (b, channels, height, width) for a recipe of images.

        Returns:
            The inputs of the network, on the device.

        Source: elementary.
        """
        inputs = rows.to(self.device)
        if not self.recipe.as_images:
            return inputs
        inputs = inputs.reshape(-1, *self._shape)
        if self.recipe.mean:
            inputs = (inputs - self._mean) / self._std
        return inputs.contiguous(memory_format=torch.channels_last)
