"""Convolutional networks for CIFAR-10: the tutorial's, and airbench's with its whitening first layer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def tutorial_conv_net(
    image_shape: tuple[int, int] = (32, 32), classes: int = 10, *, channels: int = 3, dropout: float = 0.5, seed: int
) -> nn.Sequential:
    """The tutorial's network: three 3x3 convolutions (32, 64, 128), each with ReLU and max-pooling, and two layers.

    2048-512 with ReLU and dropout, then 512-10, in torch's default initialisation; 1,147,466 parameters at 32x32.

    Args:
        image_shape: (height, width), each at least 8.
        classes: number of outputs.
        channels: of the images.
        dropout: probability before the last layer, in [0, 1).
        seed: seed of the initialisation; torch's global random state is not touched.

    Returns:
        The network, from (batch, channels, height, width) to (batch, classes).

    Raises:
        ValueError: if the images are too small for three poolings, or the probability is out of range.

    Source: Wei 2025, "Understanding the Muon Optimizer", the CIFAR-10 experiment.

    >>> model = tutorial_conv_net(seed=0)
    >>> sum(parameter.numel() for parameter in model.parameters()), model(torch.zeros(2, 3, 32, 32)).shape
    (1147466, torch.Size([2, 10]))
    """
    if min(image_shape) < 8:
        raise ValueError(f"image_shape is {image_shape}; three poolings need at least 8 pixels each way")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout!r}; it must be in [0, 1)")
    widths = (channels, 32, 64, 128)
    features = widths[-1] * (image_shape[0] // 8) * (image_shape[1] // 8)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for index in range(1, 4):
            layers[f"conv{index}"] = nn.Conv2d(widths[index - 1], widths[index], 3, padding=1)
            layers[f"relu{index}"] = nn.ReLU()
            layers[f"pool{index}"] = nn.MaxPool2d(2)
        layers["flatten"] = nn.Flatten()
        layers["layer1"] = nn.Linear(features, 512)
        layers["relu4"] = nn.ReLU()
        layers["dropout"] = nn.Dropout(dropout)
        layers["head"] = nn.Linear(512, classes)
    return nn.Sequential(layers)


class _Scaled(nn.Module):
    """Multiplication by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, outputs: Tensor) -> Tensor:
        """The outputs times the constant."""
        return outputs * self.factor


def _norm(width: int) -> nn.BatchNorm2d:
    """Batch normalisation with a bias and without a scale."""
    norm = nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3 convolution without bias whose first filters pass their input channel through."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[: min(inputs, outputs)])
    return layer


def airbench_net(
    classes: int = 10, *, channels: int = 3, widths: Sequence[int] = (64, 256, 256), seed: int
) -> nn.Sequential:
    """Airbench's network for 32x32 images: whitening convolution, three groups of two convolutions, linear head.

    The convolution `whiten` (2x2, filters frozen, trained bias) waits for `set_whitening`. A group is: 3x3 convolution,
    max-pooling 2, batch normalisation (bias only), GELU, 3x3 convolution, normalisation, GELU. Then max-pooling 3, and
    a head without bias, whose outputs are divided by the last width.

    Args:
        classes: number of outputs.
        channels: of the images.
        widths: output channels of the three groups.
        seed: seed of the initialisation; torch's global random state is not touched.

    Returns:
        The network, from (batch, channels, 32, 32) to (batch, classes).

    Raises:
        ValueError: if there are not three widths.

    Source: Jordan 2024, arXiv 2404.00498, and airbench94_muon (its Muon variant); facts, not code, carried over.

    >>> model = airbench_net(widths=(8, 8, 8), seed=0)
    >>> model(torch.zeros(2, 3, 32, 32)).shape, model.get_parameter("whiten.weight").shape
    (torch.Size([2, 10]), torch.Size([24, 3, 2, 2]))
    """
    if len(widths) != 3:
        raise ValueError(f"widths is {tuple(widths)}; give three")
    inputs = 2 * channels * 4
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        layers["whiten"] = nn.Conv2d(channels, inputs, 2)
        layers["whiten"].weight.requires_grad_(False)
        layers["whiten_activation"] = nn.GELU()
        for index, width in enumerate(widths, start=1):
            layers[f"group{index}"] = nn.Sequential(
                OrderedDict(
                    conv1=_convolution(inputs, width),
                    pool=nn.MaxPool2d(2),
                    norm1=_norm(width),
                    activation1=nn.GELU(),
                    conv2=_convolution(width, width),
                    norm2=_norm(width),
                    activation2=nn.GELU(),
                )
            )
            inputs = width
        layers["pool"] = nn.MaxPool2d(3)
        layers["flatten"] = nn.Flatten()
        head = nn.Linear(inputs, classes, bias=False)
        with torch.no_grad():
            head.weight.div_(head.weight.std())
        layers["head"] = head
        layers["scale"] = _Scaled(1 / inputs)
    return nn.Sequential(layers)


@torch.no_grad()
def set_whitening(layer: nn.Conv2d, images: Tensor, *, eps: float = 5e-4) -> None:
    """Set a convolution's filters to those that whiten the images' patches, and their negatives.

    With Sigma = E[x x^T] = V diag(lambda) V^T over all patches x of the kernel's size, the filters are the columns of
    V / sqrt(lambda + eps) and minus them.

    Args:
        layer: the convolution, of twice as many outputs as a patch has entries; changed in place.
        images: normalised images, shape (batch, channels, height, width).
        eps: added to the eigenvalues, > 0.

    Raises:
        ValueError: if the layer has another number of outputs.

    Source: Jordan 2024, arXiv 2404.00498, section 3.2.

    >>> layer = nn.Conv2d(1, 8, 2)
    >>> images = torch.randn(500, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> set_whitening(layer, images, eps=1e-9)
    >>> outputs = nn.functional.conv2d(images, layer.weight)[:, :4].transpose(0, 1).flatten(1)
    >>> bool(torch.allclose(outputs @ outputs.T / outputs.shape[1], torch.eye(4), atol=1e-4))
    True
    """
    height, width = layer.weight.shape[2:]
    patches = images.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
    size = patches.shape[1]
    if layer.weight.shape[0] != 2 * size:
        raise ValueError(f"the layer has {layer.weight.shape[0]} outputs; whitening patches of {size} entries needs "
                         f"{2 * size}")  # fmt: skip
    covariance = (patches.mT @ patches / len(patches)).double().cpu()
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    filters = (vectors / (eigenvalues + eps).sqrt()).mT.flip(0)
    both = torch.cat([filters, -filters]).reshape(layer.weight.shape)
    layer.weight.copy_(both.to(layer.weight))
