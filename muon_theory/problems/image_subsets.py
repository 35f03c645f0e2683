"""Parts of a set of images: the first few in a random order, or classes of unequal frequency; and a net for them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from muon_theory.problems.images import Images


def random_subset(images: Images, count: int, *, seed: int, tests: int | None = None) -> Images:
    """A random part of the training images; the rest is not kept in memory.

    Args:
        images: the data.
        count: number of training images kept, 1 to all.
        seed: of the choice.
        tests: number of test images kept, the first ones; None keeps all.

    Returns:
        The part.

    Raises:
        ValueError: a count out of range.

    Source: elementary.

    >>> from muon_theory.problems import load_images
    >>> random_subset(load_images("digits"), 100, seed=0).train_images.shape
    torch.Size([100, 64])
    """
    total = len(images.train_labels)
    if not 1 <= count <= total:
        raise ValueError(f"count is {count!r}; it must be from 1 to the {total} training images")
    index = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:count]
    return _chosen(images, index, slice(None) if tests is None else slice(tests))


def long_tailed(
    images: Images, *, largest: int, ratio: float, seed: int, tests: int | None = None
) -> tuple[Images, Tensor]:
    """A training set whose class frequencies fall geometrically; the test set is left balanced.

    The class of place i = 0..C-1 keeps `largest` ratio^(-i/(C-1)) images, rounded; which class has which place is drawn
    from the seed, so that over seeds no class is always the rarest.

    Args:
        images: the data.
        largest: number of images of the commonest class.
        ratio: of the commonest to the rarest class, >= 1.
        seed: of the order of classes and of the choice of images.
        tests: number of test images kept, the first ones; None keeps all.

    Returns:
        The part and the place of each class, int64 (classes,).

    Raises:
        ValueError: a ratio below 1, or a class with fewer images than it should keep.

    Source: Cui et al. 2019, arXiv 1901.05555 (exponential profile of long-tailed CIFAR).

    >>> from muon_theory.problems import load_images
    >>> part, places = long_tailed(load_images("digits"), largest=100, ratio=10, seed=0)
    >>> counts = torch.bincount(part.train_labels)
    >>> [int(counts[places == i]) for i in (0, 9)]
    [100, 10]
    """
    if ratio < 1:
        raise ValueError(f"ratio is {ratio!r}; it must be at least 1")
    generator = torch.Generator().manual_seed(seed)
    places = torch.randperm(images.classes, generator=generator)
    order = torch.randperm(len(images.train_labels), generator=generator)
    kept = []
    for label, place in enumerate(places.tolist()):
        wanted = round(largest * ratio ** (-place / (images.classes - 1)))
        members = order[images.train_labels[order] == label]
        if len(members) < wanted:
            raise ValueError(f"largest is {largest!r}: class {label} has {len(members)} images only; lower it")
        kept.append(members[:wanted])
    return _chosen(images, torch.cat(kept), slice(None) if tests is None else slice(tests)), places


def _chosen(images: Images, index: Tensor, tests: slice) -> Images:
    """Some training images and test images."""
    digest = hashlib.sha256(images.fingerprint.encode() + index.numpy().astype(np.int64).tobytes())
    return dataclasses.replace(
        images, train_images=images.train_images[index], train_labels=images.train_labels[index],
        test_images=images.test_images[tests].clone(), test_labels=images.test_labels[tests].clone(),
        fingerprint=digest.hexdigest(),
    )  # fmt: skip


def small_conv_net(
    image_shape: tuple[int, int], channels: int, classes: int = 10, *, widths: Sequence[int] = (16, 32, 64), seed: int
) -> nn.Sequential:
    """Convolution net that a CPU core steps in a few milliseconds: images of 32 and more pixels are first halved.

    Three 3x3 convolutions with ReLU, maximum pooling after the first two, average pooling to 2x2, a linear head.

    Args:
        image_shape: (height, width), at least 8 each.
        channels: of the images.
        classes: number of outputs.
        widths: channels after each convolution.
        seed: of the initialisation (torch's default).

    Returns:
        The network, from (batch, channels * height * width) to (batch, classes); its layers are conv1, conv2, conv3 and
        head.

    Source: ours; the tutorial's net (Wei 2025) with half the channels, no hidden linear layer and halved images.

    >>> net = small_conv_net((32, 32), 3, seed=0)
    >>> net(torch.zeros(2, 3072)).shape, sum(p.numel() for p in net.parameters())
    (torch.Size([2, 10]), 26154)
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(image=nn.Unflatten(1, (channels, *image_shape)))
    if min(image_shape) >= 32:
        layers["halve"] = nn.AvgPool2d(2)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for index, (inputs, outputs) in enumerate(zip((channels, *widths), widths, strict=False), start=1):
            layers[f"conv{index}"] = nn.Conv2d(inputs, outputs, 3, padding=1)
            layers[f"relu{index}"] = nn.ReLU()
            if index < len(widths):
                layers[f"pool{index}"] = nn.MaxPool2d(2)
        layers |= {"average": nn.AdaptiveAvgPool2d(2), "flatten": nn.Flatten()}
        layers["head"] = nn.Linear(4 * widths[-1], classes)
    return nn.Sequential(layers)
