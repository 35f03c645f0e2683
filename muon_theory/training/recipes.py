"""Recipes: how published runs were trained, as data. What carries a recipe out is the same for all of them.

A recipe depends on the kind of images: grey ones are trained on as rows of pixels, coloured ones as images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn

from muon_theory.problems.convolution_networks import airbench_net, set_whitening, tutorial_conv_net
from muon_theory.problems.images import Images
from muon_theory.problems.networks import mlp
from muon_theory.training.recipe_optimizers import adamw, airbench_muon, sgd, tutorial_muon

Augmentation = Literal["none", "crop_and_flip", "shift_and_alternating_flip"]
Decay = Literal["none", "cosine_by_epoch", "linear_by_step"]
Build = Callable[..., torch.optim.Optimizer]

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)


@dataclass(frozen=True)
class Setting:
    """An optimizer of a recipe with its published hyperparameters.

    Args:
        build: called as build(model, lr=..., momentum=..., weight_decay=...).
        lr: learning rate.
        momentum: momentum (AdamW: beta_1).
        weight_decay: weight decay.
        train_loss: published mean training loss of the last epoch, in nats, or None.
        test_accuracy: published test accuracy after the last epoch, from 0 to 1, or None.

    Source: elementary.
    """

    build: Build
    lr: float
    momentum: float
    weight_decay: float = 0.0
    train_loss: float | None = None
    test_accuracy: float | None = None


@dataclass(frozen=True)
class Recipe:
    """How a network is trained on one kind of images.

    Args:
        name: of the recipe.
        epochs: number of passes.
        batch: images a step.
        network: called as network(images, seed); a new network each time.
        optimizers: those it publishes, by name.
        as_images: whether the network takes (batch, channels, height, width) instead of rows of pixels.
        drop_last: whether the last, smaller batch of an epoch is left out.
        mean: of each channel, subtracted from pixels in [0, 1]; () for none.
        std: that each channel is then divided by.
        augmentation: of the training images.
        padding: pixels on each side that a crop may shift by.
        decay: of the learning rates: none, cosine in the number of epochs done, or linear in that of steps.
        label_smoothing: of the cross-entropy in training.
        summed: whether the loss is the sum over the batch, not its mean.
        mirrored_test: whether a test averages over the mirror image and two shifts by a pixel.
        prepare: called as prepare(model, normalised images) before the first step, or None.
        source: where it was published.

    Source: elementary.
    """

    name: str
    epochs: int
    batch: int
    network: Callable[[Images, int], nn.Module]
    optimizers: Mapping[str, Setting]
    as_images: bool = False
    drop_last: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augmentation: Augmentation = "none"
    padding: int = 0
    decay: Decay = "none"
    label_smoothing: float = 0.0
    summed: bool = False
    mirrored_test: bool = False
    prepare: Callable[[nn.Module, torch.Tensor], None] | None = None
    source: str = field(default="", compare=False)


def tutorial_perceptron(images: Images, seed: int) -> nn.Module:
    """The tutorial's perceptron for grey images.

    Args:
        images: whose number of pixels and classes count.
        seed: seed of the initialisation.

    Returns:
        The network, features-256-128-classes.

    Source: Wei 2025, "Understanding the Muon Optimizer".
    """
    return mlp(images.features, (256, 128), images.classes, seed=seed)


def tutorial_convolutions(images: Images, seed: int) -> nn.Module:
    """The tutorial's convolutional network for coloured images.

    Args:
        images: whose shape and number of classes count.
        seed: seed of the initialisation.

    Returns:
        The network of `tutorial_conv_net`.

    Source: Wei 2025, "Understanding the Muon Optimizer".
    """
    return tutorial_conv_net(images.image_shape, images.classes, channels=images.channels, seed=seed)


def airbench_convolutions(images: Images, seed: int) -> nn.Module:
    """The network of airbench for coloured images of 32x32.

    Args:
        images: whose channels and number of classes count.
        seed: seed of the initialisation.

    Returns:
        The network of `airbench_net`.

    Source: Jordan 2024, arXiv 2404.00498.
    """
    return airbench_net(images.classes, channels=images.channels, seed=seed)


def whiten_first_layer(model: nn.Module, images: torch.Tensor) -> None:
    """Set the frozen first convolution of an airbench network from training images, where it has one.

    Args:
        model: the network; changed in place if it has a convolution called `whiten`.
        images: normalised training images, the first 5000 of which count.

    Source: Jordan 2024, arXiv 2404.00498, section 3.2.
    """
    layer = getattr(model, "whiten", None)
    if isinstance(layer, nn.Conv2d):
        set_whitening(layer, images[:5000])


TUTORIAL: Mapping[str, Recipe] = MappingProxyType({
    "grey": Recipe(
        name="tutorial",
        epochs=3,
        batch=64,
        network=tutorial_perceptron,
        optimizers=MappingProxyType({
            "muon": Setting(tutorial_muon, 1e-2, 0.95, train_loss=0.0475),
            "sgd": Setting(sgd, 1e-2, 0.0, train_loss=0.3931),
            "adamw": Setting(adamw, 1e-3, 0.9, 0.01, train_loss=0.0717),
        }),
        source="Wei 2025, Understanding the Muon Optimizer, MNIST",
    ),
    "coloured": Recipe(
        name="tutorial",
        epochs=5,
        batch=128,
        network=tutorial_convolutions,
        optimizers=MappingProxyType({
            "muon": Setting(tutorial_muon, 1e-2, 0.95, train_loss=0.6279, test_accuracy=0.8079),
            "sgd": Setting(sgd, 1e-2, 0.9, 5e-4, train_loss=1.1023, test_accuracy=0.6440),
            "adamw": Setting(adamw, 1e-3, 0.9, 1e-4, train_loss=0.8955, test_accuracy=0.7166),
        }),
        as_images=True,
        mean=CIFAR10_MEAN,
        std=(0.2023, 0.1994, 0.2010),
        augmentation="crop_and_flip",
        padding=4,
        decay="cosine_by_epoch",
        source="Wei 2025, Understanding the Muon Optimizer, CIFAR-10",
    ),
})
"""The tutorial's runs by kind of images; the numbers published for MNIST and CIFAR-10 stand beside the optimizers."""

