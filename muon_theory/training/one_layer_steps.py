"""What a step of one layer does to the loss, the others held: curvature along directions, best decrease, activations.

The loss is that of a fixed set of samples, so that a step is judged without noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, unfold


def layer_gradient(model: nn.Module, name: str, inputs: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the mean cross-entropy in one weight, as a matrix.

    Args:
        model: from (N, features) to (N, classes).
        name: of a weight, e.g. "layer1.weight"; a kernel is flattened to (out, -1).
        inputs: (N, features).
        labels: int64, (N,).

    Returns:
        (out, -1), of the weight's dtype; the model's `grad` fields stay as they are.

    Source: elementary.

    >>> from muon_theory.problems import load_images, mlp
    >>> images = load_images("digits")
    >>> layer_gradient(mlp(64, (8,), seed=0), "layer1.weight", images.test_images, images.test_labels).shape
    torch.Size([8, 64])
    """
    weight = model.get_parameter(name)
    return torch.autograd.grad(cross_entropy(model(inputs), labels), weight)[0].flatten(1)


def curvatures(model: nn.Module, name: str, directions: Tensor, inputs: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """Second derivatives <D, H D> of the mean cross-entropy in one weight along directions.

    Args:
        model: from (N, features) to (N, classes).
        name: of a weight.
        directions: (k, out, -1), as matrices.
        inputs: (N, features).
        labels: int64, (N,).

    Returns:
        (k,), loss / weight^2; at least 0 where the network is piecewise linear in the weight (ReLU).

    Source: elementary (Hessian-vector products).
    Cost: one backward pass a direction.

    >>> from muon_theory.problems import load_images, mlp
    >>> images, model = load_images("digits"), mlp(64, (8,), seed=0)
    >>> along = torch.ones(1, 8, 64) * torch.tensor([[[1.0]]])
    >>> doubled = curvatures(model, "layer1.weight", 2 * along, images.test_images, images.test_labels)
    >>> single = curvatures(model, "layer1.weight", along, images.test_images, images.test_labels)
    >>> round(float(doubled[0] / single[0]), 3)
    4.0
    """
    weight = model.get_parameter(name)
    gradient = torch.autograd.grad(cross_entropy(model(inputs), labels), weight, create_graph=True)[0]
    found = []
    for D in directions.reshape(-1, *weight.shape):
        (product,) = torch.autograd.grad(gradient, weight, D.to(gradient), retain_graph=True)
        found.append(float((product.double() * D).sum()))
    return np.array(found)


@torch.no_grad()
def decreases(
    model: nn.Module, name: str, D: Tensor, lengths: Sequence[float], inputs: Tensor, labels: Tensor
) -> NDArray[np.float64]:
    """How much the mean cross-entropy falls from W to W - t D, for each length t.

    Args:
        model: from (N, features) to (N, classes); its weight is restored.
        name: of a weight.
        D: direction, (out, -1).
        lengths: t, any real numbers.
        inputs: (N, features).
        labels: int64, (N,).

    Returns:
        f(W) - f(W - t D), same length as `lengths`, in nats; negative where the loss rises.

    Source: elementary.

    >>> from muon_theory.problems import load_images, mlp
    >>> images, model = load_images("digits"), mlp(64, (8,), seed=0)
    >>> G = layer_gradient(model, "layer1.weight", images.test_images, images.test_labels)
    >>> found = decreases(model, "layer1.weight", G, [0.0, 0.1], images.test_images, images.test_labels)
    >>> found[0] == 0, bool(found[1] > 0)
    (np.True_, True)
    """
    weight = model.get_parameter(name)
    kept = weight.detach().clone()
    start, found = float(cross_entropy(model(inputs), labels)), []
    for t in lengths:
        weight.copy_(kept - t * D.reshape(kept.shape).to(kept))
        found.append(start - float(cross_entropy(model(inputs), labels)))
        weight.copy_(kept)
    return np.array(found)


@torch.no_grad()
def incoming_activations(model: nn.Module, name: str, inputs: Tensor) -> Tensor:
    """What a layer multiplies its weight with: its inputs as rows; of a convolution, its patches.

    Args:
        model: from (N, features) to (N, classes).
        name: of the weight of a linear layer or a plain convolution (no groups).
        inputs: (N, features).

    Returns:
        (N, in) of a linear layer, (N positions, in * height * width) of a convolution.

    Raises:
        TypeError: the weight belongs to a layer of another kind.

    Source: elementary.

    >>> from muon_theory.problems import mlp
    >>> incoming_activations(mlp(64, (8,), seed=0), "head.weight", torch.ones(5, 64)).shape
    torch.Size([5, 8])
    """
    layer = model.get_submodule(name.rpartition(".")[0])
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        raise TypeError(f"{name} belongs to a {type(layer).__name__}; give the weight of a Linear or Conv2d layer")
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].detach()))
    try:
        model(inputs)
    finally:
        handle.remove()
    if isinstance(layer, nn.Linear):
        return seen[0]
    padding = layer.padding if isinstance(layer.padding, tuple) else 0
    patches = unfold(seen[0], layer.kernel_size, layer.dilation, padding, layer.stride)
    return patches.transpose(1, 2).flatten(0, 1)
