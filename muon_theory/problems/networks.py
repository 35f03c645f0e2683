"""The small networks the studies train, each built from a seed without touching torch's global random state."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn


def mlp(features: int, hidden: Sequence[int] = (256, 128), classes: int = 10, *, seed: int) -> nn.Sequential:
    """Multilayer perceptron with ReLU between linear layers, in torch's default initialisation.

    Args:
        features: number of inputs, e.g. 784 for MNIST and 64 for the bundled digits.
        hidden: widths of the hidden layers; () gives a linear classifier.
        classes: number of outputs.
        seed: seed of the initialisation.

    Returns:
        The network; its linear layers are called layer1, layer2, ..., and the last one head.

    Raises:
        ValueError: if a width is not a positive integer.

    Source: Wei 2025, "Understanding the Muon Optimizer" (784-256-128-10).

    >>> [tuple(weight.shape) for weight in mlp(784, seed=0).parameters() if weight.ndim == 2]
    [(256, 784), (128, 256), (10, 128)]
    """  # noqa: DOC502  (raised by _check_sizes)
    widths = [features, *hidden, classes]
    _check_sizes(widths=widths)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for index, (inputs, outputs) in enumerate(itertools.pairwise(widths[:-1]), start=1):
            layers[f"layer{index}"] = nn.Linear(inputs, outputs)
            layers[f"relu{index}"] = nn.ReLU()
        layers["head"] = nn.Linear(widths[-2], classes)
    return nn.Sequential(layers)


def first_convolution_net(
    width: int, image_shape: tuple[int, int] = (8, 8), classes: int = 10, *, channels: int = 24, seed: int
) -> nn.Sequential:
    """Network whose first trained convolution is a matrix of `width` rows and 9 `channels` columns.

    A frozen 3x3 convolution lifts the grey image to `channels` (stride 2 from 16 pixels on); then the convolution
    `first` (3x3, no bias, flattened (width, 9 channels), so of rank up to min(width, 9 channels)), GELU, average
    pooling to 4x4 and the linear `head`. With 24 channels the matrix is width x 216, as in the ablation of the rank.

    Args:
        width: number of output channels of `first`; the ablation's are 16, 32, 64, 128, 216.
        image_shape: (height, width) of the images, which come flattened to rows.
        classes: number of outputs.
        channels: number of channels after the frozen convolution.
        seed: seed of the initialisation.

    Returns:
        The network, from (batch, height * width) to (batch, classes); the studied matrix is `first.weight`.

    Raises:
        ValueError: if a size is not a positive integer.

    Source: the ablation is Kim, Oh 2026, arXiv 2601.19156, appendix H (first convolution of CifarNet, 24 * 9 = 216
    inputs); this smaller network is ours.

    >>> first_convolution_net(16, seed=0).get_parameter("first.weight").flatten(1).shape
    torch.Size([16, 216])
    """  # noqa: DOC502  (raised by _check_sizes)
    _check_sizes(width=[width], image_shape=image_shape, classes=[classes], channels=[channels])
    stride = 2 if min(image_shape) >= 16 else 1
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            image=nn.Unflatten(1, (1, *image_shape)),
            stem=nn.Conv2d(1, channels, 3, stride=stride, padding=1).requires_grad_(False),
            stem_activation=nn.GELU(),
            first=nn.Conv2d(channels, width, 3, padding=1, bias=False),
            activation=nn.GELU(),
            pool=nn.AdaptiveAvgPool2d(4),
            flatten=nn.Flatten(),
            head=nn.Linear(16 * width, classes),
        )
    return nn.Sequential(layers)


def width_mlp(width: int, features: int = 64, classes: int = 10, *, inputs: int = 216, seed: int) -> nn.Sequential:
    """Multilayer perceptron features-inputs-width-classes: the cheap analogue of `first_convolution_net`.

    Its second matrix is width x inputs, of rank up to min(width, inputs), whatever the number of pixels.

    Args:
        width: number of rows of the studied matrix, e.g. 16, 32, 64, 128, 216.
        features: number of pixels.
        classes: number of outputs.
        inputs: number of columns of the studied matrix.
        seed: seed of the initialisation.

    Returns:
        The network; the studied matrix is `layer2.weight`.

    Source: ours, after the ablation of Kim, Oh 2026, arXiv 2601.19156, appendix H.

    >>> width_mlp(16, seed=0).get_parameter("layer2.weight").shape
    torch.Size([16, 216])
    """
    return mlp(features, (inputs, width), classes, seed=seed)


def _check_sizes(**sizes: Sequence[int]) -> None:
    """Check that all sizes are positive integers."""
    for name, values in sizes.items():
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} holds {value!r}; sizes must be positive integers")