AIRBENCH: Mapping[str, Recipe] = MappingProxyType({
    "coloured": Recipe(
        name="airbench",
        epochs=8,
        batch=2000,
        network=airbench_convolutions,
        optimizers=MappingProxyType({"muon": Setting(airbench_muon, 0.24, 0.6, 2e-6, test_accuracy=0.9401)}),
        as_images=True,
        drop_last=True,
        mean=CIFAR10_MEAN,
        std=(0.2470, 0.2435, 0.2616),
        augmentation="shift_and_alternating_flip",
        padding=2,
        decay="linear_by_step",
        label_smoothing=0.2,
        summed=True,
        mirrored_test=True,
        prepare=whiten_first_layer,
        source="Jordan, airbench94_muon; Jordan 2024, arXiv 2404.00498",
    ),
})
"""airbench's 94 % run; its accuracy is one with test-time augmentation."""

RECIPES: Mapping[str, Mapping[str, Recipe]] = MappingProxyType({"tutorial": TUTORIAL, "airbench": AIRBENCH})
"""The recipes by name, each by kind of images: "grey" or "coloured"."""


def recipe_for(name: str, images: Images) -> Recipe:
    """The recipe of a name for some images.

    Args:
        name: a key of `RECIPES`.
        images: of which the number of channels decides.

    Returns:
        The recipe.

    Raises:
        ValueError: if the name is unknown, or the recipe has nothing for such images.

    Source: elementary.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe is {name!r}; choose one of {', '.join(RECIPES)}")
    return variant(RECIPES[name], images)


def variant(recipe: Mapping[str, Recipe], images: Images) -> Recipe:
    """The variant of a recipe for some images.

    Args:
        recipe: its variants by kind of images.
        images: of which the number of channels decides.

    Returns:
        The variant.

    Raises:
        ValueError: if there is none.

    Source: elementary.
    """
    kind = "coloured" if images.channels == 3 else "grey"
    if kind not in recipe:
        raise ValueError(f"{images.name} is {kind}; the recipe is for {', '.join(recipe)} images only, e.g. cifar10")
    return recipe[kind]
